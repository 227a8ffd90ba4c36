"""Alignment against scikit-image's similarity transform and warp."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.transform import SimilarityTransform, warp

from unseen.faces.align import TEMPLATE, align, similarity


def _landmarks(seed: int) -> npt.NDArray[np.float64]:
    """The template turned, scaled, moved and bent a little."""
    rng = np.random.default_rng(seed)
    move = SimilarityTransform(
        scale=rng.uniform(0.3, 0.9),
        rotation=rng.uniform(-0.8, 0.8),
        translation=rng.uniform(5, 25, 2),
    )
    return np.asarray(move(np.array(TEMPLATE)) + rng.normal(0, 0.7, (5, 2)))


def _estimated(landmarks: npt.NDArray[np.float64]) -> SimilarityTransform:
    found = SimilarityTransform.from_estimate(landmarks, np.array(TEMPLATE))
    assert isinstance(found, SimilarityTransform)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_transform_is_umeyamas(seed: int) -> None:
    landmarks = _landmarks(seed)
    found = similarity(torch.from_numpy(landmarks)[None])[0].numpy()
    np.testing.assert_allclose(found, _estimated(landmarks).inverse.params[:2], atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_face_is_scikit_images_warp(seed: int) -> None:
    landmarks = _landmarks(seed)
    picture = np.random.default_rng(seed).random((90, 100, 3))
    expected = warp(
        picture, _estimated(landmarks).inverse, output_shape=(112, 96), order=1, mode="edge"
    )
    found = align(
        torch.from_numpy(picture).permute(2, 0, 1)[None], torch.from_numpy(landmarks)[None]
    )
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_landmarks_end_where_the_template_has_them() -> None:
    landmarks = torch.tensor([TEMPLATE]) * 0.5 + 3.0
    picture = torch.zeros(1, 3, 80, 80)
    x, y = (int(v) for v in landmarks[0, 2].round())
    picture[:, :, y, x] = 1.0
    rows, columns = (align(picture, landmarks)[0, 0] > 0.5).nonzero().T
    centre = (columns.float().mean().item(), rows.float().mean().item())
    assert centre == pytest.approx(TEMPLATE[2], abs=1.5)


def test_gradients_reach_the_pixels_under_the_face_only() -> None:
    picture = torch.rand(1, 3, 120, 100, requires_grad=True)
    align(picture, torch.tensor([TEMPLATE]) * 0.5 + 10.0).sum().backward()  # type: ignore[no-untyped-call]
    assert picture.grad is not None
    assert (picture.grad[..., 15:60, 15:50] > 0).all()
    assert (picture.grad[..., 70:, :] == 0).all()


def test_each_picture_has_its_own_landmarks() -> None:
    pictures = torch.rand(2, 3, 60, 60)
    landmarks = torch.stack([torch.tensor(TEMPLATE) * 0.5, torch.tensor(TEMPLATE) * 0.4 + 4])
    both = align(pictures, landmarks)
    for i in range(2):
        torch.testing.assert_close(
            both[i : i + 1], align(pictures[i : i + 1], landmarks[i : i + 1])
        )
