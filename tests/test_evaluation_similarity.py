"""PSNR and SSIM against scikit-image."""

import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from unseen.evaluation.similarity import psnr, ssim


def _pair(height: int, width: int, noise: int) -> tuple[npt.NDArray[np.uint8], ...]:
    """Smooth clips and noisy copies, more of them than one batch."""
    rng = np.random.default_rng(height)
    coarse = rng.integers(0, 256, (35, 2, 4, 4, 3))
    clips = coarse.repeat(-(-height // 4), 2).repeat(-(-width // 4), 3)[:, :, :height, :width]
    other = np.clip(clips + rng.integers(-noise, noise + 1, clips.shape), 0, 255)
    return clips.astype(np.uint8), other.astype(np.uint8)


@pytest.mark.parametrize(("height", "width", "noise"), [(16, 16, 3), (17, 24, 30), (11, 13, 120)])
def test_both_are_those_of_scikit_image(height: int, width: int, noise: int) -> None:
    one, other = _pair(height, width, noise)
    expected = [
        structural_similarity(
            a, b, channel_axis=-1, data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for clip, copy in zip(one, other, strict=True)
        for a, b in zip(clip, copy, strict=True)
    ]  # fmt: skip
    assert ssim(one, other) == pytest.approx(np.mean(expected), abs=2e-4)
    ratio = peak_signal_noise_ratio(one, other)
    assert psnr(one, other) == pytest.approx(ratio, abs=1e-3)


def test_ends_of_the_scales() -> None:
    one, _ = _pair(16, 16, 1)
    assert ssim(one, one) == pytest.approx(1.0)
    assert psnr(one, one) == pytest.approx(100.0)
    black, white = np.zeros_like(one), np.full_like(one, 255)
    assert psnr(black, white) == pytest.approx(0.0, abs=1e-6)
    assert ssim(black, white) < 1e-3
