"""An attack without deep learning: what linear models and neighbours read from simple statistics.

    python benchmarks/shallow.py RUN|NAME [--preset duet] [key=value ...]

Each anonymized clip becomes numbers: its cells' means and deviations over time, how they change
from frame to frame, and the principal components of all its cells. Logistic regression,
discriminants, a support vector machine and nearest neighbours learn the private label from each;
the one with the best validation accuracy is measured on the test clips, once. Prints JSON.
"""

import argparse
import json
from typing import Any

import numpy as np
from attacked import add_arguments, attacked
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

_CELLS = 12
_COMPONENTS = 100


def cells(clips: Any) -> Any:
    """`(clips, time, 12, 12, 3)`, the means of square cells, from 8-bit clips."""
    count, time, side = clips.shape[:3]
    size = side // _CELLS
    cut = clips[:, :, : size * _CELLS, : size * _CELLS].astype(np.float32) / 255
    return cut.reshape(count, time, _CELLS, size, _CELLS, size, 3).mean((3, 5))


def features(clips: Any) -> dict[str, Any]:
    """What is read from clips, by name: `(clips, numbers)` each."""
    made = cells(clips)
    change = np.abs(np.diff(made, axis=1))
    flat = {
        "mean": made.mean(1),
        "deviation": made.std(1),
        "change": change.mean(1),
        "when": change.mean((2, 3)),
        "slow": np.abs(made[:, 8:].mean(1) - made[:, :8].mean(1)),
        "all": made,
    }
    flat = {name: value.reshape(len(value), -1) for name, value in flat.items()}
    flat["statistics"] = np.concatenate([flat[n] for n in ("mean", "deviation", "change")], 1)
    return flat


def models() -> dict[str, Any]:
    pca = PCA(_COMPONENTS, random_state=0)
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)),
        "discriminant": make_pipeline(pca, LinearDiscriminantAnalysis()),
        "rbf": make_pipeline(StandardScaler(), PCA(_COMPONENTS, random_state=0), SVC(C=3.0)),
        "neighbours": make_pipeline(PCA(30, random_state=0), KNeighborsClassifier(15)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    given = attacked(parser.parse_intermixed_args())
    data, versions = given.data, given.versions
    train = [features(clips) for clips in versions["train"].all()]
    val, test = ([features(v) for v in versions[name].views()] for name in ("val", "test"))
    labels = {name: data.split(name).private for name in ("train", "val", "test")}
    many = np.concatenate([labels["train"]] * len(train))
    scores, best = {}, (-1.0, "", None)
    for name in train[0]:
        read = np.concatenate([one[name] for one in train])
        for kind, model in models().items():
            if read.shape[1] < _COMPONENTS and kind != "logistic":
                continue
            model.fit(read, many)
            reached = float(np.mean([model.score(v[name], labels["val"]) for v in val]))
            scores[f"{name}, {kind}"] = reached
            if reached > best[0]:
                best = (reached, name, model)
    _, name, chosen = best
    assert chosen is not None
    leaks = [float(chosen.score(view[name], labels["test"])) for view in test]
    print(
        json.dumps(
            {
                "data": {"name": data.name, "hash": data.hash},
                "validation": scores,
                "best": max(scores, key=lambda key: scores[key]),
                "test": dict(zip(("pixels", "stored"), leaks, strict=False)),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
