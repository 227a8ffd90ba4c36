"""Faces alone through an anonymizer: its size, its memory, its faults."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from face_clips import background
from unseen.anonymizers.base import Anonymizer, Step
from unseen.deploy.apply import anonymize_video
from unseen.deploy.paint import evaluating, on_faces
from unseen.errors import VideoError
from unseen.faces.find import FaceSettings
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


@pytest.mark.parametrize(("made_for", "every"), [(25.0, 1), (12.0, 2), (6.0, 4)])
def test_of_a_fast_video_every_nth_frame_of_a_face_is_anonymized(
    tmp_path: Path, made_for: float, every: int
) -> None:
    src = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 9, 0))
    model = Counter()
    model.frame_rate = made_for
    boxes = (ManualBox((20, 10, 60, 90)), ManualBox((70, 10, 90, 40), 3))
    anonymize_video(
        src, tmp_path / "b.mp4", model, region="faces", faces=FaceSettings(boxes=boxes),
        codec="lossless",
    )  # fmt: skip
    shown, _ = decode(tmp_path / "b.mp4")
    assert shown[:, 50, 40, 0].tolist() == [1 + frame // every for frame in range(9)]
    # Counted from where a face was first.
    assert shown[3:9, 20, 80, 0].tolist() == [1 + frame // every for frame in range(6)]


def test_a_face_is_anonymized_by_the_times_of_its_frames(tmp_path: Path) -> None:
    """Half a second after a pause of ten, so that on average there is a frame a second."""
    pts = [0, *range(250, 262)]
    src = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 13, 0), pts=pts)
    model = Counter()
    model.frame_rate = 6.0
    anonymize_video(
        src, tmp_path / "b.mp4", model, region="faces", codec="lossless",
        faces=FaceSettings(boxes=(ManualBox((20, 10, 60, 90)),)),
    )  # fmt: skip
    shown, _ = decode(tmp_path / "b.mp4")
    assert shown[:, 50, 40, 0].tolist() == [1, *[2] * 4, *[3] * 4, *[4] * 4]


def test_a_filter_that_fails_in_a_face_leaves_nothing(tmp_path: Path) -> None:
    src = make_video(tmp_path / "a.mp4", np.repeat(background()[None], 6, 0))
    with pytest.raises(VideoError, match=r"'broken' failed at frame 2 of .*a\.mp4"):
        anonymize_video(src, tmp_path / "b.mp4", Broken(), region="faces", faces=BOX, chunk=2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_filter_is_told_that_all_it_gets_is_a_face() -> None:
    told: list[Boxes | None] = []

    class Told(Counter):
        def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
            told.append(boxes)
            return super().step(clips, state, boxes)

    act, image = on_faces(Told(), "cpu"), np.zeros((30, 20, 3), np.uint8)
    patch = act(image, act(image, None, "a", 0.0).state, "a", 0.04)
    assert patch.image.shape == image.shape
    assert (patch.image == 2).all()
    for boxes in told:
        assert boxes is not None
        assert boxes.tolist() == [[[[0.0, 0.0, 16.0, 16.0]]]]


def test_a_filter_is_left_where_and_as_it_was() -> None:
    class Heavy(Counter):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2), requires_grad=False)
            self.moved: list[str] = []

        def to(self, *args: Any, **kwargs: Any) -> "Heavy":
            # Values would not come back from the device `meta`, so that only its name is kept.
            self.moved.append(str(args[0]))
            return self

    model = Heavy().train()
    with evaluating(model, "meta"):
        assert not model.training
        assert not torch.is_grad_enabled()
    assert model.training
    assert model.moved == ["meta", "cpu"]
