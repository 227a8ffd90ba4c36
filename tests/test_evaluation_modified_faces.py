from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from face_trees import face, lfw
from unseen.anonymizers.base import Anonymizer, Step
from unseen.anonymizers.baselines import Resized
from unseen.anonymizers.load import load_anonymizer
from unseen.anonymizers.modifier import FaceModifier, ModifierConfig
from unseen.data.face_images import Face, load_faces
from unseen.data.lfw import load_lfw
from unseen.data.pictures import read_picture, write_picture
from unseen.deploy.apply import anonymize_picture
from unseen.errors import ConfigError, VideoError
from unseen.evaluation.modified_faces import batches, modify, modify_frame
from unseen.faces.find import FaceSettings
from unseen.faces.manual import Excluded, ManualBox
from unseen.types import Boxes, Clips, to_stored

BOX = np.array([20, 15, 40, 35], np.float32)


def raw(person: int = 0) -> Face:
    return Face(face(person, 0), BOX)


class Watching(Anonymizer):
    """Inverts, and keeps what it was given."""

    name = "watching"

    def __init__(self) -> None:
        super().__init__()
        self.given: list[torch.Tensor] = []

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        self.given.append(clips)
        return Step(1.0 - clips)


def test_the_enlarged_box_is_replaced_and_nothing_else() -> None:
    before = raw()
    (after,) = modify(Watching(), [before])
    # 20 x 20 pixels enlarged 1.6 times about (30, 25): 14..46 and 9..41.
    inside = np.zeros((60, 60), np.bool_)
    inside[9:41, 14:46] = True
    np.testing.assert_array_equal(after.image[~inside], before.image[~inside])
    np.testing.assert_array_equal(after.image[inside], 255 - before.image[inside])
    assert (after.box == before.box).all()
    assert (before.image == face(0, 0)).all()  # the raw image was not written to
    (wider,) = modify(Watching(), [before], enlargement=100.0)
    np.testing.assert_array_equal(wider.image, 255 - before.image)


@pytest.mark.parametrize("name", ["blur:8", "pixelate:4", "superpixel:16", "modifier"])
def test_a_face_that_the_edge_cuts_is_modified_as_a_whole_one(name: str) -> None:
    torch.manual_seed(0)
    config = ModifierConfig(size=16, width=4, blocks=1)
    anonymizer = FaceModifier(config) if name == "modifier" else load_anonymizer(name)
    image = face(0, 0)
    cut = Face(image, np.array([-2, 42, 18, 62], np.float32))
    around = np.pad(image, ((30, 30), (30, 30), (0, 0)), mode="edge")
    whole = Face(around, cut.box + 30)
    (after,), (expected,) = (modify(anonymizer, [each]) for each in (cut, whole))
    np.testing.assert_array_equal(after.image, expected.image[30:-30, 30:-30])
    assert (after.image != image).any()


def test_of_a_face_that_fills_its_picture_the_anonymizer_gets_the_picture() -> None:
    watching, image = Watching(), face(0, 0)[:50]
    modify(watching, [Face(image, np.array([0, 0, 60, 50], np.float32))])
    np.testing.assert_array_equal(to_stored(watching.given[0])[0, 0], image)


def test_a_face_in_which_nothing_would_be_removed_becomes_black() -> None:
    small = Face(face(0, 0), np.array([20, 15, 30, 25], np.float32))
    after, large = modify(load_anonymizer("blur:20"), [small, raw()])
    assert not after.image[12:28, 17:33].any()
    np.testing.assert_array_equal(after.image[:12], small.image[:12])
    assert large.image[12:28, 17:33].std() > 5


def test_an_anonymizer_gets_the_size_it_was_made_for() -> None:
    watching = Watching()
    watching.working_size = 24
    (after,) = modify(watching, [raw()])
    assert watching.given[0].shape == (1, 3, 1, 24, 24)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(face(0, 0)[9:41, 14:46].copy()).permute(2, 0, 1)[None] / 255.0,
        (24, 24), mode="bilinear", antialias=True,
    )  # fmt: skip
    torch.testing.assert_close(watching.given[0][:, :, 0], expected)
    back = torch.nn.functional.interpolate(
        1.0 - expected, (32, 32), mode="bilinear", antialias=True
    )
    shown = torch.from_numpy(after.image[9:41, 14:46].copy()).permute(2, 0, 1)[None]
    assert (shown - 255 * back).abs().max() < 0.51


def test_what_is_measured_is_what_is_deployed(tmp_path: Path) -> None:
    image = face(0, 0)
    write_picture(tmp_path / "raw.png", image)
    covered = ManualBox((14, 9, 46, 41))
    resized = Resized(24)
    resized.removes_nothing = False  # or it would be refused
    anonymize_picture(
        tmp_path / "raw.png", tmp_path / "out.png", resized, region="faces",
        faces=FaceSettings(boxes=(covered,), exclude=(Excluded(0, 0, 60, 60),)),
    )  # fmt: skip
    (measured,) = modify(Resized(24), [raw()])
    assert (measured.image != image).any()
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png"), measured.image)


def test_an_output_that_is_no_picture_is_not_measured() -> None:
    class Broken(Watching):
        def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
            return Step(clips * float("nan"))

    with pytest.raises(VideoError, match="'watching' failed at a picture: its output reaches from"):
        modify(Broken(), [raw()])


def test_merely_resizing_keeps_a_smooth_face_and_blurs_a_fine_one() -> None:
    smooth = Face(np.full((60, 60, 3), 77, np.uint8), BOX)
    (same,) = modify(Resized(8), [smooth])
    np.testing.assert_array_equal(same.image, smooth.image)
    (coarse,), (fine,), (whole,) = (modify(Resized(side), [raw()]) for side in (8, 20, 32))
    errors = [abs(each.image.astype(int) - raw().image).mean() for each in (coarse, fine, whole)]
    assert errors[0] > errors[1] > errors[2] == 0  # its box, enlarged, has 32 pixels


def test_a_mask_covers_the_enlarged_box() -> None:
    (after,) = modify(load_anonymizer("mask-face"), [raw()])
    assert (after.image[9:41, 14:46] == 0).all()
    outside = np.ones((60, 60), np.bool_)
    outside[9:41, 14:46] = False
    np.testing.assert_array_equal(after.image[outside], raw().image[outside])
    with pytest.raises(ConfigError, match="'mask-body' needs body boxes, which face images lack"):
        modify(load_anonymizer("mask-body"), [raw()])


class Noisy(Anonymizer):
    """Replaces everything by noise."""

    name = "noisy"
    random = True

    def step(self, clips: Clips, state: Any = None, boxes: Boxes | None = None) -> Step:
        return Step(torch.rand_like(clips))


def test_images_come_in_order_and_noise_by_the_seed(tmp_path: Path) -> None:
    faces = load_lfw(lfw(tmp_path))
    assert load_faces("lfw", tmp_path).paths == faces.paths
    chosen = [*range(40, 48), *range(33)]

    def passed(
        anonymizer: Anonymizer | None, seed: int, part: int = 0, draw: int = 0
    ) -> list[Face]:
        read = batches(
            faces, chosen, anonymizer,
            enlargement=1.6, seed=seed, device="cpu", part=part, draw=draw,
        )  # fmt: skip
        return [each for batch in read for each in batch]

    for at, each in zip(chosen, passed(None, 0), strict=True):
        np.testing.assert_array_equal(each.image, faces[at].image)
    one, again = (passed(Noisy(), 0) for _ in range(2))
    assert all((a.image == b.image).all() for a, b in zip(one, again, strict=True))
    for other in (passed(Noisy(), 1), passed(Noisy(), 0, part=1), passed(Noisy(), 0, draw=1)):
        assert all((a.image != b.image).any() for a, b in zip(one, other, strict=True))
    assert (one[0].image[20:40, 20:40] != one[32].image[20:40, 20:40]).any()  # another batch


def test_faces_of_a_frame_are_replaced_and_nothing_else() -> None:
    image = np.random.default_rng(0).integers(1, 255, (60, 90, 3), dtype=np.uint8)
    faces = np.array([[20, 10, 30, 30], [70, 40, 90, 60]], np.float32)
    after = modify_frame(load_anonymizer("mask"), image, faces)
    # Enlarged 1.6 times: 17 to 33 by 4 to 36, and 64 to 96 by 34 to 66, cut off at the edges.
    black = np.zeros((60, 90), np.bool_)
    black[4:36, 17:33] = True
    black[34:, 64:] = True
    assert not after[black].any()
    np.testing.assert_array_equal(after[~black], image[~black])
    unchanged = modify_frame(load_anonymizer("mask"), image, np.zeros((0, 4), np.float32))
    np.testing.assert_array_equal(unchanged, image)


def test_a_region_in_which_nothing_would_be_removed_becomes_black() -> None:
    image = np.full((60, 90, 3), 200, np.uint8)
    face = np.array([[20, 10, 30, 20]], np.float32)
    small = modify_frame(load_anonymizer("blur:24"), image, face)
    assert not small[7:23, 17:33].any()
    assert (modify_frame(load_anonymizer("blur:8"), image, face) == 200).all()


def test_a_region_has_the_size_that_the_anonymizer_was_made_for() -> None:
    watching = Watching()
    watching.working_size = 24
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    after = modify_frame(watching, image, np.array([[20, 10, 30, 30]], np.float32))
    assert watching.given[0].shape == (1, 3, 1, 24, 24)
    assert after.shape == image.shape
