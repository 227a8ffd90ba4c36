"""The moves of the game, each against what autograd gives by hand."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from tiny_game import tiny_config, tiny_data
from unseen.config import RunConfig
from unseen.data.clips import ClipDataset, across
from unseen.errors import RunError
from unseen.stored_weights import save_weights
from unseen.training.batches import Order, augmented
from unseen.training.classifier import predict
from unseen.training.game import Game
from unseen.training.metrics import score
from unseen.training.moves import FilterMove, PrivacyMove
from unseen.training.processes import make_fabric
from unseen.types import to_clips, to_stored

CLIP = 5.0  # the norm at which each player's gradient is cut
GAMMA = 3.0
CONFIG = tiny_config()
MULTI = tiny_config("data.private=glasses,contact,skirt")


@pytest.fixture(scope="module")
def data() -> ClipDataset:
    return tiny_data(CONFIG)


@pytest.fixture(scope="module")
def multi() -> ClipDataset:
    return tiny_data(MULTI)


def _game(data: ClipDataset, config: RunConfig = CONFIG) -> Game:
    return Game(config, data, make_fabric(config.train))


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def _plain_descent(game: Game) -> None:
    """Steps that are the gradient itself, so that a move shows it."""
    game.opt_filter = torch.optim.SGD(game.filter.parameters(), lr=1.0)  # type: ignore[assignment]
    game.opt_target = torch.optim.SGD(game.target.parameters(), lr=1.0)  # type: ignore[assignment]


MOVES: dict[str, Callable[[Game], object]] = {
    "reconstruct": lambda game: game.reconstruct_step(),
    "filter": lambda game: game.filter_step(GAMMA, with_target=False),
    "filter and target": lambda game: game.filter_step(GAMMA, with_target=True),
    "no game": lambda game: game.filter_step(0.0, with_target=True),
    "privacy": lambda game: game.privacy_step(),
    "privacy of one": lambda game: game.privacy_step(1),
    "target": lambda game: game.target_step(with_filter=False),
    "end to end": lambda game: game.target_step(with_filter=True),
    "budget": lambda game: game.budget_step(range(2)),
}


def _hardest(told: object) -> int | None:
    return told.hardest if isinstance(told, FilterMove | PrivacyMove) else None


def _numbers(told: object) -> list[float]:
    """All that a move tells."""
    if isinstance(told, FilterMove):
        shown = [] if told.seen is None else told.seen.flatten().tolist()
        return [told.privacy_loss, told.target_loss, *shown]
    if isinstance(told, PrivacyMove):
        return [told.privacy_loss]
    return told if isinstance(told, list) else [float(str(told))]


def _make_confident(game: Game, index: int, factor: float = 40.0) -> None:
    with torch.no_grad():
        for parameter in list(game.budget[index].parameters())[-2:]:
            parameter.mul_(factor)


def _cut(gradients: tuple[Tensor, ...]) -> list[Tensor]:
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    return [g * min(1.0, CLIP / (float(norm) + 1e-6)) for g in gradients]


def _minus_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.softmax(1)
    return (p * p.log()).sum(1).mean()


def _minus_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.softmax(1)[torch.arange(len(labels)), labels].log().mean()


def _minus_entropy_multi(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.sigmoid()
    return (p * p.log() + (1 - p) * (1 - p).log()).mean()


def _minus_loss_multi(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.sigmoid()
    return (labels * p.log() + (1 - labels) * (1 - p).log()).mean()


def _from_uniform_multi(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.sigmoid()
    return -0.5 * (p.log() + (1 - p).log()).mean()


@pytest.mark.parametrize("confident", [0, 1])
@pytest.mark.parametrize(
    ("objective", "leak"),
    [("negative_entropy", _minus_entropy), ("gradient_reversal", _minus_loss)],
)
def test_only_the_hardest_budget_model_drives_the_filter(
    data: ClipDataset, confident: int, objective: str, leak: Callable[[Tensor, Tensor], Tensor]
) -> None:
    config = tiny_config(f"game.objective={objective}", "train.budget_frames=0")
    game, twin = _game(data, config), _game(data, config)
    for each in (game, twin):
        _make_confident(each, confident)
    _plain_descent(game)

    batch = twin.draw()
    anonymized = twin.filter(batch.clips)
    leaks = [leak(model(anonymized), batch.private) for model in twin.budget]
    target_loss = F.cross_entropy(twin.target(anonymized), batch.target)
    hardest = int(np.argmax([float(value.detach()) for value in leaks]))
    players = list(twin.filter.parameters())
    updates = [
        _cut(torch.autograd.grad(target_loss + GAMMA * value, players, retain_graph=True))
        for value in leaks
    ]

    before = [p.detach().clone() for p in game.filter.parameters()]
    move = game.filter_step(GAMMA, with_target=False)
    moved = [b - p.detach() for b, p in zip(before, game.filter.parameters(), strict=True)]

    assert move.hardest == hardest
    assert move.privacy_loss == pytest.approx(leaks[hardest].item(), abs=1e-6)
    assert move.target_loss == pytest.approx(target_loss.item(), abs=1e-6)
    for found, expected in zip(moved, updates[hardest], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    wrong = updates[1 - hardest]
    assert max(float((f - w).abs().max()) for f, w in zip(moved, wrong, strict=True)) > 1e-3
    if objective == "negative_entropy":
        assert hardest == confident


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -_minus_loss(logits, labels)


def _cross_entropy_multi(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.sigmoid()
    return -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()


@pytest.mark.parametrize("kind", ["one of k", "multi-label"])
def test_a_privacy_step_ascends_the_smallest_budget_loss(
    data: ClipDataset, multi: ClipDataset, kind: str
) -> None:
    """Wang19 algorithm 3, lines 4 and 6: f_D moves up the gradient of L_B, and of nothing else."""
    private = "pair" if kind == "one of k" else "glasses,contact,skirt"
    config = tiny_config(
        f"data.private={private}", "game.objective=gradient_reversal", "train.budget_frames=0"
    )
    clips = data if kind == "one of k" else multi
    budget_loss = _cross_entropy if kind == "one of k" else _cross_entropy_multi
    game, twin = _game(clips, config), _game(clips, config)
    _plain_descent(game)
    for index in (None, 0, 1):
        batch = twin.draw()
        twin.filter.load_state_dict(game.filter.state_dict())
        anonymized = twin.filter(batch.clips)
        losses = [budget_loss(model(anonymized), batch.private) for model in twin.budget]
        chosen = int(np.argmin([float(v.detach()) for v in losses])) if index is None else index
        ascent = _cut(torch.autograd.grad(losses[chosen], list(twin.filter.parameters())))
        before = [p.detach().clone() for p in game.filter.parameters()]
        others = [_weights(module) for module in (game.target, *game.budget)]
        move = game.privacy_step(index)
        assert move.hardest == chosen
        assert move.privacy_loss == pytest.approx(-losses[chosen].item(), abs=1e-6)
        for old, p, gradient in zip(before, game.filter.parameters(), ascent, strict=True):
            torch.testing.assert_close(p.detach() - old, gradient, rtol=1e-3, atol=1e-6)
        assert all(map(_same, others, map(_weights, (game.target, *game.budget))))
        assert all(p.grad is None for model in game.budget for p in model.parameters())


@pytest.mark.parametrize(
    ("objective", "leak"),
    [
        ("negative_entropy", _minus_entropy_multi),
        ("gradient_reversal", _minus_loss_multi),
        ("uniform_cross_entropy", _from_uniform_multi),
    ],
)
def test_multi_label_leaks_drive_the_filter(
    multi: ClipDataset, objective: str, leak: Callable[[Tensor, Tensor], Tensor]
) -> None:
    config = tiny_config("data.private=glasses,contact,skirt", f"game.objective={objective}")
    game, twin = _game(multi, config), _game(multi, config)
    _plain_descent(game)
    for each in (game, twin):
        _make_confident(each, 1, 8.0)
    batch = twin.draw()
    anonymized = twin.filter(batch.clips)
    seen = [twin._frames_for(model, anonymized) for model in twin.budget]
    leaks = [
        leak(model(frames), batch.private) for model, frames in zip(twin.budget, seen, strict=True)
    ]
    hardest = max(range(len(leaks)), key=lambda k: leaks[k].item())
    loss = F.cross_entropy(twin.target(anonymized), batch.target) + GAMMA * leaks[hardest]
    expected = _cut(torch.autograd.grad(loss, list(twin.filter.parameters())))
    before = [p.detach().clone() for p in game.filter.parameters()]
    assert game.filter_step(GAMMA, with_target=False).hardest == hardest
    assert hardest == 1 or objective == "gradient_reversal"  # a confident one may be wrong
    for old, p, update in zip(before, game.filter.parameters(), expected, strict=True):
        torch.testing.assert_close(old - p.detach(), update, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("with_target", [False, True])
def test_a_filter_step_leaves_budget_models_alone(data: ClipDataset, with_target: bool) -> None:
    game = _game(data)
    budget = [_weights(model) for model in game.budget]
    filtering, target = _weights(game.filter), _weights(game.target)
    for _ in range(2):
        game.filter_step(GAMMA, with_target=with_target)
    for model, before, optimizer in zip(game.budget, budget, game.opt_budget, strict=True):
        assert _same(_weights(model), before)
        assert all(p.grad is None and p.requires_grad for p in model.parameters())
        assert not optimizer.state
    assert not _same(_weights(game.filter), filtering)
    assert _same(_weights(game.target), target) != with_target
    # Nothing is left over for the next move.
    players = [*game.filter.parameters(), *game.target.parameters()]
    assert all(p.grad is None for p in players)


def test_batch_norm_of_budget_models_keeps_up_with_the_filter(data: ClipDataset) -> None:
    """A step of f_D moves no weight of theirs, only what they normalise by in evaluation."""
    game = _game(data, tiny_config("budget_models=mobilenet:0.02,c3d-small:4"))
    before = [_weights(model) for model in game.budget]
    game.filter_step(GAMMA, with_target=False)
    for model, old in zip(game.budget, before, strict=True):
        moved = {key for key, value in _weights(model).items() if not torch.equal(value, old[key])}
        statistics = {k for k in old if k.endswith(("running_mean", "running_var", "tracked"))}
        assert moved == statistics


@pytest.mark.parametrize("set_of_labels", ["one of k", "several", "of another data set"])
@pytest.mark.parametrize("move", MOVES)
def test_a_batch_in_parts_gives_the_same_step(
    data: ClipDataset, multi: ClipDataset, move: str, set_of_labels: str
) -> None:
    """Parts of 3, 3 and 2 clips."""
    given, config = (data, CONFIG) if set_of_labels == "one of k" else (multi, MULTI)
    if set_of_labels == "of another data set":
        given = across(data, multi)
    outcomes = []
    for size in (0, 3):
        train = config.train.model_copy(update={"micro_batch": size})
        noiseless = config.filter.model_copy(update={"output_limits": ()})
        update = {"train": train, "filter": noiseless}
        game = _game(given, config.model_copy(update=update))
        _plain_descent(game)
        alone = torch.optim.SGD(game.filter.parameters(), lr=1.0)
        game.opt_end_to_end = alone  # type: ignore[assignment]
        game.opt_budget = [torch.optim.SGD(model.parameters(), lr=1.0) for model in game.budget]
        _make_confident(game, 0, 3.0)
        before = _weights(game.filter), _weights(game.target), _weights(game.budget[0])
        told = MOVES[move](game)
        outcomes.append((told, {name: _weights(each) for name, each in game.modules().items()}))
        after = _weights(game.filter), _weights(game.target), _weights(game.budget[0])
        assert any(not _same(*pair) for pair in zip(before, after, strict=True))
    (one, whole), (other, parts) = outcomes
    assert _hardest(one) == _hardest(other)
    np.testing.assert_allclose(_numbers(one), _numbers(other), atol=1e-5)
    for name in whole:
        for key, value in whole[name].items():
            torch.testing.assert_close(parts[name][key], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("move", ["filter", "privacy"])
def test_the_hardest_is_that_of_the_whole_batch(
    data: ClipDataset, monkeypatch: pytest.MonkeyPatch, move: str
) -> None:
    """In parts too, of which most say otherwise."""
    game = _game(data, tiny_config("train.micro_batch=2"))
    of_parts, asked = [[10.0, 0.0], [0.0, 3.0], [0.0, 3.0], [0.0, 3.0]], []

    def leaks(seen: Tensor, private: Tensor, indices: Sequence[int]) -> list[Tensor]:
        asked.append(list(indices))
        values = of_parts[(len(asked) - 1) % 4]
        return [values[i] + 0 * seen.sum() for i in indices]

    monkeypatch.setattr(game, "leaks", leaks)
    told = MOVES[move](game)
    assert isinstance(told, PrivacyMove)
    assert (told.hardest, told.privacy_loss) == (0, 2.5)
    assert asked == [[0, 1]] * 4 + [[0]] * 4


def test_without_gamma_or_models_the_filter_learns_the_target_alone(data: ClipDataset) -> None:
    none = tiny_config("game.objective=none")
    game, plain = _game(data), _game(data, none)
    assert plain.ensemble == 0
    moves = [game.filter_step(0.0, with_target=True), plain.filter_step(9.0, with_target=True)]
    assert [(move.hardest, move.privacy_loss) for move in moves] == [(-1, 0.0)] * 2
    assert _same(_weights(game.filter), _weights(plain.filter))


def test_a_game_that_diverges_ends_before_anything_moves(data: ClipDataset) -> None:
    game = _game(data)
    with torch.no_grad():
        next(game.target.parameters()).fill_(math.nan)
    before = _weights(game.filter)
    with pytest.raises(RunError, match=r"training diverged: a gradient of .* is not finite; begin"):
        game.filter_step(1.0, with_target=True)
    assert _same(before, _weights(game.filter))


@pytest.mark.parametrize("with_filter", [False, True])
def test_a_target_step_moves_the_target(data: ClipDataset, with_filter: bool) -> None:
    game, twin = _game(data), _game(data)
    _plain_descent(game)
    batch = twin.draw()
    loss = F.cross_entropy(twin.target(twin.filter(batch.clips)), batch.target)
    expected = _cut(torch.autograd.grad(loss, list(twin.target.parameters())))
    before = [p.detach().clone() for p in game.target.parameters()]
    filtering, budget = _weights(game.filter), [_weights(model) for model in game.budget]
    assert game.target_step(with_filter=with_filter) == pytest.approx(loss.item(), abs=1e-6)
    for old, p, update in zip(before, game.target.parameters(), expected, strict=True):
        torch.testing.assert_close(old - p.detach(), update, rtol=1e-3, atol=1e-6)
    assert _same(_weights(game.filter), filtering) != with_filter
    assert all(_same(_weights(m), b) for m, b in zip(game.budget, budget, strict=True))


def test_end_to_end_the_filter_moves_by_the_step_size_of_the_target(data: ClipDataset) -> None:
    """Wang19 eq. 6b has alpha_T for both; Adam's first step is its step size, by the sign."""
    game = _game(data, tiny_config("train.lr_filter=0.5", "train.lr_target=0.001"))
    game.set_rate(0.3)
    before = [p.detach().clone() for p in game.filter.parameters()]
    game.target_step(with_filter=True)
    moved = [
        (p.detach() - b).abs().max() for p, b in zip(game.filter.parameters(), before, strict=True)
    ]
    assert max(moved) == pytest.approx(0.0003, rel=1e-3)
    assert not game.opt_filter.state


def test_all_named_budget_models_learn_and_nobody_else(data: ClipDataset) -> None:
    game = _game(data)
    filtering, target = _weights(game.filter), _weights(game.target)
    first = [_weights(model) for model in game.budget]
    scores = game.budget_step(range(game.ensemble))
    second = [_weights(model) for model in game.budget]
    assert len(scores) == 2
    assert all(0 <= value <= 1 for value in scores)
    assert not any(_same(a, b) for a, b in zip(first, second, strict=True))
    assert len(game.budget_step([1])) == 1
    assert _same(_weights(game.budget[0]), second[0])
    assert not _same(_weights(game.budget[1]), second[1])
    assert _same(_weights(game.filter), filtering)
    assert _same(_weights(game.target), target)


def test_budget_models_learn_on_a_given_batch(data: ClipDataset) -> None:
    # Large enough to learn a batch whatever its first weights are: those of a PyTorch are its own.
    game = _game(data, tiny_config("train.lr_budget=0.01", "budget_models=c3d-small:8"))
    move = game.filter_step(1.0, with_target=True)
    moves = game.moves
    scores = [game.budget_step([0], move.seen, move.batch)[0] for _ in range(60)]
    assert game.moves == moves  # nothing was drawn
    assert np.mean(scores[-5:]) > scores[0] + 0.3  # the first is of before any update


def test_the_training_score_counts_right_answers(data: ClipDataset, multi: ClipDataset) -> None:
    for each, config in ((data, CONFIG), (multi, MULTI)):
        game, twin = _game(each, config), _game(each, config)
        batch = twin.draw()
        with torch.no_grad():
            logits = twin.budget[0](twin._frames_for(twin.budget[0], twin.filter(batch.clips)))
        if each is multi:
            right = ((logits.sigmoid() > 0.5) == (batch.private == 1)).float().mean()
        else:
            right = (logits.argmax(1) == batch.private).float().mean()
        assert game.budget_step([0]) == pytest.approx([float(right)])


def test_a_restart_gives_new_weights_and_optimisers_to_the_named(data: ClipDataset) -> None:
    game = _game(data)
    game.filter_step(1.0, with_target=True)
    game.budget_step([0, 1])
    filtering, target = _weights(game.filter), _weights(game.target)
    budget = [_weights(model) for model in game.budget]
    kept, moments = game.opt_budget[0], len(game.opt_filter.state)
    game.restart([1])
    assert _same(_weights(game.budget[0]), budget[0])
    assert game.opt_budget[0] is kept
    assert kept.state
    new = _weights(game.budget[1])
    assert new.keys() == budget[1].keys()
    weights = [key for key in new if key.endswith("weight") and new[key].ndim > 1]
    assert not any(torch.equal(new[key], budget[1][key]) for key in weights)
    assert not game.opt_budget[1].state
    own = [p for group in game.opt_budget[1].param_groups for p in group["params"]]
    assert [id(p) for p in own] == [id(p) for p in game.budget[1].parameters()]
    assert _same(_weights(game.filter), filtering)
    assert _same(_weights(game.target), target)
    assert len(game.opt_filter.state) == moments
    game.restart([1])
    assert not any(torch.equal(_weights(game.budget[1])[key], new[key]) for key in weights)


def test_all_that_are_restarted_start_anew_each_with_weights_of_its_own(data: ClipDataset) -> None:
    game = _game(data, tiny_config("budget_models=mobilenet-gn:0.03,mobilenet-gn:0.03"))
    before = [_weights(model) for model in game.budget]
    game.restart([0, 1])
    after = [_weights(model) for model in game.budget]
    sets = [*before, *after]
    drawn = [key for key in sets[0] if key.endswith("weight") and sets[0][key].ndim > 1]
    for i, one in enumerate(sets):
        for other in sets[:i]:
            assert not any(torch.equal(one[key], other[key]) for key in drawn)


def test_a_restart_does_not_go_back_to_a_file(data: ClipDataset, tmp_path: Path) -> None:
    """Wu18 3.3: "random weights", also where the first ones were published ones."""
    file = tmp_path / "w.safetensors"
    save_weights(_game(data).budget[1], file)
    spec = CONFIG.budget_models[1]
    game = _game(data, tiny_config(f"budget_models=mobilenet-gn:0.01,{spec}@{file}"))
    loaded = _weights(game.budget[1])
    drawn = [key for key in loaded if key.endswith("weight") and loaded[key].ndim > 1]
    stored = load_file(file)
    assert all(torch.equal(loaded[key], stored[key]) for key in drawn)
    game.restart([1])
    new = _weights(game.budget[1])
    assert not any(torch.equal(new[key], stored[key]) for key in drawn)


def test_a_batch_is_a_function_of_seed_and_move(data: ClipDataset) -> None:
    game, other = _game(data), _game(data)
    for _ in range(3):
        game.filter_step(1.0, with_target=True)
    other.moves = game.moves
    one, again, before = game.draw(), other.draw(), None
    for name in ("clips", "target", "private"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    before = other.draw()
    assert not torch.equal(before.clips, one.clips)
    different = _game(data, tiny_config("train.seed=1"))
    different.moves = 3
    assert not torch.equal(different.draw().clips, one.clips)


def test_a_batch_holds_the_augmented_clips_of_its_order_with_their_labels(
    data: ClipDataset,
) -> None:
    game = _game(data)
    game.moves = 6
    batch = game.draw()
    chosen = Order(64, 8, CONFIG.train.seed).at(6)
    expected = augmented(data.train.clips[chosen], np.random.default_rng([0, 1, 7]))
    np.testing.assert_array_equal(to_stored(batch.clips), expected)
    np.testing.assert_array_equal(batch.target.numpy(), data.train.target[chosen])
    np.testing.assert_array_equal(batch.private.numpy(), data.train.private[chosen])


def test_budget_models_see_some_frames_in_order(data: ClipDataset) -> None:
    game = _game(data)
    clips = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(2, 3, 4, 16, 16)
    picked = set()
    for move in range(30):
        game.moves = move
        seen = game._frames_for(game.budget[0], clips)
        assert seen.shape == (2, 3, 2, 16, 16)
        picked.add(tuple(seen[0, 0, :, 0, 0].tolist()))
    assert all(a < b for a, b in picked)
    assert len(picked) > 3
    whole = _game(data, tiny_config("budget_models=c3d-small:4"))
    assert whole._frames_for(whole.budget[0], clips) is clips


def test_the_first_stage_learns_to_reproduce(data: ClipDataset) -> None:
    for change in (
        "filter.channels=3",
        "filter.input_limits=grey-in",
        "filter.input_limits=motion",
    ):
        game = _game(data, tiny_config(change, "train.lr_filter=0.01"))
        target = _weights(game.target)
        losses = [game.reconstruct_step() for _ in range(60)]
        assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:5]), change
        assert _same(_weights(game.target), target)


def test_validation_is_the_score_of_plain_prediction(data: ClipDataset) -> None:
    game = _game(data)
    for _ in range(3):
        game.filter_step(1.0, with_target=True)
    # Of some, every so many: where clips are sorted by class, all classes are among them.
    spread = [0, 2, 5, 7, 10, 13, 15, 18, 20, 23]
    for most, taken in ((0, [*range(26)]), (10, spread), (999, [*range(26)])):
        count = len(taken)
        found = game.validate(most)
        with torch.no_grad():
            clips = data.val.clips[taken]
            anonymized = game.filter.eval()(to_clips(clips))

        class Behind(nn.Module):
            def __init__(self, model: nn.Module) -> None:
                super().__init__()
                self.model = model.eval()

            def forward(self, stored: Tensor) -> Tensor:
                out: Tensor = self.model(game.filter(stored))
                return out

        assert anonymized.shape[0] == count
        expected, losses = [], []
        for model, labels, labelled in (
            (game.target, data.val.target, data.target),
            *((model, data.val.private, data.private) for model in game.budget),
        ):
            logits = predict(Behind(model), clips)
            expected.append(score(logits, labels[taken], labelled))
            p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            losses.append(-np.log(p[np.arange(count), labels[taken]]).mean())
        assert [found.target_score, *found.budget_scores] == pytest.approx(expected)
        assert [found.target_loss, *found.budget_losses] == pytest.approx(losses, rel=1e-4)
        alone = game.validate(most, budget=False)
        assert (alone.target_score, alone.target_loss) == (found.target_score, found.target_loss)
        assert (alone.budget_scores, alone.budget_losses) == ([], [])


def test_validation_changes_nothing(data: ClipDataset) -> None:
    game, untouched = _game(data), _game(data)
    for _ in range(2):
        game.validate()
        for each in (game, untouched):
            each.filter_step(2.0, with_target=True)
            each.budget_step([0, 1])
    for one, other in zip(game.modules().values(), untouched.modules().values(), strict=True):
        assert _same(_weights(one), _weights(other))


@pytest.mark.parametrize("sees", ["output", "before_noise"])
@pytest.mark.parametrize("micro_batch", [0, 4])
def test_budget_models_see_the_output_with_or_without_its_noise(
    data: ClipDataset, sees: str, micro_batch: int
) -> None:
    """A filter without weights puts out the same grey everywhere: what varies is noise."""
    noisy = ("filter.output_limits=noise:0.3", f"train.micro_batch={micro_batch}")
    game = _game(data, tiny_config(*noisy, f"game.budget_sees={sees}"))
    varies: dict[str, list[float]] = {"budget": [], "target": []}

    def watch(player: nn.Module, name: str) -> None:
        player.register_forward_pre_hook(
            lambda _, seen: varies[name].append(float(seen[0].detach().std()))
        )

    for model in game.budget:
        watch(model, "budget")
    watch(game.target, "target")
    moves: list[Callable[[], object]] = [
        lambda: game.filter_step(GAMMA, with_target=True),
        lambda: game.privacy_step(),
        lambda: game.budget_step(range(2)),
        lambda: game.validate(),
    ]
    for move in moves:
        with torch.no_grad():
            for parameter in game.filter.parameters():
                parameter.zero_()
        varies["budget"].clear()
        move()
        assert len(varies["budget"]) >= 2
        assert all((found > 0.1) == (sees == "output") for found in varies["budget"])
        assert all(found > 0.1 or found < 1e-6 for found in varies["budget"])
    assert all(found > 0.1 for found in varies["target"])


def test_moves_train_and_measuring_does_not(data: ClipDataset) -> None:
    game = _game(data)
    modes: list[bool] = []
    for player in (game.filter.network, game.target, *game.budget):
        player.register_forward_pre_hook(lambda player, _: modes.append(player.training))
    for move in (
        lambda: game.filter_step(GAMMA, with_target=True),
        lambda: [game.budget_step([i]) for i in range(2)],
        lambda: game.privacy_step(),
        lambda: game.target_step(with_filter=True),
    ):
        modes.clear()
        move()
        assert modes
        assert all(modes)
    modes.clear()
    game.validate()
    assert modes
    assert not any(modes)
