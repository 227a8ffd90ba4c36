"""CenterFace in eight bits: makes `centerface-int8.onnx`, and tells how far it is off.

    pip install unseen[quantise]
    python benchmarks/quantise_faces.py PHOTOGRAPHS [-o centerface-int8.onnx]

PHOTOGRAPHS is a folder of pictures of faces, with sub-folders, such as LFW's. Pictures of 16 scenes
that are put together of them, at several sizes, tell the range of each activation; 8 other scenes,
of a quarter of the photographs by which nothing was chosen, how far the scores are off, also in the
dark and under noise. Weights are quantised per channel, and to seven bits: eight would be too many
for the sums of 16 bits in which processors without VNNI compute. The first layers, in which the
range of an activation differs most between channels, stay as they are: they make up more than half
of the error and little of the time.
"""

import argparse
import hashlib
import json
import logging
import random
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

import unseen.faces.detect

_CALIBRATION, _TEST = 16, 8
_SIZE = (480, 640)
_SIDES = (60, 80, 120, 160, 240, 480)
# The layers of the network's first stage: convolutions in the order of the file.
_EXACT = 5
_PERCENTILE = 99.999
_OPSET = 13


def scene(photographs: list[Path], rng: np.random.Generator) -> Any:
    """Photographs side by side, all at one size, as the network takes them."""
    picture = np.zeros((*_SIZE, 3), np.uint8)
    side = int(rng.choice(_SIDES))
    for top in range(0, _SIZE[0] - side + 1, side):
        for left in range(0, _SIZE[1] - side + 1, side):
            chosen = photographs[int(rng.integers(len(photographs)))]
            one = cv2.imread(str(chosen))[:, :, ::-1]
            one = cv2.resize(one, (side, side), interpolation=cv2.INTER_AREA)
            picture[top : top + side, left : left + side] = one
    return cv2.dnn.blobFromImage(picture)


class Scenes(CalibrationDataReader):
    """Scenes one after another, under the name of the network's input."""

    def __init__(self, name: str, scenes: Iterable[Any]) -> None:
        self._rest: Iterator[Any] = ({name: scene} for scene in scenes)

    def get_next(self) -> Any:
        return next(self._rest, None)


def prepared(source: Path, folder: Path) -> tuple[Path, list[str]]:
    """The network with constants folded and all nodes named; and the nodes that stay exact."""
    model = onnx.load(str(source))
    model.ir_version = 8
    onnx.save(onnx.version_converter.convert_version(model, _OPSET), str(folder / "new.onnx"))
    quant_pre_process(folder / "new.onnx", folder / "folded.onnx", skip_symbolic_shape=True)
    model = onnx.load(str(folder / "folded.onnx"))
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.save(model, str(folder / "named.onnx"))
    exact = [node for node in model.graph.node if node.op_type == "Conv"][:_EXACT]
    made = {node.output[0] for node in exact}
    relus = [n for n in model.graph.node if n.op_type == "Relu" and n.input[0] in made]
    return folder / "named.onnx", [node.name for node in (*exact, *relus)]


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def harder(scenes: list[Any]) -> dict[str, list[Any]]:
    """The scenes as they are, in the dark, and under noise; still in [0, 255]."""
    rng = np.random.default_rng(1)
    noisy = [given + rng.normal(0, 25, given.shape) for given in scenes]
    return {
        "as_they_are": scenes,
        "a_quarter_as_bright": [np.floor(given / 4) for given in scenes],
        "a_tenth_as_bright": [np.floor(given / 10) for given in scenes],
        "noise_25": [given.clip(0, 255).round().astype(np.float32) for given in noisy],
    }


def compared(source: Path, made: Path, scenes: list[Any]) -> dict[str, float]:
    """How far the scores are off, as logarithms of odds, where there may be a face; and times."""
    networks = {"float": session(source), "int8": session(made)}
    scores: dict[str, list[Any]] = {name: [] for name in networks}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for given in scenes:
        for name, network in networks.items():
            start = time.perf_counter()
            (heat,) = network.run(["537"], {network.get_inputs()[0].name: given})
            seconds[name].append(time.perf_counter() - start)
            scores[name].append(np.clip(heat.astype(np.float64), 1e-5, 1 - 1e-5))
    one, other = (np.concatenate(scores[name]) for name in networks)
    likely = one > 0.08
    off = np.log(other / (1 - other))[likely] - np.log(one / (1 - one))[likely]
    return {
        "cells": int(likely.sum()),
        "score_log_odds_mean": float(off.mean()),
        "score_log_odds_std": float(off.std()),
        "seen_by_float_alone": int(((one > 0.2) & (other < 0.1)).sum()),
        "seen_by_int8_alone": int(((other > 0.2) & (one < 0.1)).sum()),
        **{f"{name}_ms": 1e3 * min(times) for name, times in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("centerface-int8.onnx"))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    cv2.setNumThreads(1)
    photographs = sorted(args.photographs.rglob("*.jpg"))
    random.Random(0).shuffle(photographs)
    half = len(photographs) // 2
    source = Path(unseen.faces.detect.__file__).with_name("centerface.onnx")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        named, exact = prepared(source, Path(folder))
        (given,) = session(named).get_inputs()
        quantize_static(
            named,
            args.output,
            Scenes(given.name, (scene(photographs[:half], rng) for _ in range(_CALIBRATION))),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=exact,
            op_types_to_quantize=["Conv", "ConvTranspose", "Add", "Relu"],
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": _PERCENTILE},
        )
    tests = harder([scene(photographs[-half // 2 :], rng) for _ in range(_TEST)])
    off = {name: compared(source, args.output, scenes) for name, scenes in tests.items()}
    digest = hashlib.sha256(args.output.read_bytes()).hexdigest()
    print(json.dumps({"sha256": digest, "scenes": off}, indent=2))


if __name__ == "__main__":
    main()
