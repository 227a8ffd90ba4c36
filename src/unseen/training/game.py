"""The game of Wu18 3.2-3.3 and Wang19 3.3-3.4: one loop with four choices.

The choices are the objective (`unseen.training.objectives`), which budget model drives the filter
(the hardest, Wu18 eq. 3, Wang19 eq. 9), the schedule (`unseen.training.schedules`), and restarting
(`unseen.training.restarting`). `Game` holds the players and makes single moves; a schedule decides
which move is next.

Every random number of a move (batch, augmentation, noise, dropout) is derived from the seed and the
move's number, so that weights, optimisers and a few counters are all that a checkpoint needs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

from unseen.anonymizers.learned import LearnedFilter
from unseen.config import RunConfig
from unseen.data.clips import ClipDataset, refuse_stills
from unseen.models import create_model, without_weights
from unseen.models.base import ClipClassifier
from unseen.training.batches import Order, augmented
from unseen.training.classifier import blind_loss, label_loss
from unseen.training.gradients import clip_gradients, frozen
from unseen.training.moves import Batch, FilterMove, PrivacyMove, Validation
from unseen.training.objectives import OBJECTIVES
from unseen.training.processes import average_gradients, average_statistics, mean_over
from unseen.training.validation import Asked, scores_and_losses
from unseen.types import Clips, to_clips


class Game:
    """The players f_D, f_T and the ensemble f_B, their optimisers, and the moves they can make.

    Args:
        config: the run's configuration.
        data: labelled clips; only the train and validation splits are touched. Of two data sets
            (`clips.across`) L_T is of batches of the one, J_B and L_B of batches of the other; f_D
            passes each by itself, and no part of it is normalised over a batch.
        fabric: device and processes; gradients of exactly the players that move are averaged over
            these.
    """

    def __init__(self, config: RunConfig, data: ClipDataset, fabric: Fabric) -> None:
        self.config, self.data, self.fabric = config, data, fabric
        self.device = fabric.device
        torch.manual_seed(config.train.seed)
        size, frames = config.data.size, config.data.frames
        self.filter = LearnedFilter(config.filter, size=size).to(self.device)
        refuse_stills(self.filter, data.private_data)
        self.target: ClipClassifier = create_model(
            config.target_model, len(data.target.classes), size=size, frames=frames
        ).to(self.device)
        self.budget = [self._budget_model(spec) for spec in config.budget_models[: self.ensemble]]
        train = config.train
        self.opt_filter = torch.optim.Adam(self.filter.parameters(), lr=train.lr_filter)
        self.opt_target = torch.optim.Adam(self.target.parameters(), lr=train.lr_target)
        # f_D's own part in steps of eq. 6b, whose step size is alpha_T: Adam's moments of these
        # gradients are kept apart from those of eq. 6a.
        self.opt_end_to_end = torch.optim.Adam(self.filter.parameters(), lr=train.lr_target)
        self.opt_budget = [self._budget_optimizer(model) for model in self.budget]
        self.objective = OBJECTIVES[self.config.game.objective] if self.ensemble else None
        self.order = Order(len(data.train), train.batch, train.seed)
        self.private_order = Order(len(data.private_data.train), train.batch, train.seed)
        self.moves = 0

    @property
    def ensemble(self) -> int:
        """M, the number of budget models."""
        return self.config.ensemble

    @property
    def blind_losses(self) -> tuple[float, float]:
        """See `unseen.training.moves.Players`."""
        private = self.data.private_data.train.private
        return (
            blind_loss(self.data.train.target, self.data.target),
            blind_loss(private, self.data.private),
        )

    @property
    def _before_noise(self) -> bool:
        return self.config.game.budget_sees == "before_noise"

    def _budget_model(self, spec: str) -> ClipClassifier:
        """One with new weights, of the file that is named or from the global generator."""
        return create_model(
            spec,
            len(self.data.private.classes),
            size=self.config.data.size,
            frames=self.config.data.frames,
        ).to(self.device)

    def _budget_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.config.train.lr_budget)

    def modules(self) -> dict[str, nn.Module]:
        """All players by name, for checkpoints."""
        named: dict[str, nn.Module] = {"filter": self.filter, "target": self.target}
        return named | {f"budget{i}": model for i, model in enumerate(self.budget)}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimisers by name, for checkpoints."""
        named: dict[str, torch.optim.Optimizer] = {
            "opt_filter": self.opt_filter,
            "opt_target": self.opt_target,
            "opt_end_to_end": self.opt_end_to_end,
        }
        return named | {f"opt_budget{i}": o for i, o in enumerate(self.opt_budget)}

    def set_rate(self, factor: float) -> None:
        """Scale the step sizes of f_D and f_T; those of budget models stay."""
        train = self.config.train
        for optimizer, rate in (
            (self.opt_filter, train.lr_filter),
            (self.opt_target, train.lr_target),
            (self.opt_end_to_end, train.lr_target),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor

    def restart(self, indices: Sequence[int]) -> None:
        """Give budget models new random weights and optimisers (Wu18 3.3); f_D, f_T stay.

        They are random also where the first ones came from a file.
        """
        for i in indices:
            self._reseed()
            # The same weights in all processes.
            torch.manual_seed(self.config.train.seed * 1_000_003 + self.moves)
            self.budget[i] = self._budget_model(without_weights(self.config.budget_models[i]))
            self.opt_budget[i] = self._budget_optimizer(self.budget[i])

    # ---------------------------------------------------------------- moves

    def draw(self) -> Batch:
        """The next training batch; seeds everything random that the move does with it."""
        return self._batch(self._reseed(), private=False)

    def draw_private(self) -> Batch:
        """The next with private labels, of the data set that has them."""
        if self.data.other is None:
            return self.draw()
        return self._batch(self._reseed(), private=True)

    def _batch(self, rng: np.random.Generator, *, private: bool) -> Batch:
        rank, world = self.fabric.global_rank, self.fabric.world_size
        order = self.private_order if private else self.order
        chosen = order.at(self.moves - 1)
        train = (self.data.private_data if private else self.data).train
        stored = augmented(train.clips[np.sort(chosen)][np.argsort(np.argsort(chosen))], rng)
        mine = slice(rank, None, world)
        return Batch(
            to_clips(stored[mine], self.device),
            torch.from_numpy(train.target[chosen][mine]).to(self.device),
            torch.from_numpy(train.private[chosen][mine]).to(self.device),
        )

    def _reseed(self) -> np.random.Generator:
        self.moves += 1
        seed = self.config.train.seed
        torch.manual_seed((seed * 1_000_003 + self.moves) * 1_009 + self.fabric.global_rank)
        return np.random.default_rng([seed, 1, self.moves])

    def reconstruct_step(self) -> float:
        """Stage 1: f_D reproduces what its limits let it see, and let through (MSE).

        Of two data sets, on clips of the target's.
        """
        batch = self.draw()
        self.filter.train()
        moving = not self.filter.sees_stills

        def losses() -> Iterator[Tensor]:
            for part, share in self._parts(batch):
                wanted: Tensor = part.clips
                for limit in self.filter.before:
                    wanted, _ = limit.step(wanted, None)
                if moving:  # from -1 to 1, or beyond
                    wanted = (0.5 + 0.5 * wanted).clamp(0, 1)
                yield share * (self.filter(part.clips) - wanted).square().mean()

        return self._mean(self._update(losses(), [self.opt_filter], [self.filter]))

    def filter_step(self, gamma: float, *, with_target: bool) -> FilterMove:
        """Minimise L_T + gamma * J_B of the hardest budget model over f_D.

        Args:
            gamma: weight of the privacy objective; 0 is stage 2 of the initialisation.
            with_target: whether f_T moves too. Wang19 eq. 6a moves f_D alone.
        """
        batch = self.draw()
        self.filter.train()
        self.target.train()
        across, against = self.data.other is not None, gamma > 0 and bool(self.budget)
        met: Batch | None = None if across else batch
        if across and against:
            rng = np.random.default_rng([self.config.train.seed, 3, self.moves])
            met = self._batch(rng, private=True)
        named = self._candidates(met, range(self.ensemble)) if met and against else []
        hardest, target_losses, leaks, shown = -1, [], [], []

        def losses() -> Iterator[Tensor]:
            nonlocal hardest
            parts = self._parts(batch)
            others = [other for other, _ in self._parts(met)] if met else [None] * len(parts)
            for (part, share), other in zip(parts, others, strict=True):
                views = self.filter.with_and_without_noise(part.clips)
                loss = label_loss(self.target(views[0]), part.target, self.data.target)
                target_losses.append(share * loss.detach())
                if across and other is not None:
                    views = self.filter.with_and_without_noise(other.clips)
                if other is not None:
                    seen = views[self._before_noise]
                    shown.append(seen.detach())
                    if against:
                        values = self.leaks(seen, other.private, named)
                        which = self._largest(values)
                        hardest = named[which]
                        leaks.append(share * values[which].detach())
                        loss = loss + gamma * values[which]
                yield share * loss

        moving: list[nn.Module] = [self.filter, self.target] if with_target else [self.filter]
        optimizers = [self.opt_filter, self.opt_target] if with_target else [self.opt_filter]
        with frozen([] if with_target else [self.target]):
            self._update(losses(), optimizers, moving)
        privacy = self._mean(torch.stack(leaks).sum()) if leaks else 0.0
        target_loss = self._mean(torch.stack(target_losses).sum())
        return FilterMove(privacy, hardest, target_loss, torch.cat(shown) if shown else None, met)

    def privacy_step(self, index: int | None = None) -> PrivacyMove:
        """Minimise J_B of one budget model over f_D, L_T left out (Wang19 eq. 8b, algorithm 3).

        With `gradient_reversal` J_B is -L_B: the step ascends L_B, and the budget model that leaks
        most is the one with the smallest L_B, as in the algorithm's lines 4 and 6.

        Args:
            index: which budget model; None: the one that leaks most on this batch.
        """
        batch = self.draw_private()
        self.filter.train()
        named = self._candidates(batch, range(self.ensemble) if index is None else [index])
        hardest = -1

        def losses() -> Iterator[Tensor]:
            nonlocal hardest
            for part, share in self._parts(batch):
                seen = self.filter.with_and_without_noise(part.clips)[self._before_noise]
                values = self.leaks(seen, part.private, named)
                which = self._largest(values)
                hardest = named[which]
                yield share * values[which]

        leak = self._update(losses(), [self.opt_filter], [self.filter])
        return PrivacyMove(self._mean(leak), hardest)

    def _parts(self, batch: Batch) -> list[tuple[Batch, float]]:
        """A batch in parts, and what share of it each is.

        One at a time is in memory with all that its gradient needs; the authors' code accumulates
        gradients so. What a network normalises over a batch, it then normalises over a part.
        """
        size, count = self.config.train.micro_batch, len(batch.clips)
        if not 0 < size < count:
            return [(batch, 1.0)]
        columns = (batch.clips, batch.target, batch.private)
        parts = zip(*(torch.split(column, size) for column in columns), strict=True)
        return [(part, len(part.clips) / count) for part in (Batch(*each) for each in parts)]

    def _candidates(self, batch: Batch, indices: Sequence[int]) -> Sequence[int]:
        """Of which budget models f_D is to be shown the leak: where there are parts, the hardest.

        It is the one that is hardest on the whole batch, and so must be known before the first
        part is gone. A batch in one part is passed once, and its hardest model found on the way.
        """
        parts = self._parts(batch)
        if len(parts) == 1 or len(indices) == 1:
            return indices
        total = torch.zeros(len(indices), device=self.device)
        with torch.no_grad():
            for part, share in parts:
                seen = self.filter.with_and_without_noise(part.clips)[self._before_noise]
                total += share * torch.stack(self.leaks(seen, part.private, indices))
        return [indices[self._largest(list(total))]]

    def _largest(self, leaks: Sequence[Tensor]) -> int:
        """The place of the largest value; the same in all processes."""
        return int(torch.stack([mean_over(self.fabric, leak) for leak in leaks]).argmax())

    def leaks(self, anonymized: Clips, private: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """J_B of the named budget models; gradients reach the clips, not the models.

        In training mode, as in their own steps: BatchNorm there normalises over this batch, and
        its running statistics keep up with the filter. No weight moves.
        """
        assert self.objective is not None
        values = []
        models = [self.budget[i] for i in indices]
        with frozen(models):
            for model in models:
                model.train()
                logits = model(self._frames_for(model, anonymized))
                per_clip = self.objective(logits, private, self.data.private.multi_label)
                values.append(per_clip.mean())
        return values

    def target_step(self, *, with_filter: bool) -> float:
        """Minimise L_T over f_T (Wang19 eq. 4b), with f_D too if asked (eq. 6b).

        Both then move by f_T's step size alpha_T, as in the equation.
        """
        batch = self.draw()
        self.target.train()
        self.filter.train(with_filter)

        def losses() -> Iterator[Tensor]:
            for part, share in self._parts(batch):
                with torch.set_grad_enabled(with_filter):
                    anonymized = self.filter(part.clips)
                yield share * label_loss(self.target(anonymized), part.target, self.data.target)

        optimizers = [self.opt_target, self.opt_end_to_end] if with_filter else [self.opt_target]
        moving: list[nn.Module] = [self.target, self.filter] if with_filter else [self.target]
        return self._mean(self._update(losses(), optimizers, moving))

    def budget_step(
        self, indices: Sequence[int], seen: Clips | None = None, batch: Batch | None = None
    ) -> list[float]:
        """Minimise L_B over each of the named budget models (Wang19 eq. 6c, 10c).

        Args:
            indices: which.
            seen: a batch that already passed f_D, detached; else a new one is drawn.
            batch: its labels.

        Returns:
            The training score of each on the batch, before the update.
        """
        if seen is None or batch is None:
            batch = self.draw_private()
            with torch.no_grad():
                parts = [self.filter.with_and_without_noise(p.clips) for p, _ in self._parts(batch)]
            seen = torch.cat([views[self._before_noise] for views in parts])
        return [self._budget_update(i, replace(batch, clips=seen)) for i in indices]

    def _budget_update(self, index: int, shown: Batch) -> float:
        model, scores = self.budget[index], []
        model.train()

        def losses() -> Iterator[Tensor]:
            for part, share in self._parts(shown):
                logits = model(self._frames_for(model, part.clips))
                scores.append(share * _training_score(logits, part.private))
                yield share * label_loss(logits, part.private, self.data.private)

        self._update(losses(), [self.opt_budget[index]], [model])
        return self._mean(torch.stack(scores).sum())

    def _frames_for(
        self, model: ClipClassifier, clips: Clips
    ) -> Float[Tensor, "batch 3 picked height width"]:
        count = self.config.train.budget_frames
        time = clips.shape[2]
        if model.sees != "frames" or not 0 < count < time:
            return clips
        rng = np.random.default_rng([self.config.train.seed, 2, self.moves])
        picked = np.sort(rng.permutation(time)[:count])
        return clips[:, :, torch.from_numpy(picked).to(clips.device)]

    def _update(
        self,
        losses: Iterable[Tensor],
        optimizers: Sequence[torch.optim.Optimizer],
        moving: Sequence[nn.Module],
    ) -> Tensor:
        """Move players by the sum of the losses of a batch's parts, and return it."""
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        found = []
        for loss in losses:
            self.fabric.backward(loss)
            found.append(loss.detach())
        average_gradients(self.fabric, moving)
        clip_gradients(moving)
        for optimizer in optimizers:
            optimizer.step()
        for module in (self.filter, self.target):
            module.zero_grad(set_to_none=True)
        average_statistics(self.fabric, self.modules().values())
        return torch.stack(found).sum()

    def _mean(self, value: Tensor) -> float:
        return float(mean_over(self.fabric, value))

    # ---------------------------------------------------------------- measuring

    def validate(self, most: int = 0, *, budget: bool = True) -> Validation:
        """Scores and losses on validation clips, in evaluation mode.

        Args:
            most: clips to use, spread evenly; 0 for all. Of two data sets, of each.
            budget: whether budget models are measured too.
        """
        torch.manual_seed(self.config.train.seed + 5)
        own, other = self.data.val, self.data.private_data.val
        target = Asked(self.target, own.target, self.data.target)
        against = [
            Asked(model, other.private, self.data.private, self._before_noise)
            for model in (self.budget if budget else [])
        ]
        measured = partial(
            scores_and_losses, self.filter, most=most, device=self.device,
            batch=self.config.train.micro_batch or self.config.train.batch,
        )  # fmt: skip
        if self.data.other is None:
            found = measured(own.clips, [target, *against])
        else:
            found = measured(own.clips, [target]) + measured(other.clips, against)
        # Decisions hang on them: processes must not differ by rounding either.
        same = mean_over(self.fabric, torch.tensor(found, dtype=torch.float64, device=self.device))
        (score, loss), *rest = same.tolist()
        return Validation(score, loss, [each[0] for each in rest], [each[1] for each in rest])


def _training_score(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of right answers in a batch, for one-of-k and for multi-label outputs."""
    with torch.no_grad():
        if labels.ndim == 2:
            return ((logits > 0) == (labels > 0.5)).float().mean()
        return (logits.argmax(1) == labels).float().mean()
