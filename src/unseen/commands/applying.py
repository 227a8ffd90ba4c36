"""The command that puts videos and pictures through an anonymizer."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from unseen.commands.settings import Verb

if TYPE_CHECKING:
    from unseen.errors import Faults
    from unseen.faces.find import FaceSettings


def add_commands(verb: Verb) -> None:
    """Add `anonymize`."""
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
    anonymize.set_defaults(run=_anonymize)


def _anonymize(args: argparse.Namespace) -> None:
    from unseen.data.codec import Codec
    from unseen.deploy.apply import Applied, anonymize_paths, refuse_unusable
    from unseen.deploy.plan import passed_over, plan
    from unseen.errors import Faults
    from unseen.progress import progress

    anonymizer = None
    faults = Faults()
    faces = _face_settings(args, faults)
    if args.anonymizer or args.device != "cpu":
        # Only here: this imports PyTorch, which takes seconds.
        from unseen.anonymizers.load import load_anonymizer, refuse_device

        with faults.collected():
            refuse_device(args.device)
        with faults.collected():
            anonymizer = load_anonymizer(args.anonymizer) if args.anonymizer else None
    if faults.errors:  # what else is wrong is said in the same message
        with faults.collected():
            plan(args.inputs, args.out, args.faces_json)
        with faults.collected():
            if args.anonymizer and anonymizer is None:  # which region it asks for is not known
                Codec.parse(args.codec or "h264", 2, 2)
            else:
                refuse_unusable(anonymizer, args.region, args.codec, 1, faces, args.faces_json)
    faults.refuse("nothing was done, for several reasons:")
    current: Path | None = None
    written: list[Path] = []
    with progress(None, "frames", "frame") as bar:

        def show(source: Path, done: int, total: int | None) -> None:
            nonlocal current
            if source != current:
                current = source
                bar.set_description_str(source.name)
                bar.reset(total)
            bar.update(done - bar.n)

        def tell(applied: Applied) -> None:
            written.append(applied.output)
            about = f"{applied.frames} frames in {applied.seconds:.1f} s"
            if applied.faces is not None:
                about += f", {applied.faces or 'NO'} face{'s' * (applied.faces != 1)} covered"
                about += " outside of what is excluded" if args.exclude else ""
            if applied.streams > 1:
                about += f"; NOT written: {applied.streams - 1} further video stream(s)"
            bar.write(f"{applied.output}: {about}", file=sys.stdout)

        try:
            anonymize_paths(
                args.inputs, args.out, anonymizer, codec=args.codec,
                progress=show, finished=tell, keep_audio=args.keep_audio, device=args.device,
                region=args.region, faces=faces, faces_json=args.faces_json,
            )  # fmt: skip
        finally:  # also where some files fail, or the work is stopped
            left = passed_over(args.inputs, args.out, written) if written else None
            if left is not None:
                bar.write(f"unseen: not anonymized and not copied: {left}", file=sys.stderr)


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


def _face_settings(args: argparse.Namespace, faults: "Faults") -> "FaceSettings":
    from unseen.errors import ConfigError
    from unseen.faces.find import FaceSettings
    from unseen.faces.manual import Excluded, ManualBox, read_boxes

    given = {name: getattr(args, name) for name in ("threshold", "hold", "enlarge", "shape")}
    given |= {"feather": args.feather, "every": args.detect_every}
    settings, exclude = FaceSettings(), []
    boxes: tuple[ManualBox, ...] = ()
    for text in args.exclude or ():
        with faults.collected():
            exclude.append(Excluded.parse(text))
    with faults.collected():
        boxes = read_boxes(args.boxes) if args.boxes else ()
    with faults.collected():
        if args.boxes and args.faces_json and args.boxes.resolve() == args.faces_json.resolve():
            raise ConfigError(f"--faces-json would replace the boxes {args.boxes}: name another")
    with faults.collected():
        settings = FaceSettings(
            **{name: value for name, value in given.items() if value is not None},
            two_stage=args.two_stage,
            exclude=tuple(exclude),
            boxes=boxes,
            required=args.require_faces,
        )
    return settings
