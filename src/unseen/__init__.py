"""Learn a video filter that removes who and keeps what; prove it; apply it.

The public API, imported when first used (PyTorch takes seconds):

    unseen.load_anonymizer(path_or_name)
    unseen.anonymize_video(src, dst, anonymizer)
    unseen.find_faces(video)
    unseen.load_config(preset, overrides), unseen.load_data(config.data)
    unseen.train(config, data, folder)
    unseen.evaluate(anonymizer, data, out)
    unseen.train_target(anonymizer, data), unseen.load_target(weights)
    unseen.write_report(results, out)

What a user can mend is an `unseen.UnseenError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unseen.anonymizers.load import load_anonymizer
    from unseen.config import EvaluationConfig, RunConfig, load_config
    from unseen.data.load import load_data
    from unseen.deploy.apply import anonymize_paths, anonymize_video
    from unseen.errors import UnseenError
    from unseen.evaluation.evaluate import evaluate
    from unseen.evaluation.target import load_target, train_target
    from unseen.faces.find import FaceSettings, find_faces
    from unseen.faces.manual import Excluded, ManualBox
    from unseen.report.page import write_report
    from unseen.training.run import train

__version__ = "0.1.0"

_HOME = {
    "EvaluationConfig": "unseen.config",
    "Excluded": "unseen.faces.manual",
    "FaceSettings": "unseen.faces.find",
    "ManualBox": "unseen.faces.manual",
    "RunConfig": "unseen.config",
    "UnseenError": "unseen.errors",
    "anonymize_paths": "unseen.deploy.apply",
    "anonymize_video": "unseen.deploy.apply",
    "evaluate": "unseen.evaluation.evaluate",
    "find_faces": "unseen.faces.find",
    "load_anonymizer": "unseen.anonymizers.load",
    "load_config": "unseen.config",
    "load_data": "unseen.data.load",
    "load_target": "unseen.evaluation.target",
    "train": "unseen.training.run",
    "train_target": "unseen.evaluation.target",
    "write_report": "unseen.report.page",
}
__all__ = [
    "EvaluationConfig",
    "Excluded",
    "FaceSettings",
    "ManualBox",
    "RunConfig",
    "UnseenError",
    "anonymize_paths",
    "anonymize_video",
    "evaluate",
    "find_faces",
    "load_anonymizer",
    "load_config",
    "load_data",
    "load_target",
    "train",
    "train_target",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unseen' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
