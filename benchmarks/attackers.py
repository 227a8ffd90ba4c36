"""Ten attackers in one evaluation against ten separate runs that anonymize again each time.

    python benchmarks/attackers.py RUN|NAME [--preset demo] [--attackers 10] [key=value ...]

Prints JSON: the wall time of `unseen evaluate` with all attackers, the sum of those with one
attacker each, one after the other, and their ratio. Every run uses all the processes it may
(`evaluation.jobs`), and makes the data, anonymizes, encodes and trains a fresh target model, as a
separate run has to.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unseen.config import load_config
from unseen.evaluation.protocol import choose_attackers


def seconds(anonymizer: str, preset: str, attackers: str, overrides: list[str]) -> float:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "unseen", "evaluate", anonymizer, "--preset", preset,
             "--attackers", attackers, "-o", str(Path(folder) / "result.json"), *overrides],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return time.perf_counter() - start


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
    together = seconds(args.anonymizer, args.preset, ",".join(names), args.overrides)
    each = {n: seconds(args.anonymizer, args.preset, n, args.overrides) for n in names}
    separate = sum(each.values())
    print(
        json.dumps(
            {"together": together, "separate": separate, "ratio": separate / together, "each": each}
        )
    )


if __name__ == "__main__":
    main()
