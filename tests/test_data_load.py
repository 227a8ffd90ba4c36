"""Data sets by name."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from unseen.config import DataConfig
from unseen.data.duet import ATTRIBUTES, export_duet
from unseen.data.load import ABOUT, DATASETS, load_data
from unseen.data.official import OFFICIAL
from unseen.data.video import write_video
from unseen.errors import DataError, UnseenError

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
    names = ("duet", "duet:silhouette")
    plain, shape = (load_data(TINY.model_copy(update={"name": name})) for name in names)
    assert np.array_equal(plain.train.target, shape.train.target)
    assert plain.hash != shape.hash


def _ucf101(root: Path) -> Path:
    """Two actions, three groups each for training and one for testing, one video a group."""
    names = {
        (action, group): f"{action}/v_{action}_g{group:02}_c01.avi"
        for action in ("Archery", "Biking")
        for group in range(1, 5)
    }
    for at, name in enumerate(names.values()):
        (root / "UCF-101" / name).parent.mkdir(parents=True, exist_ok=True)
        images = np.full((4, 16, 16, 3), 25 * at + 20, np.uint8)
        write_video(root / "clip.mp4", images, Fraction(25), "lossless")
        (root / "clip.mp4").rename(root / "UCF-101" / name)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    number = {"Archery": 1, "Biking": 2}
    (lists / "trainlist01.txt").write_text(
        "".join(f"{n} {number[a]}\n" for (a, group), n in names.items() if group < 4)
    )
    (lists / "testlist01.txt").write_text(
        "".join(f"{n}\n" for (_, group), n in names.items() if group == 4)
    )
    return root


def test_a_published_data_set_is_found_by_its_name_in_its_folder(tmp_path: Path) -> None:
    root = _ucf101(tmp_path)
    config = TINY.model_copy(update={"name": "ucf101:1", "root": str(root), "private": ("action",)})
    data = load_data(config)
    assert (len(data.train), len(data.val), len(data.test)) == (4, 2, 2)
    assert data.target.classes == ("Archery", "Biking")
    # Group 4 of each action, the fourth and the eighth video.
    assert [round(float(clip.mean())) for clip in data.test.clips] == [95, 195]
    assert list(data.test.target) == [0, 1]
    with pytest.raises(DataError, match=r"where is 'ucf101:1'\? Name its folder: --root DIR"):
        load_data(config.model_copy(update={"root": None}))


def test_every_data_set_is_listed() -> None:
    listed = {name.partition("[")[0] for name in ABOUT}
    assert listed == {*DATASETS, *OFFICIAL, "pa-hmdb51", "FILE.csv"}


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


def test_targets_of_one_data_set_and_attributes_of_another(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"private_name": "duet:attributes", "private": ("all",)})
    data, alone = load_data(config), load_data(TINY)
    assert data.name == "duet"
    assert np.array_equal(data.train.clips, alone.train.clips)
    assert np.array_equal(data.train.target, alone.train.target)
    assert data.train.private.shape == (16, 0)
    other = data.private_data
    assert (other.name, len(other.test), other.test.target.shape) == ("duet:attributes", 8, (8, 0))
    assert data.private == other.private
    assert other.private.classes == ATTRIBUTES
    assert alone.private_data is alone
    # The hash is of both.
    elsewhere = load_data(config.model_copy(update={"private": ("contact", "glasses")}))
    assert len({data.hash, other.hash, alone.hash, elsewhere.hash}) == 4
    # In so many clips every attribute varies.
    more = TINY.model_copy(update={"val": 26, "test": 26})
    videos = export_duet(tmp_path / "videos", more, "lossless")
    manifest = {"name": str(videos), "private_name": str(videos), "private": ("contact", "skirt")}
    found = load_data(TINY.model_copy(update=manifest))
    assert np.array_equal(found.train.clips, data.train.clips)
    names = [found.target.classes[i] for i in found.train.target]
    assert names == [data.target.classes[i] for i in data.train.target]
    expected = alone.train.private[:, 0]
    assert np.array_equal(found.private_data.train.private[:, 0], expected)
    assert not found.synthetic


def test_faults_of_both_data_sets_are_told(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"name": "ucf101", "private_name": "vispr:5"})
    with pytest.raises(DataError) as caught:
        load_data(config)
    assert caught.value.faults == (
        "where is 'ucf101'? Name its folder: --root DIR",
        "where is 'vispr:5'? Name its folder: --private-root DIR",
    )
    with pytest.raises(DataError, match="where is 'vispr:5'"):
        load_data(config.model_copy(update={"name": "duet"}))


@pytest.mark.parametrize("order", ["target", "private"])
def test_no_clip_is_read_where_the_other_data_set_is_at_fault(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading takes hours."""
    root = _ucf101(tmp_path / "u")

    def read(*_: object, **__: object) -> None:
        raise AssertionError("clips are read")

    monkeypatch.setattr("unseen.data.official_clips.decode_clips", read)
    monkeypatch.setattr("unseen.data.duet._generate_range", read)
    names = {"name": "ucf101", "root": str(root), "private_name": "duet", "private": ("glases",)}
    if order == "private":
        names = {"private_name": "ucf101", "private_root": str(root), "private": ("actoin",),
                 "name": "duet", "target": "action"}  # fmt: skip
    with pytest.raises(UnseenError, match=r"did you mean '(glasses|action)'"):
        load_data(TINY.model_copy(update=names))


def test_a_configuration_may_name_a_cache(tmp_path: Path) -> None:
    config = TINY.model_copy(update={"name": "ucf101", "root": str(_ucf101(tmp_path / "u")),
                                     "private": ("action",)})  # fmt: skip
    kept = load_data(config.model_copy(update={"cache": str(tmp_path / "cache")}))
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    assert kept.hash == load_data(config).hash
