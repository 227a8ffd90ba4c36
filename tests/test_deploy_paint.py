"""Faces alone through an anonymizer: its size, its memory, its faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from face_clips import background, moving
from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.load import load_anonymizer
from unseen.deploy.apply import anonymize_video
from unseen.deploy.paint import FacesOnly
from unseen.errors import VideoError
from unseen.faces.find import FaceSettings, find_faces_in
from unseen.faces.manual import ManualBox
from unseen.types import Boxes, Clips
from video_files import decode, make_video

BOX = FaceSettings(boxes=(ManualBox((20, 10, 60, 90)),))


class Counter(Anonymizer):
    """A filter made for 16 pixels that paints how often it was called."""

    name = "counter"
    working_size = 16

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        self.shapes.add(tuple(clips.shape))
        count = (state or 0) + 1
        return Step(torch.full_like(clips, count / 255), count)


class Broken(Counter):
    """Returns what is no picture from the third call on."""

    name = "broken"

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        step = super().step(clips, state, boxes)
        return Step(step.clips * float("nan"), step.state) if step.state == 3 else step


def test_a_filter_gets_each_face_at_its_own_size_with_its_memory(tmp_path: Path) -> None:
    images = np.repeat(background()[None], 6, 0)
    src = make_video(tmp_path / "a.mp4", images)
    model = Counter()
    applied = anonymize_video(
        src, tmp_path / "b.mp4", model, region="faces", faces=BOX, codec="lossless", chunk=2
    )
    assert applied.faces == 1
    assert model.shapes == {(1, 3, 1, 16, 16)}
    shown, _ = decode(tmp_path / "b.mp4")
    for count, (image, before) in enumerate(zip(shown, images, strict=True), 1):
        assert (image[10:90, 20:60] == count).all()
        image[10:90, 20:60] = before[10:90, 20:60]
        np.testing.assert_array_equal(image, before)


def test_a_filter_that_fails_in_a_face_leaves_nothing(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 6, 0))
    with pytest.raises(VideoError, match=r"'broken' failed at frame 2 of .*a\.mp4"):
        anonymize_video(src, tmp_path / "b.mp4", Broken(), region="faces", faces=BOX, chunk=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_frames_that_nobody_looked_at_are_refused() -> None:
    image = moving([(90, 40)])[0][0]
    found = find_faces_in(image, Path("a.png"), FaceSettings())
    paint = FacesOnly(load_anonymizer("mask"), found, "a.png", "cpu")
    assert (paint([image], 0)[0] != image).any()
    with pytest.raises(VideoError, match=r"frame 1 of a\.png was not there"):
        paint([image], 1)
    with pytest.raises(VideoError, match="was not there when faces were looked for"):
        paint([np.ascontiguousarray(image[:-2])], 0)
