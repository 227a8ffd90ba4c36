"""Anonymizers by name."""

from pathlib import Path

import pytest
import torch

from unseen.anonymizers.handcrafted import ANONYMIZERS
from unseen.anonymizers.load import load_anonymizer, refuse_device
from unseen.errors import ConfigError, WeightsError

OPTIONS = {
    "downsample": ":2", "blur": ":4", "pixelate": ":4", "noise": ":0.1", "superpixel": ":16",
    "resized": ":8",
}  # fmt: skip


@pytest.mark.parametrize("name", list(ANONYMIZERS))
def test_every_handcrafted_one_loads_ready_to_use(name: str) -> None:
    anonymizer = load_anonymizer(name + OPTIONS.get(name, ""))
    assert anonymizer.name == name + OPTIONS.get(name, "")
    assert not anonymizer.training
    if anonymizer.needs_boxes is None:
        clips = torch.rand(1, 3, 2, 16, 16)
        assert anonymizer(clips).shape == clips.shape


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pixelat:8", r"did you mean 'pixelate'\?"),
        ("runs/none", "neither a folder of `unseen train` nor an anonymizer"),
        ("", "neither a folder"),
        ("blur", "'blur' needs a number"),
        ("grey:2", "'grey' takes no option"),
    ],
)
def test_names_that_cannot_be(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name:
        with pytest.raises(ConfigError, match=message):
            load_anonymizer(name)
    else:  # the folder one is in
        with pytest.raises(WeightsError, match="holds no trained anonymizer"):
            load_anonymizer(name)


def test_devices() -> None:
    refuse_device("cpu")
    for name in ("gpu", "auto", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device '{name}' cannot be used .*; use cpu"):
            refuse_device(name)
