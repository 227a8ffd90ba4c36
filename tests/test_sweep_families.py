"""Every family of the papers, end to end by one command each, on miniature copies of its data."""

import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unseen.cli import main
from unseen.data.pa_hmdb51_labels import ATTRIBUTES
from unseen.data.video import write_video
from unseen.data.vispr import SUBSETS
from unseen.evaluation.results import read_result
from unseen.families.family import families
from unseen.training.folder import run_config

# The families' own networks, objectives and schedules, but for f_T and the size of f_D.
TINY = (
    "data.size=24", "data.frames=4", "filter.width=4", "filter.blocks=1",
    "target_model=c3d-small:4", "train.device=cpu", "train.threads=1", "train.batch=4",
    "train.init_reconstruct=1", "train.init_target=1", "train.init_budget=1", "train.steps=2",
    "train.finish=1", "train.log_every=1", "game.cap_target=1", "game.cap_budget=1",
    "game.restart_cap=1", "evaluation.target_model=c3d-small:4",
    "evaluation.attackers=cnn", "evaluation.jobs=1", "evaluation.device=cpu",
    "evaluation.target_fit.cap=1", "evaluation.attacker_fit.cap=1",
    "evaluation.target_fit.epoch_clips=16", "evaluation.attacker_fit.epoch_clips=16",
)  # fmt: skip
STRATEGIES = ("entropy-restart-m2", "grl-m1", "k-beam-restart-k2")
FAMILIES = {
    "sbu": (*STRATEGIES, "wu18-m2", "uniform-m1", "raw", "downsample-4", "mask-face"),
    "ucf101-vispr17": ("entropy-restart-m2", "wu18-m2", "raw"),
    "ucf101-vispr7": (*STRATEGIES, "raw"),
    "hmdb51-vispr5-pahmdb51": (*STRATEGIES, "downsample-2"),
}


def pictures(seed: int, count: int = 5, side: int = 24) -> np.ndarray:
    """One colour that drifts."""
    rng = np.random.default_rng(seed)
    start, drift = rng.integers(40, 160, 3), rng.integers(0, 12, 3)
    levels = (start + drift * np.arange(count)[:, None]).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels[:, None, None], (count, side, side, 3)))


def write_clip(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path.with_suffix(".mp4"), pictures(seed), Fraction(10), "lossless")
    path.with_suffix(".mp4").rename(path)


def sbu(root: Path) -> None:
    """Two sets of three interactions, six takes each, without lists: the split is drawn."""
    seed = 0
    for pair in ("s01s02", "s02s03"):
        for interaction in ("01", "02", "06"):
            for take in range(1, 7):
                folder = root / pair / interaction / f"{take:03}"
                folder.mkdir(parents=True)
                for number, image in enumerate(pictures(seed), 1):
                    Image.fromarray(image).save(folder / f"rgb_{number:06}.png")
                seed += 1


def ucf101(root: Path) -> None:
    """Two actions in five groups of two."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("3 Archery\n11 Biking\n")
    train: list[str] = []
    test: list[str] = []
    for number, action in ((3, "Archery"), (11, "Biking")):
        for group in range(1, 6):
            for clip in (1, 2):
                name = f"{action}/v_{action}_g{group:02}_c{clip:02}.avi"
                write_clip(root / "UCF-101" / name, 100 * number + 10 * group + clip)
                (test if group == 1 else train).append(name if group == 1 else f"{name} {number}")
    (lists / "trainlist01.txt").write_text("\n".join(train) + "\n")
    (lists / "testlist01.txt").write_text("\n".join(test) + "\n")


def vispr(root: Path) -> None:
    """Images that have every attribute of all subsets but `a0_safe`, or that alone, in turns."""
    every = sorted({a for n in ("17", "7", "5") for any_of in SUBSETS[n].values() for a in any_of})
    for part, numbers in (
        ("train2017", range(12)), ("val2017", range(12, 16)), ("test2017", range(16, 20))
    ):  # fmt: skip
        for i in numbers:
            image = root / f"images/{part}/2017_{i}.jpg"
            text = root / f"annotations/{part}/2017_{i}.json"
            for path in (image, text):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures(i, 1)[0]).save(image)
            labels = sorted({*every} - {"a0_safe"}) if i % 2 else ["a0_safe"]
            content = {"image_path": f"images/{part}/2017_{i}.jpg", "labels": labels}
            text.write_text(json.dumps(content))


def hmdb51(root: Path, annotations: Path) -> None:
    """Two actions of six sources; the last of each is annotated, in turns with all and nothing."""
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    (annotations / "PrivacyAttributes").mkdir(parents=True)
    for a, action in enumerate(("climb", "wave")):
        names = [f"Film{s}_{action}_u_cm_np1_fr_goo_{c}.avi" for s in range(6) for c in (0, 1)]
        for i, name in enumerate(names):
            write_clip(root / action / name, 50 * a + i)
        lines = [f"{name} {'112110'[i // 2]}\n" for i, name in enumerate(names)]
        (lists / f"{action}_test_split1.txt").write_text("".join(lines))
        labelled = {
            name: {attribute: [[0, 4, there]] for attribute in ATTRIBUTES} | {"review": True}
            for there, name in enumerate(names[-2:])
        }
        path = annotations / "PrivacyAttributes" / f"{action}.json"
        path.write_text(json.dumps(labelled))


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    sbu(folder / "sbu")
    ucf101(folder / "ucf101")
    vispr(folder / "vispr")
    hmdb51(folder / "hmdb51", folder / "pa")
    return {path.name: path for path in folder.iterdir()}


def options(family: str, roots: dict[str, Path]) -> Iterable[str]:
    yield from ("--root", str(roots[family.split("-")[0]]))
    if "vispr" in family:
        yield from ("--private-root", str(roots["vispr"]))
    if "pahmdb51" in family:
        yield from ("--test-on-root", str(roots["pa"]))


def test_these_are_all_families_of_the_papers() -> None:
    assert {*FAMILIES, "duet"} == set(families())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_runs_on_its_data(
    family: str,
    roots: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = [f"{family}-{member}" for member in FAMILIES[family]]
    out = tmp_path / "sweep"
    restarting = [name for name in members if "restart" in name]
    rest = [name for name in members if name not in restarting]
    for names, more in ((restarting, ("game.restart_every=1",)), (rest, ())):
        words = (*names, *TINY, *more, *options(family, roots), "-o", str(out))
        assert main(["sweep", *words]) == 0
        assert f"{len(names)} runs, {len(names)} to do" in capsys.readouterr().out
    for name in members:
        result = read_result(out / "results" / f"{name}-seed0.json")
        assert result["privacy"]["attackers"][0]["name"] == "cnn"
        assert ("private_data" in result["data"]) == ("vispr" in family)
        if result["anonymizer"]["kind"] == "learned":
            config = run_config(out / "runs" / f"{name}-seed0")
            assert config.preset == name
            restarts = result["training"]["restarts"]
            assert bool(restarts) == ("restart" in name)
    assert main(["report", str(out), "-o", str(tmp_path / "figure.svg")]) == 0
    assert main(["report", str(out), "-o", str(tmp_path / "table.md")]) == 0
    table = (tmp_path / "table.md").read_text()
    for member in FAMILIES[family]:
        assert member.replace("downsample-", "downsample:") in table
