"""What benchmarks of attackers begin with: an anonymizer, and the data behind it.

Their arguments are those of `unseen evaluate`: RUN|NAME [--preset P] [key=value ...].
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unseen.commands.settings import evaluation_config_of
from unseen.config import EvaluationConfig
from unseen.data.clips import ClipDataset
from unseen.data.load import load_data
from unseen.evaluation.evaluate import Subject, prepare
from unseen.evaluation.versions import Versions, anonymize_all


@dataclass(frozen=True)
class Attacked:
    """An anonymizer, the data, and what is left of them behind it."""

    settings: EvaluationConfig
    subject: Subject
    data: ClipDataset
    versions: Mapping[str, Versions]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("anonymizer")
    parser.add_argument("--preset")
    parser.add_argument("overrides", nargs="*", metavar="key=value")


def attacked(args: argparse.Namespace) -> Attacked:
    config = evaluation_config_of(args)
    settings = config.evaluation
    # Nothing is written there: its place is looked at before the work.
    subject = prepare(args.anonymizer, settings, Path("benchmark.json"))
    data = load_data(config.data, jobs=settings.jobs)
    versions = anonymize_all(
        subject.module, data, codec=settings.codec, draws=settings.draws, seed=settings.seed,
        device=settings.device, jobs=settings.jobs,
    )  # fmt: skip
    return Attacked(settings, subject, data, versions)
