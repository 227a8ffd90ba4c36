"""The typed configuration of a run: presets, `key=value` overrides, and no unknown key."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from unseen.anonymizers.learned import FilterConfig
from unseen.families.family import members, unknown_preset
from unseen.overrides import (
    Section,
    Seed,
    Training,
    Workers,
    merge,
    overridden,
    own_changes,
    packaged,
    preset_values,
)
from unseen.training.objectives import OBJECTIVES


class DataConfig(Section):
    """What to learn from.

    Attributes:
        name: `duet`, a published data set (`ucf101:2`), or the path of a CSV manifest.
        root: the folder of a published data set.
        target: the label column of the target task.
        private: label columns of the private attribute; `all`: all but the target's.
        private_name: the data set that has the private attribute, named as in `name`, where it is
            another than the target's (Wu18 4.2, Wang19 3.6); None: the same.
        private_root: the folder of that one.
        test_on: `pa-hmdb51`: test on the videos of HMDB51 that it annotates, and train on none of
            them; None: on the data sets' own test splits.
        test_on_root: the folder of its annotations.
        films: with `test_on`: `apart`, nothing trains that was cut from the film of an annotated
            video, or `mixed`, all but the annotated videos trains (the papers).
        stills: what becomes of a data set of images: `pan`, clips in which the picture drifts by an
            eighth of its size, or `repeat`, clips of one repeated frame (the papers).
        person_detector: `torchvision:NAME@FILE.safetensors`, which finds bodies for `mask-body`
            where the data has no boxes.
        cache: a folder for decoded clips, which are then not decoded again. It holds raw video.
        size: height and width of the clips in pixels.
        frames: per clip.
        train, val, test: how many clips `duet` generates for each split.
        seed: of `duet`; elsewhere of what is held out where lists or a manifest leave it open: the
            validation clips of UCF101, HMDB51 and SBU, or a whole split.
        split_by: the columns that such a split is drawn by, target first; None: the target and
            private ones. What is measured of a run keeps those it was trained with.
    """

    name: str = "duet"
    root: str | None = None
    target: str = "action"
    private: tuple[str, ...] = Field(("pair",), min_length=1)
    private_name: str | None = None
    private_root: str | None = None
    test_on: Literal["pa-hmdb51"] | None = None
    test_on_root: str | None = None
    films: Literal["apart", "mixed"] = "apart"
    stills: Literal["pan", "repeat"] = "pan"
    person_detector: str | None = None
    cache: str | None = None
    size: int = Field(48, ge=16)
    frames: int = Field(16, ge=2)
    train: int = Field(1664, ge=1)
    val: int = Field(416, ge=1)
    test: int = Field(832, ge=1)
    seed: Seed = 0
    split_by: tuple[str, ...] | None = Field(None, min_length=2)


def _objective(name: str) -> str:
    return OBJECTIVES.known(name, "none")


class GameConfig(Section):
    """The game of Wu18 3.2-3.3 and Wang19 3.3-3.4, as parts that combine.

    Attributes:
        objective: what f_D minimises for privacy, see `unseen.training.objectives`; `none` trains
            f_D for the target alone (its limits are then all that protects).
        gamma: weight of the privacy objective (gamma in Wu18 eq. 2). `k_beam` has none: its f_D
            follows J_B and L_T in turns (Wang19 eq. 8).
        hold_loss: when set, gamma becomes the multiplier of the constraint "L_T stays at or
            below this": it grows while L_T is below and shrinks while above.
        gamma_rate: how fast, per step, in log units.
        gamma_min, gamma_max: its ends.
        joint: whether the f_D step moves f_T too. The papers' step (6a) moves f_D alone.
        end_to_end: whether steps of the f_T loop move f_D too (Wang19 eq. 6b, algorithms 2-4), or
            f_T alone (eq. 4b, algorithm 1).
        schedule: `alternating` (one f_D step, then `budget_steps` of each budget model),
            `monitored` (Wang19 algorithms 1, 2, 4: thresholds and caps), `k_beam` (Wang19
            algorithm 3) or `three_party` (Wu18 3.2), see `unseen.training.schedules`.
        d_iter: f_D steps in a row on the hardest budget model, which together are one step of the
            game (`k_beam`).
        th1: target validation accuracy at which the f_T loop ends.
        th2: budget training accuracy at which a budget loop ends.
        cap_target, cap_budget: most steps of those loops; reaching one is logged.
        bound_target, bound_budget: validation L_T and L_B, as shares of the loss of a guess that
            knows no more than how frequent each label is, above which f_T or that f_B moves before
            f_D does (`three_party`).
        budget_sees: `output`, or `before_noise`: budget models see what leaves the filter without
            its noise. They learn faster from it, and what they cannot read there nobody reads
            through the noise.
        budget_steps: steps of each budget model per f_D step (`alternating`).
        restart_every: steps of the game between restarts of budget models; 0 never.
        restart_patience: steps of the game in which the leak J_B has not fallen, after which budget
            models are restarted; 0 never. Combines with `restart_every`.
        restart_tolerance: how far, in nats, the leak must go below its lowest to have fallen.
        restart: `all` (the papers) or `oldest` (one at a time, so that the others stay strong).
        restart_cap: most steps of retraining a restarted model until th2.
    """

    objective: Annotated[str, AfterValidator(_objective)] = "negative_entropy"
    gamma: float = Field(2.0, ge=0)
    hold_loss: float | None = Field(None, gt=0)
    gamma_rate: float = Field(0.02, ge=0)
    gamma_min: float = Field(0.05, ge=0)
    gamma_max: float = Field(50.0, gt=0)
    joint: bool = True
    end_to_end: bool = True
    schedule: Literal["alternating", "monitored", "k_beam", "three_party"] = "alternating"
    d_iter: int = Field(30, ge=1)
    th1: float = Field(0.85, ge=0, le=1)
    th2: float = Field(0.99, ge=0, le=1)
    cap_target: int = Field(30, ge=0)
    cap_budget: int = Field(200, ge=1)
    bound_target: float = Field(0.25, ge=0)
    bound_budget: float = Field(0.25, ge=0)
    budget_sees: Literal["output", "before_noise"] = "output"
    budget_steps: int = Field(1, ge=1)
    restart_every: int = Field(0, ge=0)
    restart_patience: int = Field(0, ge=0)
    restart_tolerance: float = Field(0.01, ge=0)
    restart: Literal["all", "oldest"] = "all"
    restart_cap: int = Field(200, ge=1)

    @model_validator(mode="after")
    def _gamma_has_a_use(self) -> "GameConfig":
        if self.schedule == "k_beam" and self.hold_loss is not None:
            raise ValueError(
                "hold_loss moves gamma, which schedule k_beam has none of; set hold_loss=null"
            )
        if self.gamma_min > self.gamma_max:
            raise ValueError(f"gamma_min {self.gamma_min} is above gamma_max {self.gamma_max}")
        return self


class TrainConfig(Training):
    """Everything about optimisation.

    Attributes:
        seed: of weights, batches and noise.
        device: `auto`, `cpu`, `cuda`.
        devices: processes on one machine (gloo on CPU, NCCL on GPU).
        threads: of each process on a CPU.
        batch: clips a step, over all devices.
        micro_batch: clips of a step that each process computes at once, where memory is short; it
            moves by the mean gradient of them all; 0: all.
        budget_frames: frames of each clip that a frame-wise budget model sees in one step; 0: all.
        init_reconstruct: steps of stage 1, f_D reproduces its input.
        init_target_alone: steps between the two, f_T learns the target on the frozen f_D.
        init_target: steps of stage 2, f_D and f_T learn the target.
        init_budget: steps of stage 3, each budget model learns on the frozen f_D; none without a
            game (`game.objective=none`).
        steps: outer steps of the game (of one f_D step each, but for `k_beam`).
        finish: steps in which f_T alone adapts to the final f_D.
        lr_filter, lr_target, lr_budget: Adam's step sizes (alpha_D, alpha_T, alpha_B).
        lr_schedule: `constant` (the papers), or `decay`: those of f_D and f_T rise over 30 steps
            in each stage of the initialisation, fall linearly over the last 40% of the game, and
            from 0.3 of their size over `finish`.
        checkpoint_every: seconds between checkpoints.
        log_every: f_D steps between measurements on validation clips.
    """

    micro_batch: int = Field(0, ge=0)
    budget_frames: int = Field(4, ge=0)
    init_reconstruct: int = Field(0, ge=0)
    init_target_alone: int = Field(0, ge=0)
    init_target: int = Field(150, ge=0)
    init_budget: int = Field(100, ge=0)
    steps: int = Field(400, ge=0)
    finish: int = Field(40, ge=0)
    lr_filter: float = Field(1e-3, gt=0)
    lr_target: float = Field(1e-3, gt=0)
    lr_budget: float = Field(1e-3, gt=0)
    lr_schedule: Literal["constant", "decay"] = "decay"

    checkpoint_every: float = Field(30.0, ge=0)
    log_every: int = Field(20, ge=1)


class FitConfig(Section):
    """How a classifier on anonymized clips is trained: until it has converged.

    Training runs at a constant step size until the validation score has not risen for `patience`
    epochs, goes back to the best weights, divides the step size by 5, and so on; after the last of
    `drops` falls, or at `cap` epochs, it stops.

    Attributes:
        epoch_clips: clips between two looks at validation clips; a smaller split is gone through
            several times.
        least: epochs before the first fall.
        patience: epochs without a better validation score before the step size falls.
        drops: how often it falls.
        cap: most epochs.
        batch: clips a step.
        frames: of each clip that a frame-wise model sees in one step, or pairs of neighbouring
            frames for one of differences; 0: all.
        lr: Adam's step size.
        weight_decay: decoupled.
        seed: of weights, batches and augmentation.
    """

    epoch_clips: int = Field(1664, ge=1)
    least: int = Field(6, ge=0)
    patience: int = Field(3, ge=1)
    drops: int = Field(1, ge=0)
    cap: int = Field(40, ge=1)
    batch: int = Field(32, ge=2)
    frames: int = Field(4, ge=0)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-3, ge=0)
    seed: Seed = 0


AttackName = Literal["classify", "reconstruct", "retrieve", "curriculum"]


class EvaluationConfig(Section):
    """How an anonymizer is measured.

    Attributes:
        attackers: how many of the suite, or names joined by commas.
        suite: `small` or `paper`.
        attacks: `classify` (the attackers, always), and beside it `reconstruct`, `retrieve` and
            `curriculum`, whose attackers have raw video of the training split.
        identifier: the model, trained on raw video, that judges reconstructions.
        encoder: the network of both encoders of the retrieval attack; no budget model either.
        learner: the network of the curriculum attack; no budget model either.
        target_model: the architecture of the fresh f_T.
        codec: what the video is stored with (`h264:crf=23`), or None.
        draws: of a random anonymizer, for training.
        target_fit: training of the fresh f_T.
        attacker_fit: training of each attacker.
        jobs: attackers trained side by side.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        seed: of the anonymizer's noise and of intervals; networks have those of the two fits.
        previews: None: show raw frames only if the data is synthetic; True: always; False: never.
    """

    attackers: int | str = 10
    suite: str = "small"
    attacks: tuple[AttackName, ...] = ("classify",)
    identifier: str = "resnet-v1-10"
    encoder: str = "r3d-small"
    learner: str = "r3d-small"
    target_model: str = "c3d-small:16"
    codec: str | None = "h264:crf=23"
    draws: int = Field(2, ge=1)
    target_fit: FitConfig = FitConfig(lr=3e-3, least=12, patience=4)
    attacker_fit: FitConfig = FitConfig()
    jobs: Workers = 2
    device: str = "auto"
    seed: Seed = 0
    previews: bool | None = None

    @model_validator(mode="after")
    def _attackers_classify(self) -> "EvaluationConfig":
        if "classify" not in self.attacks or len(set(self.attacks)) < len(self.attacks):
            raise ValueError(
                "attacks must have classify, and each name once: a leak without the attackers that "
                "classify would be too low; write classify,reconstruct"
            )
        return self


class RunConfig(Section):
    """A whole run.

    Attributes:
        target_model: f_T, a specification as `c3d-small:16`.
        budget_models: the ensemble of f_B.
    """

    preset: str = ""
    data: DataConfig = DataConfig()
    filter: FilterConfig = FilterConfig()
    target_model: str = "c3d-small"
    budget_models: tuple[str, ...] = ("mobilenet-gn:0.3",)
    game: GameConfig = GameConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _somebody_plays_against_the_filter(self) -> "RunConfig":
        if not self.budget_models and self.game.objective != "none":
            raise ValueError(
                "without budget_models nothing would drive the filter to hide anything: name at "
                "least one, or set game.objective=none"
            )
        return self

    @property
    def ensemble(self) -> int:
        """M, the number of budget models that play."""
        return 0 if self.game.objective == "none" else len(self.budget_models)


SEEDS = (
    "train.seed",
    "evaluation.seed",
    "evaluation.target_fit.seed",
    "evaluation.attacker_fit.seed",
)
"""What a seed of a sweep sets: weights, batches, noise and attackers; the data stay as they are."""


_FOLDER = "presets"


def preset_names() -> list[str]:
    """The presets that can be named; members of families (`unseen.families`) can be as well."""
    return list(packaged(_FOLDER))


def _preset(name: str) -> dict[str, Any]:
    if member := members().get(name):
        values = preset_values(_FOLDER, member.preset)
        if member.strategy:
            values = merge(values, own_changes(_FOLDER, member.strategy))
        for change in member.changes:
            values = merge(values, change)
        return values
    return preset_values(_FOLDER, _known(name))


def _known(name: str) -> str:
    if name not in packaged(_FOLDER):
        raise unknown_preset(name, preset_names())
    return name


def about_preset(name: str) -> str:
    """What a preset, or a family's member, is for, in one line."""
    member = members().get(name)
    return member.about if member else str(packaged(_FOLDER)[_known(name)]["about"])


def load_config(
    preset: str | None = None, overrides: Sequence[str] = (), *, base: RunConfig | None = None
) -> RunConfig:
    """A configuration from a preset (or `base`, a configuration) and `key=value` overrides.

    A preset is one of `preset_names()`, or a member of a family (`sbu-entropy-restart-m4`). Keys
    are dotted (`game.gamma=5`); a list is written as JSON or separated by commas. Where
    `data.private_name` becomes another data set, all that has is private, unless `data.private` is
    named too: the columns of the one before are not there.

    Raises:
        ConfigError: naming every unknown key (with the nearest that exists) and every value that
            does not fit, all at once.
    """
    # From all defaults, so that changing one field of a section leaves its others as they were.
    values: dict[str, Any] = (base or RunConfig()).model_dump(mode="json")
    if preset:
        values = merge(values, _preset(preset))
        values["preset"] = preset
    config = overridden(RunConfig, values, overrides)
    named = {override.partition("=")[0] for override in overrides}
    moved = config.data.private_name != values["data"]["private_name"]
    if moved and "data.private" not in named:
        data = config.data.model_copy(update={"private": ("all",)})
        return config.model_copy(update={"data": data})
    return config
