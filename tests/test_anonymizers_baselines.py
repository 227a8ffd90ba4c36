"""Noise, superpixels and edges: what is left of a picture."""

import numpy as np
import pytest
import torch

from unseen.anonymizers.baselines import Edge, Noise, Superpixel
from unseen.anonymizers.load import load_anonymizer
from unseen.data.codec import Image
from unseen.errors import ConfigError
from unseen.faces.region import FaceRegions, Patch
from unseen.types import to_clips


def patches() -> np.ndarray:
    """Two halves of nearly one colour each."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = (220, 200, 20)
    image[:, 30:] = (20, 30, 160)
    return image + np.random.default_rng(0).integers(0, 9, image.shape, dtype=np.uint8)


def test_noise_has_the_variance_it_says() -> None:
    torch.manual_seed(0)
    clips = torch.full((1, 3, 4, 100, 100), 0.5)
    anonymizer = load_anonymizer("noise:0.01")
    noisy = anonymizer(clips)
    assert float((noisy - clips).var()) == pytest.approx(0.01, rel=0.03)
    assert not torch.equal(noisy[:, :, 0], noisy[:, :, 1])
    assert not torch.equal(anonymizer(clips), noisy)
    strong = Noise(0.5)(clips)
    assert strong.min() == 0
    assert strong.max() == 1
    # Half of the values lie beyond 0.5 / sqrt(0.5) deviations.
    assert float(((strong == 0) | (strong == 1)).float().mean()) == pytest.approx(0.4795, abs=0.01)


def test_a_superpixel_shows_its_mean() -> None:
    image = patches()
    shown = Superpixel(16).picture(image)
    colours = np.unique(shown.reshape(-1, 3), axis=0)
    assert 4 <= len(colours) <= 40
    # Borders of colour stay, and no pixel mixes both sides.
    for half in (slice(0, 30), slice(30, 60)):
        assert np.abs(shown[:, half].astype(int) - image[:, half].astype(int)).max() < 12
    # SLIC's labels are not known here, but every mean is one of pixels: totals are kept.
    assert np.abs(shown.mean((0, 1)) - image.mean((0, 1))).max() < 0.6


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8), (9, 200)])
def test_superpixels_of_small_pictures(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    shown = Superpixel(64).picture(image)
    assert shown.shape == image.shape
    if min(size) < 8:
        np.testing.assert_array_equal(np.unique(shown.reshape(-1, 3), axis=0)[0], shown[0, 0])


def test_edges_are_white_on_black_and_nothing_else() -> None:
    shown = Edge().picture(patches())
    assert set(np.unique(shown)) == {0, 255}
    columns = np.nonzero(shown.any((0, 2)))[0]
    assert set(columns) <= {28, 29, 30, 31}
    assert shown[5:-5, columns[0] : columns[-1] + 1].any(1).all()
    assert (Edge().picture(np.full((5, 5, 3), 130, np.uint8)) == 0).all()


def test_mask_keeps_nothing() -> None:
    clips = to_clips(patches()[None, None])
    black = load_anonymizer("mask")(clips)
    assert black.shape == clips.shape
    assert not black.any()


def test_they_take_clips_frame_by_frame() -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 24, 30, 3), dtype=np.uint8)
    for anonymizer in (Superpixel(9), Edge()):
        shown = anonymizer(to_clips(images))
        assert shown.shape == (2, 3, 3, 24, 30)
        expected = anonymizer.picture(images[1, 2]) / np.float32(255)
        np.testing.assert_allclose(shown[1, :, 2].permute(1, 2, 0).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [("noise", "needs a number"), ("edge:3", "no option"), ("superpixel:0", "at least 1"),
     ("mask:2", "no option"), ("noise:-1", "at least 0")],
)  # fmt: skip
def test_bad_options(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_anonymizer(name)


@pytest.mark.parametrize("count", [1, 64])
@pytest.mark.parametrize("shape", [(8, 3000), (3000, 9), (8, 8)])
def test_superpixels_of_long_pictures(shape: tuple[int, int], count: int) -> None:
    """OpenCV ended the process."""
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = Superpixel(count).picture(image)
    assert found.shape == image.shape
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= image[..., 0].size // 4


def test_noise_below_a_level_removes_nothing() -> None:
    assert load_anonymizer("noise:1e-9").removes_nothing
    assert load_anonymizer("noise:0.002").removes_nothing  # a deviation of 11 levels of 255
    assert not load_anonymizer("noise:0.003").removes_nothing


def test_superpixels_as_small_as_pixels_are_refused() -> None:
    """About as many as there are pixels would leave a face as it is, and call it anonymized."""
    many, few = load_anonymizer("superpixel:400"), load_anonymizer("superpixel:64")
    assert (many.least_side, few.least_side) == (60, 24)
    clips = torch.rand(1, 3, 1, 59, 80)
    with pytest.raises(ConfigError, match=r"next to nothing from frames of 80x59 .* at most 386"):
        many(clips)
    assert (few(clips) - clips).abs().mean() > 0.1
    box = {0: np.array([5.0, 5.0, 45.0, 45.0])}
    image = np.full((60, 60, 3), 200, np.uint8)

    def act(part: Image, *_: object) -> Patch:
        return Patch(part)

    regions = FaceRegions(act, least_side=many.least_side)
    assert (regions(image, box)[5:45, 5:45] == 0).all()
