"""The command line: what a user types, what comes out, and what is said when it cannot be."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from face_clips import moving
from unseen import __version__
from unseen.cli import main
from unseen.config import preset_names
from unseen.data.pictures import write_picture
from unseen.evaluation.results import read_previews, read_result
from unseen.evaluation.target import load_target
from unseen.face_config import face_preset_names
from unseen.faces import second_stage
from unseen.faces.find import FaceSettings
from unseen.faces.second_stage import SecondStage
from unseen.families.family import families
from unseen.models.external import published_network
from video_files import decode, make_video, noise

DATA = ("data.size=16", "data.frames=4", "data.train=52", "data.val=26", "data.test=26")
GAME = (
    "filter.width=8", "filter.blocks=1", "filter.output_limits=grey,noise:0.1",
    "target_model=c3d-small:4", "budget_models=mobilenet-gn:0.01", "game.restart_every=2",
    "game.restart_cap=2", "train.batch=8", "train.init_target=3", "train.init_budget=2",
    "train.steps=4", "train.finish=2", "train.log_every=2",
)  # fmt: skip
ATTACK = (
    "evaluation.target_model=c3d-small:4", "evaluation.jobs=1", "evaluation.target_fit.cap=1",
    "evaluation.attacker_fit.cap=1", "evaluation.target_fit.epoch_clips=52",
    "evaluation.attacker_fit.epoch_clips=52",
)  # fmt: skip
CPU = "train.device=cpu"


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test in a folder of its own; the handler that `main` installs is taken back."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def unseen(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "unseen.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )


# ------------------------------------------------------------ all of it, once


def test_from_videos_to_a_report_and_an_anonymized_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("data", "export", "duet", "videos", *DATA) == 0
    manifest = Path("videos/manifest.csv")
    assert capsys.readouterr().out == f"{manifest}\n"
    assert len(manifest.read_text().splitlines()) == 1 + 52 + 26 + 26
    labels = ("--data", manifest, "--target", "action", "--private", "pair")

    # Settings stand where the user happens to write them.
    assert run("train", *GAME[:5], *labels, *DATA[:2], "-o", "mine", *GAME[5:], CPU) == 0
    shown = capsys.readouterr()
    assert "mine: validation accuracy of f_T" in shown.out
    assert "unseen evaluate mine -o mine/result.json" in shown.out
    assert "note: " in shown.err  # two steps make no budget model strong, which must be said
    config = json.loads(Path("mine/config.json").read_text())
    assert config["data"]["name"] == str(manifest)
    assert config["data"]["private"] == ["pair"]
    assert config["filter"]["output_limits"] == ["grey", "noise:0.1"]
    assert config["train"]["finish"] == 2

    # The run knows its data; the attackers do not know its budget model.
    result = "mine/result.json"
    assert run("evaluate", ATTACK[0], "mine", *ATTACK[1:], "--attackers", "2", "-o", result) == 0
    shown = capsys.readouterr()
    views, headline = shown.out.splitlines()[:2], shown.out.splitlines()[2]
    assert [line.split(":")[0] for line in views] == ["pixels", "stored"]
    worst = max(float(line.split("leak ")[1].split("%")[0]) for line in views)
    assert headline.startswith(f"the leak is the worst of both: {worst}%, ")
    measured = read_result(Path(result))
    assert measured["data"]["name"] == "manifest.csv"
    assert measured["data"]["counts"] == {"train": 52, "val": 26, "test": 26}
    assert len(measured["data"]["private"]["classes"]) == 7  # pairs come by eight clips each
    assert f"leak {100 * measured['privacy']['leak']:.1f}%" in shown.out
    previews = read_previews(Path(result))
    assert previews is not None
    assert previews.before is None  # videos of one's own may show real people

    assert run(
        "evaluate", "blur:8", *labels, *DATA[:2], *ATTACK, "--attackers", "time-average", "--codec",
        "h264:crf=30", "-o", "blur.json",
    ) == 0  # fmt: skip
    assert "\nh264:crf=30: A_T " in capsys.readouterr().out
    assert read_result(Path("blur.json"))["data"]["hash"] == measured["data"]["hash"]
    # Another codec cannot be compared, but stands in the report as pixels.
    assert run("report", "mine", "blur.json", "-o", "report.html", "--title", "Ours") == 0
    assert capsys.readouterr().out == "report.html\n"
    page = Path("report.html").read_text()
    assert "Ours" in page
    assert "blur:8" in page

    images = noise(9, 48, 64)
    make_video(Path("in.mp4"), images)
    command = (
        "anonymize",
        "in.mp4",
        "-o",
        "out.mp4",
        "--anonymizer",
        "mine",
        "--codec",
        "lossless",
    )
    assert run(*command) == 0
    assert capsys.readouterr().out.startswith("out.mp4: 9 frames in ")
    shown_images, times = decode(Path("out.mp4"))
    assert shown_images.shape == images.shape
    assert times == decode(Path("in.mp4"))[1]
    grey = shown_images.astype(int)
    assert np.abs(grey[..., 0] - grey[..., 1]).max() <= 2
    assert np.corrcoef(grey.ravel(), images.ravel())[0, 1] < 0.5

    # Resumed, a finished run stays what it is; started again, it is refused.
    weights = Path("mine/anonymizer.safetensors").read_bytes()
    assert run("train", "--resume", "-o", "mine") == 0
    assert Path("mine/anonymizer.safetensors").read_bytes() == weights
    assert run("train", *labels, *DATA[:2], *GAME, CPU, "-o", "mine") == 2
    assert "already holds a run" in capsys.readouterr().err


def test_without_a_codec(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("evaluate", "grey", *DATA, *ATTACK, "--attackers", "time-average", "--codec", "none")
    assert run(*command, "-o", "r.json") == 0
    assert capsys.readouterr().out.startswith("pixels: A_T ")
    assert read_result(Path("r.json"))["codec"] is None


def test_attackers_that_never_learn_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("evaluate", "grey", *DATA, *ATTACK, "--attackers", "time-average", "--codec", "none")
    fit = {"lr": 1e-12, "least": 1, "patience": 1, "drops": 0, "cap": 60}
    words = [f"evaluation.attacker_fit.{name}={value}" for name, value in fit.items()]
    assert run(*command, *words, "-o", "r.json") == 0
    assert capsys.readouterr().err == (
        "note: 1 of 1 attackers gave up with next to nothing learned, even of their training "
        "clips: time-average; one that begins on raw video may find more (--attacks "
        "classify,curriculum)\n"
    )


def test_a_further_target_behind_an_anonymizer(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train-target", ATTACK[0], "grey", "--target", "contact", *DATA, *ATTACK[1:])
    assert run(*words, "--codec", "none", "--raw", "-o", "t.safetensors") == 0
    shown = capsys.readouterr()
    first, second = shown.out.splitlines()
    contract = load_target("t.safetensors").contract
    assert contract.raw is not None
    assert first.startswith(f"pixels: A_T {100 * contract.anonymized.pixels.score:.1f}% [")
    assert f", raw {100 * contract.raw.pixels.score:.1f}% [" in first
    assert first.endswith(f"chance {100 * contract.chance:.1f}% (cMAP)")
    assert second.startswith("t.safetensors: f_T for contact, ")
    assert shown.err.startswith("note: stopped by evaluation.target_fit.cap")
    assert run(*words, "-o", "t.safetensors") == 2
    assert "t.safetensors is there already" in capsys.readouterr().err


def test_a_further_target_needs_no_private_label(capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["path,split,act"]
    for i in range(12):
        make_video(Path(f"{i}.mp4"), noise(4, 16, 16))
        rows.append(f"{i}.mp4,{('train', 'val', 'test')[i % 3]},{'ab'[i % 2]}")
    Path("v.csv").write_text("\n".join(rows))
    words = ("train-target", "grey", "--data", "v.csv", "--target", "act", *DATA[:2], *ATTACK)
    assert run(*words, "--codec", "none", "-o", "t.safetensors") == 0
    assert load_target("t.safetensors").contract.classes == ("a", "b")
    assert run("evaluate", "grey", "--data", "v.csv", "--target", "act", "-o", "r.json") == 2
    assert "no label column 'pair'" in capsys.readouterr().err


def test_across_two_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    across = ("--data", "duet", "--private-data", "duet:attributes")
    assert run("train", *across, "--private", "skirt,long_hair", *DATA, *GAME, CPU, "-o", "x") == 0
    # The run knows what it hides; asked for again, its data are the same.
    attack = (*ATTACK, "--attackers", "time-average", "--codec", "none")
    assert run("evaluate", "x", *across, *attack, "-o", "x/result.json") == 0
    measured = read_result(Path("x/result.json"))
    assert measured["data"]["name"] == "duet"
    assert measured["data"]["target"]["name"] == "action"
    assert measured["data"]["private"]["classes"] == ["skirt", "long_hair"]
    assert measured["data"]["private_data"]["name"] == "duet:attributes"
    assert measured["privacy"]["metric"] == "cmap"
    # Without --private all that the other data set has is to be hidden.
    assert run("evaluate", "grey", *across, *DATA, *attack, "-o", "grey.json") == 0
    assert len(read_result(Path("grey.json"))["data"]["private"]["classes"]) == 6
    capsys.readouterr()
    assert run("report", "x", "-o", "report.html") == 0
    assert "duet:attributes" in Path("report.html").read_text()


def test_attributes_of_ones_own_pictures() -> None:
    rows = ["path,split,hat,tall"]
    for i in range(24):
        write_picture(Path(f"{i}.jpg"), noise(1, 20, 16)[0])
        rows.append(f"{i}.jpg,{('train', 'val', 'test')[i % 3]},{i // 3 % 2},{i // 6 % 2}")
    Path("pictures.csv").write_text("\n".join(rows))
    across = ("--data", "duet", "--private-data", "pictures.csv", "--private", "hat,tall")
    assert run("train", *across, *DATA, *GAME, CPU, "-o", "x") == 0
    attack = (*ATTACK, "--attackers", "time-average", "--codec", "none")
    assert run("evaluate", "x", *attack, "-o", "x/result.json") == 0
    measured = read_result(Path("x/result.json"))
    assert measured["data"]["private_data"]["name"] == "pictures.csv"
    assert measured["data"]["private_data"]["counts"] == {"train": 8, "val": 8, "test": 8}


# ------------------------------------------------------------ small ones


def test_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("presets") == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [f"{name}-*" for name in families()]
    assert [line.split()[0] for line in lines] == [
        *preset_names(), *face_preset_names(), *groups,
    ]  # fmt: skip
    assert all(len(line.split()) > 3 for line in lines)
    assert run("presets", "duet-*-k4") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["duet-k-beam-k4", "duet-k-beam-restart-k4"]
    assert run("presets", "sbux") == 2
    assert "no family 'sbux': choose from duet-*, hmdb51" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for word, expected in (("--version", f"unseen {__version__}\n"), ("--help", "anonymize")):
        with pytest.raises(SystemExit) as caught:
            run(word)
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


def test_help_answers_at_once() -> None:
    program = (
        "import sys\n"
        "from unseen.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'av', 'cv2', 'timm', 'matplotlib', 'pydantic', 'sklearn'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "report" in done.stdout


def test_a_reader_that_ends_is_no_fault() -> None:
    ends, starts = os.pipe()
    os.close(ends)
    with os.fdopen(starts, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "unseen", "presets"],
            stdout=nobody, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


def test_faces_without_anything_trained(capsys: pytest.CaptureFixture[str]) -> None:
    images, _ = moving([(90 + k, 40) for k in range(6)])
    make_video(Path("in.mp4"), images)
    assert run("anonymize", "in.mp4", "--codec", "lossless", "--faces-json", "faces.json") == 0
    assert capsys.readouterr().out.startswith("in.anonymized.mp4: 6 frames in ")
    shown, _ = decode(Path("in.anonymized.mp4"))
    changed = (shown != images).any(3)
    assert (shown[changed] == 0).all()
    assert (changed.mean((1, 2)) > 0.02).all()
    assert (changed.mean((1, 2)) < 0.15).all()
    assert len(json.loads(Path("faces.json").read_text())["tracks"]) == 1

    # Blurred ellipses instead; and what needs face boxes finds them.
    oval = ("--region", "faces", "--anonymizer", "blur:4", "--shape", "ellipse", "--feather", "0.2")
    assert run("anonymize", "in.mp4", "-o", "oval.mp4", "--codec", "lossless", *oval) == 0
    assert run("anonymize", "in.mp4", "-o", "m.mp4", "--codec", "lossless", "--anonymizer",
               "mask-face") == 0  # fmt: skip
    np.testing.assert_array_equal(decode(Path("m.mp4"))[0], shown)
    capsys.readouterr()

    Path("more.csv").write_text("start,end,x0,y0,x1,y1\n2,4,0,0,10,8\n")
    words = ("in.mp4", "-o", "x.mp4", "--codec", "lossless", "--exclude", "0,0,256,160")
    Path("none.csv").write_text("start,end,x0,y0,x1,y1\n6,9,0,0,10,8\n,,900,0,910,8\n")
    assert run("anonymize", *words, "--boxes", "none.csv") == 2
    assert capsys.readouterr().err == (
        "unseen: boxes given by hand cover nothing of in.mp4, 6 frames of 256x160: 0,0,10,8 "
        "(number 1, from frame 6); 900,0,910,8 (number 2, from frame 0); nothing was written\n"
    )
    assert not Path("x.mp4").exists()
    assert run("anonymize", *words, "--require-faces") == 3
    assert run("anonymize", *words, "--boxes", "more.csv") == 0
    assert "1 face covered" in capsys.readouterr().out
    changed = (decode(Path("x.mp4"))[0] != images).any(3)
    assert changed.sum((1, 2)).tolist() == [0, 0, 80, 80, 0, 0]


def test_a_second_detector_must_agree(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        FaceSettings(two_stage=True).video_detector,
        FaceSettings(two_stage=True).picture_detector,
    ]
    assert all(isinstance(detector, SecondStage) for detector in made)
    make_video(Path("in.mp4"), moving([(90.0, 40.0)] * 3)[0])
    monkeypatch.setattr(SecondStage, "_are_faces", lambda self, image, boxes: boxes[:, 0] < -1e9)
    monkeypatch.setattr(second_stage, "_SURE", 1.0)
    for words, told in (((), "1 face"), (("--two-stage",), "NO faces")):
        assert run("anonymize", "in.mp4", "-o", "out.mp4", *words) == 0
        assert f", {told} covered" in capsys.readouterr().out


def test_a_video_without_faces(capsys: pytest.CaptureFixture[str]) -> None:
    make_video(Path("in.mp4"), moving([None] * 3)[0])
    assert run("anonymize", "in.mp4", "-o", "out.mp4", "--require-faces") == 3
    assert "no face was found in in.mp4: nothing was written" in capsys.readouterr().err
    assert not Path("out.mp4").exists()
    assert run("anonymize", "in.mp4", "-o", "out.mp4") == 0
    assert ", NO faces covered" in capsys.readouterr().out
    assert len(decode(Path("out.mp4"))[0]) == 3


def test_what_is_done_is_told_though_others_fail(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in").mkdir()
    make_video(Path("in/a.mp4"), moving([None] * 3)[0])
    data = make_video(Path("in/b.mkv"), noise(20)).read_bytes()
    middle = len(data) // 2
    Path("in/b.mkv").write_bytes(data[:middle] + bytes(800) + data[middle + 800 :])
    Path("in/notes.txt").write_text("no video")
    assert run("anonymize", "in", "-o", "out") == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("out/a.mp4: 3 frames in ")
    assert shown.out.endswith(", NO faces covered\n")
    told, failed, fault = shown.err.splitlines()
    assert told == "unseen: not anonymized and not copied: files of other kinds: 1 .txt"
    assert failed == "unseen: 1 of 2 files failed, the others are done:"
    assert fault.startswith("  - in/b.mkv is damaged or cut off at frame ")
    assert run("anonymize", "in/b.mkv", "-o", "b.mkv") == 2
    assert capsys.readouterr().err.startswith("unseen: in/b.mkv is damaged or cut off at frame ")


def test_what_is_not_anonymized_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/sub").mkdir(parents=True)
    make_video(Path("in/a.mp4"), noise(3))
    for name in ("b.pgm", "sub/c.pgm", "notes", ".hidden.pgm"):
        Path("in", name).write_bytes(b"")
    Path("elsewhere").mkdir()
    Path("in/link").symlink_to(Path("elsewhere").resolve())
    assert run("anonymize", "in", "-o", "out") == 0
    shown = capsys.readouterr()
    assert shown.err == (
        "unseen: not anonymized and not copied: files of other kinds: 2 .pgm, 1 no suffix; links "
        "to folders: in/link\n"
    )
    assert "further video" not in shown.out
    with av.open("two.mkv", "w") as output:
        streams: list[Any] = [output.add_stream("libx264rgb", rate=25) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 32, 48, "rgb24"
        for stream in streams:
            for image in noise(3):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            output.mux(stream.encode(None))
    assert run("anonymize", "two.mkv", "-o", "one.mkv", "--exclude", "0,0,48,32") == 0
    told = capsys.readouterr().out
    assert "NO faces covered outside of what is excluded; NOT written: 1 further video" in told


def test_options_of_video_are_refused_for_pictures_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cv2.imwrite("a.png", noise(1)[0])
    words = ("anonymize", "a.png", "-o", "b.png", "--codec", "lossless", "--keep-audio")
    assert run(*words, "--detect-every", "2") == 2
    told = capsys.readouterr().err
    assert "codec, keep_audio, detect_every: of video, and there are pictures alone" in told
    assert not Path("b.png").exists()
    make_video(Path("c.mp4"), noise(3))
    assert run("anonymize", "a.png", "c.mp4", "-o", "out", "--codec", "lossless") == 0


# ------------------------------------------------------------ bad input


EVALUATE = ("evaluate", "raw", "-o", "r.json")
ANONYMIZE = ("anonymize", "in.mp4", "--anonymizer")
CONVERT = ("convert-weights", "text.mp4", "-o", "w.safetensors", "--model")
TRAIN = ("train", "-o", "new", *DATA, *GAME)
FURTHER = ("train-target", "raw", "-o", "t.safetensors", *DATA, "--target")
BAD = {
    "preset": (("train", "--preset", "dem", "-o", "new"), "unknown preset 'dem' (did you mean 'd"),
    "face preset": (("train", "--preset", "lfw-fases", "-o", "new"), "(did you mean 'lfw-faces'?)"),
    "face modifier": ((*EVALUATE, "--preset", "lfw-faces"), "'lfw-faces' is of a face modifier"),
    "key": ((*TRAIN, "game.gama=3"), "unknown key 'game.gama' (did you mean 'game.gamma'?)"),
    "value": ((*TRAIN, "game.gamma=much"), "game.gamma: Input should be a valid number"),
    "demo key": (("demo", "-o", "new", "data.sise=16"), "did you mean 'data.size'?"),
    "export key": (("data", "export", "duet", "new", "data.sise=16"), "did you mean 'data.size'?"),
    "anonymizer": ((*ANONYMIZE, "blurr:4"), "did you mean 'blur'?"),
    "evaluated": (("evaluate", "blurr:4", "-o", "r.json"), "did you mean 'blur'?"),
    "boxes": ((*ANONYMIZE, "mask-body"), "needs body boxes"),
    "face boxes": ((*ANONYMIZE, "mask-face", "--region", "frame"), "needs face boxes"),
    "which faces": ((*ANONYMIZE[:2], "--enlarge", "0.5", "--hold", "-1"), "enlarge is 0.5: "),
    "excluded": ((*ANONYMIZE[:2], "--exclude", "1,2,3"), "'1,2,3' is no region: write X,Y,W,H"),
    "boxes lost": (
        (*ANONYMIZE[:2], "--boxes", "b.csv", "--faces-json", "./b.csv"), "replace the boxes b.csv",
    ),
    "box list": ((*ANONYMIZE[:2], "--boxes", "no.csv"), "cannot read the boxes 'no.csv'"),
    "options of faces": ((*ANONYMIZE, "blur:8", "--require-faces"), "whole frames are anonymized"),
    "region and more": (
        (*ANONYMIZE[:2], "--region", "frame", "--threshold", "3"),
        "  - whole frames need an anonymizer: name one",
    ),
    "no faces": ((*ANONYMIZE, "grey", "--faces-json", "o.json"), "there are no faces to find"),
    "faces' folder": ((*ANONYMIZE[:2], "--faces-json", "text.mp4/o.json"), "text.mp4 is no folder"),
    "output": ((*ANONYMIZE[:2], "-o", "out.webm"), "out.webm: the name must end in .mp4, .mov"),
    "output's folder": ((*ANONYMIZE[:2], "-o", "text.mp4/o.mp4"), "text.mp4 is no folder"),
    "no video": (("anonymize", "no.mp4", "--anonymizer", "grey"), "no.mp4: no such file or folder"),
    "bad video": (("anonymize", "text.mp4", "--anonymizer", "grey"), "text.mp4"),
    "gallery": (("face-gallery", "mask", "--folds", "3-1", "-o", "g"), "'3-1' names no folds"),
    "codec": ((*ANONYMIZE, "grey", "--codec", "h265"), "unknown codec 'h265'"),
    "measured codec": ((*EVALUATE, "--codec", "h265"), "unknown codec 'h265'"),
    "exported codec": (("data", "export", "duet", "new", "--codec", "x"), "unknown codec 'x'"),
    "device": ((*ANONYMIZE, "grey", "--device", "tpuu"), "device 'tpuu' cannot be used"),
    "measured device": ((*EVALUATE, "evaluation.device=tpuu"), "device 'tpuu' cannot be used"),
    "attackers": ((*EVALUATE, "--attackers", "21"), "--attackers 21: the suite 'small' has 20"),
    "attacks": ((*EVALUATE, "--attacks", "retrieve"), "attacks must have classify"),
    "attack": ((*EVALUATE, "--attacks", "classify,guess"), "Input should be 'classify', 'recons"),
    "weights": ((*EVALUATE, "--attackers", "timm:resnet18@w.pth"), "w.pth is a pickle, which"),
    "pickle": ((*CONVERT, "timm:resnet10t"), "say so with --unsafe-pickle"),
    "network": ((*CONVERT, "cnm", "--unsafe-pickle"), "unknown model 'cnm' (did you mean 'cnn'?)"),
    "no pickle": ((*CONVERT, "timm:resnet10t", "--unsafe-pickle"), "text.mp4 is no whole file"),
    "suite": ((*EVALUATE, "--suite", "big"), "unknown suite 'big'"),
    "numbered suite": ((*EVALUATE, "--suite", "10"), "unknown suite '10'"),
    "label": ((*EVALUATE, "preset=demo"), "'preset' is no setting: name a preset by --preset"),
    "numbered column": ((*FURTHER, "1"), "duet has no target column '1'"),
    "numbered folder": ((*EVALUATE, "--data", "sbu", "--root", "2024"), "no folder '2024'"),
    "data": ((*TRAIN, "--data", "duett"), "no data set 'duett' (did you mean 'duet'?)"),
    "manifest": ((*TRAIN, "--data", "no.csv"), "cannot read the manifest 'no.csv'"),
    "column": ((*TRAIN, "--private", "glases"), "did you mean 'glasses'?"),
    "resume": ((*TRAIN, CPU, "--resume"), "new holds no run to resume"),
    "model": ((*TRAIN, CPU, "target_model=c3d-smal"), "did you mean 'c3d-small'?"),
    "models": ((*TRAIN, CPU, "target_model=cn", "budget_models=cn,crn"), "  - unknown model 'crn'"),
    "wide": ((*TRAIN, CPU, "budget_models=mobilenet:9999"), "the option must be at most 8"),
    "limits": ((*TRAIN, CPU, "filter.output_limits=noise"), "'noise' needs a number, as in"),
    "measured later": ((*TRAIN, CPU, "evaluation.codec=h265"), "unknown codec 'h265'"),
    "nested": (
        (*TRAIN, CPU, "target_model=cn", "evaluation.codec=x", "evaluation.attackers=cn"),
        "\n  - evaluation: settings cannot be used\n    - unknown model 'cn'",
    ),
    "memory": ((*TRAIN, CPU, "data.train=1000000000000"), "there is not enough memory"),
    "all attackers": ((*EVALUATE, "--attackers", "cn,crn,gone"), "  - unknown model 'gone'"),
    "measured column": ((*FURTHER, "contac"), "did you mean 'contact'?"),
    "measured folder": (("evaluate", "raw", "-o", "text.mp4/r.json"), "text.mp4 is no folder"),
    "run's folder": ((*TRAIN[:1], "-o", "text.mp4", *TRAIN[3:], CPU), "text.mp4 is no folder"),
    "demo's folder": (("demo", "-o", "text.mp4/demo"), "text.mp4 is no folder"),
    "page's folder": (("report", "no.json", "-o", "text.mp4/r.html"), "text.mp4 is no folder"),
    "page's name": (("report", "no.json", "-o", "r.pdf"), "r.pdf: the name must end in .html"),
    "page": (("report", "no.json", "-o", "broken"), "broken: the name must end in .html"),
    "exported folder": (("data", "export", "duet", "text.mp4"), "text.mp4 is no folder"),
    "statistics": (("data", "stats", "pa-hmdb51", "x", "-o", "text.mp4"), "text.mp4 is no folder"),
    "target's folder": (("train-target", "raw", "--target", "contact"), "name a file with -o"),
    "report": (("report", "no.json", "-o", "r.html"), "no.json: no such file"),
    "run": (("report", "broken", "-o", "r.html"), "result.json: no such file"),
    "broken run": (("evaluate", "broken", "-o", "r.json"), "broken is not a run: config.json"),
    "no filter": ((*ANONYMIZE, "broken"), "broken holds no trained anonymizer"),
}  # fmt: skip


def test_anonymize_tells_all_faults_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("no.mp4", "--exclude", "1,2", "--boxes", "no.csv", "--hold", "-1", "--codec", "h265")
    assert run("anonymize", *words, "--anonymizer", "blurr:4", "--device", "tpuu") == 2
    shown = capsys.readouterr().err
    faults = ["'1,2' is no region", "boxes 'no.csv'", "hold is -1", "'tpuu'", "mean 'blur'?"]
    for fault in [*faults, "no.mp4: no such file", "unknown codec 'h265'"]:
        assert fault in shown
    Path("text.mp4").write_text("no folder")
    assert run("anonymize", "no.mp4", "--codec", "h265", "--faces-json", "text.mp4/o.json") == 2
    shown = capsys.readouterr().err
    for fault in ("no.mp4: no such file", "unknown codec 'h265'", "text.mp4 is no folder"):
        assert fault in shown


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        (("evaluate", "blurr", "-o", "no/r.json", "--attackers", "cn"), ["'blur'?", "'cnn'?"]),
        (("evaluate", "mask-body", "-o", "."), ["is a folder", "data.person_detector="]),
        (("train-target", "blurr", "--target", "x"), ["'blur'?"]),
        (("train", "-o", "no", "target_model=cn"), ["'cnn'?"]),
        (("train", "-o", "no", "game.gama=1"), ["'game.gamma'?"]),
    ],
)
def test_faults_of_the_data_are_told_beside_all_others(
    words: tuple[str, ...], faults: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--data", "sbu") == 2
    shown = capsys.readouterr().err
    for fault in [*faults, "where is 'sbu'? Name its folder: --root DIR"]:
        assert shown.count(fault) == 1


@pytest.mark.parametrize(
    "command", [("train", "-o", "new"), ("evaluate", "raw", "-o", "new.json"),
                ("train-target", "raw", "--target", "pair", "-o", "new.safetensors")]
)  # fmt: skip
def test_a_folder_that_would_not_be_read_is_refused(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ("--root", "a", "--private-root", "b", "--test-on-root", "c")
    assert main([*command, *folders]) == 2
    assert capsys.readouterr().err == (
        "unseen: --root a is not read: name its data set by --data NAME, or leave it out; "
        "--private-root b is not read: name its data set by --private-data NAME, or leave it out; "
        "--test-on-root c is not read: name its data set by --test-on NAME, or leave it out\n"
    )
    assert not list(Path().glob("new*"))


def test_a_filter_cannot_keep_and_hide_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--target", "pair", "--private", "action,pair", "-o", "new"]) == 2
    assert "the filter cannot both keep and hide 'pair'" in capsys.readouterr().err
    assert not Path("new").exists()


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_gives_one_message_and_leaves_nothing(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, message = BAD[case]
    make_video(Path("in.mp4"), noise(3))
    Path("text.mp4").write_text("no video")
    Path("broken").mkdir()
    before = sorted(Path().rglob("*"))
    assert run(*words) == 2
    shown = capsys.readouterr()
    first, *others = shown.err.splitlines()
    assert first.startswith("unseen: ")
    assert all(line.lstrip(" ").startswith("- ") for line in others)  # faults, if anything
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not shown.out
    assert sorted(Path().rglob("*")) == before


def test_errors_of_worker_processes_are_one_line_too(capfd: pytest.CaptureFixture[str]) -> None:
    command = ("evaluate", "blur:16", *DATA, "--attackers", "time-average", "-o", "r.json")
    assert run(*command, "evaluation.jobs=2") == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("unseen: 'blur:16'")
    assert shown.err.count("\n") == 1
    assert "would remove nothing" in shown.err
    assert not list(Path().iterdir())


def test_a_killed_worker_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(*args: object, **options: object) -> None:
        raise BrokenProcessPool("a child was killed")

    monkeypatch.setattr("unseen.evaluation.evaluate.evaluate", killed)
    assert run("evaluate", "grey", *DATA, "-o", "r.json") == 2
    assert capsys.readouterr().err.startswith("unseen: a worker process was killed")


def test_weights_are_converted(capsys: pytest.CaptureFixture[str]) -> None:
    tensors = published_network("timm:resnet10t").to_empty(device="cpu").state_dict()
    torch.save({k: torch.zeros_like(v) for k, v in tensors.items()}, "w.pth")
    command = ("convert-weights", "w.pth", "-o", "w.safetensors", "--model", "timm:resnet10t")
    assert run(*command, "--unsafe-pickle") == 0
    out = capsys.readouterr().out
    assert out.startswith("w.safetensors: ")
    assert "start with timm:resnet10t@w.safetensors" in out


def test_broken_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    Path("run/config.json").write_text('{"gaem": 1}')
    assert run("evaluate", "run", "-o", "r.json") == 2
    assert "config.json is damaged: gaem Extra inputs" in capsys.readouterr().err
    assert run("train", "--resume", "-o", "run") == 2
    assert "config.json is damaged: gaem Extra inputs" in capsys.readouterr().err
    Path("run/config.json").write_text("{}")
    assert run("evaluate", "run", "-o", "r.json") == 2
    assert "run holds no trained anonymizer" in capsys.readouterr().err
    assert not Path("r.json").exists()


def test_no_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(*TRAIN, "train.device=cuda", "train.steps=0") == 2
    assert "PyTorch sees no GPU; use train.device=cpu" in capsys.readouterr().err
    assert not Path("new").exists()


@pytest.mark.parametrize(
    "words",
    [
        (), ("trian",), ("train",), ("data", "export", "sbu", "x"),
        ("data", "list", "game.gamma=1"),
        ("train", "-o", "new", "words"), ("train", "-o", "new", "--game.gamma=1"),
        ("evaluate", "raw", "grey", "-o", "r.json"), ("anonymize",),
    ],
)  # fmt: skip
def test_what_is_no_command(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err
    assert not list(Path().iterdir())


def test_a_folder_may_have_an_equals_sign(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gamma=5").mkdir()
    assert run("evaluate", "gamma=5", "-o", "r.json", *DATA) == 2
    assert "gamma=5 is not a run" in capsys.readouterr().err


# ------------------------------------------------------------ as a process


def test_the_exit_code_reaches_the_shell() -> None:
    with unseen("train", "--preset", "dem", "-o", "new") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("unseen: unknown preset 'dem'")
    assert err.count("\n") == 1


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_ended_while_it_writes_it_leaves_no_output(kind: signal.Signals) -> None:
    flat = np.broadcast_to(np.full((1, 120, 160, 3), 90, np.uint8), (3000, 120, 160, 3))
    make_video(Path("in.mp4"), flat, codec="libx264", pixels="yuv420p", options={"crf": "30"})
    command = ("anonymize", "in.mp4", "-o", "out.mp4", "--anonymizer", "blur:4")
    # A shell starts background jobs with interrupts ignored, and children inherit that.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        started = unseen(*command)
    finally:
        signal.signal(signal.SIGINT, inherited)
    with started as process:
        limit = time.monotonic() + 60
        while not any(path.stat().st_size for path in Path().glob(".out.*.partial.mp4")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < limit
            time.sleep(0.005)
        process.send_signal(kind)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "unseen: interrupted; nothing half-written was left\n"
    assert [path.name for path in Path().iterdir()] == ["in.mp4"]


def test_the_script_is_installed() -> None:
    assert shutil.which("unseen", path=str(Path(sys.executable).parent))


# ------------------------------------------------------------ data sets


def test_data_sets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("duet", "sbu", "ucf101", "hmdb51", "vispr", "FILE.csv"))


def test_names_that_are_no_text_are_printed_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wave.json").write_text('{"\\ud800.avi": {"face": [[0, 9, 7]]}}')
    assert run("data", "check", "pa-hmdb51", tmp_path) == 2
    assert "\\ud800.avi" in capsys.readouterr().out


def test_a_data_set_is_checked_in_one_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    (lists / "wave_test_split1.txt").write_text("a_wave_1.avi 1\nb_wave_1.avi 2\n")
    (tmp_path / "wave").mkdir()
    make_video(tmp_path / "wave" / "a_wave_1.avi", noise(2, 16, 16))
    assert main(["data", "check", "hmdb51", str(tmp_path), "--decode"]) == 2
    told = capsys.readouterr()
    assert "'wave/b_wave_1.avi' is listed and not there" in told.out
    assert "6766" in told.out
    assert told.err.startswith("unseen: hmdb51 in ")
    assert told.err.count("\n") == 1
    make_video(tmp_path / "wave" / "b_wave_1.avi", noise(2, 16, 16))
    assert main(["data", "check", "hmdb51", str(tmp_path), "--decode"]) == 0  # a part is no fault
    told = capsys.readouterr()
    assert "6766" in told.out
    assert told.err == ""
    assert main(["data", "check", "hmdb5", str(tmp_path)]) == 2
    assert "did you mean 'hmdb51'?" in capsys.readouterr().err


def test_annotations_become_numbers_and_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = {
        name: [[0, 9, 1]] for name in ("skin_color", "face", "gender", "nudity", "relationship")
    }
    (tmp_path / "wave.json").write_text(json.dumps({"a.avi": {**entry, "review": True}}))
    assert main(["data", "stats", "pa-hmdb51", str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    with_figures = capsys.readouterr().out
    assert with_figures.startswith("1 videos of 1 actions, 10 frames, of which 10 have a label; ")
    assert json.loads((tmp_path / "out" / "statistics.json").read_text())["frames"] == 10
    assert main(["data", "stats", "pa-hmdb51", str(tmp_path / "no"), "-o", "out"]) == 2
    assert "there are no annotations" in capsys.readouterr().err
    assert main(["data", "stats", "pa-hmdb51", str(tmp_path)]) == 0
    assert capsys.readouterr().out == with_figures
    assert main(["data", "stats", "pa-hmdb51", str(tmp_path / "no")]) == 2
    assert "there are no annotations" in capsys.readouterr().err


def test_labels_of_a_data_set_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    (lists / "wave_test_split2.txt").write_text("a_wave_1.avi 1\nb_wave_1.avi 2\nc_wave_1.avi 1\n")
    out = tmp_path / "out"
    assert main(["data", "stats", "hmdb51:2", str(tmp_path), "-o", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2].split() == ["action", "wave", "2", "1"]
    assert "missing files and other faults: 3, see unseen data check hmdb51:2" in printed.err
    content = json.loads((out / "statistics.json").read_text())
    assert content["items"] == {"train": 2, "test": 1}
    assert content["labels"]["action"]["wave"] == {"train": 2, "test": 1}
    unwritable = str(out / "statistics.json")
    assert main(["data", "stats", "hmdb5", str(tmp_path), "-o", unwritable]) == 2
    shown = capsys.readouterr().err
    assert "did you mean 'hmdb51'?" in shown
    assert "statistics.json is no folder" in shown


def test_too_large_a_picture_for_the_memory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("unseen.deploy.apply.anonymize_paths", full)
    write_picture(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert main(["anonymize", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]) == 2
    told = capsys.readouterr().err
    assert (
        told == "unseen: there is not enough memory for this; give it smaller files: MemoryError\n"
    )
