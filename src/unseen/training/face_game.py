"""Ren18's game: the modifier M against the recogniser D, with the action detector A (section 3).

`FaceGame` holds the players and makes single moves; `unseen.training.face_run` decides which move
is next. Every random number of a move is derived from the seed and the move's number, as in
`unseen.training.game`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from unseen.anonymizers.modifier import FaceModifier, Grain, Looks
from unseen.face_config import FaceRunConfig
from unseen.faces.actions import FacesFound
from unseen.faces.align import align, lay_over
from unseen.faces.images import TrainingFaces, face_crops
from unseen.models.action_detector import ActionDetector, Actions, Frame
from unseen.models.critic import FaceCritic, critic_loss, realism_loss
from unseen.models.sphereface import FaceClassifier, Features, PerFace, angular_softmax
from unseen.training.batches import Order
from unseen.training.face_objectives import FACE_OBJECTIVES, Exposed, other_identities
from unseen.training.gradients import clip_gradients, frozen
from unseen.training.processes import average_gradients, mean_over
from unseen.training.strangers import occlude, occluders, someone_else
from unseen.types import Frames, to_clips

# Faces from which M learns what looks are like.
LOOKS_FROM = 2000


@dataclass(frozen=True)
class FaceBatch:
    """Faces f with their identities i_f, on the device.

    Attributes:
        faces: `(faces, 3, size, size)` in [0, 1].
        landmarks: `(faces, 5, 2)` in pixels of `faces`.
        labels: `(faces,)`.
    """

    faces: Frames
    landmarks: Float[Tensor, "faces 5 2"]
    labels: Int[Tensor, " faces"]


@dataclass(frozen=True)
class Draw(FaceBatch):
    """A batch to learn from, and everything random that a move does with its faces.

    Attributes:
        goals: what L1 asks M to make of them; as `faces`.
        looks: whom M is told to make; None: anybody, or nobody in particular.
        grain: M's noise, see `FaceModifier.grain`.
        others: for each face an identity that is not its own, see `random_label`.
    """

    goals: Frames
    looks: Looks | None
    grain: Grain
    others: Int[Tensor, " faces"]

    def share(self, number: int, of: int) -> "Draw":
        """What one of so many processes computes."""
        mine = slice(number, None, of)
        return Draw(
            self.faces[mine], self.landmarks[mine], self.labels[mine], self.goals[mine],
            None if self.looks is None else self.looks[mine], self.grain[mine], self.others[mine],
        )  # fmt: skip


@dataclass(frozen=True)
class ModifierMove:
    """What a step of M measured, before its update.

    Attributes:
        privacy: the sum of the objectives, mean over faces.
        l1: the mean absolute difference, unweighted.
        realism: the critic's term, unweighted; 0 without.
        detection: L_det; 0 without a detector.
    """

    privacy: float
    l1: float
    realism: float
    detection: float


class FaceGame:
    """The players M, D and, where asked for, A and a critic; and the moves they can make.

    Args:
        config: the run's configuration.
        faces: F, of the people to learn from.
        actions: V; None: no action detection.
        fabric: device and processes. Each draws the whole batch, its noise included, and computes
            its share: that many make the steps of one. So they do with frames of actions, but what
            the detector draws for its losses is drawn by each.
    """

    def __init__(
        self,
        config: FaceRunConfig,
        faces: TrainingFaces,
        actions: FacesFound | None,
        fabric: Fabric,
    ) -> None:
        self.config, self.faces, self.actions, self.fabric = config, faces, actions, fabric
        self.device = device = fabric.device
        train = config.train
        torch.manual_seed(train.seed)
        self.modifier = FaceModifier(config.modifier).to(device)
        if config.modifier.looks:
            self.modifier.learn_looks(self._looks(LOOKS_FROM))
        self.recogniser = self._new_recogniser()
        self.detector = (
            ActionDetector(config.detector, actions.classes, config.data.short_side).to(device)
            if actions is not None
            else None
        )
        self.critic = FaceCritic(config.modifier.size).to(device) if config.game.realism else None
        self.mean = _mean_of(self.modifier, config.game.average) if config.game.average else None
        self.rates = {
            "modifier": train.lr_modifier,
            "recogniser": train.lr_recogniser,
            "detector": train.lr_detector,
            "critic": train.lr_critic,
        }
        self.factor = 1.0
        self.adam = {name: self._adam(name) for name in self.modules() if name in self.rates}
        self.order = Order(len(faces), train.batch, train.seed)
        self.frame_order = Order(len(actions or ()), train.frames, train.seed + 1)
        self.moves = 0
        self.ease = config.game.ease

    def _looks(self, most: int) -> Looks:
        """Looks of at most so many faces, evenly from all people."""
        count = min(most, len(self.faces))
        chosen = np.linspace(0, len(self.faces) - 1, count).astype(int)
        parts = np.array_split(chosen, -(-count // self.config.train.batch))
        return torch.cat(
            [self.modifier.cells_of(self.batch(self.faces, part).faces) for part in parts]
        )

    def _new_recogniser(self) -> FaceClassifier:
        folds = self.config.data.train_folds
        return FaceClassifier(self.config.recogniser, len(self.faces.names), folds).to(self.device)

    def _adam(self, name: str) -> torch.optim.Adam:
        train = self.config.train
        return torch.optim.Adam(
            self.modules()[name].parameters(),
            lr=self.rates[name],
            betas=(train.beta1, train.beta2),
        )

    @property
    def result(self) -> FaceModifier:
        """The M that a run leaves: the mean of M's weights, where one is kept."""
        made = self.modifier if self.mean is None else self.mean.module
        assert isinstance(made, FaceModifier)
        return made

    def modules(self) -> dict[str, nn.Module]:
        """All players by name, and the mean of M, for checkpoints."""
        players: Mapping[str, nn.Module | None] = {
            "modifier": self.modifier,
            "recogniser": self.recogniser,
            "detector": self.detector,
            "critic": self.critic,
            "mean": self.mean,
        }
        return {name: player for name, player in players.items() if player is not None}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """All optimisers by name, for checkpoints."""
        return {f"opt_{name}": adam for name, adam in self.adam.items()}

    def set_rate(self, factor: float) -> None:
        """Scale all step sizes; that of a D which is restarted later is whole."""
        self.factor = factor
        for name, adam in self.adam.items():
            for group in adam.param_groups:
                group["lr"] = self.rates[name] * factor

    def restart(self) -> None:
        """Give D new random weights and a new optimiser."""
        self._reseed()
        self.recogniser = self._new_recogniser()
        self.adam["recogniser"] = self._adam("recogniser")

    # ---------------------------------------------------------------- batches

    def _reseed(self) -> np.random.Generator:
        self.moves += 1
        seed = self.config.train.seed
        torch.manual_seed(seed * 1_000_003 + self.moves)
        return np.random.default_rng([seed, 1, self.moves])

    def draw(self) -> Draw:
        """The next faces, or this process' share of them; seeds everything random of the move."""
        rng = self._reseed()
        chosen = self.order.at(self.moves - 1)
        whole = self._with_goals(self.batch(self.faces, chosen, rng))
        rank, world = self.fabric.global_rank, self.fabric.world_size
        return whole.share(rank, world) if world > 1 else whole

    def batch(
        self,
        images: TrainingFaces,
        chosen: Int[np.ndarray, " faces"],
        rng: np.random.Generator | None = None,
    ) -> FaceBatch:
        """These pictures as the modifier's input; moved and mirrored with `rng`."""
        crops, points = face_crops(images, chosen, self.config.modifier.size, rng)
        faces = to_clips(crops[:, None], self.device)[:, :, 0]
        return FaceBatch(
            faces,
            torch.from_numpy(points).to(self.device),
            torch.from_numpy(images.identities[chosen]).to(self.device),
        )

    def _with_goals(self, batch: FaceBatch) -> Draw:
        """The batch with what the configuration asks M for, and with shapes over both."""
        game = self.config.game
        faces, goals, looks = batch.faces, batch.faces, None
        if game.l1_goal == "stranger":
            where = someone_else(batch.labels)
            goals = lay_over(faces[where], batch.landmarks[where], batch.landmarks)
            if self.config.modifier.looks:
                looks = self.modifier.looks_of(faces[where])
        if game.occluders:
            shapes = occluders(len(faces), game.occluders, faces.shape[-1])
            faces, goals = occlude(faces, *shapes), occlude(goals, *shapes)
        grain = self.modifier.grain(len(faces)).to(self.device)
        others = other_identities(batch.labels, self.recogniser.identities)
        return Draw(faces, batch.landmarks, batch.labels, goals, looks, grain, others)

    def _modified_frames(self, modifier: FaceModifier) -> tuple[list[Frame], list[Actions]]:
        """v' of this move's frames, which may be of different sizes, and their actions (eq. 1)."""
        assert self.actions is not None
        modified, found = [], []
        chosen = self.frame_order.at(self.moves - 1)
        # Each process draws the noise of all frames: that of no two is the same.
        grains = [modifier.grain(1).to(self.device) for _ in chosen]
        mine = slice(self.fabric.global_rank, None, self.fabric.world_size)
        for k, grain in zip(chosen[mine], grains[mine], strict=True):
            picture = self.actions[int(k)]
            assert picture.faces is not None
            clip = to_clips(picture.image[None, None], self.device)
            faces = torch.from_numpy(picture.faces).to(self.device)
            modified.append(modifier.step(clip, grain, faces[None, None]).clips[0, :, 0])
            found.append(Actions.of(picture, self.device))
        return modified, found

    # ---------------------------------------------------------------- moves

    def recognise_step(self) -> float:
        """D learns real faces alone: it starts from a face recogniser (Ren18 section 4)."""
        batch = self.draw()
        loss = self._recognition(batch.faces, batch).mean()
        return self._update(loss, ["recogniser"])

    def reconstruct_step(self) -> ModifierMove:
        """M learns L1 alone: faces before a critic and D ask for sharp ones, and for others."""
        batch = self.draw()
        return self._train_modifier(batch, self._modified(batch), playing=False)

    def recogniser_step(self) -> float:
        """D alone against the M of now: what it does after a restart."""
        batch = self.draw()
        with torch.no_grad():
            modified = self._modified(batch)
        return self._train_recogniser(batch, modified)

    def round(self) -> tuple[float, ModifierMove]:
        """One iteration of algorithm 1, lines 2 to 9: f' = M(f), D learns, then M and A do.

        Returns:
            L_D on modified and real faces, and what M's step measured, both before their updates.
        """
        batch = self.draw()
        modified = self._modified(batch)
        recognition = self._train_recogniser(batch, modified.detach())
        self._train_critic(batch, modified.detach())
        return recognition, self._train_modifier(batch, modified, playing=True)

    def detector_step(self) -> float:
        """arg min_A L_det with M and D frozen (algorithm 1, line 11)."""
        assert self.detector is not None
        self._reseed()
        with frozen([self.result]):
            return self._update(self._detection(self.result), ["detector"])

    # ---------------------------------------------------------------- losses

    def _modified(self, batch: Draw) -> Frames:
        self.modifier.train()
        return self.modifier.modify(batch.faces, batch.grain, batch.looks)

    def _recognition(self, faces: Frames, batch: FaceBatch) -> PerFace:
        """L_D of each face, aligned."""
        self.recogniser.train()
        seen = self.recogniser(align(faces, batch.landmarks))
        return angular_softmax(seen, batch.labels, margin=self.config.game.margin, ease=self.ease)

    def _train_recogniser(self, batch: FaceBatch, modified: Frames) -> float:
        """arg max_D L_adv (algorithm 1, line 3): L_D on modified and on real faces (eq. 2)."""
        loss = self._recognition(modified, batch) + self._recognition(batch.faces, batch)
        return self._update(loss.mean(), ["recogniser"])

    def _train_critic(self, batch: FaceBatch, modified: Frames) -> None:
        if self.critic is not None:
            self.critic.train()
            loss = critic_loss(self.critic(batch.faces), self.critic(modified))
            self._update(loss, ["critic"])

    def _train_modifier(self, batch: Draw, modified: Frames, *, playing: bool) -> ModifierMove:
        """arg min_{M,A} L_det + L_adv + lambda L_l1 (algorithm 1, line 9)."""
        game = self.config.game
        zero = torch.zeros((), device=self.device)
        privacy, realism, detection = zero, zero, zero
        moving = ["modifier"]
        with frozen([self.recogniser, *([] if self.critic is None else [self.critic])]):
            l1 = self._l1(modified, batch.goals)
            loss = game.l1 * l1
            if playing and self.critic is not None:
                self.critic.eval()  # its spectral norms move with its own steps only
                realism = realism_loss(self.critic(modified))
                loss = loss + game.realism * realism
            if playing:
                privacy = self._privacy(modified, batch)
                loss = loss + game.gamma * privacy
            if playing and self.detector is not None:
                detection = self._detection(self.modifier)
                loss = loss + detection
                moving.append("detector")
            self._update(loss, moving)
        if self.mean is not None:
            self.mean.update_parameters(self.modifier)
        return ModifierMove(*(self._mean(x) for x in (privacy, l1, realism, detection)))

    def _privacy(self, modified: Frames, batch: Draw) -> Float[Tensor, ""]:
        @torch.no_grad()
        def real() -> Features:
            return self.recogniser.embed(align(batch.faces, batch.landmarks))

        self.recogniser.train()
        seen = self.recogniser(align(modified, batch.landmarks))
        margin = self.config.game.margin
        exposed = Exposed(seen, real, batch.labels, batch.others, margin, self.ease)
        named = [FACE_OBJECTIVES[name](exposed) for name in self.config.game.objectives]
        return torch.stack(named).sum(0).mean()

    def _l1(self, modified: Frames, faces: Frames) -> Float[Tensor, ""]:
        """||M(f) - f||_1 as a mean over pixels and channels (eq. 3, without its lambda)."""
        if self.config.game.l1_size:
            size = (self.config.game.l1_size, self.config.game.l1_size)
            modified, faces = (F.adaptive_avg_pool2d(x, size) for x in (modified, faces))
        return F.l1_loss(modified, faces)

    def _detection(self, modifier: FaceModifier) -> Float[Tensor, ""]:
        """L_det of the next frames v' (eq. 1); a frame without faces is used as it is."""
        assert self.detector is not None
        self.detector.train()
        return self.detector.loss(*self._modified_frames(modifier))

    def _update(self, loss: Tensor, moving: Sequence[str]) -> float:
        for name in moving:
            self.adam[name].zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        players = [self.modules()[name] for name in moving]
        average_gradients(self.fabric, players)
        clip_gradients(players)
        for name in moving:
            self.adam[name].step()
        return self._mean(loss)

    def _mean(self, value: Tensor) -> float:
        return float(mean_over(self.fabric, value))

    # ---------------------------------------------------------------- measuring

    @torch.no_grad()
    def embeddings(self, images: TrainingFaces) -> tuple[Features, Features]:
        """D's features of real and of modified faces, in the order of `images`."""
        torch.manual_seed(self.config.train.seed + 5)
        self.recogniser.eval()
        found = torch.zeros(2, len(images), self.recogniser.directions.shape[1]).to(self.device)
        starts = range(0, len(images), self.config.train.batch)
        for number, start in enumerate(starts):
            chosen = np.arange(start, min(len(images), start + self.config.train.batch))
            grain = self.result.grain(len(chosen)).to(self.device)
            if number % self.fabric.world_size != self.fabric.global_rank:
                continue
            batch = self.batch(images, chosen)
            for k, faces in enumerate((batch.faces, self.result.modify(batch.faces, grain))):
                found[k, chosen] = self.recogniser.embed(align(faces, batch.landmarks))
        # The others have left zeros where it computed.
        real, modified = (self.fabric.world_size * mean_over(self.fabric, found)).cpu()
        return real, modified


def _mean_of(module: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
