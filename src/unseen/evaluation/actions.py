"""From an anonymizer and frames of actions to a result file: are actions still found? (Ren18 5.3)

Every anonymizer gets a detector of its own, trained afresh on training frames behind it, for the
same number of steps: the fair figure, also for runs. Beside it stands, for a run with action
detection, the detector A that played in its game.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unseen.anonymizers.base import Anonymizer
from unseen.anonymizers.learned import CONTRACT_FILE, read_contract
from unseen.anonymizers.load import load_anonymizer, refuse_device
from unseen.data.action_frames import DRAWN, ActionFrames, ActionPicture
from unseen.data.codec import Image
from unseen.errors import ConfigError, together
from unseen.evaluation.face_results import write_face_result
from unseen.evaluation.frame_map import Boxes, FrameMap, frame_map
from unseen.evaluation.modified_faces import modify_frame, refuse_bodies
from unseen.evaluation.provenance import provenance
from unseen.evaluation.results import ACTIONS, refuse_result_file
from unseen.face_config import FaceRunConfig, stored_face_config
from unseen.faces.actions import FacesFound, load_frames_with_faces
from unseen.machine import device_of, use_cores
from unseen.models import parameter_count
from unseen.models.action_detector import DETECTOR_FILE, ActionDetector, load_detector
from unseen.progress import progress
from unseen.registry import Spec
from unseen.training.detector import train_detector
from unseen.training.folder import CONFIG_FILE
from unseen.types import to_clips


def evaluate_actions(anonymizer: str | Path, config: FaceRunConfig, out: Path) -> dict[str, Any]:
    """Measure frame mAP at IoU 0.5 behind an anonymizer of faces; write the result file.

    Args:
        anonymizer: a run's folder, or a name.
        config: the frames (`data.actions`), the detector, and how it learns; that of the run, or of
            any preset with action detection. All anonymizers that are compared need the same.
        out: the result file (`actions.schema.json`).

    Returns:
        The result, as in the file.

    Raises:
        UnseenError: the anonymizer, a setting, the data or `out` cannot be used.
    """
    start = time.perf_counter()
    loading: tuple[Callable[[], Any], ...] = (
        partial(prepare_actions, anonymizer, out),
        partial(_device, config),
        partial(_refuse_detector, config),
        partial(_frames, config),
    )
    (module, own), device, _, (train, test) = together(
        ConfigError, "actions cannot be measured, for several reasons:", loading
    )
    _refuse_other_split(Path(anonymizer), train.name)
    if own is not None and own.classes != train.classes:
        own = None
    fresh = train_detector(config, train, _behind(module, device), device)
    detectors = {"fresh": fresh} | ({} if own is None else {"own": own.to(device)})
    measured = _measure(module, detectors, test, config.train.seed, device)
    result: dict[str, Any] = {
        "schema": ACTIONS,
        "name": Path(anonymizer).name,
        "anonymizer": {
            "spec": Path(anonymizer).name,
            "random": module.random,
            "parameters": parameter_count(module),
            "working_size": module.working_size,
        },
        "data": {
            "name": train.name,
            "hash": measured.hash,
            "classes": list(train.classes),
            "train_frames": len(train),
            "test_frames": len(test),
            "test_faces": measured.faces,
        },
        "fresh": _detection(fresh, measured.maps["fresh"])
        | {"steps": config.train.steps + config.train.finish},
        "own": None if own is None else _detection(own, measured.maps["own"]),
        **provenance(config.train.seed, device),
        "seconds": time.perf_counter() - start,
        "configuration": config.model_dump(mode="json"),
    }
    return write_face_result(out, result)


def prepare_actions(anonymizer: str | Path, out: Path) -> tuple[Anonymizer, ActionDetector | None]:
    """The anonymizer, and a run's own detector; or all that is wrong whatever the configuration."""
    loading: tuple[Callable[[], Any], ...] = (
        partial(_anonymizer, anonymizer),
        partial(_own_detector, Path(anonymizer)),
        partial(refuse_result_file, out, ACTIONS),
    )
    module, own, _ = together(ConfigError, "actions cannot be measured so", loading)
    return module, own


def _anonymizer(name: str | Path) -> Anonymizer:
    module = load_anonymizer(name)
    refuse_bodies(module)
    return module


def _frames(config: FaceRunConfig) -> tuple[FacesFound, FacesFound]:
    """To train on, and to test on."""
    data = config.data
    if data.actions is None:
        raise ConfigError(
            "the configuration has no frames of actions: name them with --data, as in "
            "--data duet-faces:1200"
        )
    root = None if data.actions_root is None else Path(data.actions_root)
    train, test = (
        load_frames_with_faces(data.actions, root, split, side=data.short_side)
        for split in ("train", "test")
    )
    return train, test


def _device(config: FaceRunConfig) -> str:
    """Where, checked; with the threads that were asked for."""
    wanted = device_of(config.train.device)
    refuse_device(wanted)
    if wanted == "cpu":
        use_cores(config.train.threads)
    return wanted


def _refuse_detector(config: FaceRunConfig) -> None:
    with torch.device("meta"):  # only whether there is such a network
        ActionDetector(config.detector, ("action",), config.data.short_side)


def _refuse_other_split(run: Path, actions: str) -> None:
    """What is another split's test was mostly the run's training.

    Args:
        run: of a face modifier, or whatever else anonymizes.
        actions: the data set of the frames, with its option; of extracted ones (`keyframes`) that
            which they are of.
    """
    path = run / CONFIG_FILE
    stored = stored_face_config(path) if path.exists() else None
    learned = None if stored is None else stored.data.actions
    if learned is not None and (run / CONTRACT_FILE).exists():
        learned = read_contract(run)["about"].get("actions", learned)
    if learned is None:
        return
    one, other = Spec.parse(learned), Spec.parse(actions)
    same = one.name == other.name and one.name not in DRAWN
    if same and (one.option or "1") != (other.option or "1"):  # without an option: split 1
        raise ConfigError(
            f"{run} learned from {learned}, and {actions} tests on much of that: measure on "
            f"{learned}"
        )


def _own_detector(folder: Path) -> ActionDetector | None:
    """A of a run, if it has one."""
    return load_detector(folder) if (folder / DETECTOR_FILE).exists() else None


def _behind(anonymizer: Anonymizer, device: str) -> Callable[[ActionPicture], Image]:
    """What is seen of a frame behind an anonymizer of faces."""

    def shown(picture: ActionPicture) -> Image:
        assert picture.faces is not None
        return modify_frame(anonymizer, picture.image, picture.faces, device=device)

    return shown


@dataclass(frozen=True)
class _Measured:
    """What the test frames showed.

    Attributes:
        maps: by detector.
        faces: how many faces were anonymized.
        hash: SHA-256 over the raw test frames, their boxes, labels and faces.
    """

    maps: dict[str, FrameMap]
    faces: int
    hash: str


@torch.no_grad()
def _measure(
    anonymizer: Anonymizer,
    detectors: dict[str, ActionDetector],
    test: ActionFrames,
    seed: int,
    device: str,
) -> _Measured:
    """Pass each test frame once through the anonymizer, and show it to all detectors."""
    shown = _behind(anonymizer, device)
    sha = hashlib.sha256(repr(test.classes).encode())
    found: dict[str, list[Boxes]] = {name: [] for name in detectors}
    true, faces = [], 0
    with progress(len(test), "test frames", "frame") as bar:
        for index in range(len(test)):
            picture = test[index]
            assert picture.faces is not None
            for array in (picture.image, picture.boxes, picture.labels, picture.faces):
                sha.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
            faces += len(picture.faces)
            drawn = np.random.SeedSequence([seed, 3, index]).generate_state(1)[0]
            torch.manual_seed(int(drawn))
            frame = to_clips(shown(picture)[None, None], device)[0, :, 0]
            true.append(Boxes(picture.boxes, picture.labels))
            for name, detector in detectors.items():
                each = {key: value.cpu().numpy() for key, value in detector([frame])[0].items()}
                found[name].append(Boxes(each["boxes"], each["labels"], each["scores"]))
            bar.update(1)
    videos = [test.video_of(index) for index in range(len(test))]
    maps = {
        name: frame_map(boxes, true, test.classes, videos=videos, seed=seed)
        for name, boxes in found.items()
    }
    return _Measured(maps, faces, sha.hexdigest())


def _detection(detector: ActionDetector, found: FrameMap) -> dict[str, Any]:
    """For the result file."""
    return {"model": detector.name, **found.as_json()}
