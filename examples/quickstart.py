"""Train, measure and apply a filter from Python, far too briefly to be good: a minute or two.

python examples/quickstart.py OUT_DIR
"""

import sys
from fractions import Fraction
from pathlib import Path

import unseen
from unseen.data.duet import FPS, generate
from unseen.data.video import write_video


def main(out: Path) -> None:
    config = unseen.load_config(
        "demo",
        [
            "data.size=24", "data.frames=8", "data.train=104", "data.val=104", "data.test=104",
            "target_model=c3d-small:4", "budget_models=c3d-small:5",
            "train.init_target=5", "train.init_budget=5", "train.steps=5", "train.finish=2",
            "evaluation.attackers=cnn,difference", "evaluation.jobs=1",
            "evaluation.target_fit.cap=2", "evaluation.attacker_fit.cap=2",
            "evaluation.target_fit.epoch_clips=104", "evaluation.attacker_fit.epoch_clips=104",
        ],
    )  # fmt: skip
    data = unseen.load_data(config.data)
    unseen.train(config, data, out / "filter")
    for name in (out / "filter", "downsample:4"):
        result = unseen.evaluate(
            name, data, out / f"{Path(name).name.replace(':', '-')}.json", config.evaluation
        )
        print(f"{result['name']}: leak {100 * result['privacy']['leak']:.1f}%")
    unseen.write_report([out / "filter.json", out / "downsample-4.json"], out / "report.html")
    write_video(out / "in.mp4", generate(0, "test", 0, size=64).frames, Fraction(FPS))
    anonymizer = unseen.load_anonymizer(out / "filter")
    done = unseen.anonymize_video(out / "in.mp4", out / "out.mp4", anonymizer)
    print(f"{done.output}: {done.frames} frames")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
