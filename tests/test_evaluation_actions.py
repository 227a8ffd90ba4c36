"""Frame mAP behind anonymizers of faces: from a run or a name to a result file."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tiny_faces import tiny_config, tiny_faces
from unseen.cli import main
from unseen.data.action_frames import ACTION_FRAMES, ActionFrames, ActionPicture
from unseen.data.clips import SPLITS, SplitName
from unseen.data.drawn_actions import DrawnFrames
from unseen.errors import ConfigError, DataError, RunError, UnseenError
from unseen.evaluation.actions import _refuse_other_split, evaluate_actions
from unseen.evaluation.face_results import read_face_result, write_face_result
from unseen.face_config import FaceRunConfig, load_face_config
from unseen.faces.actions import FacesFound
from unseen.registry import Spec
from unseen.training.detector import train_detector
from unseen.training.face_data import FaceData
from unseen.training.face_run import train_faces

NAMES = ("red", "blue")
OVERRIDES = (
    "data.actions=coloured-faces", "data.short_side=48", "detector=faster-rcnn-small:2",
    "train.frames=2", "train.steps=80", "train.finish=40", "train.lr_detector=2e-3",
    "train.threads=1",
)  # fmt: skip


def _draw(split: SplitName, number: int) -> ActionPicture:
    """A grey person; nothing but the colour of the face says what they do."""
    rng = np.random.default_rng([SPLITS.index(split), number])
    image = rng.integers(0, 30, (48, 48, 3), dtype=np.uint8)
    x, y = rng.integers(2, 8, 2)
    image[y : y + 36, x : x + 28] = 150
    image[y + 4 : y + 20, x + 6 : x + 22] = (250, 20, 20) if number % 2 == 0 else (20, 20, 250)
    face = np.array([[x + 9, y + 7, x + 19, y + 17]], np.float32)
    body = np.array([[x, y, x + 28, y + 36]], np.float32)
    return ActionPicture(image, body, np.array([number % 2]), face)


def _coloured(spec: Spec, root: Path | None, side: int) -> ActionFrames:
    return DrawnFrames("coloured-faces", NAMES, {"train": 16, "test": 20}, _draw)


ACTION_FRAMES.add("coloured-faces", _coloured)


@pytest.fixture(scope="module")
def config() -> FaceRunConfig:
    return load_face_config("duet-faces", OVERRIDES)


def test_actions_at_the_face_are_found_unless_it_is_masked(
    config: FaceRunConfig, tmp_path: Path
) -> None:
    raw, masked = (
        evaluate_actions(name, config, tmp_path / f"{name}.json") for name in ("raw", "mask")
    )
    assert raw["fresh"]["mean"] > 0.95
    assert masked["fresh"]["mean"] < 0.85  # found, but which of two it is can only be guessed
    assert set(raw["fresh"]["per_class"]) == set(NAMES)
    low, high = raw["fresh"]["interval"]
    assert 0 <= low <= raw["fresh"]["mean"] <= high <= 1
    assert raw["fresh"]["steps"] == 120
    assert raw["own"] is None
    assert raw["data"]["hash"] == masked["data"]["hash"]
    assert (raw["data"]["test_frames"], raw["data"]["test_faces"]) == (20, 20)
    assert read_face_result(tmp_path / "raw.json") == raw
    again = evaluate_actions("raw", config, tmp_path / "again.json")
    assert again["fresh"] == raw["fresh"]


def test_the_detector_learns_from_what_it_is_shown(config: FaceRunConfig) -> None:
    frames = _coloured(Spec("coloured-faces"), None, 0).of_split("train")
    seen: list[int] = []

    def shown(picture: ActionPicture) -> npt.NDArray[np.uint8]:
        seen.append(int(torch.randint(1000, ())))
        return np.zeros_like(picture.image)

    short = config.model_copy(
        update={"train": config.train.model_copy(update={"steps": 3, "finish": 0})}
    )
    detector = train_detector(short, frames, shown, "cpu")
    assert len(seen) == 6
    assert len(set(seen)) == 6  # a random anonymizer is drawn anew for each
    assert not detector.training
    first = seen.copy()
    train_detector(short, frames, shown, "cpu")
    assert seen[6:] == first
    wild = short.model_copy(
        update={"train": short.train.model_copy(update={"lr_detector": 1e30, "steps": 20})}
    )
    with pytest.raises(RunError, match="diverged: a gradient of ActionDetector is not finite"):
        train_detector(wild, frames, shown, "cpu")


def test_the_detectors_step_size_falls_once(config: FaceRunConfig) -> None:
    frames = _coloured(Spec("coloured-faces"), None, 0).of_split("train")

    def weights(steps: int, lr_drop: float) -> torch.Tensor:
        train = config.train.model_copy(
            update={"steps": steps, "finish": 1, "lr_drop": lr_drop, "lr_detector": 1e-4}
        )
        settings = config.model_copy(update={"train": train})
        found = train_detector(settings, frames, lambda picture: picture.image, "cpu")
        return torch.cat([weight.detach().flatten() for weight in found.parameters()])

    # One step, then a second as large, or a tenth of it: Adam's steps are the rate's multiples.
    one, large, small = weights(0, 1.0), weights(1, 1.0), weights(1, 0.5)
    moved = (large - one).abs() > 1e-5
    assert moved.float().mean() > 0.5
    torch.testing.assert_close(
        (small - one)[moved], 0.1 * (large - one)[moved], rtol=0.02, atol=1e-7
    )


@pytest.mark.parametrize(
    ("learned", "measured", "refused"),
    [
        ("jhmdb", "jhmdb:2", True), ("jhmdb:3", "jhmdb:1", True), ("jhmdb", "jhmdb:1", False),
        ("daly", "jhmdb:2", False), ("duet-faces:40", "duet-faces:80", False),
    ],
)  # fmt: skip
def test_a_run_is_not_measured_on_what_it_learned_from(
    learned: str, measured: str, refused: bool, tmp_path: Path
) -> None:
    """The test videos of one split of JHMDB are mostly in the training of another."""
    run = load_face_config("duet-faces", [f"data.actions={learned}"])
    (tmp_path / "config.json").write_text(run.model_dump_json(indent=2))
    if refused:
        with pytest.raises(ConfigError, match=f"learned from {learned}, and {measured} tests on"):
            _refuse_other_split(tmp_path, measured)
    else:
        _refuse_other_split(tmp_path, measured)


def test_extracted_frames_are_known_by_what_they_are_of(run: Path, tmp_path: Path) -> None:
    """A run that learned from a folder of key frames, whose settings do not tell the split."""
    learned = tmp_path / "learned"
    copytree(run, learned)
    settings = tiny_config("data.actions=keyframes", "data.actions_root=frames")
    (learned / "config.json").write_text(settings.model_dump_json(indent=2))
    _refuse_other_split(learned, "jhmdb:2")
    contract = learned / "anonymizer.json"
    about = json.loads(contract.read_text())
    assert about["about"]["actions"] == "coloured-faces"
    about["about"]["actions"] = "jhmdb"
    contract.write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="learned from jhmdb, and jhmdb:2 tests on much of that"):
        _refuse_other_split(learned, "jhmdb:2")
    _refuse_other_split(learned, "jhmdb:1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose game had these frames."""
    folder = tmp_path_factory.mktemp("runs") / "modified"
    actions = FacesFound(_coloured(Spec("coloured-faces"), None, 0).of_split("train"))
    data = FaceData(tiny_faces(4, 3), tiny_faces(3, 3, 100), actions)
    train_faces(tiny_config("data.actions=coloured-faces"), data, folder)
    return folder


def test_a_run_is_measured_with_its_own_detector_too(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    assert main(["evaluate-actions", "train.steps=4", str(run), "-o", str(out)]) == 0
    result = read_face_result(out)
    assert result["name"] == "modified"
    assert result["configuration"]["modifier"]["size"] == 24  # the run's own configuration
    assert result["fresh"]["steps"] == 6
    assert result["own"]["frames"] == 20
    assert "steps" not in result["own"]
    printed = capsys.readouterr().out
    assert (
        "frame mAP at IoU 0.5 on 20 test frames of coloured-faces, 20 faces behind mod" in printed
    )
    for label in ("detector trained behind it, 6 steps", "detector of its game", "red ", "blue "):
        assert label in printed
    words = ["evaluate-actions", str(run), "--data", "duet-faces:4", "train.steps=1",
             "train.finish=0", "-o", str(out)]  # fmt: skip
    assert main(words) == 0
    assert read_face_result(out)["own"] is None  # it knows other actions


def test_a_detector_that_is_damaged_is_refused(run: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in run.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (damaged / "detector.safetensors").write_bytes(b"nothing")
    with pytest.raises(UnseenError, match=r"the action detector in .* is damaged"):
        evaluate_actions(damaged, tiny_config("data.actions=coloured-faces"), tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mask-body",), "'mask-body' needs body boxes, which face images lack"),
        (("blurr:8",), "did you mean 'blur'?"),
        (("raw", "--data", "daly"), "are in a folder: name it"),
        (("raw", "--data", "dally"), "unknown action detection set 'dally'"),
        (("raw", "--preset", "lfw-faces"), "no frames of actions: name them with --data"),
        (("raw", "--preset", "duet"), "unknown face preset 'duet'"),
        (("raw", "train.stepz=1"), "did you mean 'train.steps'?"),
        (("raw", "--root", "mine"), "'mine' is not read, as the frames of 'duet-faces:"),
        (("raw", "--data", "duet:4", "--root", "mine"), "as the frames of 'duet:4' are drawn"),
    ],
)
def test_bad_input_ends_in_one_message(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate-actions", *words, "-o", str(tmp_path / "x.json")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())
    assert main(["evaluate-actions", *words, "-o", str(tmp_path)]) == 2


def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("blurr:8", "--data", "dally", "-o", str(tmp_path), "detector=faster-rcnn-smal:4")
    assert main(["evaluate-actions", *words]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'blur'?" in error
    assert "unknown action detection set 'dally'" in error
    assert "did you mean 'faster-rcnn-small'?" in error
    assert "is a folder" in error
    assert main(["evaluate-actions", *words, "train.stepz=1"]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'train.steps'?" in error
    assert "did you mean 'blur'?" in error
    assert "is a folder" in error


def test_a_broken_result_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        evaluate_actions("raw", tiny_config("data.actions=coloured-faces"), tmp_path)
    path = tmp_path / "x.json"
    config = tiny_config("data.actions=coloured-faces", "train.steps=1", "train.finish=0")
    result = evaluate_actions("raw", config, path)
    result["fresh"]["mean"] = 1.2
    del result["fresh"]["steps"]
    with pytest.raises(DataError) as caught:
        write_face_result(tmp_path / "y.json", result)
    assert set(caught.value.faults) == {
        "fresh: lacks steps", "fresh.mean: must be at most 1, is 1.2",
    }  # fmt: skip
    path.write_text(json.dumps(result))
    with pytest.raises(DataError, match="2 faults"):
        read_face_result(path)


def test_results_that_are_kept_are_whole() -> None:
    kept = sorted((Path(__file__).parents[1] / "results").glob("*/actions/*.json"))
    assert {path.stem for path in kept} >= {"raw", "duet-faces", "mask"}
    for path in kept:
        result = read_face_result(path)
        assert result["schema"] == "unseen/actions/1"
        assert 0.3 < result["fresh"]["mean"] < 1
