import sys

import numpy as np
import pytest
from skimage.feature import hog

from face_trees import face
from unseen.data.face_images import Face, crop
from unseen.errors import ConfigError, UnknownNameError
from unseen.evaluation.verification import verify
from unseen.models.recogniser_fisher import Fisher
from unseen.models.recognisers import load_recogniser


def faces_of(people: range, takes: range) -> tuple[list[Face], np.ndarray]:
    box = np.array([8, 8, 52, 52], np.float32)
    found = [Face(face(person, take), box) for person in people for take in takes]
    return found, np.repeat(np.arange(len(people)), len(takes))


@pytest.fixture(scope="module")
def fisher() -> Fisher:
    faces, identity = faces_of(range(20), range(4))
    return Fisher().fit(Fisher().features(faces), identity)


def test_people_who_were_not_learned_are_told_apart(fisher: Fisher) -> None:
    faces, identity = faces_of(range(100, 112), range(4))
    embedded = fisher.embed(fisher.features(faces))
    first, second = np.triu_indices(len(faces), 1)
    same = identity[first] == identity[second]
    chosen = same | (np.arange(len(same)) % 8 == 0)
    first, second, same = first[chosen], second[chosen], same[chosen]
    fold = 1 + np.minimum(identity[first], identity[second]) % 3
    similarity = fisher.similarity(embedded[first], embedded[second])
    assert verify(similarity, same, fold).auc > 0.9
    shuffled = np.random.default_rng(0).permutation(same)
    assert verify(similarity, shuffled, fold).auc < 0.7


def test_gradient_histograms_are_those_of_scikit_image() -> None:
    """Up to OpenCV's interpolation between cells: they must be alike, and unlike other faces'."""
    faces, _ = faces_of(range(6), range(1))
    ours = Fisher().features(faces) ** 2
    theirs = []
    for each in faces:
        image = crop(each, Fisher.enlargement, Fisher.side).astype(np.float64)
        grey = image @ [0.299, 0.587, 0.114]
        theirs.append(hog(grey, 9, (8, 8), (2, 2), block_norm="L2-Hys", feature_vector=False))
    assert ours.shape == (6, 7 * 7 * 2 * 2 * 9)
    # OpenCV goes through blocks column by column; within a block, cells likewise.
    blocks = ours.reshape(6, 7, 7, 2, 2, 9).transpose(0, 2, 1, 4, 3, 5)
    alike = np.corrcoef(
        blocks.sum((3, 4)).reshape(6, -1), np.stack(theirs).sum((3, 4)).reshape(6, -1)
    )
    across = alike[:6, 6:]
    assert (across.argmax(1) == np.arange(6)).all()
    assert np.diag(across).min() > np.delete(across.ravel(), np.arange(0, 36, 7)).max()


def test_training_needs_several_images_of_several_people() -> None:
    faces, _ = faces_of(range(3), range(2))
    features = Fisher().features(faces)
    with pytest.raises(ConfigError, match="not from 6 images of 6"):
        Fisher().fit(features, np.arange(6))
    with pytest.raises(ConfigError, match="not from 6 images of 1"):
        Fisher().fit(features, np.zeros(6, np.int64))
    with pytest.raises(ConfigError, match="'fisher' must be trained before"):
        Fisher().embed(features)


def test_where_nothing_is_left_everyone_is_alike() -> None:
    blank = np.full((60, 60, 3), 9, np.uint8)
    features = Fisher().features([Face(blank, np.array([8, 8, 52, 52], np.float32))] * 6)
    embedded = Fisher().fit(features, np.array([0, 0, 0, 1, 1, 1])).embed(features)
    assert len(set(Fisher().similarity(embedded[:3], embedded[3:]).tolist())) == 1


def test_similarity_is_the_cosine() -> None:
    one = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], np.float32)
    other = np.array([[2.0, 0.0], [-1.0, 1.0], [1.0, 0.0]], np.float32)
    np.testing.assert_allclose(Fisher().similarity(one, other), [1.0, 0.0, 0.0], atol=1e-6)


def test_recognisers_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_recogniser("fisher").trainable
    with pytest.raises(UnknownNameError, match=r"unknown face recogniser 'fischer' \(did you mean"):
        load_recogniser("fischer")
    with pytest.raises(ConfigError, match="takes no option"):
        load_recogniser("fisher:3")
    monkeypatch.setitem(sys.modules, "dlib", None)  # as where it is not installed
    with pytest.raises(ConfigError, match=r"needs the package dlib-bin.*pip install 'unseen\[dlib"):
        load_recogniser("dlib")
