"""Networks in files: they come back bit for bit, or with one line that says why not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unseen.errors import WeightsError
from unseen.stored_weights import StoredNetwork, load_weights, save_weights

STORED = StoredNetwork("judge", "judge.safetensors", "judge.json")


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))


def build(about: dict[str, Any]) -> nn.Module:
    return network(about["width"])


def test_weights_and_buffers_come_back(tmp_path: Path) -> None:
    one, other = network(), network()
    one(torch.rand(4, 3, 2, 2))  # moves the running means
    save_weights(one, tmp_path / "a.safetensors")
    load_weights(other, tmp_path / "a.safetensors")
    state = one.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("fault", ["missing", "damaged", "other", "infinite"])
def test_weights_that_cannot_be_used(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "a.safetensors"
    if fault == "damaged":
        path.write_bytes(b"\x08")
    elif fault == "other":
        save_weights(network(4), path)
    elif fault == "infinite":
        broken = network()
        with torch.no_grad():
            next(broken.parameters())[0] = torch.inf
        save_weights(broken, path)
    reason = "holds values that are not finite" if fault == "infinite" else "is missing, damaged or"
    with pytest.raises(WeightsError, match=rf"a\.safetensors {reason}.*; buy it again$"):
        load_weights(network(), path, "buy it again")


def test_a_network_with_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no judge"):
        STORED.load(tmp_path, build)
    STORED.save(network(5), tmp_path, {"width": 5})
    read = STORED.load(tmp_path, build)
    assert not read.training
    assert read(torch.rand(1, 3, 2, 2)).shape == (1, 5, 2, 2)
    (tmp_path / STORED.about).write_text('{"width": 4}')
    with pytest.raises(WeightsError, match=r"the judge in .* is damaged: .*does not fit"):
        STORED.load(tmp_path, build)
    deep = '{"width": ' + 100_000 * "["
    for text in ("{", "[]", "{}", '{"width": "wide"}', '{"width": -1}', '{"width": 1e999}', deep):
        (tmp_path / STORED.about).write_text(text)
        with pytest.raises(WeightsError, match=r"the judge in .* is damaged") as raised:
            STORED.load(tmp_path, build)
        assert "\n" not in str(raised.value)
    (tmp_path / STORED.about).write_bytes(b"\xff")
    with pytest.raises(WeightsError, match=r"the judge in .* is damaged"):
        STORED.load(tmp_path, build)
