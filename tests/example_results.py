"""Made-up results for tests: the right shape, figures of no experiment."""

from itertools import combinations
from typing import Any

import numpy as np

from unseen.evaluation.results import Previews

ATTACKERS = {"resnet-tiny": "resnet", "plain-net": "plain", "clip-3d": "3-D"}


def best_of(accuracies: list[float]) -> list[float]:
    """Mean of the best over all subsets of k attackers, k = 1..N, one by one."""
    return [
        float(np.mean([max(subset) for subset in combinations(accuracies, k)]))
        for k in range(1, len(accuracies) + 1)
    ]


def example_privacy(leak: float, metric: str, full: bool = True) -> dict[str, Any]:
    accuracies = [leak - 0.08, leak, leak - 0.031]
    attackers: list[dict[str, Any]] = [
        {"name": name, "family": family, "accuracy": accuracy}
        for (name, family), accuracy in zip(ATTACKERS.items(), accuracies, strict=True)
    ]
    if full:
        for attacker in attackers:
            attacker |= {
                "validation": attacker["accuracy"] + 0.007,
                "parameters": 12_345,
                "epochs": 3,
                "seconds": 4.5,
                "stopped": "plateau",
                "curve": example_curve(attacker["accuracy"]),
            }
    return {
        "metric": metric,
        "leak": leak,
        "chance": 0.077,
        "interval": [leak - 0.043, min(1.0, leak + 0.039)],
        "mean": float(np.mean(accuracies)),
        "best": "plain-net",
        "attackers": attackers,
        "leak_by_n": best_of(accuracies),
    }


def example_attacks(accuracy: float, best: str) -> dict[str, Any]:
    """Fields of `privacy` where there were other attacks, of which `best` found most of all."""
    common: dict[str, Any] = {
        "parameters": 23_456, "epochs": 3, "seconds": 5.5, "stopped": "plateau",
    }  # fmt: skip
    attacks = {
        "reconstruct": {
            "identifier": "plain-net",
            "identifier_on_raw": 0.987,
            "reconstructed": {"ssim": 0.412, "psnr": 18.3},
            "anonymized": {"ssim": 0.123, "psnr": 11.2},
            "mean_frame": {"ssim": 0.401, "psnr": 17.1},
            "curve": [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.4}],
            **common,
        },
        "retrieve": {
            "encoder": "clip-3d",
            "gallery": 64,
            "map": 0.187,
            "map_chance": 0.094,
            "validation": 0.204,
            "curve": example_curve(0.204),
            **common,
        },
        "curriculum": {
            "learner": "clip-3d",
            "learner_on_raw": 0.976,
            "validation": 0.216,
            "curve": example_curve(0.216),
            **common,
        },
    }
    for name, attack in attacks.items():
        found = accuracy if name == best else accuracy - 0.1
        attack |= {"accuracy": found, "interval": [found - 0.04, found + 0.03]}
    return {"attacks": attacks, "leak": accuracy, "best": best}


def example_curve(last: float) -> list[dict[str, Any]]:
    return [
        {"epoch": epoch, "train_loss": 2.0 / epoch, "validation": last * epoch / 3}
        for epoch in (1, 2, 3)
    ]


def example_target(accuracy: float, own: float | None, full: bool = True) -> dict[str, Any]:
    target: dict[str, Any] = {
        "model": "c3d-small",
        "metric": "accuracy",
        "accuracy": own,
        "own_interval": None if own is None else [own - 0.021, min(1.0, own + 0.016)],
        "retrained_accuracy": accuracy,
        "chance": 0.125,
        "interval": [accuracy - 0.022, min(1.0, accuracy + 0.017)],
    }
    if full:
        target |= {"curve": example_curve(accuracy), "epochs": 3, "stopped": "plateau"}
    return target


def example_result(
    name: str = "quiet",
    accuracy: float = 0.951,
    leak: float = 0.213,
    *,
    learned: bool = True,
    codec: bool = True,
    metric: str = "accuracy",
) -> dict[str, Any]:
    """A whole result; through the codec the target loses 0.4 points and the leak 1.1."""
    multi = metric == "cmap"
    rows = [
        {
            "step": step,
            "target_loss": 2.0 / (1 + step),
            "target_accuracy": 0.9 if step % 20 == 0 else None,
            "gamma": 0.1 * step,
            "privacy_loss": -0.01 * step,
            "budget_accuracy": [0.5, 0.25] if step else None,
        }
        for step in range(0, 60, 10)
    ]
    own = accuracy - 0.013 if learned else None
    return {
        "schema": "unseen/result/1",
        "name": name,
        "anonymizer": {
            "spec": name,
            "kind": "learned" if learned else "handcrafted",
            "random": learned,
            "options": {"noise": 0.15} if learned else {},
            "parameters": 4321 if learned else 0,
        },
        "data": {
            "name": "fixture",
            "hash": "ab" * 32,
            "size": [24, 32],
            "frames": 4,
            "fps": 12.5,
            "counts": {"train": 64, "val": 16, "test": 32},
            "target": {"name": "action", "classes": ["wave", "bow"], "multi_label": False},
            "private": {
                "name": "hat,beard" if multi else "pair",
                "classes": ["hat", "beard"] if multi else ["p1", "p2", "p3"],
                "multi_label": multi,
            },
        },
        "target": example_target(accuracy, own),
        "privacy": example_privacy(leak, metric),
        "codec": {
            "name": "h264:crf=23",
            "bits_per_second": 45_600.0,
            "target": example_target(accuracy - 0.004, own, full=False),
            "privacy": example_privacy(leak - 0.011, metric, full=False),
        }
        if codec
        else None,
        "cost": {
            "anonymizer": {
                "parameters": 4321,
                "macs_per_frame": 2.5e6,
                "milliseconds_per_frame": 0.75,
            },
            "target": {
                "parameters": 98_765,
                "macs_per_frame": None,
                "milliseconds_per_frame": None,
            },
        }
        if learned
        else None,
        "training": {
            "preset": "demo",
            "seconds": 61.0,
            "steps": 60,
            "rows": rows,
            "restarts": [20, 40],
            "stages": [
                {"name": "reconstruct", "step": 0, "note": "mse"},
                {"name": "game", "step": 10},
            ],
        }
        if learned
        else None,
        "commit": f"0123456789abcdef{'' if learned else '-dirty'}",
        "seed": 7,
        "device": "cpu",
        "machine": "",
        "date": "2026-01-02T03:04:05+00:00",
        "seconds": 12.0,
        "configuration": {"batch": 8, "note": "<script>alert(1)</script>"},
    }


def example_previews(
    raw: bool = True, codec: bool = True, clips: int = 2, *, reconstructed: bool = False
) -> Previews:
    """Noise of 4 frames, 24 high and 32 wide."""
    draws = np.random.default_rng(0).integers(0, 256, size=(4, clips, 4, 24, 32, 3), dtype=np.uint8)
    return Previews(
        after=draws[0],
        captions=tuple(f"clip {index}: wave" for index in range(clips)),
        before=draws[1] if raw else None,
        after_codec=draws[2] if codec else None,
        reconstructed=draws[3] if reconstructed else None,
    )
