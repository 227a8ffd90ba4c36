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
    images = (scene(1), scene(1), scene(2), scene(2), scene(3))
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


@pytest.mark.parametrize("lasts", [1, 5, 12])
@pytest.mark.parametrize("scenes", [1, 3])
def test_a_glitch_is_no_cut(lasts: int, scenes: int) -> None:
    """A flash, or some broken frames, and then what was before, moved a little; both ends of it are
    worth a look."""
    glitch = [patches(9 + min(k, scenes - 1)) for k in range(lasts)]
    change_to = ChangeFinder()
    images = [*[patches(1)] * 5, *glitch, *[np.roll(patches(1), 3, 1)] * 3, patches(2)]
    changes = [change_to(image) for image in images]
    assert changes[5] is Change.CUT
    assert changes[5 + lasts] is Change.BACK
    assert change_to.back_to == 5
    assert changes[6 + lasts :] == [Change.SMALL] * 2 + [Change.CUT]
    assert changes.count(Change.CUT) == 1 + min(scenes, lasts)


def test_light_that_comes_back_slowly_ends_a_flash() -> None:
    change_to = ChangeFinder()
    dimming = [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]
    flashed = [patches(1) * (1 - part) + 255.0 * part for part in dimming]
    changes = [change_to(image.astype(np.uint8)) for image in [patches(1), *flashed]]
    assert changes[1] is Change.CUT
    assert changes.count(Change.BACK) == 1


def test_a_scene_that_comes_back_later_is_another() -> None:
    change_to = ChangeFinder()
    images = [patches(1)] * 3 + [patches(2)] * 13 + [patches(1)] * 3
    changes = [change_to(image) for image in images]
    assert [k for k, change in enumerate(changes) if change is Change.CUT] == [3, 16]
    assert Change.BACK not in changes
