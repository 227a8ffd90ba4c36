"""Commands about data sets."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unseen.commands.settings import Verb, add_overrides, config_of
from unseen.errors import ConfigError, Faults, UnseenError


def add_commands(verb: Verb) -> None:
    """Add `data` and what it does."""
    data = verb("data", "Look at and export data sets.")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write a generated data set as video files")
    export.add_argument("name", choices=["duet"])
    export.add_argument("folder", type=Path, metavar="DIR")
    export.add_argument("--preset")
    export.add_argument("--codec", default="lossless", metavar="CODEC")
    add_overrides(export)
    export.set_defaults(run=_export)

    names = actions.add_parser("list", help="the data sets that can be named")
    names.set_defaults(run=_list)
    check = actions.add_parser("check", help="compare a published data set with its lists")
    check.add_argument("name", metavar="NAME[:OPTION]")
    check.add_argument("root", type=Path, metavar="ROOT")
    check.add_argument("--decode", action="store_true", help="read every file to its end")
    check.set_defaults(run=_check)
    convert = actions.add_parser("convert-daly", help="DALY's pickle as JSON, without running it")
    convert.add_argument("pickle", type=Path, metavar="PKL")
    convert.add_argument("json", type=Path, metavar="JSON")
    convert.set_defaults(run=_convert_daly)
    keyframes = actions.add_parser("keyframes", help="annotated frames out of their videos")
    keyframes.add_argument("name", metavar="NAME[:OPTION]")
    keyframes.add_argument("root", type=Path, metavar="ROOT")
    keyframes.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    keyframes.set_defaults(run=_keyframes)
    stats = actions.add_parser("stats", help="how often each label occurs, of PA-HMDB51 in figures")
    stats.add_argument("name", metavar="NAME[:OPTION]")
    stats.add_argument("root", type=Path, metavar="ROOT")
    stats.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="for statistics.json, and the figures of PA-HMDB51",
    )
    stats.set_defaults(run=_stats)


def _export(args: argparse.Namespace) -> None:
    from unseen.data.codec import Codec
    from unseen.data.duet import export_duet
    from unseen.files import refuse_unwritable

    config = config_of(args)
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
    from unseen.progress import counting

    show = counting("reading", "file")
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
    from unseen.progress import counting

    data = load_action_frames(args.name, args.root)
    extract_frames(data, args.out, progress=counting("extracting", "frame"))
    print(f"{args.out}: {len(data)} frames, which show real people")


def _stats(args: argparse.Namespace) -> None:
    from unseen.data import pa_hmdb51
    from unseen.data.load import check_data, count_labels
    from unseen.data.statistics import annotation_statistics
    from unseen.files import refuse_unwritable, write_json

    annotations = args.name == pa_hmdb51.NAME
    faults = Faults()
    if args.out is not None:
        with faults.collected():
            refuse_unwritable(args.out / "statistics.json")
    with faults.collected():
        if annotations:
            counts: Any = annotation_statistics(pa_hmdb51.read_annotations(args.root))
        else:
            counts = count_labels(args.name, args.root)
    faults.refuse(f"{args.name} cannot be counted", ConfigError)
    if args.out is not None and annotations:
        from unseen.report.annotations import write_statistics

        write_statistics(counts, args.out)
    elif args.out is not None:
        write_json(args.out / "statistics.json", asdict(counts))
    print(counts)
    if annotations:
        return
    found = len(check_data(args.name, args.root).faults)
    if found:
        print(
            f"unseen: counted as the lists say; missing files and other faults: {found}, see "
            f"unseen data check {args.name} {args.root}",
            file=sys.stderr,
        )
