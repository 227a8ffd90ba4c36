"""`duet`: a generated two-person interaction data set shaped like SBU, with exact labels.

Eight interactions, thirteen actor pairs made from seven actors, either of whom may act. Who
people are (clothing, build, hair, skin, face) never changes; the room, camera, light, tempo,
roles, gestures and distractors change with every clip and say nothing of action or pair.

`duet:attributes` is the other half: the same interactions by people of their own, out of doors
(`duet_strangers`), for what is hidden when the target task is learned elsewhere (Wu18 4.2).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from unseen.config import DataConfig
from unseen.data.clips import (
    NO_LABELS,
    SPLITS,
    ClipDataset,
    LabelSet,
    Split,
    SplitName,
    hash_splits,
)
from unseen.data.duet_motion import ACTIONS as ACTIONS
from unseen.data.duet_motion import Script, poses
from unseen.data.duet_scene import (
    ACTORS,
    MARGIN,
    SUPERSAMPLE,
    Canvas,
    Drawn,
    draw_body,
    draw_room,
)
from unseen.data.duet_strangers import draw_park, stranger
from unseen.data.manifest import export_videos
from unseen.errors import ConfigError
from unseen.registry import nearest

PAIRS = (
    (0, 1), (0, 2), (0, 3), (0, 5), (1, 2), (1, 4), (1, 6),
    (2, 3), (2, 5), (3, 4), (3, 6), (4, 5), (5, 6),
)  # fmt: skip
ATTRIBUTES = ("face_visible", "contact", "long_hair", "bare_arms", "glasses", "skirt")
FPS = 12.0
_SPLIT_CODE: Mapping[SplitName, int] = {"train": 11, "val": 22, "test": 33}


@dataclass(frozen=True)
class DuetClip:
    """One generated clip of `time` frames.

    Attributes:
        frames: `uint8 (time, size, size, 3)`.
        action: index into `ACTIONS`.
        pair: index into `PAIRS`; -1 of strangers.
        actors: who acts and who reacts, indices into `ACTORS`; -1 of strangers.
        body: `float32 (time, 2, 4)` boxes in pixels.
        face: `float32 (time, 2, 4)`, NaN where the face is turned away or out of the picture.
        landmarks: `float32 (time, 2, 5, 2)` eyes, nose, mouth corners in pixels; NaN likewise.
        attributes: `uint8 (time, len(ATTRIBUTES))`, whether each holds in that frame.
    """

    frames: npt.NDArray[np.uint8]
    action: int
    pair: int
    actors: tuple[int, int]
    body: npt.NDArray[np.float32]
    face: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]
    attributes: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Distractor:
    """Something that moves in the room and means nothing: a ball or a swinging lamp."""

    x: float
    y: float
    radius: float
    speed: float
    swing: float
    colour: tuple[int, int, int]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "_Distractor":
        colour = rng.integers(20, 245, 3)
        return cls(
            x=rng.random(), y=0.05 + 0.85 * rng.random(), radius=0.02 + 0.05 * rng.random(),
            speed=0.08 * (rng.random() - 0.5), swing=0.08 * rng.random(),
            colour=(int(colour[0]), int(colour[1]), int(colour[2])),
        )  # fmt: skip

    def paint(self, canvas: Canvas, k: int) -> None:
        bob = self.swing * math.sin(2 * math.pi * k / 8.0)
        canvas.disc(self.x + self.speed * k, self.y + bob, self.radius, self.colour)


def generate(
    seed: int,
    split: SplitName,
    index: int,
    *,
    size: int = 64,
    frames: int = 16,
    silhouette: bool = False,
    strangers: bool = False,
) -> DuetClip:
    """Generate clip `index` of a split: the same arguments give the same clip on any machine.

    Actions and pairs are balanced by index; all else is drawn from a generator that is seeded by
    `(seed, split, index)`, so that splits never share a clip.

    Args:
        seed: of the data set.
        split: `train`, `val` or `test`.
        index: of the clip, from 0.
        size: height and width in pixels.
        frames: of the clip; the motion is spread over them.
        silhouette: draw actors white on black, without room, light and noise (to test how much
            shape alone tells).
        strangers: two people who are in no other clip, out of doors: another clip in everything.
    """
    stream = [seed, _SPLIT_CODE[split], index, *([1] if strangers else [])]
    rng = np.random.Generator(np.random.PCG64(stream))
    action = index % len(ACTIONS)
    pair = -1 if strangers else (index // len(ACTIONS)) % len(PAIRS)
    who = (-1, -1) if strangers else PAIRS[pair] if rng.random() < 0.5 else PAIRS[pair][::-1]
    cast = (stranger(rng), stranger(rng)) if strangers else (ACTORS[who[0]], ACTORS[who[1]])
    mirrored = rng.random() < 0.5
    script = Script.draw(rng, action)
    body = 0.62 + 0.14 * rng.random()
    ground = 0.88 + 0.06 * rng.random()
    centre = 0.5 + 0.10 * (rng.random() - 0.5)
    shake = 0.012 * rng.random()
    drift = 0.06 * (rng.random() - 0.5)
    phase = rng.random()
    room = draw_park(rng, size) if strangers else draw_room(rng, size)
    distractors = [_Distractor.draw(rng) for _ in range(int(rng.integers(0, 4)))]
    in_front = rng.random() < 0.3
    light = 0.70 + 0.45 * rng.random()
    tint = [0.92 + 0.16 * rng.random() for _ in range(3)]
    flicker = 0.04 * rng.random()
    noise_level = int(rng.integers(3, 9))
    noise = rng.integers(-noise_level, noise_level + 1, (frames, size, size, 3), dtype=np.int16)
    if silhouette:
        room[:] = 0

    heights = (cast[0].height, cast[1].height)
    pictures = np.empty((frames, size, size, 3), np.uint8)
    body_boxes = np.full((frames, 2, 4), np.nan, np.float32)
    face_boxes = np.full((frames, 2, 4), np.nan, np.float32)
    landmarks = np.full((frames, 2, 5, 2), np.nan, np.float32)
    attributes = np.zeros((frames, len(ATTRIBUTES)), np.uint8)
    constant = [
        any(actor.long_hair for actor in cast),
        any(actor.bare_arms for actor in cast),
        any(actor.glasses for actor in cast),
        any(actor.skirt for actor in cast),
    ]
    levels = np.arange(256, dtype=np.float64)
    for k in range(frames):
        image = room.copy()
        canvas = Canvas(image, size, silhouette)
        if not silhouette:
            for thing in distractors[in_front:]:
                thing.paint(canvas, k)
        people, touching = poses(script, k, frames, heights)
        drawn: dict[int, Drawn] = {}
        for person in (1, 0):
            pose = people[person]
            pose.x = centre + pose.x * body
            drawn[person] = draw_body(canvas, cast[person], pose, ground, body)
        if not silhouette:
            for thing in distractors[:in_front]:
                thing.paint(canvas, k)
        unit = size * SUPERSAMPLE
        travel = drift * (k / max(1, frames - 1) - 0.5)
        dx = travel + shake * math.sin(2 * math.pi * (k / 5.0 + phase))
        dy = shake * math.cos(2 * math.pi * (k / 6.0 + phase))
        left, top = round((MARGIN + dx) * unit), round((MARGIN + dy) * unit)
        crop = image[top : top + unit, left : left + unit]
        small = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
        if not silhouette:
            gain = light * (1.0 + flicker * math.sin(2 * math.pi * (k / 3.7 + phase)))
            table = np.stack([np.clip(np.rint(levels * gain * t), 0, 255) for t in tint], -1)
            small = cv2.LUT(small, table.astype(np.uint8)[None])
            small = np.clip(small + noise[k], 0, 255).astype(np.uint8)
        pictures[k] = small[:, ::-1] if mirrored else small
        offset = np.array([left / unit - MARGIN, top / unit - MARGIN])
        faces = 0
        for person in (0, 1):
            seen = drawn[person]
            box = np.concatenate([np.array(seen.low) - offset, np.array(seen.high) - offset]) * size
            body_boxes[k, person] = _visible(box, size, mirrored, 0.05)
            if seen.face_visible:
                x, y, r = seen.head
                middle = np.array([x + seen.face_x, y]) - offset
                face = np.concatenate([middle - r, middle + r]) * size
                face_boxes[k, person] = _visible(face, size, mirrored, 0.5)
                if not np.isnan(face_boxes[k, person, 0]):
                    points = (np.array(seen.landmarks) - offset) * size
                    if mirrored:
                        points[:, 0] = size - points[:, 0]
                        points = points[[1, 0, 2, 4, 3]]
                    landmarks[k, person] = points
                    faces += 1
        attributes[k] = [faces > 0, touching, *constant]
    return DuetClip(
        pictures, action, pair, (who[0], who[1]), body_boxes, face_boxes, landmarks, attributes
    )


def _visible(
    box: npt.NDArray[np.float64], size: int, mirrored: bool, least: float
) -> npt.NDArray[np.float64]:
    """The part of a box inside the picture, or NaN where less than `least` of it is."""
    x0, y0, x1, y1 = (float(v) for v in box)
    if mirrored:
        x0, x1 = size - x1, size - x0
    clipped = np.clip([x0, y0, x1, y1], 0, size)
    area = (clipped[2] - clipped[0]) * (clipped[3] - clipped[1])
    if area < least * (x1 - x0) * (y1 - y0):
        return np.full(4, np.nan)
    return clipped


def load_duet(
    *,
    target: str | None,
    private: Sequence[str] | None,
    size: int,
    frames: int,
    seed: int,
    counts: Mapping[SplitName, int],
    silhouette: bool = False,
    strangers: bool = False,
    jobs: int = 1,
    ready: Callable[[], object] = lambda: None,
) -> ClipDataset:
    """Generate the three splits.

    Args:
        target: `action` or `pair`; None: no target labels are wanted.
        private: `pair`, `action`, or one or more of `ATTRIBUTES` (a clip has an attribute when any
            frame has it), which makes a multi-label private attribute; `all` of them but the
            target. None: no private labels are wanted. Strangers make no pairs.
        size: height and width in pixels.
        frames: per clip.
        seed: of the data set.
        counts: clips of each split.
        silhouette, strangers: see `generate`.
        jobs: processes to generate with.
        ready: called when all but the clips has been looked at, and is as it must be.
    """
    target_set = NO_LABELS if target is None else _label_set([target], "target", strangers)
    if private is not None and list(private) == ["all"]:
        private = [name for name in ATTRIBUTES if name != target]
    private_set = NO_LABELS if private is None else _label_set(private, "private", strangers)
    kind = {"silhouette": silhouette, "strangers": strangers}
    ready()
    splits: dict[SplitName, Split] = {}
    for name in SPLITS:
        parts = Parallel(n_jobs=jobs)(
            delayed(_generate_range)(seed, name, part.tolist(), size, frames, kind)
            for part in np.array_split(np.arange(counts[name]), max(1, jobs * 2))
        )
        clips = [clip for part in parts for clip in part]
        splits[name] = Split(
            clips=np.stack([clip.frames for clip in clips]),
            target=_labels(clips, target_set),
            private=_labels(clips, private_set),
            boxes={
                "body": np.stack([clip.body for clip in clips]),
                "face": np.stack([clip.face for clip in clips]),
            },
        )
        _refuse_constant(name, splits[name], target_set, private_set)
    return ClipDataset(
        name="duet" + ":silhouette" * silhouette + ":attributes" * strangers,
        target=target_set,
        private=private_set,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        fps=FPS,
        synthetic=True,
        hash=hash_splits(splits),
    )


def _generate_range(
    seed: int,
    split: SplitName,
    indices: Sequence[int],
    size: int,
    frames: int,
    kind: Mapping[str, bool],
) -> list[DuetClip]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [generate(seed, split, i, size=size, frames=frames, **kind) for i in indices]
    finally:
        cv2.setNumThreads(threads)


def _label_set(columns: Sequence[str], role: str, strangers: bool) -> LabelSet:
    known: dict[str, tuple[str, ...]] = {"action": ACTIONS}
    if not strangers:
        known["pair"] = tuple(f"{a}-{b}" for a, b in PAIRS)
    if len(columns) == 1 and columns[0] in known:
        return LabelSet(columns[0], known[columns[0]])
    name, choices = "duet:attributes" if strangers else "duet", (*known, *ATTRIBUTES)
    for column in columns or [""]:
        if column in known:
            raise ConfigError(
                f"{name}: '{column}' is one class of several and stands alone; choose one of "
                f"{', '.join(known)}, or any of {', '.join(ATTRIBUTES)}"
            )
        if column not in ATTRIBUTES:
            raise ConfigError(
                f"{name} has no {role} column '{column}'{nearest(column, choices)}; "
                f"choose one of {', '.join(known)}, or any of {', '.join(ATTRIBUTES)}"
            )
    if len(set(columns)) < len(columns):
        raise ConfigError(f"{name}: {role} column {', '.join(columns)}: name each once")
    return LabelSet(",".join(columns), tuple(columns), multi_label=True)


def _refuse_constant(name: SplitName, split: Split, *sets: LabelSet) -> None:
    """Raise where no attribute of a set differs between the clips: any model would be perfect."""
    for labels, given in zip(sets, (split.target, split.private), strict=True):
        if labels.classes and labels.multi_label and (given == given[0]).all():
            raise ConfigError(
                f"duet: {', '.join(labels.classes)} is the same in all {len(split)} clips of "
                f"{name}: take more clips (data.{name}=N), or other attributes"
            )


def _labels(clips: Sequence[DuetClip], labels: LabelSet) -> npt.NDArray[Any]:
    if labels.name == "action":
        return np.array([clip.action for clip in clips], np.int64)
    if labels.name == "pair":
        return np.array([clip.pair for clip in clips], np.int64)
    columns = [ATTRIBUTES.index(name) for name in labels.classes]
    return np.stack([clip.attributes.max(0)[columns] for clip in clips]).astype(np.float32)


def export_duet(folder: Path, config: DataConfig, codec: str) -> Path:
    """Write duet as video files with a manifest of every label; returns the manifest's path.

    Args:
        folder: new, or without a manifest.
        config: size, frames, seed and how many clips of each split.
        codec: of the files; `lossless` keeps every pixel.
    """
    splits: dict[SplitName, Split] = {}
    columns: dict[SplitName, dict[str, list[str]]] = {}
    counts: dict[SplitName, int] = {"train": config.train, "val": config.val, "test": config.test}
    for name, count in counts.items():
        clips = _generate_range(config.seed, name, range(count), config.size, config.frames, {})
        none = np.zeros(count, np.int64)
        splits[name] = Split(np.stack([clip.frames for clip in clips]), none, none)
        columns[name] = {
            "action": [ACTIONS[clip.action] for clip in clips],
            "pair": ["{}-{}".format(*PAIRS[clip.pair]) for clip in clips],
            "actor": [str(clip.actors[0]) for clip in clips],
            "reactor": [str(clip.actors[1]) for clip in clips],
        } | {
            attribute: [str(int(clip.attributes[:, k].max())) for clip in clips]
            for k, attribute in enumerate(ATTRIBUTES)
        }
    return export_videos(folder, splits, columns, FPS, codec)
