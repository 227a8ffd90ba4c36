"""Models that an evaluation has finished, kept until its result is written.

Training a suite takes hours. Each classifier and each attack that is done is written beside the
result file, so that the same command goes on after it was killed. A model is found again only if
clips, labels, network, settings, code and device are the same; what is anonymized is anonymized
anew.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from unseen import __version__
from unseen.data.clips import SPLITS, ClipDataset
from unseen.evaluation.provenance import source_hash
from unseen.evaluation.versions import Versions
from unseen.files import written_whole

Arrays = dict[str, np.ndarray]

_DIGITS = 32  # of the names of the files


def finished_folder(out: Path) -> Path:
    """Where the finished models of the evaluation with this result file are kept."""
    return out.with_name(f"{out.name.removesuffix('.json')}.partial")


@dataclass(frozen=True)
class Finished:
    """The finished models of one evaluation.

    Attributes:
        folder: holds a file for each; made with the first.
        context: tells evaluations apart of other clips, labels or code, see `of`.
    """

    folder: Path
    context: str

    @classmethod
    def of(
        cls,
        folder: Path,
        data: ClipDataset,
        versions: Iterable[Mapping[str, Versions]],
        device: str,
    ) -> "Finished":
        """Those of an evaluation on these clips behind the anonymizer, on a device."""
        sha = hashlib.sha256()
        said = [__version__, torch.__version__, source_hash(), device]
        for of in (data, data.private_data):
            said.append(of.hash)
            # A copy with other labels (`dataclasses.replace`) still has the hash of the first.
            for split in map(of.split, SPLITS):
                sha.update(np.ascontiguousarray(split.target).data)
                sha.update(np.ascontiguousarray(split.private).data)
        sha.update(json.dumps(said).encode())
        for each in versions:
            for name, passed in sorted(each.items()):
                for clips in passed.all():
                    sha.update(f"{name} {clips.shape}".encode())
                    for clip in clips:
                        sha.update(np.ascontiguousarray(clip).data)
        return cls(folder, sha.hexdigest())

    def read(self, what: Mapping[str, Any]) -> tuple[Any, Arrays] | None:
        """What was kept of a model, as given to `write`; None if it is not finished.

        Args:
            what: all that it depends on beside the context, as JSON has it.
        """
        try:
            with safe_open(self._path(what), "numpy") as file:
                about = json.loads(file.metadata()["about"])
                return about, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    def write(self, what: Mapping[str, Any], about: Any, arrays: Arrays) -> None:
        """Keep a finished model: `about` as JSON, and arrays."""
        kept = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        with written_whole(self._path(what)) as temporary:
            save_file(kept, temporary, {"about": json.dumps(about)})

    def clear(self) -> None:
        """Delete what was kept, here and by evaluations before with other settings."""
        for path in self.folder.glob(f"{'[0-9a-f]' * _DIGITS}.safetensors"):
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, what: Mapping[str, Any]) -> Path:
        text = json.dumps([self.context, what], sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}.safetensors"
