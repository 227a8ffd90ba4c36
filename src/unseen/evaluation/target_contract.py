"""What stands beside the weights of a further target model: its contract and its figures."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from unseen.config import EvaluationConfig
from unseen.errors import WeightsError
from unseen.overrides import Section, damage

TARGETS_FOLDER = "targets"
_Fraction = Annotated[float, Field(ge=0, le=1)]


class Score(Section):
    """A_T on the test clips, as a fraction, with its 95% interval."""

    score: _Fraction
    interval: tuple[_Fraction, _Fraction]


class Scores(Section):
    """A_T on the pixels, and on what was read back from the codec (None without one)."""

    pixels: Score
    stored: Score | None


class NetworkCost(Section):
    """See `unseen.evaluation.cost`."""

    parameters: int = Field(ge=0)
    macs_per_frame: int = Field(ge=0)
    milliseconds_per_frame: float = Field(ge=0)


class AnonymizerNote(Section):
    """Behind which anonymizer a target model works; only a learned one has a hash."""

    name: str
    hash: str | None


class DataNote(Section):
    """On which data it learned and was measured."""

    name: str
    hash: str


class FitNote(Section):
    """How its training went."""

    validation: _Fraction
    epochs: int
    seconds: float
    stopped: Literal["plateau", "cap"]


class TargetContract(Section):
    """What the weights of a further target model are, and what was measured with them.

    Attributes:
        model: the architecture, as `c3d-small:16`.
        column, classes, multi_label: the labels, see `unseen.data.clips.LabelSet`.
        size, frames: of the clips, in pixels and frames.
        anonymizer: what its input must have passed through.
        metric: `accuracy` or `cmap`.
        chance: the score of a guess that ignores the clip.
        codec: of `Scores.stored`.
        anonymized: A_T behind the anonymizer.
        raw: A_T of the same network trained and measured on raw video, where that was asked for.
        cost: of f_T.
        configuration: `EvaluationConfig`, as it was.
    """

    contract: Literal["unseen/target/1"] = "unseen/target/1"
    input: str = (
        "anonymized RGB clips, float32 (batch, 3, time, height, width), values in [0, 1]; gives "
        "logits (batch, classes)"
    )
    model: str
    column: str
    classes: tuple[str, ...]
    multi_label: bool
    size: int
    frames: int
    anonymizer: AnonymizerNote
    data: DataNote
    metric: Literal["accuracy", "cmap"]
    chance: _Fraction
    codec: str | None
    anonymized: Scores
    raw: Scores | None
    cost: NetworkCost
    fit: FitNote
    configuration: EvaluationConfig
    commit: str | None
    seed: int
    device: str
    machine: str
    date: str
    seconds: float


def read_target_contract(path: Path) -> TargetContract:
    """Read and check the contract of a further target model.

    Raises:
        WeightsError: missing, or not what `train_target` wrote; names every field at fault.
    """
    try:
        return TargetContract.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise WeightsError(f"{path} is damaged: {damage(error)}") from error
    except ValueError as error:
        raise WeightsError(f"{path} is damaged: it is no text") from error
