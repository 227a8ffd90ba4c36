"""A game step against the sum of the passes of its networks.

    python benchmarks/game_step.py [--preset demo] [--steps 20]

Prints JSON: seconds of one alternating game step (batch drawn, augmented, filtered, all players
moved), the sum of the forward and backward times of exactly the networks that the step runs on
the same shapes, and their ratio.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from unseen.config import load_config
from unseen.data.load import load_data
from unseen.training.game import Game
from unseen.training.processes import make_fabric


def median_seconds(act: Callable[[], object], count: int) -> float:
    act()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    small = ["data.train=208", "data.val=104", "data.test=104"]
    config = load_config(args.preset, small)
    game = Game(config, load_data(config.data), make_fabric(config.train))
    everyone = range(game.ensemble)

    def step() -> None:
        move = game.filter_step(1.0, with_target=True)
        game.budget_step(everyone, move.seen, move.batch)

    batch = game.draw()
    anonymized = game.filter(batch.clips).detach()
    wanted = anonymized.clone().requires_grad_()
    total = median_seconds(lambda: game.filter(batch.clips).sum().backward(), args.steps)
    total += median_seconds(lambda: game.target(wanted).sum().backward(), args.steps)
    for model in game.budget:
        seen = game._frames_for(model, anonymized)
        leaf = seen.clone().requires_grad_()

        def drive(model: torch.nn.Module = model, leaf: torch.Tensor = leaf) -> torch.Tensor:
            model.requires_grad_(False)
            value: torch.Tensor = model(leaf).sum()
            model.requires_grad_(True)
            return value

        # Every budget model is asked how much leaks; the hardest passes its gradient on.
        forward = median_seconds(lambda drive=drive: drive(), args.steps)  # type: ignore[misc]
        both = median_seconds(lambda drive=drive: drive().backward(), args.steps)  # type: ignore[misc]
        total += forward + (both - forward) / game.ensemble
        total += median_seconds(
            lambda model=model, seen=seen: model(seen).sum().backward(),  # type: ignore[misc]
            args.steps,
        )
    seconds = median_seconds(step, args.steps)
    print(json.dumps({"step": seconds, "networks": total, "ratio": seconds / total}))


if __name__ == "__main__":
    main()
