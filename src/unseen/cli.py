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
from unseen.errors import NoFacesError, UnseenError

if TYPE_CHECKING:
    from unseen.config import RunConfig
    from unseen.faces.find import FaceSettings

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
        command.add_argument("--private", metavar="COLUMN[,COLUMN]", help="label column(s) to hide")

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

    anonymize = verb("anonymize", "Put videos, pictures or folders through an anonymizer.")
    anonymize.add_argument("inputs", nargs="+", type=Path, metavar="IN")
    anonymize.add_argument("-o", "--out", type=Path, metavar="OUT")
    anonymize.add_argument(
        "--anonymizer", metavar="RUN|NAME[:OPTION]", help="without it, faces are blackened"
    )
    anonymize.add_argument(
        "--region", choices=["frame", "faces"], help="what is anonymized (docs/faces.md)"
    )
    anonymize.add_argument("--codec", default="h264:crf=23", metavar="CODEC")
    anonymize.add_argument("--keep-audio", action="store_true", help="voices identify people too")
    anonymize.add_argument("--device", default="cpu")
    _face_options(anonymize.add_argument_group("faces", "how they are found and covered"))

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


def _face_options(faces: argparse._ArgumentGroup) -> None:
    """What `unseen.faces.find.FaceSettings` holds; without an option, its default."""
    faces.add_argument("--threshold", type=float, metavar="P", help="least detector score (0.2)")
    faces.add_argument("--detect-every", type=int, metavar="N", help="look at every N-th frame")
    faces.add_argument("--hold", type=float, metavar="S", help="seconds before and after (0.75)")
    faces.add_argument("--enlarge", type=float, metavar="F", help="boxes so many times (1.6)")
    faces.add_argument("--shape", choices=["box", "ellipse"])
    faces.add_argument("--feather", type=float, metavar="F", help="blended border outside (0)")
    faces.add_argument("--two-stage", action="store_true", help="a second detector must agree")
    faces.add_argument("--boxes", type=Path, metavar="FILE", help="CSV of more boxes to cover")
    faces.add_argument("--exclude", action="append", metavar="X,Y,W,H", help="no faces in there")
    faces.add_argument("--faces-json", type=Path, metavar="OUT", help="write the tracks")
    faces.add_argument("--require-faces", action="store_true", help="exit with 3 without any")


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
    for option in ("data", "root", "target", "private"):
        value = getattr(args, option, None)
        if value is not None:
            overrides.append(f"data.{'name' if option == 'data' else option}={value}")
    return load_config(getattr(args, "preset", None), overrides, base=base)


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
    from unseen.training.folder import run_config

    for option in ("attackers", "suite", "codec"):
        value = getattr(args, option)
        if value is not None:
            value = "null" if (option, value) == ("codec", "none") else value
            args.overrides.append(f"evaluation.{option}={value}")
    if Path(args.anonymizer).is_dir():
        config = _config(args, run_config(Path(args.anonymizer)))
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


def _face_settings(args: argparse.Namespace) -> "FaceSettings":
    from unseen.faces.find import FaceSettings
    from unseen.faces.manual import Excluded, read_boxes

    given = {name: getattr(args, name) for name in ("threshold", "hold", "enlarge", "shape")}
    given |= {"feather": args.feather, "every": args.detect_every}
    return FaceSettings(
        **{name: value for name, value in given.items() if value is not None},
        two_stage=args.two_stage,
        exclude=tuple(Excluded.parse(text) for text in args.exclude or ()),
        boxes=read_boxes(args.boxes) if args.boxes else (),
        required=args.require_faces,
    )


def _anonymize(args: argparse.Namespace) -> None:
    from unseen.anonymizers.load import load_anonymizer, refuse_device
    from unseen.deploy.apply import anonymize_paths
    from unseen.progress import progress

    refuse_device(args.device)
    anonymizer = load_anonymizer(args.anonymizer) if args.anonymizer else None
    faces = _face_settings(args)
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
            region=args.region, faces=faces, faces_json=args.faces_json,
        )  # fmt: skip
    for applied in done:
        about = f"{applied.frames} frames in {applied.seconds:.1f} s"
        if applied.faces is not None:
            about += f", {applied.faces or 'NO'} faces covered"
        print(f"{applied.output}: {about}")


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
        0 when all went well, 2 on bad input (one clear message on standard error), 3 where faces
        are required and there are none, 130 when interrupted.
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
        return 3 if isinstance(error, NoFacesError) else 2
    except KeyboardInterrupt:
        print("unseen: interrupted; nothing half-written was left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
