import numpy as np
import pytest
import torch

from tiny_game import tiny_config, tiny_data
from unseen.anonymizers.learned import LearnedFilter
from unseen.data.clips import LabelSet
from unseen.errors import RunError
from unseen.models import create_model
from unseen.training.validation import Asked, scores_and_losses


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_model_that_has_diverged_is_named(multi_label: bool) -> None:
    config = tiny_config()
    clips = tiny_data(config).val.clips
    model = create_model("cnn", 2, size=clips.shape[2], frames=clips.shape[1])
    labels = np.arange(len(clips)) % 2
    label_set = LabelSet("x", ("a", "b"), multi_label=multi_label)
    asked = Asked(model, np.eye(2, dtype=np.float32)[labels] if multi_label else labels, label_set)
    anonymizer = LearnedFilter(config.filter, size=clips.shape[2])

    def measure() -> list[tuple[float, float]]:
        return scores_and_losses(
            anonymizer, clips, [asked], most=0, batch=8, device=torch.device("cpu")
        )

    ((score, loss),) = measure()
    assert 0 <= score <= 1 < 10 * loss
    with torch.no_grad():
        list(model.parameters())[-1].fill_(torch.nan)
    with pytest.raises(RunError, match=r"training diverged: .* is not finite; begin a new run"):
        measure()
