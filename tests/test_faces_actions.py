"""Frames of action data sets with their faces, and the presets of the paper on them."""

import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage import data

from face_trees import daly_annotations, jhmdb
from tiny_faces import write_faces
from unseen.cli import main
from unseen.data.action_frames import load_action_frames
from unseen.data.daly_pickle import convert_daly
from unseen.data.video import write_video
from unseen.errors import ConfigError, DataError
from unseen.faces.actions import load_frames_with_faces
from unseen.faces.detect import CenterFace
from unseen.models.action_detector import load_detector

TINY = (
    "data.side=32", "data.val_share=0.4", "data.short_side=48", "modifier.size=24",
    "modifier.width=4", "modifier.blocks=1", "recogniser=sphereface-small:4",
    "detector=faster-rcnn-small:1", "train.batch=2", "train.frames=2", "train.init_recogniser=1",
    "train.steps=2", "train.finish=2", "train.threads=1",
)  # fmt: skip


def frame(side: int, level: int) -> npt.NDArray[np.uint8]:
    """A real face (NASA, public domain), and a bright corner."""
    image = Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.BILINEAR)
    found = np.asarray(image).copy()
    found[-4:, -4:] = level
    return found


@pytest.fixture(scope="module")
def daly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of different sizes, a face in each frame of the first."""
    root = tmp_path_factory.mktemp("daly")
    (root / "videos").mkdir()
    first = np.stack([frame(128, 20 * i) for i in range(10)])
    second = np.full((10, 48, 80, 3), 90, np.uint8)
    for name, images in (("aaa", first), ("bbb", second)):
        write_video(root / "videos" / f"{name}.mp4", images, Fraction(10), "lossless")
    (root / "daly1.1.0.pkl").write_bytes(pickle.dumps(daly_annotations(), protocol=2))
    convert_daly(root / "daly1.1.0.pkl", root / "daly1.1.0.json")
    return root


@pytest.fixture(scope="module")
def keyframes(daly: Path) -> Path:
    out = daly.parent / "keyframes"
    assert main(["data", "keyframes", "daly", str(daly), "-o", str(out)]) == 0
    return out


def test_faces_are_those_of_the_detector(keyframes: Path) -> None:
    frames = load_frames_with_faces("daly", keyframes, "train", side=0)
    assert len(frames) == 2
    picture = frames[0]
    assert picture.faces is not None
    np.testing.assert_array_equal(picture.faces, CenterFace(0.2)(picture.image).boxes)
    assert len(picture.faces) == 1
    middle = (picture.faces[0, :2] + picture.faces[0, 2:]) / 2
    assert 40 < middle[0] < 70  # the astronaut's face is at (55, 28)
    assert 15 < middle[1] < 45
    again = load_frames_with_faces("daly", keyframes, "train", side=0)[0]
    assert again.faces is not None
    np.testing.assert_array_equal(again.faces, picture.faces)
    without = load_frames_with_faces("daly", keyframes, "test", side=0)[0]
    assert without.faces is not None
    assert without.faces.shape == (0, 4)


def test_a_frame_is_looked_at_once_and_only_when_it_is_read(
    keyframes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[int, ...]] = []
    look = CenterFace.__call__

    def noted(self: CenterFace, image: npt.NDArray[np.uint8]) -> object:
        looked.append(image.shape)
        return look(self, image)

    monkeypatch.setattr(CenterFace, "__call__", noted)
    frames = load_frames_with_faces("keyframes", keyframes, "train", side=0)
    assert not looked
    for i in (1, 1, 0, 1):
        frames[i]
    assert looked == 2 * [(128, 128, 3)]


def test_drawn_faces_are_known() -> None:
    frames = load_frames_with_faces("duet-faces:6", None, "test", side=48)
    drawn = load_action_frames("duet-faces:6", side=48).of_split("test")
    assert len(frames) == len(drawn) == 3
    found, wanted = frames[2].faces, drawn[2].faces
    assert found is not None
    assert wanted is not None
    np.testing.assert_array_equal(found, wanted)


def test_frames_inside_videos_are_not_learned_from(daly: Path) -> None:
    with pytest.raises(DataError, match="is inside a video: extract the frames once, with") as e:
        load_frames_with_faces("daly", daly, "train", side=0)
    assert f"`unseen data keyframes daly {daly} -o FRAMES`" in str(e.value)
    with pytest.raises(DataError, match="'duet-faces:4' has no val frames"):
        load_frames_with_faces("duet-faces:4", None, "val", side=32)
    with pytest.raises(ConfigError, match="are in a folder: name it"):
        load_frames_with_faces("jhmdb", None, "train", side=32)


@pytest.mark.parametrize("preset", ["daly-ren18", "jhmdb-ren18"])
def test_the_presets_of_the_paper_start_and_go_on(
    preset: str, keyframes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_faces(tmp_path / "faces", 6, 2)
    (tmp_path / "faces" / "people.txt").unlink()
    actions = keyframes if preset == "daly-ren18" else jhmdb(tmp_path / "jhmdb", {})
    run = tmp_path / "run"
    command = ["train", "-o", str(run)]
    start = ["--preset", preset, "--root", str(tmp_path / "faces"), *TINY]
    assert main([*command, *start]) == 2
    assert "name it (--actions-root DIR" in capsys.readouterr().err
    assert main([*command, *start, "--actions-root", str(actions)]) == 0
    assert len(load_detector(run).classes) == (10 if preset == "daly-ren18" else 21)
    assert main([*command, "--resume"]) == 0
    assert main([*command, "--resume", "train.seed=9"]) == 2
    assert "was started with other settings (train.seed)" in capsys.readouterr().err


def test_what_cannot_be_trained(
    daly: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_faces(tmp_path / "faces", 4, 2)
    command = ["train", "--preset", "daly-ren18", "--root", str(tmp_path / "faces"), *TINY,
               "--actions-root", str(daly), "-o", str(tmp_path / "run")]  # fmt: skip
    assert main(command) == 2
    assert f"unseen data keyframes daly {daly}" in capsys.readouterr().err
    assert main(["train", "--preset", "duet", "--actions-root", "x", "-o", "y"]) == 2
    assert "--actions-root is for presets with a face modifier" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
