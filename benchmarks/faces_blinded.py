"""Faces left uncovered when the detector is blind in 30% of the frames, in runs of up to eight.

    python benchmarks/faces_blinded.py CLIP... [--frames 250] [--draws 5] [--sure 0.5]

The detector looks at every frame once; what it is sure of is taken for the truth. Then it is
blinded at random, and the faces are followed from what is left. Prints JSON: for each clip, looking
five times a second and at every frame, how many sure detections were not covered whole, of those
that lie between two frames in which that face was seen, and of all.
"""

import argparse
import json
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from unseen.data.codec import Image
from unseen.data.video import probe, read_frames, write_video
from unseen.faces.detect import NONE, CenterFace, Detections
from unseen.faces.find import Faces, FaceSettings, find_faces


class Recorded:
    """What the detector found in each frame, by the frame's pixels; nothing in blind frames."""

    def __init__(self, images: list[Image], found: list[Detections]) -> None:
        self.frames = {image.tobytes(): frame for frame, image in enumerate(images)}
        self.found = found
        self.blind: set[int] = set()

    def __call__(self, image: Image) -> Detections:
        frame = self.frames[image.tobytes()]
        return NONE if frame in self.blind else self.found[frame]


def blind_runs(frames: int, rng: np.random.Generator) -> set[int]:
    """Disjoint runs of one to eight frames, until 30% of all are blind."""
    blind = np.zeros(frames + 2, bool)
    while blind.sum() < 0.3 * frames:
        start, length = int(rng.integers(1, frames + 1)), int(rng.integers(1, 9))
        end = min(start + length, frames + 1)
        if not blind[start - 1 : end + 1].any():
            blind[start:end] = True
    return {int(frame) - 1 for frame in np.nonzero(blind)[0]}


def uncovered(faces: Faces, found: list[Detections], sure: float) -> dict[str, int]:
    """Sure detections whose box is not inside one that is covered."""
    counts = {"faces": 0, "between": 0, "uncovered_between": 0, "uncovered": 0}
    spans = [(t.frames[0], t.frames[-1], np.stack(t.boxes).mean(0)) for t in faces.tracks]
    for frame, detections in enumerate(found):
        covers = list(faces.boxes(frame).values())
        for box in detections.boxes[detections.scores >= sure]:
            low = np.maximum(box[:2], 0)
            high = np.minimum(box[2:], (faces.width, faces.height))
            covered = any((c[:2] <= low).all() and (c[2:] >= high).all() for c in covers)
            # Somebody was seen before and after, within three faces of here.
            near = 3 * (box[2:] - box[:2]).max()
            between = any(
                first <= frame <= last and np.abs((mean - box)[:2]).max() < near
                for first, last, mean in spans
            )
            counts["faces"] += 1
            counts["between"] += between
            counts["uncovered"] += not covered
            counts["uncovered_between"] += between and not covered
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sure", type=float, default=0.5)
    args = parser.parse_args()
    detector = CenterFace(0.1)
    results = []
    for clip in args.clips:
        images = [frame.image for frame in islice(read_frames(clip), args.frames)]
        recorded = Recorded(images, [detector(image) for image in images])
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "clip.mp4"
            rate = Fraction(probe(clip).rate).limit_denominator(1001)
            write_video(video, images, rate, "lossless")
            for every in (None, 1):
                total: dict[str, int] = {}
                for draw in range(args.draws):
                    recorded.blind = blind_runs(len(images), np.random.default_rng(draw))
                    faces = find_faces(video, FaceSettings(every=every), detector=recorded)
                    for name, count in uncovered(faces, recorded.found, args.sure).items():
                        total[name] = total.get(name, 0) + int(count)
                results.append({"clip": clip.name, "frames": len(images), "every": every, **total})
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
