"""The game across two data sets: which batch each loss is of, and what a run remembers of both."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tiny_game import tiny_config
from unseen.config import RunConfig
from unseen.data.clips import ClipDataset, across
from unseen.data.load import load_data
from unseen.errors import ConfigError, RunError
from unseen.training.batches import Order, augmented
from unseen.training.game import Game
from unseen.training.metrics import score
from unseen.training.processes import make_fabric
from unseen.training.run import train
from unseen.types import StoredClips, to_clips

NAMES = ("long_hair", "glasses", "skirt")
CROSS = (
    "data.private_name=duet:attributes", f"data.private={','.join(NAMES)}", "train.budget_frames=0",
    "budget_models=one-layer:8,one-layer:12", "target_model=one-layer:8", "data.train=48",
)  # fmt: skip
CONFIG = tiny_config(*CROSS)
GAMMA = 3.0


@pytest.fixture(scope="module")
def data() -> ClipDataset:
    return load_data(CONFIG.data)


def _game(data: ClipDataset, config: RunConfig = CONFIG) -> Game:
    return Game(config, data, make_fabric(config.train))


def _moved(module: nn.Module, before: list[torch.Tensor]) -> bool:
    now = list(module.parameters())
    return any(not torch.equal(a, b) for a, b in zip(now, before, strict=True))


def _copy(module: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def test_targets_are_of_the_one_and_attributes_of_the_other(data: ClipDataset) -> None:
    other = data.private_data
    assert other is data.other
    assert data.private == other.private
    assert data.private.classes == NAMES
    assert data.train.private.shape == (48, 0)
    assert other.train.target.shape == (48, 0)
    assert not np.array_equal(data.train.clips, other.train.clips)
    # What a guess of each label's frequency loses: on the labels that there are.
    blind_target, blind_budget = _game(data).blind_losses
    shares = np.bincount(data.train.target) / 48
    assert blind_target == pytest.approx(-sum(p * np.log(p) for p in shares if p))
    rates = other.train.private.mean(0)
    assert blind_budget == pytest.approx(
        np.mean([-p * np.log(p) - (1 - p) * np.log(1 - p) if 0 < p < 1 else 0 for p in rates])
    )


def test_the_filter_descends_both_losses_each_on_its_own_batch(data: ClipDataset) -> None:
    game, twin = _game(data), _game(data)
    game.opt_filter = torch.optim.SGD(game.filter.parameters(), lr=1.0)  # type: ignore[assignment]
    before = _copy(game.filter)
    others = [_copy(module) for module in (game.target, *game.budget)]
    move = game.filter_step(GAMMA, with_target=False)

    batch = twin.draw()  # of the target's data set, as without another
    first = Order(48, 8, 0).at(0)
    assert batch.target.tolist() == data.train.target[first].tolist()
    other = data.private_data.train
    rng = np.random.default_rng([0, 3, 1])
    met = to_clips(augmented(other.clips[first], rng))
    labels = torch.from_numpy(other.private[first])
    assert move.batch is not None
    assert move.seen is not None
    assert torch.equal(move.batch.clips, met)
    assert torch.equal(move.batch.private, labels)
    assert torch.equal(move.seen, twin.filter(met).detach())

    target_loss = F.cross_entropy(twin.target(twin.filter(batch.clips)), batch.target)
    leaks = []
    for model in twin.budget:
        p = model(twin.filter(met)).sigmoid()
        leaks.append((p * p.log() + (1 - p) * (1 - p).log()).mean())
    hardest = int(torch.stack(leaks).argmax())
    assert move.hardest == hardest
    assert move.privacy_loss == pytest.approx(leaks[hardest].item(), abs=1e-6)
    assert move.target_loss == pytest.approx(target_loss.item(), abs=1e-6)
    loss = target_loss + GAMMA * leaks[hardest]
    expected = torch.autograd.grad(loss, list(twin.filter.parameters()))
    norm = float(torch.cat([g.flatten() for g in expected]).norm())
    for found, start, g in zip(game.filter.parameters(), before, expected, strict=True):
        torch.testing.assert_close(start - found, g * min(1.0, 5.0 / norm), rtol=1e-3, atol=1e-6)
    for module, was in zip((game.target, *game.budget), others, strict=True):
        assert not _moved(module, was)


def test_budget_models_learn_from_the_other_data_set(data: ClipDataset) -> None:
    game, twin = _game(data), _game(data)
    batch = twin.draw_private()
    chosen = Order(48, 8, 0).at(0)
    assert torch.equal(batch.private, torch.from_numpy(data.private_data.train.private[chosen]))
    before = [_copy(module) for module in (game.filter, game.target, *game.budget)]
    scores = game.budget_step([0, 1])
    with torch.no_grad():
        logits = [model(twin.filter(batch.clips)) for model in twin.budget]
    expected = [float(((z > 0) == (batch.private > 0.5)).float().mean()) for z in logits]
    assert scores == pytest.approx(expected)
    modules = (game.filter, game.target, *game.budget)
    assert [_moved(m, b) for m, b in zip(modules, before, strict=True)] == [0, 0, 1, 1]


def test_an_ascent_of_the_budget_loss_is_on_the_other_data_set(data: ClipDataset) -> None:
    config = tiny_config(*CROSS, "game.objective=gradient_reversal")
    game, twin = _game(data, config), _game(data, config)
    batch = twin.draw_private()
    with torch.no_grad():
        logits = [model(twin.filter(batch.clips)) for model in twin.budget]
    losses = [float(F.binary_cross_entropy_with_logits(z, batch.private)) for z in logits]
    move = game.privacy_step()
    assert move.privacy_loss == pytest.approx(-min(losses), abs=1e-6)
    assert move.hardest == int(np.argmin(losses))


def test_without_a_privacy_objective_no_batch_of_the_other_is_passed(data: ClipDataset) -> None:
    game, twin = _game(data), _game(data)
    move = game.filter_step(0.0, with_target=True)
    assert (move.seen, move.batch, move.hardest) == (None, None, -1)
    game.budget_step([0], move.seen, move.batch)
    twin.draw()
    assert game.moves == twin.moves + 1  # it drew its own


@pytest.mark.parametrize("sees", ["output", "before_noise"])
def test_each_is_validated_on_its_own_clips(data: ClipDataset, sees: str) -> None:
    # So much noise that what is seen before it is scored otherwise.
    settings = ("filter.output_limits=noise:0.6", f"game.budget_sees={sees}")
    game = _game(data, tiny_config(*CROSS, *settings))
    found = game.validate()
    other = data.private_data

    def views(clips: StoredClips) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [to_clips(clips[i : i + 8]) for i in range(0, len(clips), 8)]
        with torch.no_grad():
            pairs = [game.filter.with_and_without_noise(part) for part in parts]
        noised, plain = zip(*pairs, strict=True)
        return torch.cat(noised), torch.cat(plain)

    # One pass over the one, then over the other: the noise of each is drawn anew.
    torch.manual_seed(game.config.train.seed + 5)
    (shown, _), (noisy, clean) = views(data.val.clips), views(other.val.clips)
    with torch.no_grad():
        own = score(game.target(shown).numpy(), data.val.target, data.target)
        scores = [
            [score(model(seen).numpy(), other.val.private, other.private) for model in game.budget]
            for seen in (noisy, clean)
        ]
    assert found.target_score == pytest.approx(own, abs=1e-6)
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)
    assert found.budget_scores == pytest.approx(scores[sees == "before_noise"], abs=1e-6)
    assert game.validate(budget=False).budget_scores == []


def test_one_data_set_has_one_batch() -> None:
    config = tiny_config()
    game = _game(load_data(config.data))
    first, second = game.draw_private(), _game(game.data).draw()
    assert torch.equal(first.clips, second.clips)
    move = game.filter_step(GAMMA, with_target=False)
    assert move.batch is not None
    assert move.batch.target.shape == move.batch.private.shape == (8,)


def test_a_run_knows_both_data_sets(data: ClipDataset, tmp_path: Path) -> None:
    config = tiny_config(*CROSS, "game.schedule=monitored", "game.cap_target=1",
                         "game.cap_budget=1", "train.steps=2")  # fmt: skip
    trained = train(config, data, tmp_path)
    assert len(trained.budget_accuracy) == 2
    about = json.loads((tmp_path / "anonymizer.json").read_text())["about"]
    assert about["data_hash"] == data.hash
    assert about["private"] == {"column": ",".join(NAMES), "classes": list(NAMES)}
    other = data.private_data
    assert about["private_data"] == {"data": "duet:attributes", "data_hash": other.hash}
    # The target's clips are the same, the attributes' are not.
    elsewhere = across(data, load_data(tiny_config(*CROSS, "data.seed=1").data).private_data)
    assert elsewhere.train is data.train
    with pytest.raises(RunError, match="was trained on other data"):
        train(config, elsewhere, tmp_path, resume=True)
    assert train(config, data, tmp_path, resume=True) == trained


def test_what_one_is_tested_on_the_other_must_not_learn_from(
    data: ClipDataset, tmp_path: Path
) -> None:
    """As two draws of a split of one manifest may have it; no evaluation would take the filter."""
    config = tiny_config(*CROSS, "train.steps=0")
    swapped = replace(data.private_data, train=data.test)
    with pytest.raises(RunError, match=r"test clips of duet are in train or val of the other"):
        train(config, across(data, swapped), tmp_path / "one")
    assert not (tmp_path / "one").exists()
    # What both learn from and what both are tested on is no fault.
    train(config, across(data, replace(data.private_data, test=data.test)), tmp_path / "two")


def test_images_are_refused_by_a_filter_that_sees_motion_alone(data: ClipDataset) -> None:
    images = across(data, replace(data.private_data, still=True))
    _game(images)
    with pytest.raises(ConfigError, match=r"nothing moves in the clips of 'duet:attributes'"):
        _game(images, tiny_config(*CROSS, "filter.input_limits=motion:0.8"))
