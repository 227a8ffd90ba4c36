"""The curriculum attack: a classifier that knows the people, led from raw to anonymized video.

A network that begins with random weights may not find what an anonymizer leaves, though it is
there: behind some filters a fresh f_T stays at chance where the f_T that grew up with the filter
does well. This attacker grows up too. It learns the private attribute on raw training clips, then
on mixtures of each clip with its anonymized version, in which less and less of the raw one is left
(curriculum learning, Bengio et al. 2009), and goes on with anonymized clips alone until it has
converged, as the other attackers do.
"""

import torch

from unseen.data.clips import SPLITS
from unseen.evaluation.attacks import Attacked, AttackJob
from unseen.models import create_model, parameter_count
from unseen.training.classifier import fit, predict


def follow_curriculum(job: AttackJob) -> Attacked:
    """Attack by a classifier that begins on raw video; `job.model` is its network.

    Raw clips fade over as many epochs as attackers learn before their step size may fall
    (`FitConfig.least`), at least one; the cap holds for each of the two trainings.
    """
    train, val, test = (job.clips.versions(name) for name in SPLITS)
    raw_train, raw_val = job.clips.raw("train"), job.clips.raw("val")
    frames, size = raw_train.shape[1:3]
    torch.manual_seed(job.fit.seed)
    learner = create_model(job.model, len(job.label_set.classes), size=size, frames=frames)
    labels, val_labels = job.labels["train"], job.labels["val"]
    on_raw = fit(
        learner, [raw_train], labels, [raw_val], val_labels, job.label_set, job.fit, job.device
    )
    fitted = fit(
        learner, train, labels, val, val_labels, job.label_set, job.fit, job.device,
        begin=raw_train, fade=max(1, job.fit.least),
    )  # fmt: skip
    figures = {
        "learner": learner.spec,
        "learner_on_raw": on_raw.validation,
        "parameters": parameter_count(learner),
        **fitted.as_json(),
    }
    logits = tuple(predict(learner, view, job.device) for view in test)
    return Attacked("curriculum", logits, tuple(dict(figures) for _ in test))
