"""From images on the disk to a result file, in Python and on the command line."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unseen.data.load  # noqa: F401 - registers the data sets
from face_trees import lfw
from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.modifier import FaceModifier, ModifierConfig, save_modifier
from unseen.cli import main
from unseen.commands.faces import fold_numbers
from unseen.data.face_images import Face, FaceImages, load_faces
from unseen.data.lfw import load_lfw
from unseen.data.seen import digest_of, write_seen
from unseen.errors import ConfigError, DataError, UnseenError
from unseen.evaluation import faces as evaluation
from unseen.evaluation.face_plan import FaceEvaluation
from unseen.evaluation.face_results import read_face_result, write_face_result
from unseen.evaluation.faces import evaluate_faces
from unseen.evaluation.modified_faces import batches

PLAIN = FaceEvaluation(folds=(3, 4), train_folds=(1, 2), attackers=())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lfw(tmp_path_factory.mktemp("lfw"), folds=4, people=8, images=6, pairs=16)


@pytest.fixture(scope="module")
def results(root: Path) -> dict[str, Path]:
    faces = load_lfw(root)
    out = root.parent / "results"
    for name, config in {
        "raw": PLAIN,
        "pixelate:2": PLAIN.model_copy(update={"resolution": 16}),
        "mask-face": PLAIN.model_copy(update={"adapt": False}),
    }.items():
        evaluate_faces(name, faces, out / f"{name}.json", config)
    return {path.stem: path for path in out.iterdir()}


def test_raw_faces_are_recognised_and_masked_ones_are_not(results: dict[str, Path]) -> None:
    raw, masked = (read_face_result(results[name]) for name in ("raw", "mask-face"))
    (row,) = raw["recognisers"]
    assert row["name"] == "fisher"
    assert row["trained_on"] == [1, 2]
    assert row["raw"]["accuracy"] > 0.8
    assert row["raw"] == row["modified"] == row["modified_one_side"] == row["adapted"]
    assert row["resized"] is None
    (blind,) = masked["recognisers"]
    assert blind["raw"] == row["raw"]  # the same recogniser on the same pairs
    assert blind["modified"]["accuracy"] < 0.65
    assert blind["adapted"] is None
    assert raw["identification"]["accuracy"] > 0.8
    assert raw["identification"]["chance"] == pytest.approx(1 / 16)
    assert masked["identification"]["accuracy"] < 0.4
    assert raw["data"]["people"] == 16
    assert raw["data"]["images"] == 2 * 8 * 6
    assert raw["data"]["blackened"] == 0
    assert raw["data"]["folds"] == [3, 4]
    assert raw["data"]["hash"] == masked["data"]["hash"]
    assert raw["recognisers"][0]["raw"]["pairs"] == 2 * 2 * 16


def test_an_attacker_that_knows_the_anonymizer_does_better(results: dict[str, Path]) -> None:
    result = read_face_result(results["pixelate:2"])
    (row,) = result["recognisers"]
    assert result["resolution"] == 16
    assert row["resized"]["accuracy"] > 0.7
    assert row["modified_one_side"] not in (row["modified"], row["raw"])
    assert row["modified"]["accuracy"] < row["raw"]["accuracy"]
    assert row["adapted"]["auc"] > row["modified"]["auc"]


def test_beside_a_learned_modifier_stands_what_its_resolution_does(
    root: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    modifier = FaceModifier(ModifierConfig(size=16, width=4, blocks=1))
    config = PLAIN.model_copy(update={"adapt": False})
    evaluate_faces(modifier, load_lfw(root), tmp_path / "learned.json", config)
    result = read_face_result(tmp_path / "learned.json")
    (row,) = result["recognisers"]
    (same,) = read_face_result(results["pixelate:2"])["recognisers"]
    assert result["resolution"] == 16
    assert row["resized"] == same["resized"] != row["modified"]


def test_those_who_learn_see_a_random_anonymizer_twice_and_never_the_noise_they_are_tested_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[int, int, int]] = []

    def counted(
        images: FaceImages, chosen: Sequence[int], anonymizer: Anonymizer | None, **options: Any
    ) -> Iterator[list[Face]]:
        if anonymizer is not None and anonymizer.random:
            passes.append((len(chosen), options["part"], options["draw"]))
        return batches(images, chosen, anonymizer, **options)

    monkeypatch.setattr(evaluation, "batches", counted)
    modifier = FaceModifier(ModifierConfig(size=16, width=4, blocks=1, sees=4, noise=0.1))
    evaluate_faces(modifier, load_lfw(root), tmp_path / "random.json", PLAIN)
    assert passes == [(96, 0, 0), (96, 0, 1), (96, 1, 0), (96, 1, 1)]


def modifier_of(people: Sequence[str] | None, folder: Path) -> Path:
    modifier = FaceModifier(ModifierConfig(size=16, width=4, blocks=1))
    save_modifier(modifier, folder, {})
    if people is not None:
        write_seen(folder, "people", map(digest_of, people))
    return folder


def test_a_modifier_is_not_measured_on_people_it_has_learned(root: Path, tmp_path: Path) -> None:
    faces = load_lfw(root)
    fold_2 = np.unique(faces.identity[faces.of_folds([2])])
    run = modifier_of([faces.people[i] for i in fold_2[:3]], tmp_path / "run")
    config = FaceEvaluation(train_folds=(1,), attackers=(), adapt=False)
    result = evaluate_faces(run, faces, tmp_path / "x.json", config)
    assert result["data"]["folds"] == [3, 4]
    assert (result["data"]["left_out"], result["data"]["unchecked"]) == (0, [])
    change = {"folds": (1, 2, 3)}
    with pytest.raises(ConfigError) as caught:
        evaluate_faces(run, faces, tmp_path / "y.json", config.model_copy(update=change))
    assert caught.value.faults == (
        "folds 1 are to be trained on and measured: a recogniser must not know the people it is "
        "measured on",
        "'run' was trained on people of folds 2, which are to be measured: name others "
        "(--folds 3,4)",
    )
    change = {"train_folds": (1, 3, 4)}
    with pytest.raises(ConfigError, match=r"no folds of lfw are left .* 'run' knows people of 2"):
        evaluate_faces(run, faces, tmp_path / "y.json", config.model_copy(update=change))


def test_where_folds_are_drawn_only_people_who_were_learned_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "duet-faces:16", "--train-folds", "1", "--pairs", "drawn",
             "--pairs-per-fold", "20", "--attackers", "none", "--no-adapt",
             "-o", str(tmp_path / "x.json")]  # fmt: skip
    people = load_faces("duet-faces:16").people
    run = modifier_of(people[:4], tmp_path / "run")
    assert main(["verify-faces", str(run), *words]) == 0
    assert "note: 4 people of duet-faces:16 are left out" in capsys.readouterr().err
    result = read_face_result(tmp_path / "x.json")
    assert result["data"]["left_out"] == 4
    assert result["data"]["people"] + result["data"]["train_images"] // 12 == 12
    before = modifier_of(None, tmp_path / "before")
    assert main(["verify-faces", str(before), *words]) == 0
    assert "note: no seen.json tells whom before has learned" in capsys.readouterr().err
    assert read_face_result(tmp_path / "x.json")["data"]["unchecked"] == ["before"]


def test_results_that_are_kept_are_whole_and_name_nobody() -> None:
    kept = sorted((Path(__file__).parents[1] / "results").glob("*/verification/*.json"))
    assert len(kept) > 2
    for path in kept:
        result = read_face_result(path)
        assert not set(result["data"]) & {"names", "root"}
        assert 0.5 < max(row["raw"]["accuracy"] for row in result["recognisers"]) <= 1


def test_a_broken_result_is_refused_with_all_that_is_wrong(
    results: dict[str, Path], tmp_path: Path
) -> None:
    result = read_face_result(results["raw"])
    result["recognisers"][0]["raw"]["accuracy"] = 1.5
    result["identification"]["extra"] = 1
    del result["seed"]
    with pytest.raises(DataError) as caught:
        write_face_result(tmp_path / "x.json", result)
    assert set(caught.value.faults) == {
        "the document: lacks seed",
        "identification: unknown field extra",
        "recognisers[0].raw.accuracy: must be at most 1, is 1.5",
    }
    assert not (tmp_path / "x.json").exists()
    result = read_face_result(results["raw"])
    result["identification"]["accuracy"] /= 2
    result["data"]["train_folds"] = [3]
    (tmp_path / "y.json").write_text(json.dumps(result))
    with pytest.raises(DataError) as caught:
        read_face_result(tmp_path / "y.json")
    assert caught.value.faults == (
        "data: a fold is both trained on and measured",
        "identification.accuracy: is not that of the best attacker",
    )
    (tmp_path / "z.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_face_result(tmp_path / "z.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_face_result(tmp_path / "none.json")


BAD: dict[str, tuple[dict[str, object], str]] = {
    "folds": ({"folds": (4, 5)}, "lfw in '.*' has no fold 5; there are: 1, 2, 3, 4"),
    "one fold": ({"folds": (3,)}, r"fold 3 alone .*: name at least two"),
    "overlap": ({"folds": (2, 3)}, "folds 2 are to be trained on and measured"),
    "untrained": ({"train_folds": ()}, "fisher must be trained: name folds"),
    "recogniser": ({"recognisers": ("fischer",)}, "unknown face recogniser 'fischer'"),
    "no recogniser": ({"recognisers": ()}, "name at least one recogniser"),
    "attacker": ({"attackers": ("cnnn",)}, "unknown model 'cnnn'"),
    "device": ({"device": "moon"}, "device 'moon' cannot be used"),
    "drawn": ({"pairs": "drawn", "pairs_per_fold": 999}, "too few to draw 999 of each"),
}


@pytest.mark.parametrize("name", BAD)
def test_settings_are_refused_before_any_work(root: Path, tmp_path: Path, name: str) -> None:
    change, message = BAD[name]
    with pytest.raises(UnseenError, match=message):
        evaluate_faces("raw", load_lfw(root), tmp_path / "x.json", PLAIN.model_copy(update=change))
    assert not list(tmp_path.iterdir())


def test_published_pairs_that_are_not_all_there(root: Path, tmp_path: Path) -> None:
    faces = load_lfw(lfw(tmp_path / "part", folds=4, people=8, images=6, pairs=16))
    gone = tmp_path / "part" / "Person_C_0" / "Person_C_0_0001.jpg"
    gone.unlink()
    faces = load_lfw(tmp_path / "part")
    with pytest.raises(DataError, match=r"4 of the 64 published pairs of folds 3, 4 name images"):
        evaluate_faces("raw", faces, tmp_path / "x.json", PLAIN)
    drawn = PLAIN.model_copy(update={"pairs": "drawn", "pairs_per_fold": 20})
    result = evaluate_faces("raw", faces, tmp_path / "x.json", drawn)
    assert result["recognisers"][0]["raw"]["pairs"] == 80
    assert result["data"]["pairs"] == "drawn"


def test_on_the_command_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    words = ["verify-faces", "pixelate:4", "--root", str(root), "--train-folds", "1,2",
             "--attackers", "none", "--resolution", "16", "-o", str(out)]  # fmt: skip
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "verification by fisher (50% is blind):" in printed
    for label in ("raw faces", "merely resized", "modified faces", "a modified and a raw face",
                  "modified, by one trained on modified faces"):  # fmt: skip
        assert label in printed
    assert "identification of 16 people by attackers trained on modified faces" in printed
    assert "chance 6.2%" in printed
    assert read_face_result(out)["data"]["folds"] == [3, 4]
    assert main(["face-gallery", "blur:4", "mask-face", "--root", str(root), "--people", "2",
                 "--folds", "3", "-o", str(tmp_path / "gallery")]) == 0  # fmt: skip
    assert {path.name for path in (tmp_path / "gallery").iterdir()} == {
        "anonymizers.png", "same-person-blur-4.png", "same-person-mask-face.png",
    }  # fmt: skip
    assert main(["face-figures", str(out), "-o", str(tmp_path / "figures")]) == 0
    assert (tmp_path / "figures" / "verification.svg").read_text().startswith("<?xml")


def test_faces_that_are_black_for_want_of_pixels_are_counted_and_told(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    assert main(["verify-faces", "blur:400", "--root", str(root), "--folds", "3,4",
                 "--train-folds", "1,2", "--recogniser", "fisher", "--attackers", "none",
                 "--no-adapt", "-o", str(out)]) == 0  # fmt: skip
    assert read_face_result(out)["data"]["blackened"] == 96
    assert "note: 96 of 96 faces had too few pixels for blur:400" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("verify-faces", "raw", "--root", "no", "-o", "x"), "there is no folder 'no'"),
        (("verify-faces", "mask-body", "--root", "no", "-o", "x"), "needs body boxes, which face"),
        (("verify-faces", "raw", "--data", "lfv", "--root", ".", "-o", "x"), "unknown face data"),
        (("verify-faces", "raw", "--root", ".", "--folds", "a", "-o", "x"), "'a' names no folds"),
        (("verify-faces", "raw", "--root", ".", "--resolution", "0", "-o", "x"), "resolution: "),
        (("face-gallery", "raw", "raw", "--root", ".", "-o", "x"), "the same title: raw, raw"),
        (("face-figures", "no.json", "-o", "x"), "these results cannot be drawn"),
    ],
)
def test_bad_input_ends_in_one_message(
    words: tuple[str, ...], message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_all_that_is_wrong_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["verify-faces", "blurr:8", "--data", "lfww", "--folds", "3-1", "--attackers", "cn",
             "--recogniser", "fish", "--device", "tpuu", "-o", "."]  # fmt: skip
    assert main(words) == 2
    error = capsys.readouterr().err
    for part in ("'3-1' names no folds", "mean 'lfw'", "mean 'blur'", "'tpuu' cannot be used",
                 ". is a folder", "mean 'fisher'", "mean 'cnn'"):  # fmt: skip
        assert error.count(part) == 1
    assert not list(tmp_path.iterdir())


def test_folds_in_words() -> None:
    assert fold_numbers(None) == ()
    assert fold_numbers("7,8") == (7, 8)
    assert fold_numbers("1-3, 6") == (1, 2, 3, 6)
    for wrong in ("1,9-7", "", "x", "1-", "2,2", "3-1", "-1"):
        with pytest.raises(ConfigError, match="names no folds"):
            fold_numbers(wrong)
