"""The commands about faces: how well they are still recognised, figures and galleries."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unseen.commands.settings import Verb, add_overrides
from unseen.errors import ConfigError, Faults

if TYPE_CHECKING:
    from unseen.anonymizers.base import Anonymizer
    from unseen.data.face_images import FaceImages


_DATA = "lfw"


def add_commands(verb: Verb) -> None:
    """Add `verify-faces`, `evaluate-actions`, `face-figures` and `face-gallery`."""

    def data_options(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--data", metavar="NAME",
            help="lfw (if not given), casia-webface, orl or duet-faces[:PEOPLE]",
        )  # fmt: skip
        command.add_argument("--root", type=Path, metavar="DIR", help="its folder")
        command.add_argument("--folds", metavar="7,8|1-6", help="whose people are shown")

    check = verb("verify-faces", "Measure who is still recognised behind an anonymizer.")
    check.add_argument("anonymizer", metavar="RUN|NAME[:OPTION]")
    data_options(check)
    check.add_argument(
        "--recogniser", default="fisher", metavar="NAME[,NAME]",
        help="fisher, dlib, sphereface-small:W, sphereface-20, sphereface:RUN",
    )  # fmt: skip
    check.add_argument("--train-folds", metavar="1-6", help="whose people recognisers learn")
    check.add_argument(
        "--pairs", choices=["official", "drawn"], default="official",
        help="drawn: from the images that are there",
    )  # fmt: skip
    check.add_argument("--pairs-per-fold", type=int, metavar="N", help="of each kind, if drawn")
    check.add_argument("--attackers", metavar="NAMES|none", help="networks that learn the people")
    check.add_argument("--resolution", type=int, metavar="N", help="what merely resized means")
    check.add_argument(
        "--no-adapt", action="store_true", help="train no recogniser on modified faces"
    )
    check.add_argument("--device", default="cpu")
    check.add_argument("--seed", type=int, default=0)
    check.add_argument("-o", "--out", type=Path, required=True, metavar="result.json")
    check.set_defaults(run=_verify)

    actions = verb("evaluate-actions", "Measure whether actions are found behind an anonymizer.")
    actions.add_argument("anonymizer", metavar="RUN|NAME[:OPTION]")
    actions.add_argument("--preset", help="how the detector learns; a run has its own [duet-faces]")
    actions.add_argument(
        "--data", metavar="NAME[:OPTION]", help="daly, jhmdb[:SPLIT], keyframes, duet, duet-faces:N"
    )
    actions.add_argument("--root", metavar="DIR", help="its folder")
    actions.add_argument("-o", "--out", type=Path, required=True, metavar="result.json")
    add_overrides(actions)
    actions.set_defaults(run=_actions)

    figures = verb("face-figures", "Draw results of verify-faces, evaluate-actions (Ren18 Fig. 4).")
    figures.add_argument("results", nargs="+", type=Path, metavar="result.json")
    figures.add_argument("--recogniser", metavar="NAME", help="by whose error; else the first's")
    figures.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    figures.set_defaults(run=_figures)

    gallery = verb("face-gallery", "Show faces before and after (Ren18 Fig. 3, 5, 6).")
    gallery.add_argument("anonymizers", nargs="+", metavar="RUN|NAME[:OPTION]")
    data_options(gallery)
    gallery.add_argument("--video", type=Path, help="of the faces in a video instead")
    gallery.add_argument("--people", type=int, default=6, metavar="N")
    gallery.add_argument("--seed", type=int, default=0)
    gallery.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    gallery.set_defaults(run=_gallery)


def fold_numbers(text: str | None) -> tuple[int, ...]:
    """`7,8` or `1-6` as numbers; none for None.

    Raises:
        ConfigError: it is neither, or names a fold twice.
    """
    if text is None:
        return ()
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ConfigError(f"'{text}' names no folds; write 7,8 or 1-6")
        named = range(int(first), int(last or first) + 1)
        if not named:
            raise ConfigError(f"'{text}' names no folds; write 7,8 or 1-6")
        numbers += named
    if not numbers or len(set(numbers)) < len(numbers):
        raise ConfigError(f"'{text}' names no folds, or one twice; write 7,8 or 1-6")
    return tuple(numbers)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _verify(args: argparse.Namespace) -> None:
    from pydantic import ValidationError

    import unseen.data.load  # noqa: F401 - registers the data sets
    from unseen.data.face_images import load_faces
    from unseen.evaluation.face_plan import FaceEvaluation
    from unseen.evaluation.faces import evaluate_faces, prepare_faces
    from unseen.report.canvas import percent

    settings: dict[str, Any] = {
        "recognisers": _names(args.recogniser),
        "pairs": args.pairs,
        "resolution": args.resolution,
        "adapt": not args.no_adapt,
        "device": args.device,
        "seed": args.seed,
    }
    if args.pairs_per_fold is not None:
        settings["pairs_per_fold"] = args.pairs_per_fold
    if args.attackers is not None:
        settings["attackers"] = [] if args.attackers == "none" else _names(args.attackers)
    faults, faces = Faults(), None
    for name in ("folds", "train_folds"):
        with faults.collected():
            settings[name] = fold_numbers(getattr(args, name))
    with faults.collected():
        faces = load_faces(args.data or _DATA, args.root)
    config = FaceEvaluation()
    with faults.collected():
        try:
            config = FaceEvaluation.model_validate(settings)
        except ValidationError as error:
            wrong = "; ".join(f"{e['loc'][0]}: {e['msg']} ({e['input']!r})" for e in error.errors())
            raise ConfigError(f"verify-faces: {wrong}") from error
        prepare_faces(args.anonymizer, args.out, config)
    faults.refuse("nothing was measured, for several reasons:", ConfigError)
    assert faces is not None
    result = evaluate_faces(args.anonymizer, faces, args.out, config)
    for row in result["recognisers"]:
        print(f"verification by {row['name']} (50% is blind):")
        for label, key in _ROWS.items():
            found = row[key]
            if found is not None:
                spread = 100 * found["standard_error"]
                print(
                    f"  {label:42} {percent(found['accuracy'])} ± {spread:.1f}, "
                    f"equal error rate {percent(found['eer'])}"
                )
        if row["name"] == f"sphereface:{result['name']}":
            print(
                f"note: {row['name']} played in the game of this modifier: what it says of "
                "modified faces is no measure of privacy",
                file=sys.stderr,
            )
    known = result["identification"]
    low, high = (percent(value) for value in known["interval"])
    print(
        f"identification of {known['people']} people by attackers trained on modified faces: "
        f"{percent(known['accuracy'])} [{low}, {high}] by {known['best']}, "
        f"chance {percent(known['chance'])}"
    )
    about = result["data"]
    for name in about["unchecked"]:
        print(
            f"note: no seen.json tells whom {name} has learned: make sure that none of them is "
            "measured (--folds)",
            file=sys.stderr,
        )
    if about["left_out"]:
        print(
            f"note: {about['left_out']:,} people of {about['name']} are left out: they were "
            "learned from",
            file=sys.stderr,
        )
    if about["blackened"]:
        print(
            f"note: {about['blackened']:,} of {about['images']:,} faces had too few pixels for "
            f"{result['name']} and became black: what hides them is not {result['name']}",
            file=sys.stderr,
        )


_ROWS = {
    "raw faces": "raw",
    "merely resized": "resized",
    "modified faces": "modified",
    "a modified and a raw face": "modified_one_side",
    "modified, by one trained on modified faces": "adapted",
}


def _actions(args: argparse.Namespace) -> None:
    from unseen.data.action_frames import refuse_unread_folder
    from unseen.evaluation.actions import evaluate_actions, prepare_actions
    from unseen.face_config import load_face_config, stored_face_config
    from unseen.report.canvas import percent
    from unseen.training.folder import CONFIG_FILE

    faults, config = Faults(), None
    with faults.collected():
        stored = Path(args.anonymizer) / CONFIG_FILE
        base = stored_face_config(stored) if stored.exists() and args.preset is None else None
        named = {"data.actions": args.data, "data.actions_root": args.root}
        options = [
            f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None
        ]
        preset = None if base else args.preset or "duet-faces"
        config = load_face_config(preset, [*options, *args.overrides], base=base)
    with faults.collected():
        if args.root is not None and config is not None:
            refuse_unread_folder(config.data.actions, args.root)
    if faults.errors:
        with faults.collected():
            prepare_actions(args.anonymizer, args.out)
    faults.refuse("nothing was measured, for several reasons:", ConfigError)
    assert config is not None
    result = evaluate_actions(args.anonymizer, config, args.out)
    about = result["data"]
    print(
        f"frame mAP at IoU 0.5 on {about['test_frames']} test frames of {about['name']}, "
        f"{about['test_faces']} faces behind {result['name']}:"
    )
    fresh = f"detector trained behind it, {result['fresh']['steps']:,} steps"
    for label, found in ((fresh, result["fresh"]), ("detector of its game", result["own"])):
        if found is not None:
            low, high = (percent(value) for value in found["interval"])
            print(f"  {label:42} {percent(found['mean'])} [{low}, {high}]")
            each = found["per_class"].items()
            print("    " + ", ".join(f"{k} {percent(v)}" for k, v in each if v is not None))


def _figures(args: argparse.Namespace) -> None:
    from unseen.report.face_figures import write_face_figures

    for path in write_face_figures(args.results, args.out, recogniser=args.recogniser):
        print(path)


def _gallery(args: argparse.Namespace) -> None:
    import unseen.data.load  # noqa: F401 - registers the data sets
    from unseen.anonymizers.load import load_anonymizer
    from unseen.data.face_images import load_faces
    from unseen.data.video import probe
    from unseen.evaluation.modified_faces import refuse_bodies
    from unseen.files import refuse_unwritable
    from unseen.overrides import SEED_LIMIT
    from unseen.report.face_galleries import write_galleries, write_video_galleries

    names = [Path(name).name for name in args.anonymizers]
    faults = Faults()
    anonymizers: dict[str, Anonymizer] = {}
    folds: tuple[int, ...] = ()
    faces: FaceImages | None = None
    with faults.collected():
        if len(set(names)) < len(names):
            raise ConfigError(f"two anonymizers would have the same title: {', '.join(names)}")
    for title, name in zip(names, args.anonymizers, strict=True):
        with faults.collected():
            anonymizers[title] = load_anonymizer(name)
            refuse_bodies(anonymizers[title])
    with faults.collected():
        if args.people < 1:
            raise ConfigError(f"--people {args.people}: at least 1")
    with faults.collected():
        if not 0 <= args.seed < SEED_LIMIT:
            raise ConfigError(f"--seed {args.seed}: from 0 to {SEED_LIMIT - 1}")
    with faults.collected():
        refuse_unwritable(args.out / "anonymizers.png")
    with faults.collected():
        data = {"--data": args.data, "--root": args.root, "--folds": args.folds}
        given = [option for option, value in data.items() if value is not None]
        if args.video is not None and given:
            raise ConfigError(
                f"{', '.join(given)} and --video: faces of a data set are shown, or those of a "
                "video; leave out one"
            )
    with faults.collected():
        folds = fold_numbers(args.folds)
    with faults.collected():
        if args.video is None:
            faces = load_faces(args.data or _DATA, args.root)
        else:
            probe(args.video)
    faults.refuse("no gallery was made, for several reasons:")
    if faces is None:
        for path in write_video_galleries(
            anonymizers, args.video, args.out, people=args.people, seed=args.seed
        ):
            print(f"{path}, which shows real people")
        return
    for path in write_galleries(
        anonymizers,
        faces,
        args.out,
        folds=folds,
        people=args.people,
        seed=args.seed,
    ):
        print(path if args.root is None else f"{path}, which shows real people")
