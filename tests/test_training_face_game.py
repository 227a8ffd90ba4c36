"""Moves of Ren18's game: who moves, in which direction, and who does not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tiny_faces import tiny_config, tiny_data
from unseen.data.action_frames import ActionPicture
from unseen.data.clips import SplitName
from unseen.data.drawn_actions import DrawnFrames
from unseen.faces.actions import FacesFound
from unseen.faces.align import align
from unseen.models.critic import critic_loss, realism_loss
from unseen.models.sphereface import angular_softmax
from unseen.training.face_game import FaceBatch, FaceGame
from unseen.training.face_objectives import FACE_OBJECTIVES, Exposed
from unseen.training.processes import make_fabric

CPU = make_fabric(tiny_config().train)


def _game(*overrides: str, actions: bool = False) -> FaceGame:
    data = tiny_data(actions=actions)
    return FaceGame(tiny_config(*overrides), data.train, data.actions, CPU)


def _weights(game: FaceGame) -> dict[str, dict[str, Tensor]]:
    return {
        name: {k: v.clone() for k, v in module.state_dict().items()}
        for name, module in game.modules().items()
    }


def _moved(game: FaceGame, move: Callable[[], Any]) -> set[str]:
    before = _weights(game)
    move()
    after = _weights(game)
    return {
        name
        for name, state in before.items()
        if any(not torch.equal(value, after[name][key]) for key, value in state.items())
    }


@pytest.mark.parametrize(
    ("move", "moved"),
    [
        ("recognise_step", {"recogniser"}),
        ("reconstruct_step", {"modifier"}),
        ("recogniser_step", {"recogniser"}),
        ("round", {"modifier", "recogniser", "critic", "detector"}),
        ("detector_step", {"detector"}),
    ],
)
def test_each_move_moves_its_players_only(move: str, moved: set[str]) -> None:
    game = _game("game.realism=1", actions=True)
    assert _moved(game, getattr(game, move)) == moved
    assert all(p.requires_grad for m in game.modules().values() for p in m.parameters())


@pytest.mark.parametrize("objective", list(FACE_OBJECTIVES))
def test_a_round_by_every_objective(objective: str) -> None:
    """The random labels of Ren18 5.6 among them."""
    game = _game(f"game.objectives={objective}", actions=True)
    assert _moved(game, game.round) == {"modifier", "recogniser", "detector"}
    loss, move = game.round()
    assert np.isfinite([loss, move.privacy, move.l1]).all()


def test_in_a_round_d_learns_before_m_meets_it() -> None:
    """Algorithm 1, line 3 before line 9: what M's step measures is of the D that has learned."""
    game, by_hand = _game("game.l1=0"), _game("game.l1=0")
    game.set_rate(20.0)
    by_hand.set_rate(20.0)
    _, move = game.round()
    batch = by_hand.draw()
    modified = by_hand._modified(batch)
    before = -float(by_hand._recognition(modified, batch).mean().detach())
    by_hand._train_recogniser(batch, modified.detach())
    after = -float(by_hand._recognition(modified, batch).mean().detach())
    assert abs(after - before) > 1e-3
    assert move.privacy == pytest.approx(after, rel=1e-4)


def test_adam_and_its_step_sizes_are_the_papers() -> None:
    """Ren18 4: beta_1 of 0.5, and 1e-3 for A, 3e-4 for M and D; then a tenth of it."""
    game = _game(
        "train.lr_detector=1e-3", "train.lr_modifier=3e-4", "train.lr_recogniser=3e-4",
        "train.beta1=0.5", actions=True,
    )  # fmt: skip
    for factor in (1.0, 0.1):
        game.set_rate(factor)
        for name, rate in (("detector", 1e-3), ("modifier", 3e-4), ("recogniser", 3e-4)):
            (group,) = game.adam[name].param_groups
            assert group["lr"] == pytest.approx(rate * factor)
            assert group["betas"] == (0.5, 0.999)


def test_the_mean_of_m_is_what_a_run_leaves() -> None:
    game = _game("game.average=0.75", actions=True)
    expected: dict[str, Tensor] = {}
    for _ in range(3):
        game.round()
        now = game.modifier.state_dict()
        expected = {k: 0.75 * expected.get(k, v) + 0.25 * v for k, v in now.items()}
    for key, value in game.result.state_dict().items():
        torch.testing.assert_close(value, expected[key])
    assert any(not torch.equal(v, expected[k]) for k, v in game.modifier.state_dict().items())
    assert _moved(game, game.detector_step) == {"detector"}
    assert _game().result is not None
    assert _game().mean is None


def _loss_of_d(game: FaceGame, batch: FaceBatch, faces: Tensor) -> float:
    with torch.no_grad():
        seen = game.recogniser(align(faces, batch.landmarks))
        margin = game.config.game.margin
        return float(angular_softmax(seen, batch.labels, margin=margin, ease=game.ease).mean())


def test_d_descends_its_loss_on_modified_and_on_real_faces() -> None:
    """Maximising L_adv = -L_D(M(f)) - L_D(f) over D (eq. 2)."""
    game = _game("train.lr_recogniser=1e-3", "game.margin=1")
    batch = game.draw()
    modified = game.modifier.modify(batch.faces, game.modifier.grain(4)).detach()
    before = [_loss_of_d(game, batch, faces) for faces in (modified, batch.faces)]
    first = game._train_recogniser(batch, modified)
    assert first == pytest.approx(sum(before), rel=1e-4)
    for _ in range(10):
        game._train_recogniser(batch, modified)
    after = [_loss_of_d(game, batch, faces) for faces in (modified, batch.faces)]
    assert after[0] < before[0]
    assert after[1] < before[1]


def test_m_ascends_the_loss_of_d_on_modified_faces() -> None:
    """Minimising L_adv over M; with lambda = 0 nothing else counts."""
    game = _game("game.l1=0", "game.margin=1", "game.ease=0", "train.lr_modifier=1e-3")
    batch = game.draw()

    def modified() -> Tensor:
        return game.modifier.modify(batch.faces, game.modifier.grain(4))

    before = _loss_of_d(game, batch, modified())
    move = game._train_modifier(batch, modified(), playing=True)
    assert move.privacy == pytest.approx(-before, rel=1e-4)
    for _ in range(10):
        game._train_modifier(batch, modified(), playing=True)
    assert _loss_of_d(game, batch, modified()) > before


def test_the_gradient_of_m_is_that_of_the_sum_by_hand() -> None:
    """gamma * L_adv + lambda * L1, each gradient taken by itself."""
    game = _game("game.gamma=0.7", "game.l1=3", "train.lr_modifier=1e-9")
    batch = game.draw()
    faces = game.modifier.modify(batch.faces, game.modifier.grain(4))
    seen = game.recogniser(align(faces, batch.landmarks))
    loss = -0.7 * angular_softmax(seen, batch.labels, margin=4, ease=5.0).mean()
    loss = loss + 3 * (faces - batch.faces).abs().mean()
    expected = torch.autograd.grad(loss, list(game.modifier.parameters()))
    norm = torch.cat([g.flatten() for g in expected]).norm()
    made = game.modifier.modify(batch.faces, game.modifier.grain(4))
    game._train_modifier(batch, made, playing=True)
    for found, wanted in zip(game.modifier.parameters(), expected, strict=True):
        assert found.grad is not None
        clipped = wanted * min(1.0, 5.0 / float(norm))
        torch.testing.assert_close(found.grad, clipped, atol=1e-5, rtol=1e-3)


def test_all_faces_of_a_frame_are_modified_and_nothing_else() -> None:
    """v' = v - r_v + M(r_v) (eq. 1), with each face of a frame; one without any stays as it is."""
    boxes = np.array([[6, 8, 16, 20], [40, 10, 52, 26]], np.float32)

    def draw(split: SplitName, number: int) -> ActionPicture:
        image = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        action = np.array([[10, 2, 40, 46]], np.float32)
        return ActionPicture(image, action, np.array([0]), boxes[: 2 * number])

    counts: dict[SplitName, int] = {"train": 2, "test": 1}
    actions = FacesFound(DrawnFrames("two", ("wave", "sit"), counts, draw).of_split("train"))
    game = FaceGame(tiny_config(), tiny_data().train, actions, CPU)
    game.draw()
    with torch.no_grad():
        frames, _ = game._modified_frames(game.modifier)
    assert sorted(game.frame_order.at(game.moves - 1).tolist()) == [0, 1]
    for k, frame in zip(game.frame_order.at(game.moves - 1), frames, strict=True):
        raw = torch.from_numpy(draw("train", int(k)).image).permute(2, 0, 1) / 255
        changed = ((frame - raw).abs() > 1e-6).any(0).numpy()
        expected = np.zeros((48, 64), bool)
        if k:  # enlarged 1.6 times about their centres (5.2), to whole pixels
            expected[4:24, 3:19] = expected[5:31, 36:56] = True
        assert not changed[~expected].any()
        assert not k or changed[expected].mean() > 0.99


def test_frames_of_several_processes_are_those_of_one() -> None:
    """Each frame with noise of its own, the same whoever computes it."""
    limited = ("modifier.sees=4", "modifier.noise=0.3", "train.frames=4")
    one = _game(*limited, actions=True)
    one.draw()
    with torch.no_grad():
        whole, _ = one._modified_frames(one.modifier)
    found: dict[int, Tensor] = {}
    for rank in (0, 1):
        game = _game(*limited, actions=True)
        game.draw()
        game.fabric = SimpleNamespace(global_rank=rank, world_size=2)  # type: ignore[assignment]
        with torch.no_grad():
            share, _ = game._modified_frames(game.modifier)
        found |= dict(zip(range(rank, 4, 2), share, strict=True))
    assert all(torch.equal(frame, found[k]) for k, frame in enumerate(whole))


def _detection(game: FaceGame) -> float:
    """L_det of the frames of this move, sampled the same each time."""
    torch.manual_seed(3)
    with torch.no_grad():
        return float(game._detection(game.modifier))


@pytest.mark.parametrize("alone", ["modifier", "detector"])
def test_m_and_a_both_lower_the_loss_of_detection(alone: str) -> None:
    """With L_det alone (eq. 1), on the same frames, each of them while the other stays."""
    game = _game("game.l1=0", "game.gamma=0", "train.lr_modifier=5e-3", actions=True)
    batch = game.draw()
    other = {"modifier": "detector", "detector": "modifier"}[alone]
    for group in game.adam[other].param_groups:
        group["lr"] = 0.0
    before = _detection(game)
    for _ in range(12):
        torch.manual_seed(3)
        made = game.modifier.modify(batch.faces, game.modifier.grain(4))
        move = game._train_modifier(batch, made, playing=True)
        assert move.detection > 0
    assert _detection(game) < before - (0.005 if alone == "modifier" else 0.3)


def test_at_last_a_alone_lowers_it() -> None:
    """Algorithm 1, line 11."""
    game = _game(actions=True)
    game.draw()
    move, before = game.moves, _detection(game)
    for _ in range(12):
        game.detector_step()
    game.moves = move  # the same frames again
    assert _detection(game) < before - 0.3


@pytest.mark.parametrize("objectives", ["distance", "distance,negative_entropy"])
def test_the_gradient_of_m_by_several_objectives_and_by_the_critic(objectives: str) -> None:
    """gamma times the sum of the objectives, and `realism` times minus the critic's mean score."""
    game = _game(
        f"game.objectives={objectives}", "game.gamma=0.7", "game.l1=0", "game.realism=0.3",
        "train.lr_modifier=1e-9",
    )  # fmt: skip
    assert game.critic is not None
    batch = game.draw()
    faces = game.modifier.modify(batch.faces, game.modifier.grain(4))
    with torch.no_grad():
        real = game.recogniser.embed(align(batch.faces, batch.landmarks))
    seen = game.recogniser(align(faces, batch.landmarks))
    exposed = Exposed(seen, lambda: real, batch.labels, batch.others, 4, game.ease)
    game.critic.eval()
    loss = -0.3 * game.critic(faces).mean()
    for name in objectives.split(","):
        loss = loss + 0.7 * FACE_OBJECTIVES[name](exposed).mean()
    expected = torch.autograd.grad(loss, list(game.modifier.parameters()))
    norm = torch.cat([g.flatten() for g in expected]).norm()
    norms = [value.clone() for value in game.critic.state_dict().values()]
    game._train_modifier(
        batch, game.modifier.modify(batch.faces, game.modifier.grain(4)), playing=True
    )
    for found, wanted in zip(game.modifier.parameters(), expected, strict=True):
        assert found.grad is not None
        torch.testing.assert_close(
            found.grad, wanted * min(1.0, 5.0 / float(norm)), atol=1e-6, rtol=1e-3
        )
    # The critic, spectral norms and all, is as it was.
    assert all(map(torch.equal, norms, game.critic.state_dict().values()))


def test_the_losses_of_the_critic_by_hand() -> None:
    real, made = torch.tensor([[[3.0, 0.5]]]), torch.tensor([[[-2.0, 0.25]]])
    assert float(critic_loss(real, made)) == pytest.approx((0 + 0.5) / 2 + (0 + 1.25) / 2)
    assert float(realism_loss(made)) == pytest.approx(0.875)


def test_all_players_and_optimisers_are_in_checkpoints() -> None:
    game = _game("game.realism=1", "game.average=0.5", actions=True)
    players = {"modifier", "recogniser", "critic", "detector"}
    assert game.modules().keys() == players | {"mean"}
    assert game.optimizers().keys() == {f"opt_{name}" for name in players}


def test_the_critic_pulls_real_and_made_apart() -> None:
    game = _game("game.realism=1", "train.lr_critic=1e-2")
    assert game.critic is not None
    batch = game.draw()
    made = torch.rand_like(batch.faces)
    for _ in range(20):
        game._train_critic(batch, made)
    game.critic.eval()
    assert game.critic(batch.faces).mean() > game.critic(made).mean()


def test_l1_can_be_taken_of_averages() -> None:
    game = _game("game.l1_size=6")
    faces = torch.rand(2, 3, 24, 24)
    other = torch.rand(2, 3, 24, 24)
    cells = [x.reshape(2, 3, 6, 4, 6, 4).mean((3, 5)) for x in (faces, other)]
    torch.testing.assert_close(game._l1(faces, other), (cells[0] - cells[1]).abs().mean())
    torch.testing.assert_close(_game()._l1(faces, other), (faces - other).abs().mean())


def test_a_restarted_recogniser_is_another_and_m_stays() -> None:
    game = _game()
    game.round()
    assert _moved(game, game.restart) == {"recogniser"}
    assert not game.adam["recogniser"].state
    assert _moved(game, game.recogniser_step) == {"recogniser"}


def test_moves_are_a_function_of_their_number() -> None:
    one, other = _game(), _game()
    one.round()
    other.round()
    for _ in range(2):
        assert one.round() == other.round()
    batches = [one.draw().faces for _ in range(2)]
    assert not torch.equal(batches[0], batches[1])


def test_embeddings_are_in_the_order_of_the_pictures() -> None:
    game = _game("train.batch=4")
    val = tiny_data().val
    real, modified = game.embeddings(val)
    assert real.shape == modified.shape == (9, 32)
    with torch.no_grad():
        batch = game.batch(val, np.array([7]))
        alone = game.recogniser.embed(align(batch.faces, batch.landmarks))
    torch.testing.assert_close(real[7:8], alone)
    assert not torch.allclose(real, modified)
