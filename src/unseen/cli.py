"""The command line: one command a verb.

Heavy imports happen inside the commands, so that `unseen --help` answers at once.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from unseen import __version__
from unseen.errors import UnseenError

if TYPE_CHECKING:
    from unseen.config import RunConfig

_DATA_OPTIONS = (
    "data", "root", "target", "private", "private_data", "private_root", "test_on", "test_on_root",
)  # fmt: skip
_OVERRIDES = "settings to change, as game.gamma=5 (docs/configuration.md lists them)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unseen", description="Remove who is in a video, keep what they do, and prove it."
    )
    parser.add_argument("--version", action="version", version=f"unseen {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def verb(name: str, about: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=about, description=about)

    def data_options(command: argparse.ArgumentParser) -> None:
        command.add_argument("--preset", help="a named configuration; `unseen presets` lists them")
        command.add_argument(
            "--data", help="duet, a published data set (`unseen data list`), or a CSV manifest"
        )
        command.add_argument("--root", metavar="DIR", help="the folder of a published data set")
        command.add_argument("--target", metavar="COLUMN", help="label column to keep")
        command.add_argument(
            "--private", metavar="COLUMN[,COLUMN]", help="label column(s) to hide, or all"
        )
        command.add_argument(
            "--private-data", metavar="DATA",
            help="the data set that has them, if it is another; without --private: all of its",
        )  # fmt: skip
        command.add_argument("--private-root", metavar="DIR", help="the folder of that one")
        command.add_argument(
            "--test-on", metavar="DATA", help="pa-hmdb51: test on its videos, train on none of them"
        )
        command.add_argument("--test-on-root", metavar="DIR", help="the folder of its annotations")

    demo = verb("demo", "Train, attack, compare, report and anonymize a clip, in minutes.")
    demo.add_argument("-o", "--out", type=Path, default=Path("runs/demo"), metavar="DIR")
    demo.add_argument("--preset", default="demo", help="`duet` takes longer and does better")
    demo.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    train = verb("train", "Learn a filter by the game.")
    data_options(train)
    train.add_argument("-o", "--out", type=Path, required=True, metavar="RUN")
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    train.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    evaluate = verb("evaluate", "Measure an anonymizer: the target task, and unseen attackers.")
    evaluate.add_argument("anonymizer", metavar="RUN|NAME[:OPTION]")
    data_options(evaluate)
    evaluate.add_argument("--attackers", metavar="N|NAMES", help="how many, or which")
    evaluate.add_argument("--suite", help="small (CPU) or paper")
    evaluate.add_argument("--codec", metavar="CODEC", help="h264:crf=N, or none")
    evaluate.add_argument("-o", "--out", type=Path, required=True, metavar="result.json")
    evaluate.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    report = verb("report", "Make one HTML page of results.")
    report.add_argument("results", nargs="+", type=Path, metavar="RUN|result.json")
    report.add_argument("-o", "--out", type=Path, required=True, metavar="report.html")
    report.add_argument("--title")

    anonymize = verb("anonymize", "Put video files or folders through an anonymizer.")
    anonymize.add_argument("inputs", nargs="+", type=Path, metavar="IN")
    anonymize.add_argument("-o", "--out", type=Path, metavar="OUT")
    anonymize.add_argument("--anonymizer", required=True, metavar="RUN|NAME[:OPTION]")
    anonymize.add_argument("--codec", default="h264:crf=23", metavar="CODEC")
    anonymize.add_argument("--keep-audio", action="store_true", help="voices identify people too")
    anonymize.add_argument("--device", default="cpu")

    data = verb("data", "Look at and export data sets.")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write a generated data set as video files")
    export.add_argument("name", choices=["duet"])
    export.add_argument("folder", type=Path, metavar="DIR")
    export.add_argument("--preset")
    export.add_argument("--codec", default="lossless", metavar="CODEC")
    export.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    actions.add_parser("list", help="the data sets that can be named")
    check = actions.add_parser("check", help="compare a published data set with its lists")
    check.add_argument("name", metavar="NAME[:OPTION]")
    check.add_argument("root", type=Path, metavar="ROOT")
    check.add_argument("--decode", action="store_true", help="read every file to its end")
    stats = actions.add_parser("stats", help="figures and numbers of PA-HMDB51's annotations")
    stats.add_argument("name", choices=["pa-hmdb51"])
    stats.add_argument("root", type=Path, metavar="ROOT")
    stats.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")

    verb("presets", "List the named configurations.")
    return parser


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; `key=value` may stand anywhere, which argparse alone does not allow."""
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    words = [*getattr(args, "overrides", ()), *rest]
    if args.verb == "evaluate" and "=" in args.anonymizer and not Path(args.anonymizer).is_dir():
        # A setting stood first: the anonymizer is the first word that is none.
        first = next((i for i, word in enumerate(words) if "=" not in word), None)
        if first is not None:
            args.anonymizer, words[first] = words[first], args.anonymizer
    strange = [word for word in words if "=" not in word or word.startswith("-")]
    if strange or (words and not hasattr(args, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(strange or words)}")
    args.overrides = words
    return args


def _config(args: argparse.Namespace, base: "RunConfig | None" = None) -> "RunConfig":
    """Preset, options and overrides as one configuration; `base` stands in for the preset."""
    from unseen.config import load_config

    overrides = list(args.overrides)
    renamed = {"data": "name", "private_data": "private_name"}
    for option in _DATA_OPTIONS:
        value = getattr(args, option, None)
        if value is not None:
            overrides.append(f"data.{renamed.get(option, option)}={value}")
    config = load_config(getattr(args, "preset", None), overrides, base=base)
    named = {override.partition("=")[0] for override in overrides}
    if "data.private_name" in named and "data.private" not in named:
        before = base or load_config(getattr(args, "preset", None))
        if before.data.private_name != config.data.private_name:
            return load_config(None, ["data.private=all"], base=config)
    return config


def _demo(args: argparse.Namespace) -> None:
    from unseen.demo import run_demo

    run_demo(args.out, args.overrides, args.preset)


def _train(args: argparse.Namespace) -> None:
    from unseen.config import load_config
    from unseen.data.load import load_data
    from unseen.training.folder import refuse, run_config
    from unseen.training.run import train

    stored = None
    if args.resume and args.preset is None and (args.out / "config.json").exists():
        stored = run_config(args.out)
    config = _config(args, stored) if stored or args.preset else _config(args, load_config("duet"))
    refuse(config, args.out, resume=args.resume)
    data = load_data(config.data, jobs=config.train.threads)
    trained = train(config, data, args.out, resume=args.resume)
    print(
        f"{trained.folder}: validation accuracy of f_T {100 * trained.target_accuracy:.1f}% "
        f"after {trained.seconds:.0f} s; now measure the leak: "
        f"unseen evaluate {trained.folder} -o {trained.folder}/result.json"
    )
    for note in trained.notes:
        print(f"note: {note}", file=sys.stderr)


def _evaluate(args: argparse.Namespace) -> None:
    from unseen.config import load_config
    from unseen.data.load import load_data
    from unseen.evaluation.evaluate import evaluate, prepare
    from unseen.training.folder import refuse_seen, run_config

    for option in ("attackers", "suite", "codec"):
        value = getattr(args, option)
        if value is not None:
            value = "null" if (option, value) == ("codec", "none") else value
            args.overrides.append(f"evaluation.{option}={value}")
    if Path(args.anonymizer).is_dir():
        run = run_config(Path(args.anonymizer))
        config = _config(args, run)
        refuse_seen(run, config.data)
    else:
        config = _config(args) if args.preset else _config(args, load_config("duet"))
    prepare(args.anonymizer, config.evaluation, args.out)  # before the data, which takes long
    data = load_data(config.data, jobs=config.evaluation.jobs)
    result = evaluate(args.anonymizer, data, args.out, config.evaluation)
    for label, part in (("pixels", result), (args.codec or "stored", result["codec"])):
        if part is not None:
            target, privacy = part["target"], part["privacy"]
            low, high = privacy["interval"]
            print(
                f"{label}: A_T {100 * target['retrained_accuracy']:.1f}%, leak "
                f"{100 * privacy['leak']:.1f}% [{100 * low:.1f}, {100 * high:.1f}] by "
                f"{privacy['best']}, chance {100 * privacy['chance']:.1f}%"
            )


def _report(args: argparse.Namespace) -> None:
    from unseen.report.page import write_report

    write_report(args.results, args.out, **({"title": args.title} if args.title else {}))
    print(args.out)


def _anonymize(args: argparse.Namespace) -> None:
    from unseen.anonymizers.load import load_anonymizer, refuse_device
    from unseen.deploy.apply import anonymize_paths
    from unseen.progress import progress

    refuse_device(args.device)
    anonymizer = load_anonymizer(args.anonymizer)
    current: Path | None = None
    with progress(None, "frames", "frame") as bar:

        def show(source: Path, done: int, total: int | None) -> None:
            nonlocal current
            if source != current:
                current = source
                bar.set_description_str(source.name)
                bar.reset(total)
            bar.update(done - bar.n)

        done = anonymize_paths(
            args.inputs, args.out, anonymizer, codec=args.codec,
            progress=show, keep_audio=args.keep_audio, device=args.device,
        )  # fmt: skip
    for applied in done:
        print(f"{applied.output}: {applied.frames} frames in {applied.seconds:.1f} s")


def _data(args: argparse.Namespace) -> None:
    {"export": _export, "list": _list, "check": _check, "stats": _stats}[args.action](args)


def _export(args: argparse.Namespace) -> None:
    from unseen.config import load_config
    from unseen.data.codec import Codec
    from unseen.data.duet import export_duet

    Codec.parse(args.codec, 2, 2)  # before the clips are made
    config = _config(args) if args.preset else _config(args, load_config("duet"))
    print(export_duet(args.folder, config.data, args.codec))


def _list(args: argparse.Namespace) -> None:
    from unseen.data.load import ABOUT

    width = max(map(len, ABOUT))
    for name, about in ABOUT.items():
        print(f"{name:{width}}  {about}")


def _check(args: argparse.Namespace) -> None:
    from unseen.data.load import check_data
    from unseen.progress import progress

    with progress(None, "reading", "file") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        report = check_data(args.name, args.root, decode=args.decode, progress=show)
    print(report)
    if report.faults:
        raise UnseenError(f"{args.name} in '{args.root}' cannot be used as it is: see above")


def _stats(args: argparse.Namespace) -> None:
    from unseen.report.annotations import write_statistics

    statistics = write_statistics(args.root, args.out)
    print(f"{args.out}: {statistics.videos} videos")


def _presets(args: argparse.Namespace) -> None:
    from unseen.config import about_preset, preset_names

    for name in preset_names():
        print(f"{name:24} {about_preset(name)}")


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when all went well, 2 on bad input (one clear message on standard error), 130 when
        interrupted.
    """
    args = _arguments(argv)
    # Interrupted or terminated, writers must get to remove what is not finished.
    signal.signal(signal.SIGTERM, _terminate)
    commands: dict[str, Any] = {
        "demo": _demo, "train": _train, "evaluate": _evaluate, "report": _report,
        "anonymize": _anonymize, "data": _data, "presets": _presets,
    }  # fmt: skip
    try:
        commands[args.verb](args)
    except (UnseenError, OSError) as error:
        print(f"unseen: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("unseen: interrupted; nothing half-written was left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
