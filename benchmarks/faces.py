"""`unseen anonymize` against `deface` on the same clips, as whole processes in turns.

    python benchmarks/faces.py CLIP... [--deface DIR] [--runs 3] [--frames 300] [--sizes WxH,WxH]

Each clip is cut to so many frames and scaled to each size. `deface` (version 1.5.0,
with imageio and imageio-ffmpeg) may live in a folder of its own, given by `--deface`. Prints JSON:
seconds of each run, by the clock and on the processor, the medians, and their ratio. On a machine
that does other work as well, only the processor's seconds mean something.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2

from unseen.data.video import probe, read_frames, write_video


def scaled(clip: Path, to: Path, size: tuple[int, int], frames: int) -> Path:
    """The first frames of a clip, filling a frame of another size, the rest cut off."""
    width, height = size
    images = []
    for frame in islice(read_frames(clip), frames):
        old_height, old_width = frame.image.shape[:2]
        scale = max(width / old_width, height / old_height)
        large = cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        top, left = (large.shape[0] - height) // 3, (large.shape[1] - width) // 2
        images.append(large[max(top, 0) :, max(left, 0) :][:height, :width])
    write_video(to, images, Fraction(probe(clip).rate).limit_denominator(1001))
    return to


def seconds(command: list[str], path: str) -> tuple[float, float]:
    """A process by the clock, and on the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    clock = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return clock, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--deface", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--sizes", default="640x480,1920x1080")
    args = parser.parse_args()
    ours = os.environ.get("PYTHONPATH", "")
    theirs = f"{args.deface}:{ours}" if args.deface else ours
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in args.clips:
            for size in args.sizes.split(","):
                width, height = (int(side) for side in size.split("x"))
                given = Path(folder) / f"{clip.stem}-{height}.mp4"
                scaled(clip, given, (width, height), args.frames)
                out = str(Path(folder) / "out.mp4")
                commands = {
                    "unseen": ([sys.executable, "-m", "unseen", "anonymize"], ours),
                    "deface": ([sys.executable, "-m", "deface.deface"], theirs),
                }
                times: dict[str, list[tuple[float, float]]] = {"unseen": [], "deface": []}
                for _ in range(args.runs):
                    for name, (command, path) in commands.items():
                        times[name].append(seconds([*command, str(given), "-o", out], path))
                medians = {
                    name: [statistics.median(run[i] for run in runs) for i in range(2)]
                    for name, runs in times.items()
                }
                results.append(
                    {
                        "clip": given.name,
                        "frames": min(args.frames, probe(given).frames or args.frames),
                        "seconds": times,
                        "times_faster_by_the_clock": medians["deface"][0] / medians["unseen"][0],
                        "times_less_processor": medians["deface"][1] / medians["unseen"][1],
                    }
                )
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
