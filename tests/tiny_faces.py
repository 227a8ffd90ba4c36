"""Drawn faces of people that do not exist, and a game on them that runs in seconds."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from unseen.data.action_frames import ActionPicture
from unseen.data.clips import SPLITS, SplitName
from unseen.data.drawn_actions import DrawnFrames
from unseen.face_config import FaceRunConfig, load_face_config
from unseen.faces.actions import FacesFound
from unseen.faces.images import TrainingFaces, framed
from unseen.training.face_data import FaceData

SIDE = 64


def drawn_face(person: int, take: int, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """A face in the middle: skin, hair and eyes belong to the person, background to the take."""
    who, how = np.random.default_rng([1, person]), np.random.default_rng([2, person, take])
    skin, hair, eyes = (tuple(int(v) for v in who.integers(30, 250, 3)) for _ in range(3))
    wide, gap = who.uniform(0.18, 0.28), who.uniform(0.07, 0.11)
    picture = np.full((side, side, 3), how.integers(0, 255, 3), np.uint8)
    centre = (side // 2 + int(how.integers(-1, 2)), side // 2)
    cv2.ellipse(picture, centre, (int(wide * side), int(0.36 * side)), 0, 0, 360, skin, -1)
    cv2.ellipse(picture, centre, (int(wide * side), int(0.36 * side)), 0, 190, 350, hair, -1)
    for sign in (-1, 1):
        eye = (centre[0] + int(sign * gap * side), int(0.46 * side))
        cv2.circle(picture, eye, max(1, side // 24), eyes, -1)
    cv2.line(picture, (centre[0] - 4, int(0.63 * side)), (centre[0] + 4, int(0.63 * side)), 0, 1)
    noisy = picture.astype(int) + how.integers(-8, 9, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def tiny_faces(people: int, takes: int, first: int = 0) -> TrainingFaces:
    pictures = [drawn_face(first + p, t) for p in range(people) for t in range(takes)]
    names = [f"person{first + p}" for p in range(people)]
    return framed(np.stack(pictures), np.repeat(np.arange(people), takes), names)


def tiny_actions(frames: int = 4) -> FacesFound:
    """Frames of two sizes with one face; the second has none."""

    def draw(split: SplitName, number: int) -> ActionPicture:
        rng = np.random.default_rng([SPLITS.index(split), number])
        image = rng.integers(0, 255, (48, 64 - 16 * (number % 2), 3), dtype=np.uint8)
        faces = np.array([[20, 8, 36, 28]], np.float32)[: 0 if number == 1 else 1]
        box = np.array([[10, 2, 40, 46]], np.float32)
        return ActionPicture(image, box, np.array([number % 2]), faces)

    drawn = DrawnFrames("tiny", ("wave", "sit"), {"train": frames, "test": 4}, draw)
    return FacesFound(drawn.of_split("train"))


def tiny_data(*, actions: bool = False) -> FaceData:
    return FaceData(tiny_faces(4, 3), tiny_faces(3, 3, 100), tiny_actions() if actions else None)


def tiny_config(*overrides: str) -> FaceRunConfig:
    return load_face_config(
        None,
        [
            "modifier.size=24", "modifier.width=4", "modifier.blocks=1",
            "recogniser=sphereface-small:4", "detector=faster-rcnn-small:1", "data.short_side=48",
            "train.batch=4", "train.frames=2", "train.init_recogniser=2", "train.init_modifier=1",
            "train.steps=3", "train.finish=2", "train.log_every=2", "train.threads=1",
            "train.checkpoint_every=0", *overrides,
        ],
    )  # fmt: skip


def write_faces(root: Path, people: int, takes: int) -> None:
    """Folders of PNG files and a list of two folds."""
    for p in range(people):
        (root / f"person{p}").mkdir(parents=True)
        for t in range(takes):
            picture = cv2.cvtColor(drawn_face(p, t), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(root / f"person{p}" / f"person{p}_{t:04}.png"), picture)
    half = people // 2
    lines = ["2"]
    for fold in (range(half), range(half, people)):
        lines += [str(len(fold)), *(f"person{p}\t{takes}" for p in fold)]
    (root / "people.txt").write_text("\n".join(lines) + "\n")
