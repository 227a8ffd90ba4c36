"""An evaluation that was killed goes on with what is left, and ends as if it never was."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unseen.evaluation.evaluate as evaluating
import unseen.evaluation.finished as finishing
import unseen.evaluation.protocol as protocol
from unseen.config import EvaluationConfig
from unseen.evaluation.evaluate import evaluate
from unseen.evaluation.finished import finished_folder
from unseen.evaluation.results import read_previews
from visible import FIT, visible_data

ATTACKS = ("classify", "reconstruct", "retrieve", "curriculum")
CONFIG = EvaluationConfig(
    attackers="cnn,pixel",
    attacks=ATTACKS,
    identifier="pixel",
    encoder="pixel",
    learner="pixel",
    target_model="c3d-small:4",
    target_fit=FIT.model_copy(update={"cap": 1}),
    attacker_fit=FIT.model_copy(update={"cap": 1}),
    jobs=1,
)
DATA = visible_data(train=32, val=8, test=16)
MODELS = ["c3d-small:4", "cnn", "pixel", "reconstruct", "retrieve", "curriculum"]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models and attacks that are trained, as they are; `stop` among them ends the work."""
    names: list[str] = []
    train_one, attack = protocol._train_one, protocol._attack

    def tell(name: str) -> None:
        if "stop" in names and len(names) > names.index("stop") + 2:
            raise KeyboardInterrupt
        names.append(name)

    def telling(at: int, task: Any, *rest: Any) -> Any:
        tell(task.model)
        return train_one(at, task, *rest)

    def telling_attack(at: int, name: str, *rest: Any) -> Any:
        tell(name)
        return attack(at, name, *rest)

    monkeypatch.setattr(protocol, "_train_one", telling)
    monkeypatch.setattr(protocol, "_attack", telling_attack)
    return names


def _same(one: Any, other: Any) -> bool:
    """Whether two results are the same but for the time that they took, and when."""
    if isinstance(one, dict):
        left_out = {"seconds", "date", "cost", "commit"}
        keys = one.keys() - left_out
        return keys == other.keys() - left_out and all(_same(one[k], other[k]) for k in keys)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def test_killed_again_and_again_it_ends_as_if_never_stopped(
    tmp_path: Path, done: list[str]
) -> None:
    whole = evaluate("noise:0.1", DATA, tmp_path / "whole.json", CONFIG)
    assert sorted(done) == sorted(MODELS)
    assert not finished_folder(tmp_path / "whole.json").exists()
    out = tmp_path / "killed.json"
    trained: list[str] = []
    for _ in range(2):
        done[:] = ["stop"]
        with pytest.raises(KeyboardInterrupt):
            evaluate("noise:0.1", DATA, out, CONFIG)
        trained += done[1:]
        assert not out.exists()
        assert len(list(finished_folder(out).iterdir())) == len(trained)
    assert len(trained) == 4
    done.clear()
    assert _same(evaluate("noise:0.1", DATA, out, CONFIG), whole)
    assert sorted(trained + done) == sorted(MODELS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "killed.clips.npz", "killed.json", "whole.clips.npz", "whole.json",
    ]  # fmt: skip
    one, other = (read_previews(tmp_path / name) for name in ("whole.json", "killed.json"))
    assert one is not None
    assert other is not None
    assert one.reconstructed is not None
    assert other.reconstructed is not None
    assert np.array_equal(one.reconstructed, other.reconstructed)


def test_weights_are_those_of_the_file_where_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    found = []
    for content in (b"1", b"2"):
        file.write_bytes(content)
        found.append(protocol._depends_on(f"cnn@{file}", FIT)["weights"])
    assert len({*found, None}) == 3
    for name in ("cnn", "timm:resnet18@pretrained"):
        assert protocol._depends_on(name, FIT)["weights"] is None


def test_each_result_has_a_folder_of_its_own() -> None:
    names = [finished_folder(Path(name)).name for name in ("r.json", "v1.2.json", "v1.3.json")]
    assert names == ["r.partial", "v1.2.partial", "v1.3.partial"]


def test_only_the_same_work_is_found_again(
    tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.json"

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    def trained(anonymizer: str = "noise:0.1", data: Any = DATA, **changes: Any) -> list[str]:
        """What is trained after an evaluation was killed that had nothing left to train."""
        done.clear()
        with pytest.raises(KeyboardInterrupt):
            evaluate(anonymizer, data, out, CONFIG.model_copy(update=changes))
        return sorted(done)

    with monkeypatch.context() as patched:
        patched.setattr(evaluating, "write_result", fail)
        everything = sorted(MODELS)
        assert trained() == everything
        assert trained() == []
        assert trained(attackers="cnn") == []
        assert trained(attackers="cnn,pixel,c3d-small:8") == ["c3d-small:8"]
        fit = CONFIG.target_fit.model_copy(update={"seed": 5})
        assert trained(target_fit=fit) == ["c3d-small:4"]
        assert trained("noise:0.2") == everything
        assert trained(seed=5) == everything  # other noise
        labels = DATA.test.private[::-1].copy()
        other = replace(DATA, test=replace(DATA.test, private=labels))
        assert trained(data=other) == everything
        with monkeypatch.context() as changed:  # code that is not committed
            changed.setattr(finishing, "source_hash", lambda: "other")
            assert trained() == everything
        assert trained() == []
        # A file that is no whole one is as good as none.
        for path in finished_folder(out).iterdir():
            path.write_bytes(path.read_bytes()[:50])
        assert trained() == everything
    done.clear()
    evaluate("noise:0.1", DATA, out, CONFIG)
    assert done == []
    assert not finished_folder(out).exists()
