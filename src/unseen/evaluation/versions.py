"""What leaves an anonymizer: every split passed through it once, as pixels and as stored video.

Work is cut into pieces of a fixed size, each with its own seed, so that the result is the same
whatever the number of processes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed

from unseen.anonymizers.base import Anonymizer
from unseen.data.clips import SPLITS, ClipDataset, Split, SplitName
from unseen.data.codec import codec_round_trip, frame_rate
from unseen.errors import ConfigError
from unseen.machine import use_cores
from unseen.progress import progress
from unseen.types import StoredClips, to_clips, to_stored

PIECE = 104  # clips


@dataclass(frozen=True)
class Versions:
    """One split behind the anonymizer.

    Attributes:
        draws: anonymized clips; more than one where the anonymizer is random.
        stored: each draw, encoded and read back; none without a codec.
        bits_per_second: of the encoded video, 0 without a codec.
    """

    draws: tuple[StoredClips, ...]
    stored: tuple[StoredClips, ...]
    bits_per_second: float

    def all(self) -> list[StoredClips]:
        """Everything there is to train on."""
        return [*self.draws, *self.stored]

    def views(self) -> list[StoredClips]:
        """What is measured: the pixels, and the pixels read back from the codec."""
        return [self.draws[0], *self.stored[:1]]


@dataclass(frozen=True)
class KeptClips:
    """Clips in files, which worker processes map into memory instead of copying them.

    Attributes:
        folder: holds them.
        counts: how many versions there are of each split.
    """

    folder: Path
    counts: Mapping[str, int]

    @classmethod
    def keep(
        cls, folder: Path, versions: Mapping[str, Versions], raw: ClipDataset | None = None
    ) -> "KeptClips":
        """Write all versions to train on, and what is measured of the other splits.

        Args:
            folder: a new one.
            versions: of each split.
            raw: the data set before the anonymizer, for attackers who have such video too.
        """
        folder.mkdir()
        counts: dict[str, int] = {}
        for name in SPLITS:
            kept = versions[name].all() if name == "train" else versions[name].views()
            counts[name] = len(kept)
            for k, clips in enumerate(kept):
                np.save(folder / f"{name}-{k}.npy", clips)
            if raw is not None:
                np.save(folder / f"{name}-raw.npy", raw.split(name).clips)
        return cls(folder, counts)

    def versions(self, name: SplitName) -> list[StoredClips]:
        """All versions of the training clips; of other splits, what is measured."""
        return [self._read(f"{name}-{k}") for k in range(self.counts[name])]

    def raw(self, name: SplitName) -> StoredClips:
        """A split before the anonymizer."""
        return self._read(f"{name}-raw")

    def _read(self, name: str) -> StoredClips:
        clips: StoredClips = np.load(self.folder / f"{name}.npy", mmap_mode="c")
        return clips


def refuse_clips(anonymizer: Anonymizer, data: ClipDataset) -> None:
    """Raise `ConfigError` where the clips lack what the anonymizer needs, or have another size."""
    boxes, size = anonymizer.needs_boxes, int(data.test.clips.shape[2])
    if boxes and any(boxes not in data.split(name).boxes for name in SPLITS):
        raise ConfigError(
            f"'{anonymizer.name}' needs {boxes} boxes, which the data {data.name} lacks: load them "
            f"with load_data(..., boxes=['{boxes}'])"
        )
    if anonymizer.working_size not in (None, size):
        raise ConfigError(
            f"'{anonymizer.name}' works at {anonymizer.working_size} pixels, and these clips have "
            f"{size}: set data.size={anonymizer.working_size}"
        )


@torch.no_grad()
def anonymize_split(
    anonymizer: Anonymizer, split: Split, *, seed: int, device: torch.device | str, batch: int = 32
) -> StoredClips:
    """One pass of a split through the anonymizer, as 8-bit clips."""
    anonymizer.to(device).eval()
    torch.manual_seed(seed)
    out = np.empty_like(split.clips)
    boxes = split.boxes.get(anonymizer.needs_boxes) if anonymizer.needs_boxes else None
    if anonymizer.needs_boxes and boxes is None:
        raise ConfigError(
            f"'{anonymizer.name}' needs {anonymizer.needs_boxes} boxes, which this data set lacks"
        )
    for start in range(0, len(split), batch):
        part = slice(start, start + batch)
        given = None if boxes is None else torch.from_numpy(boxes[part]).to(device)
        out[part] = to_stored(anonymizer(to_clips(split.clips[part], device), given))
    return out


@dataclass(frozen=True)
class _Piece:
    """Some clips of one split in one draw: what one task passes through the anonymizer."""

    name: str
    draw: int
    start: int
    split: Split
    seed: int


def _pieces(
    anonymizer: Anonymizer, data: ClipDataset, *, draws: int, seed: int
) -> Iterator[_Piece]:
    for i, name in enumerate(SPLITS):
        split = data.split(name)
        count = draws if anonymizer.random and name == "train" else 1
        for draw in range(count):
            for start in range(0, len(split), PIECE):
                own = np.random.SeedSequence([seed, i, draw, start]).generate_state(1)[0]
                part = split.part(slice(start, start + PIECE))
                yield _Piece(name, draw, start, part, int(own))


@dataclass(frozen=True)
class _Passed:
    """What became of a piece: pixels and, with a codec, what was read back, and its size."""

    pixels: StoredClips
    stored: StoredClips | None = None
    bytes: int = 0


def _pass(
    anonymizer: Anonymizer,
    piece: _Piece,
    codec: str | None,
    fps: Fraction,
    device: str,
    threads: int | None,
) -> _Passed:
    if threads:
        use_cores(threads)
    pixels = anonymize_split(anonymizer, piece.split, seed=piece.seed, device=device)
    if codec is None:
        return _Passed(pixels)
    trip = codec_round_trip(pixels, codec, fps)
    return _Passed(pixels, trip.clips, trip.bytes)


def anonymize_all(
    anonymizer: Anonymizer,
    data: ClipDataset,
    *,
    codec: str | None,
    draws: int,
    seed: int,
    device: str = "cpu",
    jobs: int = 1,
) -> dict[str, Versions]:
    """Every split behind the anonymizer; training clips `draws` times if it is random.

    Args:
        anonymizer: what to pass them through.
        data: raw clips.
        codec: what the video is stored with, or None.
        draws: of a random anonymizer, for training.
        seed: of its noise.
        device: where.
        jobs: processes.
    """
    pieces = list(_pieces(anonymizer, data, draws=draws, seed=seed))
    fps = frame_rate(data.fps)
    threads = max(1, torch.get_num_threads() // jobs) if jobs > 1 else None
    run = Parallel(n_jobs=jobs, return_as="generator", mmap_mode="c")
    made: dict[tuple[str, int], list[_Passed]] = {}
    with progress(len(pieces), "anonymizing", "piece") as bar:
        done = run(delayed(_pass)(anonymizer, p, codec, fps, device, threads) for p in pieces)
        for piece, passed in zip(pieces, done, strict=True):
            made.setdefault((piece.name, piece.draw), []).append(passed)
            bar.update(1)
    return {
        name: _versions([passed for (split, _), passed in made.items() if split == name], data.fps)
        for name in SPLITS
    }


def _versions(draws: list[list[_Passed]], fps: float) -> Versions:
    """The pieces of one split, put together."""
    passes = tuple(np.concatenate([piece.pixels for piece in pieces]) for pieces in draws)
    read_back = [[p.stored for p in pieces if p.stored is not None] for pieces in draws]
    stored = tuple(np.concatenate(clips) for clips in read_back if clips)
    bits = 8.0 * sum(piece.bytes for pieces in draws for piece in pieces)
    duration = sum(clips.shape[0] * clips.shape[1] for clips in passes) / fps
    return Versions(passes, stored, bits / duration)
