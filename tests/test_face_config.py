"""Presets and settings of face games, and their documentation."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from unseen.config import preset_names
from unseen.errors import ConfigError
from unseen.face_config import (
    FaceRunConfig,
    about_face_preset,
    face_preset_names,
    load_face_config,
    stored_face_config,
)

PAGE = (Path(__file__).parents[1] / "docs" / "face-modifier.md").read_text(encoding="utf-8")
SECTIONS = {
    name: info.annotation
    for name, info in FaceRunConfig.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}


def _described(heading: str) -> dict[str, str]:
    (text,) = [
        part for part in re.split(r"^### ", PAGE, flags=re.M) if part.split("\n")[0] == heading
    ]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {name.strip("`"): default for name, default, _ in cells}


@pytest.mark.parametrize("heading", ["Top level", *SECTIONS])
def test_every_setting_is_described_with_its_default(heading: str) -> None:
    fields = SECTIONS.get(heading, FaceRunConfig).model_fields
    left_out = {"kind", "preset", *SECTIONS} if heading == "Top level" else set()
    expected = {
        key: "none" if info.default == () else f"`{info.default}`"
        for key, info in fields.items()
        if key not in left_out
    }
    assert _described(heading if heading == "Top level" else f"`{heading}`") == expected


@pytest.mark.parametrize("name", face_preset_names())
def test_presets_load_and_are_described(name: str) -> None:
    config = load_face_config(name)
    assert config.preset == name
    assert "\n" not in about_face_preset(name)
    assert f"`{name}`" in PAGE
    assert name not in preset_names()


def test_the_papers_constants() -> None:
    """Ren18 section 4."""
    daly, jhmdb = load_face_config("daly-ren18"), load_face_config("jhmdb-ren18")
    assert (daly.data.short_side, jhmdb.data.short_side) == (600, 340)
    for config in (daly, jhmdb):
        modifier, train = config.modifier, config.train
        assert (modifier.size, modifier.width, modifier.blocks, modifier.sees) == (256, 64, 9, 0)
        assert (train.beta1, train.beta2, train.lr_drop) == (0.5, 0.999, 7 / 12)
        assert (train.lr_detector, train.lr_modifier, train.lr_recogniser) == (1e-3, 3e-4, 3e-4)
        assert (config.recogniser, config.detector) == ("sphereface-20", "faster-rcnn-resnet101")
        assert (config.game.objectives, config.game.margin) == (("misclassify",), 4)
        assert (config.game.realism, config.game.restart_every) == (0, 0)
        # T1 is 12 epochs of the pictures of CASIA-WebFace that are learned from.
        learned = (1 - config.data.val_share) * 494_414
        assert train.steps == round(12 * learned / train.batch)
        assert (config.game.gamma, config.game.ease) == (1.0, 5.0)  # eq. 5; SphereFace
        # Chosen here, as the documentation says.
        assert (train.batch, train.frames, train.init_recogniser, train.finish) == (
            32, 1, 28000, 60000,
        )  # fmt: skip
        assert config.game.l1 == 1.0


def test_lfw_folds_are_apart() -> None:
    data = load_face_config("lfw-faces").data
    assert (data.train_folds, data.val_folds) == ((1, 2, 3, 4, 5, 6), (7, 8))


def test_overrides_and_every_fault_at_once() -> None:
    config = load_face_config("lfw-faces", ["data.val_folds=7", "game.objectives=random_label"])
    assert config.data.val_folds == (7,)
    assert config.game.objectives == ("random_label",)
    with pytest.raises(ConfigError) as caught:
        load_face_config("lfw-faces", ["game.gama=1", "train.batch=0", "data.val_folds=1,9"])
    message = str(caught.value)
    for part in ("did you mean 'game.gamma'", "train.batch", "share a fold"):
        assert part in message
    with pytest.raises(ConfigError, match="needs train_folds"):
        load_face_config(None, ["data.people=people.txt"])


def test_a_stored_configuration_is_known_by_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    config = load_face_config("lfw-faces")
    path.write_text(config.model_dump_json(indent=2))
    assert stored_face_config(path) == config
    path.write_text('{"preset": "demo"}')
    assert stored_face_config(path) is None


def test_whom_to_make_is_told_only_where_it_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"game\.l1_goal=stranger"):
        load_face_config("lfw-faces", ["modifier.looks=8"])
    overrides = ["modifier.looks=8", "game.l1_goal=stranger"]
    assert load_face_config("lfw-faces", overrides).modifier.looks == 8


def test_shares_of_processes_are_equal() -> None:
    with pytest.raises(ConfigError, match="train: batch 9 does not divide over 2 devices"):
        load_face_config(None, ["train.batch=9", "train.devices=2"])
    frames = ["train.frames=3", "train.devices=2"]
    assert load_face_config(None, frames).train.devices == 2
    with pytest.raises(ConfigError, match="train: frames 3 does not divide over 2 devices"):
        load_face_config(None, [*frames, "data.actions=duet"])
