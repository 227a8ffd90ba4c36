"""The command line: one command a verb.

Heavy imports happen inside the commands, so that `unseen --help` answers at once.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from unseen import __version__
from unseen.cli_faces import FACE_COMMANDS, add_face_commands
from unseen.errors import ConfigError, NoFacesError, UnseenError

if TYPE_CHECKING:
    from unseen.config import RunConfig
    from unseen.face_config import FaceRunConfig
    from unseen.faces.find import FaceSettings

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

    def data_options(
        command: argparse.ArgumentParser, *, target: bool = False, preset: bool = True
    ) -> None:
        if preset:
            command.add_argument(
                "--preset", help="a named configuration; `unseen presets` lists them"
            )
        command.add_argument(
            "--data", help="duet, a published data set (`unseen data list`), or a CSV manifest"
        )
        command.add_argument("--root", metavar="DIR", help="the folder of a published data set")
        command.add_argument(
            "--target", metavar="COLUMN", required=target, help="label column to keep"
        )
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
    evaluate.add_argument(
        "--attacks", metavar="NAMES", help="classify,reconstruct,retrieve: the last two need raw"
    )
    evaluate.add_argument("--codec", metavar="CODEC", help="h264:crf=N, or none")
    evaluate.add_argument("-o", "--out", type=Path, required=True, metavar="result.json")
    evaluate.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    further = verb("train-target", "Train a further target model on a frozen anonymizer.")
    further.add_argument("anonymizer", metavar="RUN|NAME[:OPTION]")
    data_options(further, target=True)
    further.add_argument("--codec", metavar="CODEC", help="h264:crf=N, or none")
    further.add_argument("--raw", action="store_true", help="train one on raw video, to compare")
    further.add_argument(
        "-o", "--out", type=Path, metavar="OUT.safetensors",
        help="the weights; RUN/targets/COLUMN.safetensors if not given",
    )  # fmt: skip
    further.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    sweep = verb("sweep", "Train and evaluate a family of experiments, one run after another.")
    sweep.add_argument("names", nargs="+", metavar="FAMILY|PRESET")
    data_options(sweep, preset=False)
    sweep.add_argument("--seeds", default="0", metavar="0,1,2", help="each run with each of them")
    sweep.add_argument("--jobs", type=int, default=1, metavar="N", help="runs side by side")
    sweep.add_argument("--dry-run", action="store_true", help="list what would be done")
    sweep.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    sweep.add_argument("overrides", nargs="*", metavar="key=value", help=_OVERRIDES)

    report = verb("report", "Make one HTML page of results; of a sweep also its figure and table.")
    report.add_argument("results", nargs="+", type=Path, metavar="RUN|SWEEP|result.json")
    report.add_argument(
        "-o", "--out", type=Path, required=True, metavar="report.html",
        help="with .svg or .md: the figure or the table of a family",
    )  # fmt: skip
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
    anonymize.add_argument(
        "--codec", metavar="CODEC", help="h264:crf=N, h264-fast:crf=N or lossless"
    )
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
    convert = actions.add_parser("convert-daly", help="DALY's pickle as JSON, without running it")
    convert.add_argument("pickle", type=Path, metavar="PKL")
    convert.add_argument("json", type=Path, metavar="JSON")
    keyframes = actions.add_parser("keyframes", help="annotated frames out of their videos")
    keyframes.add_argument("name", metavar="NAME[:OPTION]")
    keyframes.add_argument("root", type=Path, metavar="ROOT")
    keyframes.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    stats = actions.add_parser("stats", help="figures and numbers of PA-HMDB51's annotations")
    stats.add_argument("name", choices=["pa-hmdb51"])
    stats.add_argument("root", type=Path, metavar="ROOT")
    stats.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")

    convert = verb("convert-weights", "Make a safetensors file of published weights, a pickle.")
    convert.add_argument("source", type=Path, metavar="IN.pth")
    convert.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.safetensors")
    convert.add_argument("--model", required=True, metavar="timm:NAME|torchvision:NAME")
    convert.add_argument("--unsafe-pickle", action="store_true", help="I trust where it comes from")

    presets = verb("presets", "List the named configurations.")
    presets.add_argument("family", nargs="?", help="list its members: sbu, sbu-entropy, 'sbu-*-m4'")
    add_face_commands(verb)
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
    if args.verb == "sweep":  # a setting is no name
        words += [name for name in args.names if "=" in name]
        args.names = [name for name in args.names if "=" not in name]
        if not args.names:
            parser.error("the following arguments are required: FAMILY|PRESET")
    first_word = args.anonymizer if args.verb in ("evaluate", "train-target") else ""
    if "=" in first_word and not Path(first_word).is_dir():
        # A setting stood first: the anonymizer is the first word that is none.
        first = next((i for i, word in enumerate(words) if "=" not in word), None)
        if first is not None:
            args.anonymizer, words[first] = words[first], args.anonymizer
    strange = [word for word in words if "=" not in word or word.startswith("-")]
    if strange or (words and not hasattr(args, "overrides")):
        hint = " (a setting is written key=value)" if hasattr(args, "overrides") else ""
        parser.error(f"unrecognized arguments: {' '.join(strange or words)}{hint}")
    args.overrides = words
    return args


def _config(args: argparse.Namespace, base: "RunConfig | None" = None) -> "RunConfig":
    """Preset, options and overrides as one configuration; `base` stands in for the preset."""
    from unseen.config import load_config

    overrides = _overrides(args)
    config = load_config(getattr(args, "preset", None), overrides, base=base)
    named = {override.partition("=")[0] for override in overrides}
    if "data.private_name" in named and "data.private" not in named:
        before = base or load_config(getattr(args, "preset", None))
        if before.data.private_name != config.data.private_name:
            return load_config(None, ["data.private=all"], base=config)
    return config


def _overrides(args: argparse.Namespace) -> list[str]:
    """Settings in the order in which they were given, then the options for data."""
    overrides = list(args.overrides)
    renamed = {"data": "name", "private_data": "private_name"}
    for option in _DATA_OPTIONS:
        value = getattr(args, option, None)
        if value is not None:
            overrides.append(f"data.{renamed.get(option, option)}={value}")
    return overrides


def _evaluation_config(args: argparse.Namespace) -> "RunConfig":
    """The configuration to measure `args.anonymizer` by: that of its run, if it is one."""
    from unseen.config import load_config
    from unseen.training.folder import refuse_seen, run_config

    for option in ("attackers", "suite", "attacks", "codec"):
        value = getattr(args, option, None)
        if value is not None:
            value = "null" if (option, value) == ("codec", "none") else value
            args.overrides.append(f"evaluation.{option}={value}")
    if Path(args.anonymizer).is_dir():
        run = run_config(Path(args.anonymizer))
        config = _config(args, run)
        refuse_seen(run, config.data)
        return config
    return _config(args) if args.preset else _config(args, load_config("duet"))


def _demo(args: argparse.Namespace) -> None:
    from unseen.demo import run_demo

    run_demo(args.out, args.overrides, args.preset)


def _train(args: argparse.Namespace) -> None:
    from unseen.config import load_config
    from unseen.data.load import load_data
    from unseen.face_config import face_preset_names, stored_face_config
    from unseen.families.family import members
    from unseen.training.folder import refuse, run_config
    from unseen.training.run import train

    member = members().get(args.preset or "")
    if member and member.anonymizer:
        raise ConfigError(
            f"'{member.name}' is handcrafted, nothing to train: "
            f"unseen evaluate {member.anonymizer} --preset {member.name} -o result.json"
        )
    stored = None
    resumed = args.resume and args.preset is None and (args.out / "config.json").exists()
    faces = stored_face_config(args.out / "config.json") if resumed else None
    if faces is not None or args.preset in face_preset_names():
        _train_faces(args, faces)
        return
    if resumed:
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


def _train_faces(args: argparse.Namespace, base: "FaceRunConfig | None") -> None:
    from unseen.face_config import load_face_config
    from unseen.training.face_run import load_face_data, refuse_faces, train_faces

    for option in _DATA_OPTIONS:
        if option != "root" and getattr(args, option) is not None:
            option = option.replace("_", "-")
            raise UnseenError(f"--{option} has no meaning for face pictures; use --root DIR")
    root = [] if args.root is None else [f"data.root={json.dumps(args.root)}"]
    config = load_face_config(args.preset, [*root, *args.overrides], base=base)
    refuse_faces(config, args.out, resume=args.resume)
    trained = train_faces(config, load_face_data(config.data), args.out, resume=args.resume)
    print(
        f"{trained.folder}: verification by its own recogniser "
        f"{100 * trained.verification_raw:.1f}% on faces as they are, "
        f"{100 * trained.verification_modified:.1f}% on modified ones, "
        f"after {trained.seconds:.0f} s"
    )


def _evaluate(args: argparse.Namespace) -> None:
    from unseen.data.load import load_data
    from unseen.evaluation.evaluate import evaluate, prepare

    config = _evaluation_config(args)
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


def _train_target(args: argparse.Namespace) -> None:
    from unseen.data.load import load_data
    from unseen.evaluation.target import prepare_target, train_target

    config = _evaluation_config(args)
    # Before the data, which takes long.
    prepare_target(args.anonymizer, config.data.target, args.out, config.evaluation)
    data = load_data(config.data, jobs=config.evaluation.jobs)
    made = train_target(args.anonymizer, data, args.out, config.evaluation, raw=args.raw)
    contract = made.contract
    metric = "accuracy" if contract.metric == "accuracy" else "cMAP"
    for label, view in (("pixels", "pixels"), (contract.codec, "stored")):
        scores = {"A_T": contract.anonymized} | ({"raw": contract.raw} if contract.raw else {})
        found = {name: getattr(each, view) for name, each in scores.items()}
        if found["A_T"] is not None:
            told = [
                f"{name} {100 * one.score:.1f}% [{100 * one.interval[0]:.1f}, "
                f"{100 * one.interval[1]:.1f}]"
                for name, one in found.items()
            ]
            print(f"{label}: {', '.join(told)}, chance {100 * contract.chance:.1f}% ({metric})")
    print(f"{made.weights}: f_T for {contract.column}, {contract.cost.parameters:,} parameters")
    if contract.fit.stopped == "cap":
        print(
            "note: stopped by evaluation.target_fit.cap before its validation score had settled",
            file=sys.stderr,
        )


def _sweep(args: argparse.Namespace) -> None:
    from unseen.sweep import plan, run_sweep

    try:
        seeds = [int(seed) for seed in args.seeds.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds '{args.seeds}': write whole numbers, as in 0,1,2") from None
    if args.jobs < 1:
        raise ConfigError(f"--jobs {args.jobs}: at least 1")
    runs = plan(args.out, args.names, _overrides(args), seeds)
    if args.dry_run:
        width = max(len(run.name) for run in runs)
        for run in runs:
            print(f"{run.name:{width}}  {run.left}")
        return
    run_sweep(args.out, runs, jobs=args.jobs)
    print(f"{args.out}: draw it with `unseen report {args.out} -o {args.out}/report.html`")


def _report(args: argparse.Namespace) -> None:
    from unseen.report.family import write_figure
    from unseen.report.family_table import write_table
    from unseen.report.page import write_report

    alone = {".svg": write_figure, ".md": write_table}.get(args.out.suffix.lower())
    if alone is not None:
        alone(args.results, args.out)
        print(args.out)
        return
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
    {
        "export": _export, "list": _list, "check": _check, "stats": _stats,
        "convert-daly": _convert_daly, "keyframes": _keyframes,
    }[args.action](args)  # fmt: skip


def _export(args: argparse.Namespace) -> None:
    from unseen.config import load_config
    from unseen.data.codec import Codec
    from unseen.data.duet import export_duet
    from unseen.files import refuse_unwritable

    config = _config(args) if args.preset else _config(args, load_config("duet"))
    Codec.parse(args.codec, 2, 2)  # this and what follows: before the clips are made
    refuse_unwritable(args.folder / "manifest.csv")
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


def _convert_daly(args: argparse.Namespace) -> None:
    from unseen.data.daly_pickle import convert_daly

    print(f"{args.json}: {convert_daly(args.pickle, args.json)} videos")


def _keyframes(args: argparse.Namespace) -> None:
    import unseen.data.load  # noqa: F401 - registers the data sets
    from unseen.data.action_frames import extract_frames, load_action_frames
    from unseen.progress import progress

    data = load_action_frames(args.name, args.root)
    with progress(len(data), "extracting", "frame") as bar:
        extract_frames(data, args.out, progress=lambda done, _: bar.update(done - bar.n))
    print(f"{args.out}: {len(data)} frames, which show real people")


def _stats(args: argparse.Namespace) -> None:
    from unseen.report.annotations import write_statistics

    statistics = write_statistics(args.root, args.out)
    print(f"{args.out}: {statistics.videos} videos")


def _convert_weights(args: argparse.Namespace) -> None:
    from unseen.models.external import published_network
    from unseen.models.weights import convert_weights

    net = published_network(args.model)
    count = convert_weights(args.source, args.out, net, unsafe_pickle=args.unsafe_pickle)
    print(f"{args.out}: {count} tensors; attack with {args.model}@{args.out}")


def _presets(args: argparse.Namespace) -> None:
    from unseen.config import about_preset, preset_names
    from unseen.face_config import about_face_preset, face_preset_names
    from unseen.families.family import families, find_members

    if args.family is None:
        for name in preset_names():
            print(f"{name:24} {about_preset(name)}")
        for name in face_preset_names():
            print(f"{name:24} {about_face_preset(name)}")
        for name, family in families().items():
            count = len(list(family.members()))
            print(f"{name + '-*':24} {count} of a family: {family.about}")
        return
    found = find_members(args.family)
    if not found:
        known = ", ".join(f"{name}-*" for name in families())
        raise ConfigError(f"no family '{args.family}': choose from {known}")
    for member in found:
        print(f"{member.name:38} {member.about}")


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
        "demo": _demo, "train": _train, "evaluate": _evaluate, "train-target": _train_target,
        "sweep": _sweep, "report": _report, "anonymize": _anonymize, "data": _data,
        "presets": _presets, "convert-weights": _convert_weights, **FACE_COMMANDS,
    }  # fmt: skip
    try:
        commands[args.verb](args)
    except (UnseenError, OSError) as error:
        print(f"unseen: {error}", file=sys.stderr)
        return 3 if isinstance(error, NoFacesError) else 2
    except BrokenExecutor:
        print(
            "unseen: a worker process was killed, most often for want of memory; try fewer at a "
            "time, with evaluation.jobs=1",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("unseen: interrupted; nothing half-written was left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
