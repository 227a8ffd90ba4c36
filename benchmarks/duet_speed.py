"""How fast duet is generated on one core.

python benchmarks/duet_speed.py [--clips 200]
"""

import argparse
import json
import time

import cv2

from unseen.data.duet import generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    start = time.perf_counter()
    for index in range(args.clips):
        generate(0, "train", index, size=64, frames=16)
    print(json.dumps({"clips_per_second": args.clips / (time.perf_counter() - start)}))


if __name__ == "__main__":
    main()
