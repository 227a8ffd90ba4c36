"""SphereFace as a judge: what it is shown, that it learns, and a run's D."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.transform import SimilarityTransform, warp

import unseen.data.load  # noqa: F401 - registers the data sets
from face_trees import lfw
from tiny_faces import tiny_config, tiny_data
from unseen.cli import main
from unseen.data.face_images import CENTRED, Face, FaceImages, load_faces
from unseen.data.lfw import load_lfw
from unseen.data.seen import SEEN_FILE, digest_of, write_seen
from unseen.errors import ConfigError, WeightsError
from unseen.evaluation.face_plan import FaceEvaluation
from unseen.evaluation.face_results import read_face_result
from unseen.evaluation.faces import evaluate_faces
from unseen.evaluation.verification import verify
from unseen.faces.align import TEMPLATE
from unseen.models import recogniser_sphereface, sphereface
from unseen.models.recogniser import Recogniser
from unseen.models.recognisers import load_recogniser
from unseen.models.sphereface import RECOGNISER_FILE, save_classifier
from unseen.training.face_run import train_faces


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recogniser_sphereface, "_STEPS", (60, 60))


@pytest.fixture(scope="module")
def faces() -> FaceImages:
    return load_faces("duet-faces:16")


def read(
    recogniser: Recogniser, faces: FaceImages, people: range
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    chosen = np.flatnonzero(np.isin(faces.identity, people))
    return recogniser.features([faces[int(i)] for i in chosen]), faces.identity[chosen]


def test_faces_are_aligned_by_their_landmarks(faces: FaceImages) -> None:
    face = faces[5]
    assert face.landmarks is not None
    found = load_recogniser("sphereface-small:4").features([face])
    assert found.dtype == np.uint8
    moved = SimilarityTransform.from_estimate(face.landmarks, np.array(TEMPLATE))
    wanted = warp(face.image, moved.inverse, output_shape=(112, 96), order=1, mode="edge")
    assert np.abs(found.reshape(112, 96, 3) - 255 * wanted).max() < 1.5


def test_without_landmarks_they_are_where_lfw_has_them() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (250, 250, 3), dtype=np.uint8)
    box = np.array(CENTRED.box, np.float32) * 250
    points = (np.array(CENTRED.landmarks) * 250 - 0.5).astype(np.float32)
    known, unknown = (
        load_recogniser("sphereface-small:4").features([Face(picture, box, landmarks)])
        for landmarks in (points, None)
    )
    assert np.abs(known.astype(int) - unknown.astype(int)).max() <= 1


def test_people_who_were_not_learned_are_told_apart(faces: FaceImages) -> None:
    untrained = load_recogniser("sphereface-small:8")
    assert untrained.trainable
    features, identity = read(untrained, faces, range(10))
    state = torch.random.get_rng_state()
    fitted = untrained.fit(features, identity)
    assert torch.equal(torch.random.get_rng_state(), state)  # other parts draw as before
    others, who = read(fitted, faces, range(10, 16))
    embedded = fitted.embed(others)
    assert embedded.shape == (72, 64)
    np.testing.assert_allclose(fitted.embed(others[40:]), embedded[40:], atol=1e-4)
    first, second = np.triu_indices(len(who), 1)
    same = who[first] == who[second]
    fold = 1 + np.minimum(who[first], who[second]) % 2
    found = verify(fitted.similarity(embedded[first], embedded[second]), same, fold)
    assert found.auc > 0.75
    with pytest.raises(ConfigError, match="must be trained before it recognises anyone"):
        untrained.embed(others)
    with pytest.raises(ConfigError, match="not from 12 images of 1"):
        untrained.fit(features[:12], identity[:12])


def test_training_is_the_same_each_time(faces: FaceImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recogniser_sphereface, "_STEPS", (3, 3))
    recogniser = load_recogniser("sphereface-small:4")
    features, identity = read(recogniser, faces, range(3))
    one, other = (recogniser.fit(features, identity).embed(features) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_run_is_judged_by_its_own_d_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train_faces(tiny_config("data.train_folds=1,2", "data.val_folds=3"), tiny_data(), run)
    recogniser = load_recogniser(f"sphereface:{run}")
    assert (recogniser.name, recogniser.trainable) == ("sphereface:run", False)
    assert recogniser.folds == (1, 2)
    out = tmp_path / "result.json"
    words = ["verify-faces", str(run), "--data", "duet-faces:8", "--pairs", "drawn",
             "--pairs-per-fold", "10", "--recogniser", f"sphereface:{run}", "--attackers", "none",
             "-o", str(out)]  # fmt: skip
    assert main(words) == 0
    (row,) = read_face_result(out)["recognisers"]
    assert (row["name"], row["trained_on"], row["adapted"]) == ("sphereface:run", None, None)
    assert "sphereface:run played in the game of this modifier" in capsys.readouterr().err
    assert main(["face-gallery", str(run), "--data", "duet-faces:8", "--people", "2",
                 "-o", str(tmp_path / "gallery")]) == 0  # fmt: skip
    assert "real people" not in capsys.readouterr().out
    people = load_lfw(lfw(tmp_path / "lfw", folds=3, images=6, pairs=8))
    about = json.loads((run / RECOGNISER_FILE).read_text())
    learned = {digest_of(person) for person in people.people if "_A_" in person}
    write_seen(run, "people", learned)
    config = FaceEvaluation(recognisers=(f"sphereface:{run}",), folds=(1, 3), attackers=())
    with pytest.raises(
        ConfigError, match=r"people of folds 1, which .*: name others \(--folds 2,3"
    ):
        evaluate_faces("raw", people, tmp_path / "x.json", config)
    # Saved before: it has learned people of folds 1 and 2 of LFW, who they are is not told.
    (run / SEEN_FILE).unlink()
    config = FaceEvaluation(recognisers=(f"sphereface:{run}",), folds=(2, 3), attackers=())
    with pytest.raises(ConfigError, match="was trained on people of folds 2, which are to be meas"):
        evaluate_faces("raw", people, tmp_path / "x.json", config)
    evaluate_faces("raw", replace(people, name="orl"), tmp_path / "x.json", config)
    (run / RECOGNISER_FILE).write_text(json.dumps(about | {"identities": 9}))
    with pytest.raises(WeightsError, match="is damaged"):
        load_recogniser(f"sphereface:{run}")


def test_the_d_of_a_run_computes_where_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_classifier(sphereface.FaceClassifier("sphereface-small:4", 2), tmp_path)
    recogniser = load_recogniser(f"sphereface:{tmp_path}", "meta")
    seen: list[str] = []

    def embed(self: sphereface.FaceClassifier, faces: torch.Tensor) -> torch.Tensor:
        seen.extend([faces.device.type, next(self.parameters()).device.type])
        return torch.zeros(len(faces), 32)

    monkeypatch.setattr(sphereface.FaceClassifier, "embed", embed)
    recogniser.embed(np.zeros((2, 112 * 96 * 3), np.uint8))
    assert seen == ["meta", "meta"]


def test_what_cannot_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the width must be a multiple of 4"):
        load_recogniser("sphereface-small:6")
    with pytest.raises(ConfigError, match="needs the folder of a run"):
        load_recogniser("sphereface")
    with pytest.raises(WeightsError, match="holds no recogniser"):
        load_recogniser(f"sphereface:{tmp_path}")


def test_generated_people_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recogniser_sphereface, "_STEPS", (4, 4))
    out = tmp_path / "result.json"
    words = ["verify-faces", "mask", "--data", "duet-faces:16", "--train-folds", "1,2",
             "--recogniser", "fisher,sphereface-small:4", "--attackers", "none",
             "-o", str(out)]  # fmt: skip
    assert main(words) == 2
    assert "has no published pairs: draw them (--pairs drawn)" in capsys.readouterr().err
    assert main([*words, "--pairs", "drawn", "--pairs-per-fold", "20"]) == 0
    result = read_face_result(out)
    assert result["data"]["name"] == "duet-faces:16"
    assert [row["name"] for row in result["recognisers"]] == ["fisher", "sphereface-small:4"]
    fisher, network = result["recognisers"]
    assert fisher["raw"]["accuracy"] > 0.7
    assert fisher["modified"]["accuracy"] == 0.5
    assert network["trained_on"] == [1, 2]
    assert network["adapted"]["pairs"] == 80
    assert {each["name"] for each in result["identification"]["attackers"]} == {
        "fisher", "sphereface-small:4",
    }  # fmt: skip
