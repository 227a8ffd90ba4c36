"""What f_D costs beside f_T, for one clip of a preset's size, with random weights.

    python benchmarks/cost.py PRESET...

Prints JSON: for each preset the parameters, and the multiply-accumulates and milliseconds a frame,
of its f_D and its f_T, and those of f_T divided by those of f_D.
"""

import argparse
import json

import torch

from unseen.anonymizers.learned import LearnedFilter
from unseen.config import load_config
from unseen.evaluation.cost import network_cost
from unseen.machine import use_cores
from unseen.models import create_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="+", metavar="PRESET")
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    use_cores(args.threads)
    found = {}
    for preset in args.presets:
        config = load_config(preset)
        size, frames = config.data.size, config.data.frames
        clip = torch.rand(1, 3, frames, size, size)
        target = create_model(config.target_model, args.classes, size=size, frames=frames)
        f_D = network_cost(LearnedFilter(config.filter, size=size).eval(), clip)
        f_T = network_cost(target.eval(), clip)
        ratio = {key: round(f_T[key] / f_D[key], 2) for key in f_D}
        found[preset] = {
            "clip": f"{frames} frames of {size}x{size}",
            "f_D": {"network": config.filter.network, **f_D},
            "f_T": {"model": config.target_model, **f_T},
            "f_T / f_D": ratio,
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
