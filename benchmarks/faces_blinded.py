"""Faces left uncovered when the detector is blind in 30% of the frames, in runs of up to eight.

    python benchmarks/faces_blinded.py CLIP... [--size WxH] [--frames 250] [--draws 5] [--sure 0.5]

The detector looks at every frame once; what it is sure of is taken for the truth, and followed.
Then the detector of eight bits, which is what video gets, is blinded at random, and the faces are
found from what is left. Prints JSON: for each clip,
at the default number of looks and looking at every frame, how many sure detections were not covered
whole, of all and of those between two frames, not blinded, in which the first saw that face; and
which part of the picture is covered.
"""

import argparse
import json
import tempfile
from collections import Counter
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from faces import scaled

from unseen.data.codec import Image
from unseen.data.video import probe, read_frames, write_video
from unseen.faces.detect import NONE, CenterFace, Detections
from unseen.faces.find import Faces, FaceSettings, find_faces


class Recorded:
    """What the detector found in each frame, by the frame's pixels; nothing in blind frames."""

    def __init__(self, images: list[Image], detector: CenterFace) -> None:
        self.frames = {image.tobytes(): frame for frame, image in enumerate(images)}
        self.found = [detector(image) for image in images]
        self.glanced = [detector.glance(image) for image in images]
        self.blind: set[int] = set()

    def __call__(self, image: Image) -> Detections:
        return self._recall(image, self.found)

    def glance(self, image: Image) -> Detections:
        return self._recall(image, self.glanced)

    def _recall(self, image: Image, found: list[Detections]) -> Detections:
        frame = self.frames[image.tobytes()]
        return NONE if frame in self.blind else found[frame]


def blind_runs(frames: int, rng: np.random.Generator) -> set[int]:
    """Disjoint runs of one to eight frames, until 30% of all are blind."""
    blind = np.zeros(frames + 2, bool)
    while blind.sum() < 0.3 * frames:
        start, length = int(rng.integers(1, frames + 1)), int(rng.integers(1, 9))
        end = min(start + length, frames + 1)
        if not blind[start - 1 : end + 1].any():
            blind[start:end] = True
    return {int(frame) - 1 for frame in np.nonzero(blind)[0]}


def uncovered(faces: Faces, truth: Faces, blind: set[int], sure: float) -> dict[str, int]:
    """Sure detections whose box is not inside one that is covered."""
    counts = {"faces": 0, "between": 0, "uncovered": 0, "uncovered_between": 0}
    for track in truth.tracks:
        seen = [frame for frame in track.frames if frame not in blind]
        for frame, box, score in zip(track.frames, track.boxes, track.scores, strict=True):
            low = np.maximum(box[:2], 0)
            high = np.minimum(box[2:], (faces.width, faces.height))
            if score < sure or (low >= high).any():
                continue
            covers = faces.boxes(frame).values()
            covered = any((c[:2] <= low).all() and (c[2:] >= high).all() for c in covers)
            between = bool(seen) and seen[0] < frame < seen[-1]
            counts["faces"] += 1
            counts["between"] += between
            counts["uncovered"] += not covered
            counts["uncovered_between"] += between and not covered
    return counts


def area(faces: Faces) -> float:
    """The mean part of a frame that is covered."""
    parts = []
    for frame in range(len(faces.times)):
        covered = np.zeros((faces.height, faces.width), bool)
        for box in faces.boxes(frame).values():
            x0, y0, x1, y1 = np.maximum(box, 0).astype(int)
            covered[y0 : y1 + 1, x0 : x1 + 1] = True
        parts.append(covered.mean())
    return float(np.mean(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--size", help="scale to this first, the rest cut off")
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sure", type=float, default=0.5)
    args = parser.parse_args()
    exact, quantised = CenterFace(0.1), CenterFace(0.1, quantised=True)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in args.clips:
            given = clip
            if args.size:
                width, height = (int(side) for side in args.size.split("x"))
                given = scaled(clip, Path(folder) / "scaled.mp4", (width, height), args.frames)
            images = [frame.image for frame in islice(read_frames(given), args.frames)]
            video = Path(folder) / "clip.mp4"
            rate = Fraction(probe(given).rate).limit_denominator(1001)
            write_video(video, images, rate, "lossless")
            truth = find_faces(video, FaceSettings(every=1), detector=Recorded(images, exact))
            recorded = Recorded(images, quantised)
            for every in (None, 1):
                total: Counter[str] = Counter()
                covered = []
                for draw in range(args.draws):
                    recorded.blind = blind_runs(len(images), np.random.default_rng(draw))
                    faces = find_faces(video, FaceSettings(every=every), detector=recorded)
                    total.update(uncovered(faces, truth, recorded.blind, args.sure))
                    covered.append(area(faces))
                results.append(
                    {
                        "clip": clip.name,
                        "size": f"{faces.width}x{faces.height}",
                        "frames": len(images),
                        "every": every,
                        **total,
                        "covered_part": round(float(np.mean(covered)), 3),
                    }
                )
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
