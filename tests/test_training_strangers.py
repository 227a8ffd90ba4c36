"""Goals of L1 that do not depend on who is seen: laid by landmarks, chosen fairly, kept outside."""

import numpy as np
import pytest
import torch
from skimage.transform import SimilarityTransform, warp
from torch.nn import functional as F

from tiny_faces import tiny_config, tiny_data
from unseen.errors import DataError
from unseen.faces.align import TEMPLATE, lay_over
from unseen.training.face_game import FaceGame
from unseen.training.processes import make_fabric
from unseen.training.strangers import occlude, occluders, someone_else

CPU = make_fabric(tiny_config().train)


def test_a_face_is_laid_over_another_as_scikit_image_does() -> None:
    rng = np.random.default_rng(0)
    picture = rng.random((50, 50, 3))
    own = np.array(TEMPLATE) * 0.4 + rng.normal(0, 1, (5, 2))
    turned = SimilarityTransform(scale=0.8, rotation=0.3, translation=(4, 2))
    onto = np.asarray(turned(own)) + rng.normal(0, 0.5, (5, 2))
    back = SimilarityTransform.from_estimate(own, onto).inverse
    expected = warp(picture, back, output_shape=(50, 50), order=1, mode="edge")
    found = lay_over(
        torch.from_numpy(picture).permute(2, 0, 1)[None],
        torch.from_numpy(own)[None],
        torch.from_numpy(onto)[None],
    )
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_strangers_are_others_and_each_as_likely() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 1, 2])
    drawn = torch.stack([someone_else(labels) for _ in range(3000)])
    assert bool((labels[drawn] != labels).all())
    counts = torch.stack([torch.bincount(column, minlength=4) for column in drawn.T])
    expected = torch.tensor(
        [[0, 0, 1 / 2, 1 / 2]] * 2 + [[1 / 3, 1 / 3, 0, 1 / 3]] + [[1 / 3] * 3 + [0]]
    )
    torch.testing.assert_close(counts / 3000, expected, atol=0.04, rtol=0)
    assert someone_else(torch.tensor([5, 5])).shape == (2,)


def test_shapes_lie_where_they_say_the_last_on_top() -> None:
    torch.manual_seed(2)
    shapes, colours = occluders(40, 3, 16)
    faces = torch.rand(40, 3, 16, 16)
    expected = faces.clone()
    for n, k, y, x in shapes.nonzero().tolist():  # in the order of the shapes of each face
        expected[n, :, y, x] = colours[n, k]
    assert torch.equal(occlude(faces, shapes, colours), expected)
    there = shapes.any((2, 3)).float().mean().item()
    assert 0.3 < there < 0.6  # half of them, and few too thin or too far out to meet a pixel
    sizes = shapes.sum((2, 3))[shapes.any((2, 3))].double() / 256
    assert sizes.min() < 0.03
    assert 0.15 < sizes.max() < 1.0


@pytest.mark.parametrize("goal", ["own", "stranger"])
def test_l1_is_to_the_goal(goal: str) -> None:
    torch.manual_seed(3)
    game = FaceGame(
        tiny_config(f"game.l1_goal={goal}", "game.occluders=2"),
        tiny_data().train,
        None,
        CPU,
    )
    batch = game.draw()
    own = game.batch(
        game.faces,
        game.order.at(game.moves - 1),
        np.random.default_rng([game.config.train.seed, 1, game.moves]),
    )
    assert not torch.equal(batch.faces, own.faces)  # there are shapes on them
    assert torch.equal(batch.goals, batch.faces) == (goal == "own")
    made = torch.rand_like(batch.faces)
    move = game._train_modifier(batch, made.requires_grad_(), playing=False)
    assert move.l1 == pytest.approx(F.l1_loss(made, batch.goals).item())


def test_measuring_sees_faces_as_they_are() -> None:
    game = FaceGame(
        tiny_config("game.l1_goal=stranger", "game.occluders=3"),
        tiny_data().train,
        None,
        CPU,
    )
    chosen = np.arange(3)
    plain = FaceGame(tiny_config(), tiny_data().train, None, CPU)
    assert torch.equal(game.batch(game.faces, chosen).faces, plain.batch(game.faces, chosen).faces)


def test_m_is_told_the_look_of_whom_it_is_asked_for() -> None:
    overrides = ("game.l1_goal=stranger", "modifier.sees=8", "modifier.looks=6")
    game = FaceGame(tiny_config(*overrides), tiny_data().train, None, CPU)
    batch = game.draw()
    assert batch.looks is not None
    own = game.modifier.looks_of(batch.faces)
    others = [
        [torch.allclose(look, own[k]) and label != batch.labels[k] for k in range(len(own))]
        for look, label in zip(batch.looks, batch.labels, strict=True)
    ]
    assert all(any(row) for row in others)
    assert not torch.allclose(
        game._modified(batch), game.modifier.modify(batch.faces, game.modifier.grain(4))
    )
    assert all(
        torch.equal(b, m)
        for b, m in zip(game.modifier.buffers(), game.result.buffers(), strict=True)
    )


def test_more_looks_than_faces_tell_apart_are_refused() -> None:
    overrides = ("game.l1_goal=stranger", "modifier.sees=8", "modifier.looks=12")
    with pytest.raises(DataError, match="more than 12 faces to learn from, and there are 12"):
        FaceGame(tiny_config(*overrides), tiny_data().train, None, CPU)
