"""The retrieval attack: whose raw video is nearest to an anonymized clip?

Two encoders, one for anonymized and one for raw video, learn on training clips to put clips of the
same person near each other, whichever side of the anonymizer they come from. An anonymized test
clip is then the query, the raw training clips are the gallery: pictures that an attacker has of the
people looked for. Splits share no video, so that no query finds its own recording.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import label_ranking_average_precision_score
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.data.clips import SPLITS
from unseen.evaluation.attacks import Array, Attacked, AttackJob
from unseen.models import ClipClassifier, create_model, parameter_count
from unseen.training.batches import Order, augmented, drawn, some_frames
from unseen.training.classifier import predict, until_plateau
from unseen.types import Clips, StoredClips, to_clips

DIMENSIONS = 64
# Cosines are multiplied with it before the softmax, as in NormFace (Wang et al. 2017).
_SCALE = 16.0


class EncoderPair(nn.Module):
    """Two encoders and, for training, a direction for each person that both must point in.

    Args:
        model: specification of the networks, of which there is one for either side.
        classes: how many people.
        size: side of the frames, in pixels.
        frames: of a clip.
    """

    def __init__(self, model: str, classes: int, *, size: int, frames: int) -> None:
        super().__init__()
        self.anonymized = create_model(model, DIMENSIONS, size=size, frames=frames)
        self.raw = create_model(model, DIMENSIONS, size=size, frames=frames)
        self.people = nn.Parameter(torch.randn(classes, DIMENSIONS))

    def loss(self, encoder: ClipClassifier, clips: Clips, labels: Tensor) -> Tensor:
        """Cross-entropy of the cosines between embeddings and the directions of all people."""
        cosines = F.normalize(encoder(clips)) @ F.normalize(self.people).T
        return F.cross_entropy(_SCALE * cosines, labels)


def embeddings(
    encoder: ClipClassifier, clips: StoredClips, device: str = "cpu"
) -> npt.NDArray[np.float32]:
    """Unit vectors `(clips, 64)`."""
    vectors = predict(encoder, clips, device)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def nearest_by_class(
    similarities: Array, gallery_labels: Array, classes: int
) -> npt.NDArray[np.float32]:
    """For each query the similarity of the nearest gallery clip of each class `(queries, classes)`.

    The highest is that of the nearest clip of all. Of a class that the gallery lacks, the least
    float.
    """
    best = np.full((len(similarities), classes), np.finfo(np.float32).min, np.float32)
    for label in np.unique(gallery_labels):
        best[:, label] = similarities[:, gallery_labels == label].max(1)
    return best


def mean_average_precision(
    similarities: Array, query_labels: Array, gallery_labels: Array
) -> float:
    """Mean over queries of the average precision of the gallery, ranked by similarity.

    Queries of people whom the gallery lacks are left out; without any other, 0.
    """
    relevant = gallery_labels == query_labels[:, None]
    known = relevant.any(1)
    if not known.any():
        return 0.0
    return float(label_ranking_average_precision_score(relevant[known], similarities[known]))


def chance_of_average_precision(query_labels: Array, gallery_labels: Array) -> float:
    """The expected mean average precision of a gallery in random order.

    Of R relevant among G, the clip at rank k is relevant with probability R / G, and each of the
    k - 1 before it then with (R - 1) / (G - 1).
    """
    count = len(gallery_labels)
    harmonic = math.fsum(1 / k for k in range(1, count + 1))
    expected = []
    for label in query_labels:
        relevant = int(np.sum(gallery_labels == label))
        if relevant:
            others = (relevant - 1) / max(1, count - 1)
            expected.append((harmonic + others * (count - harmonic)) / count)
    return float(np.mean(expected)) if expected else 0.0


def retrieve(job: AttackJob) -> Attacked:
    """Attack by retrieval; `job.model` is the network of both encoders."""
    train, val, test = (job.clips.versions(name) for name in SPLITS)
    gallery, labels, config = job.clips.raw("train"), job.labels["train"], job.fit
    frames, size = gallery.shape[1:3]
    torch.manual_seed(config.seed)
    pair = EncoderPair(job.model, len(job.label_set.classes), size=size, frames=frames)
    pair.to(job.device)
    rng = np.random.default_rng([config.seed, 9])
    batch = min(config.batch, len(labels))
    orders = [Order(len(labels), batch, config.seed + side) for side in (0, 1)]
    seen = config.frames if pair.raw.sees == "frames" else 0
    # No more gallery than clips between two looks: a look must not take longer than the way there.
    # At random: every so many would pass over people in data that are in order.
    some = np.sort(rng.permutation(len(labels))[: config.epoch_clips])

    def loss(step: int) -> Tensor:
        total = torch.zeros((), device=job.device)
        for encoder, versions, order in zip(
            (pair.anonymized, pair.raw), (train, [gallery]), orders, strict=True
        ):
            chosen = order.at(step)
            x = augmented(some_frames(drawn(versions, chosen, rng), seen, rng), rng)
            y = torch.from_numpy(labels[chosen]).to(job.device)
            total = total + pair.loss(encoder, to_clips(x, job.device), y)
        return total

    def validate() -> float:
        known = embeddings(pair.raw, gallery[some], job.device)
        nearest = [(embeddings(pair.anonymized, v, job.device) @ known.T).argmax(1) for v in val]
        return float(np.mean([labels[some][each] == job.labels["val"] for each in nearest]))

    fitted = until_plateau(pair, loss, validate, config, perfect=1.0)
    known = embeddings(pair.raw, gallery, job.device)
    logits, figures = [], []
    for view in test:
        similarities = embeddings(pair.anonymized, view, job.device) @ known.T
        logits.append(nearest_by_class(similarities, labels, len(job.label_set.classes)))
        figures.append(
            {
                "encoder": pair.raw.spec,
                "gallery": len(labels),
                "map": mean_average_precision(similarities, job.labels["test"], labels),
                "map_chance": chance_of_average_precision(job.labels["test"], labels),
                "parameters": parameter_count(pair),
                **fitted.as_json(),
            }
        )
    return Attacked("retrieve", tuple(logits), tuple(figures))
