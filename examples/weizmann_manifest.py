"""Real people, small: four Weizmann actions as videos with a manifest, and what figures mean.

    python examples/weizmann_manifest.py STRIPS_DIR OUT_DIR [--fold 0..3]
    unseen train --data OUT_DIR/manifest.csv --target action --private person -o RUN

STRIPS_DIR holds `labels.csv` (columns `file,person,action`; `file` is relative to it) and one
image a recording: a horizontal strip of 64x64 frames. The data (Blank et al., "Actions as
Space-Time Shapes") are not part of this project.

The protocol holds out whole recordings. There is one recording for each person and action; of
each person one is tested, the next is for validation, two are learned from, and which ones they
are moves on from person to person (a Latin square). So every test clip shows a person known from
other actions in an action known from other people, and no recording is in two splits. Cutting
each recording in time would put the same coat before the same wall into training and test.
"""

import argparse
import csv
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from unseen.data.clips import SplitName
from unseen.data.video import write_video

SIDE = 64
RATE = Fraction(25)
SPAN = 32  # frames a clip: about one wave of the arms, half a bend
CLIPS = 6  # a recording, whatever its length, so that none weighs more than another
MARGIN = 2
COLUMNS = ["path", "split", "start", "end", "x0", "y0", "x1", "y1", "action", "person"]

Frames = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


def read_strip(path: Path) -> Frames:
    """A strip as `uint8 (time, 64, 64, 3)`."""
    strip = np.asarray(Image.open(path).convert("RGB"))
    return strip.reshape(SIDE, -1, SIDE, 3).transpose(1, 0, 2, 3)


def person_box(frames: Frames) -> Box:
    """The smallest square around the person over the whole recording, in pixels.

    The person is what moves, or what differs from the wall, whose colour is taken row by row from
    the left and right edge. A square, because the shape of a tighter box tells the action.
    """
    moving = np.ptp(frames.astype(np.int16), axis=0).max(axis=-1) > 60
    edges = np.concatenate([frames[:, :, :4], frames[:, :, -4:]], axis=2)
    wall = np.median(edges, axis=(0, 2))[:, None]
    unlike_wall = np.abs(np.median(frames, axis=0) - wall).max(axis=-1) > 45
    ys, xs = np.nonzero(without_specks(moving, 2) | without_specks(unlike_wall, 3))
    side = min(SIDE, max(int(np.ptp(xs)), int(np.ptp(ys))) + 1 + 2 * MARGIN)
    x0 = int(np.clip((xs.min() + xs.max() + 1 - side) // 2, 0, SIDE - side))
    y0 = int(np.clip((ys.min() + ys.max() + 1 - side) // 2, 0, SIDE - side))
    return x0, y0, x0 + side, y0 + side


def without_specks(mask: npt.NDArray[np.bool_], pixels: int) -> npt.NDArray[np.bool_]:
    """`mask` without the parts that are narrower than `pixels`."""
    kernel = np.ones((pixels, pixels), np.uint8)
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel), bool)


def split_of(person: int, action: int, fold: int) -> SplitName:
    """The Latin square: the tested action, then the one for validation, moves on by person."""
    turn = (action - person - fold) % 4
    return "test" if turn == 0 else "val" if turn == 1 else "train"


def corner_colours(frames: Frames, box: Box) -> npt.NDArray[np.float64]:
    """Mean colours of the upper corners of a box, 5x5 pixels each: wall, hardly ever person."""
    x0, y0, x1, _ = box
    corners = [frames[:, y0 : y0 + 5, x0 : x0 + 5], frames[:, y0 : y0 + 5, x1 - 5 : x1]]
    return np.concatenate([corner.mean(axis=(0, 1, 2)) for corner in corners])


def nearest_hits(features: npt.NDArray[np.float64], people: list[int], splits: list[str]) -> int:
    """In how many test recordings the nearest training recording is of the same person."""
    known = [i for i, split in enumerate(splits) if split == "train"]
    asked = [i for i, split in enumerate(splits) if split == "test"]
    return sum(
        people[i] == people[min(known, key=lambda j: np.linalg.norm(features[i] - features[j]))]
        for i in asked
    )


def main() -> None:
    """Write videos and manifest, and say what they are good for."""
    parser = argparse.ArgumentParser(description="Weizmann strips as videos with a manifest")
    parser.add_argument("strips", type=Path, help="folder with labels.csv and the strips")
    parser.add_argument("out", type=Path, help="folder for videos and manifest.csv")
    parser.add_argument("--fold", type=int, default=0, choices=range(4))
    arguments = parser.parse_args()
    with (arguments.strips / "labels.csv").open(encoding="utf-8", newline="") as file:
        recordings = list(csv.DictReader(file))
    actions = sorted({recording["action"] for recording in recordings})

    lines: list[list[str | int]] = []
    people: list[int] = []
    splits: list[str] = []
    whole, cropped = [], []
    for recording in recordings:
        person, action = int(recording["person"]), recording["action"]
        frames = read_strip(arguments.strips / recording["file"])
        split = split_of(person, actions.index(action), arguments.fold)
        box = person_box(frames)
        video = f"videos/p{person}_{action}.mp4"
        (arguments.out / video).parent.mkdir(parents=True, exist_ok=True)
        write_video(arguments.out / video, frames, RATE, "lossless")
        for start in np.linspace(0, len(frames) - SPAN, CLIPS).round().astype(int).tolist():
            lines.append([video, split, start, start + SPAN, *box, action, f"p{person}"])
        people.append(person)
        splits.append(split)
        whole.append(corner_colours(frames, (0, 0, SIDE, SIDE)))
        cropped.append(corner_colours(frames, box))
    with (arguments.out / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *lines])

    tests, crowd = splits.count("test"), len(set(people))
    walls = [nearest_hits(np.stack(colours), people, splits) for colours in (whole, cropped)]
    print(f"""{arguments.out / "manifest.csv"}: {len(lines)} clips of {len(recordings)} recordings
({", ".join(f"{name} {splits.count(name)}" for name in ("train", "val", "test"))} recordings)

What the figures can mean
- Target accuracy: an action seen in a new recording, by a person known from other actions.
- Leak: a person known again in a new recording, in another action. Chance is {1 / crowd:.1%}.
- The difference between two anonymizers on the same fold, if it is large.
What they cannot mean
- Small differences: there are {tests} test recordings, so one of them is {1 / tests:.0%}. Clips
  of one recording resemble each other: an interval over clips is too narrow. Run folds 0 to 3
  and pool them: together they test each recording once.
- Recognition by body or face alone: the colour of the wall in two corners names the person in
  {walls[0]} of {tests} test recordings, and after cropping in {walls[1]}. Hiding a person here
  includes hiding the wall; a leak on raw video is in part the wall's.
- New people: everybody in the test is in the training.
- Certain identities in jumping jacks: some wear other clothes there, and labels were inferred.
- Real speed: the strips have no time base; {RATE} frames per second are assumed.""")


if __name__ == "__main__":
    main()
