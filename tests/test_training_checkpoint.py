"""Checkpoints: what is packed comes back, and a broken file says so."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unseen.errors import RunError
from unseen.training import checkpoint
from unseen.training.checkpoint import Checkpoint


def _players(seed: int) -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    torch.manual_seed(seed)
    one = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    two = nn.Linear(2, 2)
    optimizers: dict[str, torch.optim.Optimizer] = {
        "opt_one": torch.optim.Adam(one.parameters(), lr=0.1),
        "opt_two": torch.optim.Adam(two.parameters(), lr=0.2),
    }
    return {"one": one, "two": two}, optimizers


def _train(
    modules: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer], steps: int
) -> None:
    generator = torch.Generator().manual_seed(steps)
    for _ in range(steps):
        x = torch.randn(8, 3, generator=generator)
        loss = modules["two"](modules["one"](x)).square().mean()
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()


def test_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    modules, optimizers = _players(0)
    _train(modules, optimizers, 5)
    path = tmp_path / "checkpoint.safetensors"
    progress = {"step": 5, "loss": 0.1 + 0.2, "names": ["é"], "none": None}
    checkpoint.save(path, Checkpoint(checkpoint.pack(modules, optimizers), progress))
    _train(modules, optimizers, 7)

    others, other_optimizers = _players(1)
    loaded = checkpoint.load(path)
    assert loaded.progress == progress
    checkpoint.unpack(loaded, others, other_optimizers)
    assert other_optimizers["opt_two"].param_groups[0]["lr"] == 0.2
    _train(others, other_optimizers, 7)

    expected = checkpoint.pack(modules, optimizers)
    found = checkpoint.pack(others, other_optimizers)
    assert expected.keys() == found.keys()
    assert {"one/0.weight", "one/1.running_mean", "two/bias", "opt_two#1#exp_avg_sq"} <= set(found)
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_fresh_optimiser_comes_back_fresh() -> None:
    modules, optimizers = _players(0)
    packed = Checkpoint(checkpoint.pack(modules, optimizers), {})
    _train(modules, optimizers, 2)
    assert optimizers["opt_one"].state
    checkpoint.unpack(packed, modules, optimizers)
    assert not optimizers["opt_one"].state
    assert not optimizers["opt_two"].state


def test_packed_tensors_are_copies() -> None:
    modules, optimizers = _players(0)
    _train(modules, optimizers, 1)
    packed = checkpoint.pack(modules, optimizers)
    before = {key: value.clone() for key, value in packed.items()}
    _train(modules, optimizers, 1)
    assert all(torch.equal(before[key], packed[key]) for key in before)
    now = checkpoint.pack(modules, optimizers)
    assert not torch.equal(now["one/0.weight"], packed["one/0.weight"])


def test_broken_files_are_refused(tmp_path: Path) -> None:
    modules, optimizers = _players(0)
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, Checkpoint(checkpoint.pack(modules, optimizers), {"step": 1}))
    whole = path.read_bytes()
    for broken in (b"", whole[:20], whole[: len(whole) // 2], whole[:-1], b"x" * 100):
        path.write_bytes(broken)
        with pytest.raises(RunError) as caught:
            checkpoint.load(path)
        assert str(caught.value) == f"{path} is not a readable checkpoint; start the run anew"
    with pytest.raises(RunError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path / "none.safetensors")
    for progress in ("[1]", "[" * 100_000, "{"):
        save_file({"x": torch.zeros(1)}, path, {"progress": progress})
        with pytest.raises(RunError, match="not a readable checkpoint"):
            checkpoint.load(path)


def test_a_failed_save_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    modules, optimizers = _players(0)
    path = tmp_path / "checkpoint.safetensors"
    tensors = checkpoint.pack(modules, optimizers)
    checkpoint.save(path, Checkpoint(tensors, {"step": 1}))
    with pytest.raises(TypeError):
        checkpoint.save(path, Checkpoint(tensors, {"step": object()}))
    assert checkpoint.load(path).progress == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_other_networks_does_not_load() -> None:
    modules, optimizers = _players(0)
    packed = Checkpoint(checkpoint.pack(modules, optimizers), {})
    with pytest.raises(RuntimeError, match="Missing key"):
        checkpoint.unpack(packed, {"three": nn.Linear(1, 1)}, {})
