"""The examples run as their users would run them."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.config import DataConfig
from unseen.data.load import load_data

EXAMPLES = Path(__file__).parents[1] / "examples"
ACTIONS = ("bend", "jack", "walk", "wave")


def _run(name: str, *arguments: Path) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_library_in_short(tmp_path: Path) -> None:
    said = _run("quickstart.py", tmp_path).splitlines()
    assert [line.split(":")[0] for line in said[:1]] == ["filter"]
    assert said[-1].endswith("out.mp4: 16 frames")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_strips_of_real_people_become_a_manifest(tmp_path: Path) -> None:
    strips = tmp_path / "strips"
    strips.mkdir()
    rng = np.random.default_rng(0)
    with (strips / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "person", "action"])
        for person in range(4):
            for action in ACTIONS:
                frames = np.full((40, 64, 64, 3), 60 + 30 * person, np.uint8)
                for at, frame in enumerate(frames):
                    frame[20:50, 10 + at : 20 + at] = 250
                frames += rng.integers(0, 5, frames.shape, np.uint8)
                strip = frames.transpose(1, 0, 2, 3).reshape(64, -1, 3)
                Image.fromarray(strip).save(strips / f"{person}{action}.png")
                table.writerow([f"{person}{action}.png", person, action])
    said = _run("weizmann_manifest.py", strips, tmp_path / "out")
    assert "96 clips of 16 recordings" in said
    assert "the wall in two corners names the person in\n  4 of 4 test recordings" in said
    manifest = str(tmp_path / "out" / "manifest.csv")
    data = load_data(DataConfig(name=manifest, private=("person",), size=16, frames=4))
    assert [len(split.clips) for split in (data.train, data.val, data.test)] == [48, 24, 24]
    assert data.private.classes == ("p0", "p1", "p2", "p3")
