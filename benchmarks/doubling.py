"""Whether attackers train long enough: the same ones again, with twice the patience and cap.

    python benchmarks/doubling.py RUN|NAME [--preset duet] [--attackers 10] [key=value ...]

Trains both on the same anonymized clips and prints JSON: the leak of either and the points that
doubling adds, without a codec and through it, and for each attacker its accuracies, epochs and what
stopped it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from unseen.config import FitConfig, load_config
from unseen.data.load import load_data
from unseen.evaluation.evaluate import prepare
from unseen.evaluation.protocol import privacy_section, train_on_versions
from unseen.evaluation.versions import anonymize_all
from unseen.training.folder import run_config


def doubled(fit: FitConfig) -> FitConfig:
    longer = {key: 2 * getattr(fit, key) for key in ("least", "patience", "cap")}
    return fit.model_copy(update=longer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("anonymizer")
    parser.add_argument("--preset")
    parser.add_argument("--attackers", default="10")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_intermixed_args()
    folder = Path(args.anonymizer)
    base = run_config(folder) if folder.is_dir() else load_config("duet")
    attackers = f"evaluation.attackers={args.attackers}"
    config = load_config(args.preset, [*args.overrides, attackers], base=base)
    settings = config.evaluation
    subject = prepare(args.anonymizer, settings, Path("doubling.json"))
    data = load_data(config.data, jobs=settings.jobs)
    versions = anonymize_all(
        subject.module, data, codec=settings.codec, draws=settings.draws, seed=settings.seed,
        device=settings.device, jobs=settings.jobs,
    )  # fmt: skip
    # The target model is of no interest here, and trains for one epoch.
    brief = settings.target_fit.model_copy(update={"cap": 1})
    fits = {"once": settings.attacker_fit, "twice": doubled(settings.attacker_fit)}
    measured = {
        name: train_on_versions(
            data, versions, settings.target_model, subject.attackers, target_fit=brief,
            attacker_fit=fit, jobs=settings.jobs, device=settings.device,
        )[1]
        for name, fit in fits.items()
    }  # fmt: skip
    found: dict[str, Any] = {}
    for view, label in enumerate(("pixels", "codec") if settings.codec else ("pixels",)):
        sections = {n: privacy_section(data, m, view, settings.seed) for n, m in measured.items()}
        leaks = {name: section["leak"] for name, section in sections.items()}
        found[label] = {
            "leak": leaks,
            "points": 100 * (leaks["twice"] - leaks["once"]),
            "interval": {name: section["interval"] for name, section in sections.items()},
            "attackers": {
                one["name"]: {
                    "accuracy": [one["accuracy"], two["accuracy"]],
                    "epochs": [one["epochs"], two["epochs"]],
                    "stopped": [one["stopped"], two["stopped"]],
                }
                for one, two in zip(*(s["attackers"] for s in sections.values()), strict=True)
            },
        }
    print(json.dumps({"fit": {n: f.model_dump() for n, f in fits.items()}, **found}, indent=2))


if __name__ == "__main__":
    main()
