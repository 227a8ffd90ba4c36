"""Scene cuts: told from motion, light and fast cameras."""

import numpy as np
import pytest

from unseen.faces.cuts import Change, ChangeFinder


def patches(seed: int) -> np.ndarray:
    """Large and flat, of random colours."""
    colours = np.random.default_rng(seed).integers(0, 256, (6, 8, 3))
    return colours.repeat(20, 0).repeat(20, 1).astype(np.uint8)


@pytest.mark.parametrize("times", [1, 8])
def test_cuts_are_found_and_motion_is_none(times: int) -> None:
    """In small pictures, and in large ones, of which only every so many pixels are read."""

    def scene(seed: int) -> np.ndarray:
        return patches(seed).repeat(times, 0).repeat(times, 1)

    change_to, cut, small = ChangeFinder(), Change.CUT, Change.SMALL
    images = (scene(1), scene(1), scene(2), scene(2), scene(1))
    assert [change_to(image) for image in images] == [small, small, cut, small, cut]
    change_to = ChangeFinder()  # a camera that moves fast
    changes = [change_to(np.roll(scene(1), 20 * times * k, 1)) for k in range(40)]
    assert cut not in changes
    assert Change.SUDDEN in changes
    assert set(changes[-8:]) == {small}  # which is then the usual
    change_to = ChangeFinder()  # the light goes on within a second
    changes = [change_to((scene(1) * (0.2 + 0.03 * k)).astype(np.uint8)) for k in range(25)]
    assert set(changes) == {small}
    change_to = ChangeFinder()  # half of the picture is another
    half = scene(1)
    half[:, : 70 * times] = scene(3)[:, : 70 * times]
    assert [change_to(image) for image in (scene(1), half)][1] is not small
