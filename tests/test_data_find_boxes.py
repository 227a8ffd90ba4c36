"""Boxes found where a data set has none, against drawn rectangles and a real face."""

import csv
import hashlib
import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file

from face_clips import HEIGHT, WIDTH, moving
from unseen.anonymizers.base import BoxKind
from unseen.anonymizers.handcrafted import Mask
from unseen.cli import main
from unseen.config import DataConfig
from unseen.data.clips import SPLITS, BoxSource, ClipDataset
from unseen.data.decode import BoxFinder, ClipRange, Decoding, decode_clips, letterbox, letterboxed
from unseen.data.image_clips import as_clip, drifting, seed_of
from unseen.data.load import load_data
from unseen.data.manifest import load_manifest
from unseen.data.official import Inventory, Item
from unseen.data.official_clips import load_official
from unseen.data.video import write_video
from unseen.errors import ConfigError, DataError
from unseen.types import to_clips


def drawn(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Black with white rectangles."""
    image = np.zeros((height, width, 3), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = 255
    return image


def white(image: np.ndarray) -> np.ndarray:
    """Around each white part of a picture; what is found on drawn ones."""
    bright = (image.mean(-1) > 127).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    found = [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count]]
    return np.array(sorted(found), np.float32).reshape(-1, 4)


SOURCE = BoxSource("face", "white", 0.5, "0" * 64)
WHITE = BoxFinder(SOURCE, white)


class Counted:
    """The finder of white, which counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.asked += 1
        return white(image)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(96, 64, 32), (64, 96, 32), (48, 48, 48), (20, 33, 64)]
)
def test_a_box_is_where_its_pixels_are_in_the_letterbox(height: int, width: int, size: int) -> None:
    box = (width // 4, height // 4, width // 4 + 12, height // 4 + 8)
    image = drawn(height, width, box)
    (moved,) = letterboxed(np.array([box], np.float32), image, size)
    (seen,) = white(letterbox(image, size))
    assert np.abs(moved - seen).max() <= 1
    assert (moved[2:] - moved[:2]) == pytest.approx(
        np.array([12, 8]) * size / max(image.shape), 0.1
    )


def test_boxes_of_each_frame_of_each_clip(tmp_path: Path) -> None:
    one, two = (16, 16, 32, 40), (64, 8, 80, 24)
    images = [drawn(64, 96, one)] * 3 + [drawn(64, 96, one, two)] * 2 + [drawn(64, 96)]
    path = tmp_path / "v.mp4"
    write_video(path, np.stack(images), Fraction(25), "lossless")
    ranges = [ClipRange(path), ClipRange(path, 2, 4), ClipRange(path, 0, 6, (48, 0, 96, 64))]
    decoded = decode_clips(ranges, Decoding(size=48, frames=2, find=(WHITE,)))
    assert set(decoded.boxes) == {"face"}
    boxes = decoded.boxes["face"]
    assert boxes.shape == (3, 2, 2, 4)
    # Frames 1 and 4; 2 and 3; 1 and 4 of the right half. 96x64 becomes 48x32, 8 from the top.
    first, second = (8, 16, 16, 28), (32, 12, 40, 20)
    none = (np.nan,) * 4
    cut = (12 + 6, 6, 24 + 0, 18)  # 48x64 becomes 36x48, 6 from the left
    assert boxes[0] == pytest.approx(np.array([[first, none], [first, second]]), nan_ok=True)
    assert boxes[1] == pytest.approx(np.array([[first, none], [first, second]]), nan_ok=True)
    assert np.isnan(boxes[2, 0]).all()
    assert np.isnan(boxes[2, 1, 1]).all()
    assert boxes[2, 1, 0] == pytest.approx(np.array([18, 6, 30, 18]))
    assert cut[:2] == (18, 6)
    assert decode_clips(ranges, Decoding(size=48, frames=2)).boxes == {}


def test_boxes_are_kept_with_the_clips(tmp_path: Path) -> None:
    path, cache = tmp_path / "v.mp4", tmp_path / "cache"
    write_video(path, np.stack([drawn(32, 32, (8, 8, 16, 16))] * 4), Fraction(25), "lossless")

    def found(finder: BoxFinder) -> np.ndarray:
        decoded = decode_clips([ClipRange(path)], Decoding(16, 2, (finder,), cache))
        return decoded.boxes[finder.source.kind]

    counted = Counted()
    first = found(BoxFinder(SOURCE, counted))
    again = found(BoxFinder(SOURCE, counted))
    assert counted.asked == 2
    assert np.array_equal(first, again)
    assert (first[0, 0, 0] == (4, 4, 8, 8)).all()
    others: tuple[dict[str, Any], ...] = (
        {"detector": "grey"}, {"threshold": 0.4}, {"weights": "1" * 64}, {"kind": "body"},
    )  # fmt: skip
    for asked, other in enumerate(others, start=2):
        found(BoxFinder(replace(SOURCE, **other), counted))
        assert counted.asked == 2 * asked


def npy(array: np.ndarray) -> bytes:
    """An array as numpy stores it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_damaged_boxes_are_found_again(tmp_path: Path) -> None:
    path, cache = tmp_path / "v.mp4", tmp_path / "cache"
    write_video(path, np.stack([drawn(32, 32, (8, 8, 16, 16))] * 4), Fraction(25), "lossless")

    def found(finder: BoxFinder) -> np.ndarray:
        decoded = decode_clips([ClipRange(path)], Decoding(16, 2, (finder,), cache))
        return decoded.boxes["face"]

    first = found(WHITE)
    (stored,) = cache.glob("boxes-*.npy")
    whole = stored.read_bytes()
    others = (first[0], first[:, :1], first[..., :3], first.astype(np.float64))
    archive = io.BytesIO()
    np.savez(archive, first)
    odd = whole.replace(b"}", b"(")  # no header that Python can parse
    damaged = (b"", b"PK", odd, whole[:60], whole[:-1], archive.getvalue(), *map(npy, others))
    for content in damaged:
        stored.write_bytes(content)
        assert np.array_equal(found(WHITE), first)
        assert stored.read_bytes() == whole


def test_boxes_in_pictures_drift_with_them(tmp_path: Path) -> None:
    items = []
    for i, split in enumerate(np.repeat(SPLITS, 2).tolist()):
        name = f"{i}.png"
        Image.fromarray(drawn(64, 64, (20 + i, 24, 36 + i, 44))).save(tmp_path / name)
        items.append(Item(name, split, {"a": str(i % 2), "b": str(1 - i % 2)}))
    names = frozenset(item.path for item in items)
    inventory = Inventory("pictures", tmp_path, "image", tuple(items), names, {}, {})

    def load(stills: str) -> ClipDataset:
        return load_official(
            inventory, Decoding(64, 5, (WHITE,)), target=None, private=("a", "b"), seed=0,
            stills=stills,  # type: ignore[arg-type]
        )  # fmt: skip

    moving, still = load("pan"), load("repeat")
    places = set()
    for name in SPLITS:
        for data in (moving, still):
            part = data.split(name)
            for clip, boxes in zip(part.clips, part.boxes["face"], strict=True):
                assert boxes.shape == (5, 1, 4)
                for frame, box in zip(clip, boxes, strict=True):
                    assert (white(frame) == box).all()
                    places.add(tuple(box[0].tolist()))
    assert len(places) > 20  # of six pictures, so they did move


@pytest.mark.parametrize("kind", ["face", "body"])
def test_what_is_masked_up_to_the_edge_stays_so_when_a_picture_drifts(kind: BoxKind) -> None:
    """Behind the mask nothing is left of pictures that are white where the mask is."""
    corners = [(0, 0, 9, 9), (40, 40, 64, 64), (0.6, 20, 20, 40), (30, 50, 44, 63.2),
               (3, 24, 21, 40), (24, 46, 40, 59), (-4, 30, 5, 70), (20, 20, 44, 44)]  # fmt: skip
    boxes = np.array(corners * 4, np.float32).reshape(-1, 1, 1, 4)
    boxes = np.concatenate([boxes, np.full_like(boxes, np.nan)], 2)
    mask = Mask(kind)
    plain = mask(torch.ones(len(boxes), 3, 1, 64, 64), torch.from_numpy(boxes))
    pictures = 255 * (1 - plain[:, :, 0]).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    clips = np.stack([as_clip(picture, 5) for picture in pictures])
    assert clips.any(axis=(1, 2, 3, 4)).all()
    moved = torch.from_numpy(
        drifting(kind, boxes, [seed_of(picture) for picture in pictures], 64, 5)
    )
    assert not mask(to_clips(clips), moved).any()
    sides = moved[7::8, :, 0, 2:] - moved[7::8, :, 0, :2]
    assert (sides == 24).all()  # away from the edge boxes keep their size


def manifest(folder: Path) -> Path:
    """Six clips of a real face that moves."""
    path = folder / "clips.csv"
    rows = []
    for i, split in enumerate(np.repeat(SPLITS, 2).tolist()):
        images, _ = moving([(20 + 10 * i + 4 * t, 30) for t in range(4)], seed=i)
        write_video(folder / f"{i}.mp4", images, Fraction(25), "lossless")
        rows.append((f"{i}.mp4", split, "ab"[i % 2], "xy"[i % 2]))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "split", "what", "who"), *rows])
    return path


def test_faces_of_ones_own_videos_are_found(tmp_path: Path) -> None:
    config = DataConfig(
        name=str(manifest(tmp_path)), target="what", private=("who",), size=64, frames=4
    )
    data = load_data(config, boxes=["face"])
    scale = 64 / max(HEIGHT, WIDTH)
    for i in range(2):
        _, faces = moving([(20 + 10 * (4 + i) + 4 * t, 30) for t in range(4)])
        expected = np.stack(faces) * scale + np.array([0, 12, 0, 12])
        found = data.test.boxes["face"][i]
        assert not np.isnan(found[:, 0]).any()
        low = np.maximum(found[:, 0, :2], expected[:, :2])
        high = np.minimum(found[:, 0, 2:], expected[:, 2:])
        shared = np.prod(high - low, axis=1)
        areas = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (found[:, 0], expected)]
        assert (shared / (areas[0] + areas[1] - shared) > 0.5).all()
    assert [source.detector for source in data.found] == ["centerface"]
    assert load_data(config).test.boxes == {}


def test_generated_data_keep_their_own_boxes() -> None:
    config = DataConfig(train=13, val=13, test=13, size=32, frames=2)
    plain, asked = load_data(config), load_data(config, boxes=("face", "body"))
    for kind in ("face", "body"):
        assert np.array_equal(plain.test.boxes[kind], asked.test.boxes[kind], equal_nan=True)


def test_bodies_need_a_detector_before_any_video_is_read(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("path,what,who\nnone.mp4,a,b\n")
    config = DataConfig(name=str(table), target="what", private=("who",))
    with pytest.raises(ConfigError, match=r"data\.person_detector=torchvision:NAME@FILE"):
        load_data(config, boxes=["body"])
    for name, fault in (
        ("sbu", "where is 'sbu'?"),
        ("no.csv", "cannot read the manifest 'no.csv'"),
    ):
        with pytest.raises(DataError, match="the data cannot be loaded") as caught:
            load_data(config.model_copy(update={"name": name}), boxes=["body"])
        assert "data.person_detector" in caught.value.faults[0]
        assert caught.value.faults[1].startswith(fault)


def test_a_target_model_behind_masked_faces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train-target", "mask-face", "--data", str(manifest(tmp_path)), "--target", "what"]
    words += ["--private", "who", "-o", str(tmp_path / "what.safetensors"), "--codec", "none"]
    fit = ["cap=1", "least=0", "batch=2", "epoch_clips=2", "frames=2"]
    settings = ["data.size=32", "data.frames=4", "evaluation.target_model=c3d-small:4"]
    settings += ["evaluation.jobs=1", *(f"evaluation.target_fit.{each}" for each in fit)]
    assert main([*words, *settings]) == 0, capsys.readouterr().err
    assert (tmp_path / "what.safetensors").exists()


def test_bodies_are_found_anew_with_other_weights_of_the_same_name(tmp_path: Path) -> None:
    name, weights = "ssdlite320_mobilenet_v3_large", tmp_path / "people.safetensors"
    config = DataConfig(
        name=str(manifest(tmp_path)), target="what", private=("who",), size=32, frames=2,
        cache=str(tmp_path / "cache"), person_detector=f"torchvision:{name}@{weights}",
    )  # fmt: skip
    sources = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        save_file(net.state_dict(), weights)
        data = load_data(config, boxes=["body"])
        assert "body" in data.test.boxes
        (source,) = data.found
        assert (source.kind, source.detector) == ("body", f"torchvision:{name}")
        assert source.weights == hashlib.sha256(weights.read_bytes()).hexdigest()
        sources.add(source)
    assert len(sources) == len(list((tmp_path / "cache").glob("boxes-*.npy"))) == 2


def test_faults_are_told_as_without_boxes(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    (tmp_path / "3.mp4").write_bytes(b"not a video")
    with pytest.raises(DataError, match="1 fault"):
        load_manifest(path, Decoding(32, 2, (WHITE,)), target="what", private=["who"], seed=0)
