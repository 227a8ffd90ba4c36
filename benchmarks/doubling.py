"""Whether attackers train long enough: the same ones again, with twice the patience and cap.

    python benchmarks/doubling.py RUN|NAME [--preset duet] [--attackers 10] [key=value ...]

Trains both on the same anonymized clips and prints JSON: the leak of either and the points that
doubling adds, without a codec and through it, and for each attacker its accuracies, epochs and what
stopped it.
"""

import argparse
import json
from typing import Any

from attacked import add_arguments, attacked

from unseen.config import FitConfig
from unseen.evaluation.protocol import privacy_section, train_on_versions


def doubled(fit: FitConfig) -> FitConfig:
    longer = {key: 2 * getattr(fit, key) for key in ("least", "patience", "cap")}
    return fit.model_copy(update=longer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--attackers", default="10")
    given = attacked(parser.parse_intermixed_args())
    settings, data = given.settings, given.data
    # The target model is of no interest here, and trains for one epoch.
    brief = settings.target_fit.model_copy(update={"cap": 1})
    fits = {"once": settings.attacker_fit, "twice": doubled(settings.attacker_fit)}
    measured = {
        name: train_on_versions(
            data, given.versions, settings.target_model, given.subject.attackers, target_fit=brief,
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
