"""The learned filter: shapes, range, gradients, and weights with their contract."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unseen.anonymizers.learned import (
    CONTRACT_FILE,
    WEIGHTS_FILE,
    FilterConfig,
    LearnedFilter,
    load_filter,
    save_filter,
)
from unseen.errors import WeightsError

CONFIGS = {
    "fast": FilterConfig(width=8, blocks=2),
    "fast limited": FilterConfig(
        width=8, blocks=2, channels=1, input_limits=("motion:0.8",),
        output_limits=("grey", "coarse:8", "noise:0.1"),
    ),
    "johnson": FilterConfig(network="johnson", width=4, blocks=1),
    "johnson limited": FilterConfig(
        network="johnson", width=4, blocks=1, input_limits=("grey-in",),
        output_limits=("grey", "levels:3"),
    ),
}  # fmt: skip


def _filter(name: str, seed: int = 0) -> LearnedFilter:
    torch.manual_seed(seed)
    return LearnedFilter(CONFIGS[name], size=24, name=name)


def _clips(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "shape", [(1, 3, 1, 16, 16), (2, 3, 3, 17, 23), (1, 3, 2, 5, 40), (1, 3, 2, 33, 18)]
)
@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_shape_and_range_stay(name: str, shape: tuple[int, ...]) -> None:
    learned = _filter(name)
    for parameter in learned.parameters():
        parameter.mul_(3.0)  # far from where it starts
    out = learned(_clips(*shape))
    assert out.shape == shape
    assert out.dtype == torch.float32
    assert float(out.min()) >= 0.0
    assert float(out.max()) <= 1.0


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    learned = _filter(name)
    clips = _clips(2, 3, 4, 24, 24)
    weight = torch.rand(clips.shape, generator=torch.Generator().manual_seed(2))
    (learned(clips) * weight).sum().backward()
    for key, parameter in learned.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        # A bias before an instance normalisation moves nothing.
        if not (name.startswith("johnson") and key.endswith("bias")):
            assert parameter.grad.abs().max() > 0, key


def test_gradients_reach_the_input() -> None:
    clips = _clips(1, 3, 4, 16, 16).requires_grad_()
    _filter("fast")(clips).sum().backward()
    assert clips.grad is not None
    assert clips.grad.abs().max() > 0


def test_one_channel_is_all_that_a_network_of_one_puts_out() -> None:
    for network in ("fast", "johnson"):
        config = FilterConfig(network=network, width=8, blocks=1, channels=1)
        clips = LearnedFilter(config, size=24).eval()(_clips(1, 3, 4, 24, 24))
        assert torch.equal(clips[:, :1].expand(-1, 3, -1, -1, -1), clips)
        assert clips.std() > 0.01


def test_only_noise_makes_a_filter_random() -> None:
    assert [_filter(name).random for name in CONFIGS] == [False, True, False, False]
    clips = _clips(1, 3, 3, 24, 24)
    for name in CONFIGS:
        learned = _filter(name).eval()
        assert torch.equal(learned(clips), learned(clips)) != learned.random


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_saved_and_loaded_is_the_same_filter(name: str, tmp_path: Path) -> None:
    learned = _filter(name, seed=3).eval()
    save_filter(learned, tmp_path, {"data": "duet", "fps": 12.5})
    loaded = load_filter(tmp_path)
    assert loaded.config == learned.config
    assert (loaded.name, loaded.working_size, loaded.random) == (name, 24, learned.random)
    assert loaded.frame_rate == 12.5
    assert not loaded.training
    clips = _clips(1, 3, 4, 24, 24)
    outputs = []
    for each in (learned, loaded):
        torch.manual_seed(9)
        outputs.append(each(clips))
    assert torch.equal(*outputs)
    contract = json.loads((tmp_path / CONTRACT_FILE).read_text())
    assert contract["about"] == {"data": "duet", "fps": 12.5}
    assert contract["working_size"] == 24
    assert contract["random"] == learned.random


def _saved(tmp_path: Path) -> Path:
    save_filter(_filter("fast"), tmp_path, {})
    return tmp_path


def _refused(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_filter(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


@pytest.mark.parametrize("missing", [CONTRACT_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(missing: str, tmp_path: Path) -> None:
    (_saved(tmp_path) / missing).unlink()
    assert f"{missing} is missing" in _refused(tmp_path)


def test_damaged_weights(tmp_path: Path) -> None:
    path = _saved(tmp_path) / WEIGHTS_FILE
    whole = path.read_bytes()
    for broken in (b"", whole[:100], whole[:-1], b"\0" * len(whole)):
        path.write_bytes(broken)
        assert "does not fit" in _refused(tmp_path)


def test_weights_must_fit_exactly(tmp_path: Path) -> None:
    path = _saved(tmp_path) / WEIGHTS_FILE
    weights = load_file(path)
    one = sorted(weights)[0]
    for other in (
        {key: value for key, value in weights.items() if key != one},
        {**weights, "more": torch.zeros(1)},
        {**weights, one: torch.zeros(1, 2, 3)},
    ):
        save_file(other, path)
        assert "does not fit" in _refused(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_must_be_finite(value: float, tmp_path: Path) -> None:
    path = _saved(tmp_path) / WEIGHTS_FILE
    weights = load_file(path)
    weights["head.bias" if "head.bias" in weights else sorted(weights)[0]].flatten()[0] = value
    save_file(weights, path)
    assert "not finite" in _refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (b"", "damaged"),
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b"\xff\xfe", "damaged"),
        ({"contract": "unseen/anonymizer/99"}, "unknown contract 'unseen/anonymizer/99'"),
        ({"contract": None}, "unknown contract"),
        ({"filter": {"network": "unet"}}, "damaged"),
        ({"filter": {"surprise": 1}}, "damaged"),
        ({"working_size": None}, "damaged"),
        ({"working_size": "wide"}, "damaged"),
        ({"about": {"fps": 0}}, "damaged: fps is 0"),
        ({"about": {"fps": "fast"}}, "damaged"),
        ({"about": None}, "damaged"),
    ],
)
def test_damaged_contracts(change: bytes | dict[str, object], part: str, tmp_path: Path) -> None:
    path = _saved(tmp_path) / CONTRACT_FILE
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert part in _refused(tmp_path)


def test_configurations_are_closed() -> None:
    for bad in ({"network": "unet"}, {"channels": 2}, {"width": 2}, {"blocks": 0}, {"depth": 3}):
        with pytest.raises(ValidationError):
            FilterConfig.model_validate(bad)
