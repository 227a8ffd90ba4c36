"""Data sets by name."""

from pathlib import Path

import numpy as np
import pytest

from unseen.config import DataConfig
from unseen.data.duet import export_duet
from unseen.data.load import DATASETS, load_data
from unseen.errors import DataError

TINY = DataConfig(size=16, frames=2, train=16, val=8, test=8, target="action", private=("contact",))


@pytest.mark.parametrize("name", list(DATASETS))
def test_every_registered_data_set_is_what_was_asked_for(name: str) -> None:
    data = load_data(TINY.model_copy(update={"name": name}))
    assert data.name == name
    assert data.train.clips.shape == (16, 2, 16, 16, 3)
    assert (len(data.val), len(data.test)) == (8, 8)
    assert (data.target.name, data.private.classes) == ("action", ("contact",))
    assert data.synthetic


def test_silhouettes_are_other_pictures_of_the_same_clips() -> None:
    plain, shape = (load_data(TINY.model_copy(update={"name": name})) for name in DATASETS)
    assert np.array_equal(plain.train.target, shape.train.target)
    assert plain.hash != shape.hash


def test_a_manifest_is_found_by_its_path(tmp_path: Path) -> None:
    path = export_duet(tmp_path / "videos", TINY, "lossless")
    data = load_data(
        TINY.model_copy(update={"name": str(path), "private": ("actor",)}), cache=tmp_path / "cache"
    )
    assert data.name == "manifest.csv"
    assert not data.synthetic
    assert np.array_equal(data.test.clips, load_data(TINY).test.clips)
    assert any((tmp_path / "cache").iterdir())


def test_an_unknown_name_lists_the_choices(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set 'duett' \(did you mean 'duet'\?\)") as caught:
        load_data(TINY.model_copy(update={"name": "duett"}))
    assert "duet:silhouette" in str(caught.value)
    assert ".csv" in str(caught.value)
    with pytest.raises(DataError, match="cannot read the manifest"):
        load_data(TINY.model_copy(update={"name": str(tmp_path / "none.csv")}))
