"""Ten attackers in one evaluation against ten separate runs that anonymize again each time.

    python benchmarks/attackers.py RUN|NAME [--preset demo] [--attackers 10] [key=value ...]

Prints JSON: the wall time of `unseen evaluate` with all attackers, the sum of those with one
attacker each, one after the other, and their ratio. Every run uses all the processes it may
(`evaluation.jobs`), and makes the data, anonymizes, encodes and trains a fresh target model, as a
separate run has to.

The authors' code anonymizes each batch anew whenever it is shown to an attacker. What that adds is
counted, not run: clips shown to the attackers, less those anonymized once, by the seconds that the
anonymizer takes for one of them on one core; no codec.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from unseen.anonymizers.load import load_anonymizer
from unseen.config import RunConfig, load_config
from unseen.data.load import load_data
from unseen.evaluation.results import read_result
from unseen.evaluation.suite import choose_attackers
from unseen.evaluation.versions import anonymize_split


def seconds(
    anonymizer: str, preset: str, attackers: str, overrides: list[str]
) -> tuple[float, dict[str, Any]]:
    """A run by the clock, and its result."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        subprocess.run(
            [sys.executable, "-m", "unseen", "evaluate", anonymizer, "--preset", preset,
             "--attackers", attackers, "-o", str(out), *overrides],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return time.perf_counter() - start, read_result(out)


def shown_again(result: dict[str, Any], config: RunConfig) -> int:
    """Clips shown to the attackers of a run, less those that are anonymized once for all."""
    counts = result["data"]["counts"]
    epochs = sum(attacker["epochs"] for attacker in result["privacy"]["attackers"])
    shown = epochs * (config.evaluation.attacker_fit.epoch_clips + counts["val"])
    return max(0, shown - counts["train"] - counts["val"])


def seconds_a_clip(anonymizer: str, config: RunConfig) -> float:
    """Of the anonymizer alone, on one core."""
    torch.set_num_threads(1)
    data = config.data.model_copy(update={"train": 16, "val": 16, "test": 104})
    module, split = load_anonymizer(anonymizer), load_data(data).test
    anonymize_split(module, split.part(slice(0, 32)), seed=0, device="cpu")
    start = time.process_time()
    anonymize_split(module, split, seed=0, device="cpu")
    return (time.process_time() - start) / len(split)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("anonymizer")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--attackers", type=int, default=10)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    args = parser.parse_intermixed_args()
    run = Path(args.anonymizer) / "config.json"
    trained = json.loads(run.read_text(encoding="utf-8"))["budget_models"] if run.exists() else ()
    config = load_config(args.preset, args.overrides)
    names = choose_attackers(str(args.attackers), trained, config.evaluation.suite)
    together, _ = seconds(args.anonymizer, args.preset, ",".join(names), args.overrides)
    runs = {n: seconds(args.anonymizer, args.preset, n, args.overrides) for n in names}
    separate = sum(took for took, _ in runs.values())
    clips = sum(shown_again(result, config) for _, result in runs.values())
    a_clip = seconds_a_clip(args.anonymizer, config)
    found = {
        "together": together,
        "separate": separate,
        "ratio": separate / together,
        "each": {name: took for name, (took, _) in runs.items()},
        "shown_again": clips,
        "seconds_a_clip": a_clip,
        "ratio_where_each_batch_is_anonymized": (separate + clips * a_clip) / together,
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
