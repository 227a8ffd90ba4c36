"""The game at the size of the papers: C3D, Johnson's network, clips of 16 x 112 x 112."""

import math

import pytest
import torch

from tiny_game import tiny_data
from unseen.config import load_config
from unseen.data.load import load_data
from unseen.models import parameter_count
from unseen.training.game import Game
from unseen.training.processes import make_fabric
from unseen.types import to_clips

SMALL_DATA = (
    "data.name=duet", "data.private=pair", "data.train=2", "data.val=2", "data.test=2",
    "train.batch=2", "train.device=cpu", "train.threads=1",
)  # fmt: skip


@pytest.mark.slow
def test_one_step_of_every_player() -> None:
    config = load_config("sbu-entropy-restart-m2", SMALL_DATA)
    data = tiny_data(config)
    assert data.train.clips.shape == (2, 16, 112, 112, 3)
    game = Game(config, data, make_fabric(config.train))
    # Wu18 section 5 says over 70 million and 1.3 million; the latter is not Johnson's network.
    assert parameter_count(game.target) > 70e6
    assert parameter_count(game.filter) == 1_679_235
    assert [parameter_count(model) for model in game.budget] == sorted(
        (parameter_count(model) for model in game.budget), reverse=True
    )
    with torch.no_grad():
        anonymized = game.filter(to_clips(data.train.clips[:1]))
    assert anonymized.shape == (1, 3, 16, 112, 112)
    assert 0.0 <= anonymized.min() <= anonymized.max() <= 1.0
    torch.testing.assert_close(anonymized[:, 0], anonymized[:, 2])  # grey

    players = (game.filter, game.target, *game.budget)
    before = [next(player.parameters()).detach().clone() for player in players]
    move = game.filter_step(config.game.gamma, with_target=False)
    assert move.seen is not None
    assert move.seen.shape == (2, 3, 16, 112, 112)
    assert math.isfinite(move.target_loss)
    # A budget model that knows nothing yet is about as uncertain as one can be of 13 pairs.
    assert -math.log(13) - 0.01 <= move.privacy_loss <= 0.0
    assert move.hardest in (0, 1)
    assert math.isfinite(game.target_step(with_filter=True))
    assert len(game.budget_step([0, 1])) == 2
    for player, old in zip(players, before, strict=True):
        assert not torch.equal(next(player.parameters()), old)


@pytest.mark.slow
def test_one_step_of_the_budget_models_of_vispr() -> None:
    """The four networks of Wang19 4.2.2, on attributes of another data set than the target's."""
    config = load_config(
        "ucf101-vispr7-entropy-m4",
        [
            *SMALL_DATA,
            "data.private_name=duet:attributes",
            "data.private=skirt,long_hair",
            "data.train=8",
            "data.val=8",
            "data.test=8",
        ],
    )
    game = Game(config, load_data(config.data), make_fabric(config.train))
    assert [model.spec for model in game.budget] == [
        "resnet-v1-50", "resnet-v2-50", "mobilenet:1", "mobilenet:0.75"
    ]  # fmt: skip
    before = [next(model.parameters()).detach().clone() for model in game.budget]
    move = game.filter_step(config.game.gamma, with_target=False)
    assert move.seen is not None
    assert move.seen.shape == (2, 3, 16, 112, 112)
    # The mean negative entropy of yes/no answers of which nothing is known (eq. 6).
    assert -math.log(2) - 0.01 <= move.privacy_loss <= 0.0
    assert len(game.budget_step(range(4))) == 4
    for model, old in zip(game.budget, before, strict=True):
        assert not torch.equal(next(model.parameters()), old)
