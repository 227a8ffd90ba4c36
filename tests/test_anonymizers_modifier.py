"""The face modifier: its size, what it touches, what it is shown, its file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.decomposition import PCA
from torch import nn
from torch.nn import functional as F

from unseen.anonymizers.learned import CONTRACT_FILE, WEIGHTS_FILE, load_filter
from unseen.anonymizers.load import load_anonymizer
from unseen.anonymizers.modifier import (
    FaceModifier,
    ModifierConfig,
    face_regions,
    load_modifier,
    save_modifier,
)
from unseen.data.seen import SEEN_FILE, digest_of, write_seen
from unseen.errors import DataError, WeightsError

SMALL = ModifierConfig(size=16, width=4, blocks=1)
LIMITED = ModifierConfig(size=16, width=4, blocks=1, sees=4, noise=0.1)


def _modifier(config: ModifierConfig = SMALL, seed: int = 0) -> FaceModifier:
    torch.manual_seed(seed)
    return FaceModifier(config).eval()


def test_the_papers_size_and_shape() -> None:
    with torch.device("meta"):
        modifier = FaceModifier(ModifierConfig())
        faces = torch.empty(2, 3, 256, 256)
        assert modifier.modify(faces, torch.empty(2, 0)).shape == faces.shape
    # Convolutions with bias, and two parameters of instance normalisation for each channel.
    layers = [(9, 3, 64), (3, 64, 128), (3, 128, 256), *[(3, 256, 256)] * 18]
    layers += [(3, 256, 128), (3, 128, 64)]
    expected = sum(k * k * i * o + 3 * o for k, i, o in layers) + 9 * 9 * 64 * 3 + 3
    assert sum(p.numel() for p in modifier.parameters()) == expected == 11_400_963


def test_only_the_enlarged_boxes_change() -> None:
    modifier = _modifier()
    clips = torch.rand(1, 3, 2, 40, 50)
    boxes = torch.full((1, 2, 2, 4), torch.nan)
    boxes[0, 0, 0] = torch.tensor([10.0, 10.0, 20.0, 20.0])  # 1.6 times: 7 to 23
    boxes[0, 0, 1] = torch.tensor([45.0, 30.0, 60.0, 45.0])  # beyond the frame
    out = modifier(clips, boxes)
    inside = torch.zeros(1, 1, 2, 40, 50, dtype=torch.bool)
    inside[:, :, 0, 7:23, 7:23] = True
    inside[:, :, 0, 25:, 40:] = True  # 25.5 and 40.5 downwards
    changed = (out != clips).any(1, keepdim=True)
    assert not (changed & ~inside).any()
    assert changed[inside].float().mean() > 0.99


def test_frames_without_faces_are_as_they_were() -> None:
    clips = torch.rand(2, 3, 3, 24, 24)
    out = _modifier()(clips, torch.full((2, 3, 1, 4), torch.nan))
    assert torch.equal(out, clips)


def test_a_region_in_a_frame_is_the_region_by_itself() -> None:
    modifier = _modifier()
    clips = torch.rand(1, 3, 1, 40, 50)
    out = modifier(clips, torch.tensor([[[[10.0, 10.0, 20.0, 20.0]]]]))
    alone = modifier(clips[..., 7:23, 7:23])
    torch.testing.assert_close(out[..., 7:23, 7:23], alone)


@pytest.mark.parametrize("config", [SMALL, LIMITED])
@pytest.mark.parametrize("size", [(16, 16), (5, 9), (40, 31)])
def test_regions_of_any_size_keep_shape_and_range(
    config: ModifierConfig, size: tuple[int, int]
) -> None:
    clips = torch.rand(1, 3, 2, *size)
    out = _modifier(config)(clips)
    assert out.shape == clips.shape
    assert out.min() >= 0
    assert out.max() <= 1


def test_what_the_cells_do_not_tell_cannot_pass() -> None:
    modifier = _modifier(LIMITED)
    face = torch.rand(1, 3, 16, 16) * 0.5 + 0.25
    other = face.clone()
    # The same mean in a cell of 4x4 pixels, other pixels.
    other[..., 0:4, 0:4] = face[..., 0:4, 0:4].flip(-1)
    grain = modifier.grain(1)
    torch.testing.assert_close(modifier.modify(face, grain), modifier.modify(other, grain))
    other[..., 0:4, 0:4] += 0.1
    assert not torch.allclose(modifier.modify(face, grain), modifier.modify(other, grain))
    shown = _modifier()
    assert not torch.allclose(shown.modify(face, grain), shown.modify(face.flip(-1), grain))


def test_m_covers_what_it_is_shown_as_far_as_it_says() -> None:
    modifier = _modifier(LIMITED)
    last = modifier.network.net[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    face, none = torch.rand(1, 3, 16, 16), torch.zeros(1, 48)
    shown = modifier.view(face, none)
    with torch.no_grad():
        last.weight.zero_()
        for cover, (red, green, blue) in (
            (0.0, (0, 0, 0)),
            (0.25, (0.9, 0.5, 0.2)),
            (1.0, (0, 1, 0.5)),
        ):
            colour = torch.tensor([red, green, blue, cover])
            last.bias.copy_(torch.atanh((2 * colour - 1).clamp(-1 + 1e-6, 1 - 1e-6)))
            expected = cover * colour[:3].reshape(1, 3, 1, 1) + (1 - cover) * shown
            torch.testing.assert_close(modifier.modify(face, none), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("look_cells", [8, 4])
def test_looks_are_principal_components_of_faces_as_scikit_learn_finds_them(
    look_cells: int,
) -> None:
    torch.manual_seed(0)
    modifier = _modifier(LIMITED.model_copy(update={"looks": 5, "look_cells": look_cells}))
    side = 16 // look_cells
    faces = 0.35 + 0.3 * torch.rand(30, 3, look_cells, look_cells)  # far from 0 and 1
    faces = faces.repeat_interleave(side, 2).repeat_interleave(side, 3)
    modifier.learn_looks(faces)
    cells = faces[..., ::side, ::side].flatten(1).numpy().astype(np.float64)
    found = PCA(5).fit(cells)
    expected = found.inverse_transform(found.transform(cells)).clip(0, 1)
    np.testing.assert_allclose(modifier.looks_of(faces).flatten(1), expected, atol=1e-5)
    drawn = modifier.random_looks(modifier.grain(20000)).flatten(1).numpy()
    np.testing.assert_allclose(drawn.mean(0), found.mean_, atol=0.02)
    along = (drawn - found.mean_) @ found.components_.T
    np.testing.assert_allclose(along.std(0), np.sqrt(found.explained_variance_), rtol=0.03)


def test_m_adds_to_the_look_that_it_is_given() -> None:
    """What it makes, from -1 to 1, is added; and shown as far as it covers."""
    torch.manual_seed(0)
    modifier = _modifier(LIMITED.model_copy(update={"looks": 5, "on_look": True}))
    modifier.learn_looks(torch.rand(30, 3, 16, 16))
    last = modifier.network.net[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    face, grain = torch.rand(1, 3, 16, 16), modifier.grain(1)
    look = modifier.random_looks(grain)
    whole = F.interpolate(look, (16, 16), mode="bilinear")
    with torch.no_grad():
        last.weight.zero_()
        for added, cover in ((0.0, 1.0), (-0.2, 1.0), (0.3, 0.6)):
            out = torch.tensor([(1 + added) / 2] * 3 + [cover])
            last.bias.copy_(torch.atanh((2 * out - 1).clamp(-1 + 1e-6, 1 - 1e-6)))
            expected = cover * (whole + added).clamp(0, 1)
            expected = expected + (1 - cover) * modifier.view(face, grain)
            for given in (None, look):
                made = modifier.modify(face, grain, given)
                torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_whom_m_is_told_to_make_is_drawn_for_each_video_or_said() -> None:
    torch.manual_seed(0)
    modifier = _modifier(LIMITED.model_copy(update={"looks": 5}))
    assert modifier.random
    modifier.learn_looks(torch.rand(30, 3, 16, 16))
    face = torch.rand(1, 3, 16, 16)
    grain, other = modifier.grain(2)[:, None]
    other[:, :48] = grain[:, :48]  # the same noise, another stranger
    assert not torch.allclose(modifier.modify(face, grain), modifier.modify(face, other))
    said = modifier.random_looks(other)
    assert torch.equal(modifier.modify(face, grain, said), modifier.modify(face, other))


def test_noise_is_drawn_once_for_a_video() -> None:
    modifier = _modifier(LIMITED)
    assert modifier.random
    assert not _modifier().random
    clips = torch.rand(1, 3, 4, 16, 16)
    first = modifier.step(clips[:, :, :2])
    rest = modifier.step(clips[:, :, 2:], first.state)
    again = modifier.step(clips, first.state)
    torch.testing.assert_close(torch.cat([first.clips, rest.clips], 2), again.clips)
    assert not torch.allclose(modifier(clips), again.clips)


def test_gradients_reach_the_modifier_through_the_frame() -> None:
    modifier = _modifier(LIMITED)
    boxes = torch.tensor([[[[10.0, 10.0, 20.0, 20.0]]]])
    modifier(torch.rand(1, 3, 1, 40, 50), boxes).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in modifier.parameters())


def test_boxes_that_are_broken_are_refused() -> None:
    boxes = torch.tensor([[[[20.0, 10.0, 10.0, 20.0]]]])
    with pytest.raises(DataError, match="1 boxes are not"):
        _modifier()(torch.rand(1, 3, 1, 40, 50), boxes)


def test_regions_are_rounded_outwards() -> None:
    boxes = torch.tensor([[[10.4, 10.4, 20.4, 20.4]], [[-90.0, 0.0, -80.0, 5.0]]])
    assert face_regions(boxes, torch.zeros(2, 3, 40, 50)) == [(0, 7, 7, 24, 24)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 16, "sees": 16}, "no limit"),
        ({"noise": 0.1}, "set sees"),
        ({"size": 30}, "4"),
        ({"on_look": True}, "on_look changes a look"),
        ({"size": 16, "sees": 8, "looks": 1, "look_cells": 17}, "look_cells 17 is more than size"),
        ({"sees": 8, "looks": 13, "look_cells": 2}, "2x2 look_cells give 12 looks"),
    ],
)
def test_limits_that_limit_nothing_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModifierConfig.model_validate(values)


def test_saved_and_loaded_by_name_of_its_folder(tmp_path: Path) -> None:
    modifier = _modifier(LIMITED)
    save_modifier(modifier, tmp_path, {"people": 3})
    loaded = load_anonymizer(tmp_path)
    assert isinstance(loaded, FaceModifier)
    assert (loaded.config, loaded.needs_boxes, loaded.training) == (LIMITED, "face", False)
    face, grain = torch.rand(1, 3, 16, 16), modifier.grain(1)
    assert torch.equal(loaded.modify(face, grain), modifier.modify(face, grain))
    contract = json.loads((tmp_path / CONTRACT_FILE).read_text())
    assert contract["about"] == {"people": 3}
    assert modifier.learned_people() is None
    assert loaded.learned_people() is None  # where nobody wrote whom it has learned
    write_seen(tmp_path, "people", frozenset([digest_of("Ann")]))
    assert load_anonymizer(tmp_path).learned_people() == frozenset([digest_of("Ann")])
    (tmp_path / SEEN_FILE).write_text("{")
    load_anonymizer(tmp_path)  # needed to measure it only
    with pytest.raises(WeightsError, match="unknown contract 'unseen/face-modifier/1'"):
        load_filter(tmp_path)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is missing"):
        load_modifier(tmp_path)
    save_modifier(_modifier(), tmp_path, {})
    contract = tmp_path / CONTRACT_FILE
    good = contract.read_text()
    contract.write_text(good.replace('"width": 4', '"width": 8'))
    with pytest.raises(WeightsError, match="does not fit"):
        load_modifier(tmp_path)
    contract.write_text(good.replace('"width": 4', '"width": "wide"'))
    with pytest.raises(WeightsError, match="is damaged"):
        load_modifier(tmp_path)
    contract.write_text("[]")
    with pytest.raises(WeightsError, match="is damaged"):
        load_anonymizer(tmp_path)
    contract.write_text(good)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"")
    with pytest.raises(WeightsError, match="does not fit"):
        load_modifier(tmp_path)


def test_small_regions_are_black_where_coarse_cells_hide() -> None:
    sides = {sees: FaceModifier(ModifierConfig(size=32, width=4, blocks=1, sees=sees)).least_side
             for sees in (0, 8, 16, 17, 24)}  # fmt: skip
    assert sides == {0: 1, 8: 9, 16: 17, 17: 1, 24: 1}
