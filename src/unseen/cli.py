"""The command line: one command a verb, each in a module of `unseen.commands`."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from types import FrameType

from unseen import __version__
from unseen.commands import applying, datasets, faces, measuring, training
from unseen.errors import NoFacesError, UnseenError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unseen", description="Remove who is in a video, keep what they do, and prove it."
    )
    parser.add_argument("--version", action="version", version=f"unseen {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def verb(name: str, about: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=about, description=about)

    for commands in (training, measuring, applying, datasets, faces):
        commands.add_commands(verb)
    return parser


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
    with_settings = ("evaluate", "train-target", "evaluate-actions")
    first_word = args.anonymizer if args.verb in with_settings else ""
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


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _no_memory(error: Exception) -> bool:
    """Whether memory was short, of a CPU or a GPU; PyTorch has no kind of its own for the first."""
    text = str(error)
    return isinstance(error, MemoryError) or "allocate memory" in text or "out of memory" in text


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when all went well, 2 on bad input (one clear message on standard error), 3 where faces
        are required and there are none, 130 when interrupted, 141 where what reads the output
        (`| head`) ended.
    """
    args = _arguments(argv)
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Interrupted or terminated, writers must get to remove what is not finished.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Files are written before what is printed of them. Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
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
    except (MemoryError, RuntimeError) as error:
        if not _no_memory(error):
            raise
        less = (
            "give it smaller files"
            if args.verb == "anonymize"
            else "use less at a time (train.micro_batch, train.batch, data.size, evaluation.jobs, "
            "a narrower model)"
        )
        why = str(error).partition("\n")[0] or type(error).__name__
        print(f"unseen: there is not enough memory for this; {less}: {why}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("unseen: interrupted; nothing half-written was left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
