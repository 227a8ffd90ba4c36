"""Commands that measure, and show what was measured."""

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unseen.commands.settings import (
    Verb,
    add_data_options,
    add_overrides,
    evaluation_config_of,
    refuse_unused_folders,
)
from unseen.errors import ConfigError, UnseenError, together

if TYPE_CHECKING:
    from unseen.anonymizers.base import BoxKind


def add_commands(verb: Verb) -> None:
    """Add `evaluate`, `report`, `presets` and `convert-weights`."""
    evaluate = verb("evaluate", "Measure an anonymizer: the target task, and unseen attackers.")
    evaluate.add_argument("anonymizer", metavar="RUN|NAME[:OPTION]")
    add_data_options(evaluate)
    evaluate.add_argument("--attackers", metavar="N|NAMES", help="how many, or which")
    evaluate.add_argument("--suite", help="small (CPU) or paper")
    evaluate.add_argument(
        "--attacks", metavar="NAMES",
        help="classify,reconstruct,retrieve,curriculum: the last three have raw training video",
    )  # fmt: skip
    evaluate.add_argument("--codec", metavar="CODEC", help="h264:crf=N, or none")
    evaluate.add_argument("-o", "--out", type=Path, required=True, metavar="result.json")
    add_overrides(evaluate)
    evaluate.set_defaults(run=_evaluate)

    report = verb("report", "Make one HTML page of results; of a sweep also its figure and table.")
    report.add_argument("results", nargs="+", type=Path, metavar="RUN|SWEEP|result.json")
    report.add_argument(
        "-o", "--out", type=Path, required=True, metavar="report.html",
        help="with .svg or .md: the figure or the table of a family",
    )  # fmt: skip
    report.add_argument("--title")
    report.set_defaults(run=_report)

    presets = verb("presets", "List the named configurations.")
    presets.add_argument("family", nargs="?", help="list its members: sbu, sbu-entropy, 'sbu-*-m4'")
    presets.set_defaults(run=_presets)

    convert = verb("convert-weights", "Make a safetensors file of published weights, a pickle.")
    convert.add_argument("source", type=Path, metavar="IN.pth")
    convert.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.safetensors")
    convert.add_argument("--model", required=True, metavar="NAME[:OPTION]")
    convert.add_argument(
        "--scale", type=float, default=1.0, metavar="X",
        help="of the first layer: 127.5 where pixels went from 0 to 255 and are -1 to 1 here",
    )  # fmt: skip
    convert.add_argument("--unsafe-pickle", action="store_true", help="I trust where it comes from")
    convert.set_defaults(run=_convert_weights)


def _evaluate(args: argparse.Namespace) -> None:
    from unseen.data.load import find_data
    from unseen.evaluation.evaluate import evaluate, needed_boxes, prepare, refuse_attacks
    from unseen.evaluation.results import never_learned, worst_privacy

    config = evaluation_config_of(args)
    needed: tuple[BoxKind, ...] = ()
    with suppress(UnseenError):  # `prepare` tells of it
        needed = needed_boxes(args.anonymizer)
    checks: list[Callable[[], Any]] = [  # before clips are read, which takes long
        partial(prepare, args.anonymizer, config.evaluation, args.out, config.data.size),
        partial(find_data, config.data, jobs=config.evaluation.jobs, boxes=needed),
        partial(refuse_unused_folders, args, config.data),
        partial(refuse_attacks, config.evaluation, config.data),
    ]
    load = together(ConfigError, f"'{args.anonymizer}' cannot be measured so", checks)[1]
    result = evaluate(args.anonymizer, load(), args.out, config.evaluation)
    for label, part in (("pixels", result), (args.codec or "stored", result["codec"])):
        if part is not None:
            target, privacy = part["target"], part["privacy"]
            low, high = privacy["interval"]
            print(
                f"{label}: A_T {100 * target['retrained_accuracy']:.1f}%, leak "
                f"{100 * privacy['leak']:.1f}% [{100 * low:.1f}, {100 * high:.1f}] by "
                f"{privacy['best']}, chance {100 * privacy['chance']:.1f}%"
            )
    if result["codec"] is not None:
        worst, stored = worst_privacy(result)
        view = "stored" if stored else "pixels"
        print(f"the leak is the worst of both: {100 * worst['leak']:.1f}%, {view}")
    privacy = result["privacy"]
    if blind := never_learned(privacy):
        note = (
            f"note: {len(blind)} of {len(privacy['attackers'])} attackers gave up with next to "
            f"nothing learned, even of their training clips: {', '.join(blind)}"
        )
        if "curriculum" not in config.evaluation.attacks:
            note += "; one that begins on raw video may find more (--attacks classify,curriculum)"
        print(note, file=sys.stderr)


def _report(args: argparse.Namespace) -> None:
    from unseen.report.family import write_figure
    from unseen.report.family_table import write_table
    from unseen.report.page import write_report

    kind = args.out.suffix.lower()
    if kind not in (".html", ".htm", ".svg", ".md"):
        raise ConfigError(
            f"{args.out}: the name must end in .html (the page), .svg (a figure) or .md (a table)"
        )
    alone = {".svg": write_figure, ".md": write_table}.get(kind)
    if alone is not None:
        alone(args.results, args.out)
        print(args.out)
        return
    write_report(args.results, args.out, **({"title": args.title} if args.title else {}))
    print(args.out)


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


def _convert_weights(args: argparse.Namespace) -> None:
    from unseen.models.external import is_detector, published_network
    from unseen.models.weights import convert_weights, refuse_conversion

    checks: tuple[Callable[[], Any], ...] = (
        partial(published_network, args.model),
        partial(refuse_conversion, args.source, args.out, unsafe_pickle=args.unsafe_pickle),
    )
    net, _ = together(ConfigError, "no weights were converted, for several reasons:", checks)
    count = convert_weights(
        args.source, args.out, net, unsafe_pickle=args.unsafe_pickle, scale=args.scale
    )
    use = "find bodies with data.person_detector=" if is_detector(args.model) else "start with "
    print(f"{args.out}: {count} tensors; {use}{args.model}@{args.out}")
