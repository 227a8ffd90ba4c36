"""The typed configuration of a run of Ren18's game: presets and `key=value` overrides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    model_validator,
)

from unseen.anonymizers.modifier import ModifierConfig
from unseen.errors import ConfigError, RunError
from unseen.overrides import (
    Section,
    Training,
    damage,
    merge,
    overridden,
    packaged,
    preset_values,
)
from unseen.registry import nearest
from unseen.training.face_objectives import FACE_OBJECTIVES


class FaceDataConfig(Section):
    """What to learn from: pictures of faces F, and frames of actions V.

    Attributes:
        root: the folder with a folder of pictures for each person (`--root`).
        generated: people to generate instead of reading a folder, see `unseen.data.duet_faces`; a
            quarter as many more are validated on.
        takes: pictures of each of them.
        people: a list of people in folds, as LFW's `people.txt`, in `root` unless it is a path;
            null: every folder is a person, and those to validate on are drawn.
        train_folds: folds of that list to learn from, counted from 1.
        val_folds: folds whose people are only measured on.
        val_share: of the people, where there is no list of folds; at least two of them.
        least: people with fewer pictures are not learned from.
        side: height and width in pixels at which pictures are kept in memory.
        lazy: leave pictures in their files until they are needed, where memory is short.
        actions: where frames with action boxes come from: `daly`, `jhmdb`, `keyframes`, `duet` or
            `duet-faces:N`; null: no action detection.
        actions_root: the folder of that data set (`--actions-root`).
        short_side: to which the detector resizes the short side of frames, in pixels.
    """

    root: str | None = None
    generated: int = Field(0, ge=0)
    takes: int = Field(12, ge=2)
    people: str | None = None
    train_folds: tuple[int, ...] = ()
    val_folds: tuple[int, ...] = ()
    val_share: float = Field(0.2, gt=0, lt=1)
    least: int = Field(2, ge=1)
    side: int = Field(250, ge=32)
    lazy: bool = False
    actions: str | None = None
    actions_root: str | None = None
    short_side: int = Field(340, ge=32)

    @model_validator(mode="after")
    def _folds_are_apart(self) -> "FaceDataConfig":
        if self.people is not None and not (self.train_folds and self.val_folds):
            raise ValueError("a list of people needs train_folds and val_folds")
        if set(self.train_folds) & set(self.val_folds):
            raise ValueError("train_folds and val_folds share a fold")
        return self


class FaceGameConfig(Section):
    """The game of Ren18 3.1, as parts that combine.

    Attributes:
        objectives: what M minimises for privacy, summed; see `unseen.training.face_objectives`.
        gamma: their weight (1 in eq. 4).
        l1: lambda of eq. 3.
        l1_size: height and width in pixels at which L1 compares faces, averaged down to it; 0: as
            they are (the paper).
        l1_goal: the face that L1 asks M for: `own` (the paper), or a `stranger`'s in its place, see
            `unseen.training.strangers`.
        occluders: at most so many random shapes lie over each face learned from, and have to stay;
            0: none (the paper).
        realism: weight of a critic that tells made faces from real ones; 0: none (the paper).
        average: decay of the running mean of M's weights, which is what the run leaves; 0: the last
            weights (the paper). Pictures of single steps flicker, those of the mean are calmer.
        margin: m of the angular softmax.
        ease: the least weight of cos(theta) beside psi(theta) in it.
        recogniser_steps: steps of D for each step of M.
        restart_every: steps of the game between restarts of D; 0 never (the paper).
        restart_steps: of D alone after a restart.
    """

    objectives: tuple[Annotated[str, AfterValidator(FACE_OBJECTIVES.known)], ...] = ("misclassify",)
    gamma: float = Field(1.0, ge=0)
    l1: float = Field(1.0, ge=0)
    l1_size: int = Field(0, ge=0)
    l1_goal: Literal["own", "stranger"] = "own"
    occluders: int = Field(0, ge=0)
    realism: float = Field(0.0, ge=0)
    average: float = Field(0.0, ge=0, lt=1)
    margin: int = Field(4, ge=1, le=8)
    ease: float = Field(5.0, ge=0)
    recogniser_steps: int = Field(1, ge=1)
    restart_every: int = Field(0, ge=0)
    restart_steps: int = Field(300, ge=1)


class FaceTrainConfig(Training):
    """Everything about optimisation.

    Attributes:
        seed: of weights, batches and noise.
        device: `auto`, `cpu`, `cuda`.
        devices: processes on one machine (gloo on CPU, NCCL on GPU).
        threads: of each process on a CPU.
        batch: faces a step, over all devices.
        frames: of actions a step, over all devices.
        init_recogniser: steps in which D learns real faces.
        init_modifier: steps in which M learns L1 alone.
        steps: T1 of algorithm 1: D, then M and A together.
        finish: T2 of algorithm 1: A alone.
        lr_modifier, lr_recogniser, lr_detector, lr_critic: Adam's step sizes.
        beta1, beta2: of Adam.
        lr_drop: share of the steps after which step sizes fall to a tenth, in the game and for A
            alone.
        checkpoint_every: seconds between checkpoints.
        log_every: steps of the game between measurements on people not learned from.
    """

    frames: int = Field(2, ge=1)
    init_recogniser: int = Field(0, ge=0)
    init_modifier: int = Field(0, ge=0)
    steps: int = Field(100, ge=0)
    finish: int = Field(0, ge=0)
    lr_modifier: float = Field(3e-4, gt=0)
    lr_recogniser: float = Field(3e-4, gt=0)
    lr_detector: float = Field(1e-3, gt=0)
    lr_critic: float = Field(3e-4, gt=0)
    beta1: float = Field(0.5, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    lr_drop: float = Field(7 / 12, gt=0, le=1)
    checkpoint_every: float = Field(30.0, ge=0)
    log_every: int = Field(100, ge=1)


class FaceRunConfig(Section):
    """A whole run of Ren18's game.

    Attributes:
        kind: tells the configuration of such a run from others.
        preset: its name.
        recogniser: D, `sphereface-20` or `sphereface-small:W`.
        detector: A, `faster-rcnn-resnet101` or `faster-rcnn-small:W`.
    """

    kind: Literal["faces"] = "faces"
    preset: str = ""
    data: FaceDataConfig = FaceDataConfig()
    modifier: ModifierConfig = ModifierConfig()
    recogniser: str = "sphereface-20"
    detector: str = "faster-rcnn-resnet101"
    game: FaceGameConfig = FaceGameConfig()
    train: FaceTrainConfig = FaceTrainConfig()

    @model_validator(mode="after")
    def _looks_are_asked_for(self) -> "FaceRunConfig":
        if self.modifier.looks and self.game.l1_goal != "stranger":
            raise ValueError(
                "modifier.looks tells M whom to make, and L1 asks it for another face: set "
                "game.l1_goal=stranger, or modifier.looks=0"
            )
        return self

    @model_validator(mode="after")
    def _frames_are_shared(self) -> "FaceRunConfig":
        frames, devices = self.train.frames, self.train.devices
        if self.data.actions is not None and frames % devices:
            raise ValueError(f"train: frames {frames} does not divide over {devices} devices")
        return self


_FOLDER = "presets_faces"


def face_preset_names() -> list[str]:
    """The presets of face games."""
    return list(packaged(_FOLDER))


def _known(name: str) -> str:
    if name not in packaged(_FOLDER):
        known = face_preset_names()
        raise ConfigError(
            f"unknown face preset '{name}'{nearest(name, known)}; choose from: {', '.join(known)}"
        )
    return name


def about_face_preset(name: str) -> str:
    """What a face preset is for, in one line."""
    return str(packaged(_FOLDER)[_known(name)]["about"])


def load_face_config(
    preset: str | None = None,
    overrides: Sequence[str] = (),
    *,
    base: FaceRunConfig | None = None,
) -> FaceRunConfig:
    """A configuration from a preset (or `base`) and overrides, as `unseen.config.load_config`."""
    values: dict[str, Any] = (base or FaceRunConfig()).model_dump(mode="json")
    if preset:
        values = merge(values, preset_values(_FOLDER, _known(preset))) | {"preset": preset}
    return overridden(FaceRunConfig, values, overrides)


def stored_face_config(path: Path) -> FaceRunConfig | None:
    """The configuration of a face game in a file; None where it is one of another kind.

    Raises:
        RunError: for a file that is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if '"kind": "faces"' not in text:
            return None
        return FaceRunConfig.model_validate_json(text)
    except ValidationError as error:
        raise RunError(f"{path} is damaged: {damage(error)}") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
