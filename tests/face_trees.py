"""Miniature face and action detection data sets, in their official layouts, of generated images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.io import savemat

Images = npt.NDArray[np.uint8]


def face(person: int, take: int, side: int = 60) -> Images:
    """A generated "face": person by person another smooth pattern, take by take other noise."""
    rng = np.random.default_rng([5, person])
    coarse = rng.integers(40, 216, (5, 5, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    noise = np.random.default_rng([6, person, take]).normal(0, 12, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def write_image(path: Path, image: Images) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def people_of(fold: int, count: int) -> list[str]:
    """Names of the people of a fold, counted from 1."""
    return [f"Person_{chr(64 + fold)}_{n}" for n in range(count)]


def lfw(root: Path, *, folds: int = 2, people: int = 6, images: int = 4, pairs: int = 5) -> Path:
    """LFW in its official layout; every pair of a fold is another one."""
    person_lines, pair_lines = [str(folds)], [f"{folds}\t{pairs}"]
    number = 0
    for fold in range(1, folds + 1):
        names = people_of(fold, people)
        person_lines += [str(people), *(f"{name}\t{images}" for name in names)]
        for name in names:
            for take in range(1, images + 1):
                write_image(root / name / f"{name}_{take:04d}.jpg", face(number, take))
            number += 1
        pair_lines += [f"{names[i % people]}\t1\t{2 + i // people}" for i in range(pairs)]
        pair_lines += [
            f"{names[i % people]}\t1\t{names[(i + 1) % people]}\t{2 + i // people}"
            for i in range(pairs)
        ]
    (root / "people.txt").write_text("\n".join(person_lines) + "\n")
    (root / "pairs.txt").write_text("\n".join(pair_lines) + "\n")
    return root


def jhmdb(root: Path, masks: dict[str, Images], actions: Sequence[str] = ("golf", "sit")) -> Path:
    """JHMDB: for each action a training and a test video of three frames of 32x24.

    Args:
        root: where to.
        masks: of the videos by name, `(24, 32, time)`; others get one box that moves.
    """
    for a, action in enumerate(actions):
        lines = []
        for number in (1, 2):
            video = f"film{number}_{action}_u_nm_np1_fr_goo_0"
            lines.append(f"{video}.avi {number}")
            for frame in range(1, 4):
                image = np.full((24, 32, 3), 40 * frame + a, np.uint8)
                write_image(root / "Rename_Images" / action / video / f"{frame:05d}.png", image)
            mask = np.zeros((24, 32, 3), np.uint8)
            for frame in range(3):
                mask[4 + frame : 12, 8:20, frame] = 1
            path = root / "puppet_mask" / action / video / "puppet_mask.mat"
            path.parent.mkdir(parents=True)
            savemat(path, {"part_mask": masks.get(video, mask)}, do_compression=True)
        lists = root / "splits"
        lists.mkdir(exist_ok=True)
        (lists / f"{action}_test_split1.txt").write_text("\n".join(lines) + " \n")
    return root


def daly_annotations() -> dict[str, Any]:
    """What DALY's pickle holds, for two videos, as its authors describe it."""

    def instance(keyframes: list[tuple[int, list[float]]]) -> dict[str, Any]:
        return {
            "beginTime": 0.1,
            "endTime": 0.9,
            "flags": {"isSmall": False, "isReflection": True},
            "keyframes": [
                {
                    "time": number / 10,
                    "frameNumber": number,
                    "boundingBox": np.array([box], np.float32),
                    "objects": np.zeros((0, 7), np.float32),
                    "pose": np.ones((7, 6)),
                }
                for number, box in keyframes
            ],
        }

    return {
        "version": "daly1.1.0",
        "labels": ["Drinking", "Phoning"],
        "joints": ["head"],
        "objectList": ["cup"],
        "splits": [["bbb.mp4"]],
        "metadata": {
            name: {"nbframes_ffmpeg": 10, "fps": np.float64(10.0), "duration": 1.0}
            for name in ("aaa.mp4", "bbb.mp4")
        },
        "annot": {
            "aaa.mp4": {
                "suggestedClass": "Drinking",
                "annot": {
                    "Drinking": [instance([(2, [0.25, 0.0, 0.5, 0.5]), (5, [0.0, 0.0, 1.0, 1.0])])],
                    "Phoning": [instance([(5, [0.5, 0.5, 1.01, 1.0])])],
                },
            },
            "bbb.mp4": {
                "suggestedClass": "Phoning",
                "annot": {"Phoning": [instance([(1, [0.1, 0.2, 0.3, 0.4])])]},
            },
        },
    }
