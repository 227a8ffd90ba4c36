import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from example_results import example_attacks, example_previews, example_result
from unseen.errors import ConfigError, DataError
from unseen.evaluation.results import (
    FACES,
    SCHEMA,
    Previews,
    previews_path,
    read_previews,
    read_result,
    refuse_result_file,
    worst_privacy,
    write_previews,
    write_result,
)

DELETE = object()


def changed(result: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    """A copy with the field at `a.b.0.c` replaced, or removed."""
    result = copy.deepcopy(result)
    *parents, last = [int(step) if step.isdigit() else step for step in field.split(".")]
    at: Any = result
    for step in parents:
        at = at[step]
    if value is DELETE:
        del at[last]
    else:
        at[last] = value
    return result


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("codec", [True, False])
def test_what_is_written_is_read(tmp_path: Path, learned: bool, codec: bool) -> None:
    result = example_result(learned=learned, codec=codec)
    write_result(tmp_path / "a.json", result)
    assert read_result(tmp_path / "a.json") == result


FAULTS = [
    ("seed", "7", "seed: must be integer, is str"),
    ("seed", True, "seed: must be integer, is bool"),
    ("seed", DELETE, "the document: lacks seed"),
    ("schema", "unseen/result/2", "schema: must be 'unseen/result/1', is 'unseen/result/2'"),
    ("surplus", 1, "the document: unknown field surplus"),
    ("anonymizer.kind", "magic", "anonymizer.kind: must be one of 'learned', 'handcrafted'"),
    ("data.counts.val", -1, "data.counts.val: must be at least 0, is -1"),
    ("data.size", [24], "data.size: [24] breaks the rule minItems: 2"),
    ("data.fps", 0, "data.fps: must be above 0, is 0"),
    ("target.retrained_accuracy", 95.1, "target.retrained_accuracy: must be at most 1, is 95.1"),
    ("target.curve", DELETE, "target: lacks curve"),
    ("target.stopped", "tired", "target.stopped: must be one of 'plateau', 'cap', is 'tired'"),
    ("privacy.metric", "map", "privacy.metric: must be one of 'accuracy', 'cmap'"),
    ("privacy.attackers.1.curve", DELETE, "privacy.attackers[1]: lacks curve"),
    ("privacy.attackers.2.accuracy", None, "privacy.attackers[2].accuracy: must be number"),
    ("privacy.attackers.0.curve.2.validation", 2, "privacy.attackers[0].curve[2].validation:"),
    ("privacy.interval", [0.1, 0.2, 0.3], "privacy.interval: "),
    ("codec.privacy.leak", DELETE, "codec.privacy: lacks leak"),
    ("codec.bits_per_second", "fast", "codec.bits_per_second: must be number, is str"),
    ("cost.target.parameters", 1.5, "cost.target.parameters: must be integer, is float"),
    ("training.rows.3.gamma", "high", "training.rows[3].gamma: must be number or array or null"),
    ("training.rows.3.step", DELETE, "training.rows[3]: lacks step"),
    ("date", "yesterday", "date: 'yesterday' breaks the rule pattern"),
    ("seconds", 10**400, "seconds: must be a number that a computer counts to"),
    # NaN and infinities pass every comparison of the schema.
    ("privacy.mean", float("nan"), "privacy.mean: must be a finite number, is nan"),
    ("privacy.leak_by_n.1", float("inf"), "privacy.leak_by_n[1]: must be a finite number, is inf"),
    ("training.rows.2.target_loss", float("nan"), "training.rows[2].target_loss: must be a finite"),
    ("configuration.batch", float("nan"), "configuration.batch: must be a finite number"),
    # Figures that deny each other.
    ("privacy.best", "resnet-tiny", "privacy.best: 'resnet-tiny' is not the best"),
    ("privacy.best", "nobody", "privacy.best: 'nobody' is not among the attackers"),
    ("privacy.leak", 0.1, "privacy.leak"),
    ("privacy.leak_by_n", [0.213], "privacy.leak_by_n: 1 values for 3 attackers"),
    ("privacy.leak_by_n.2", 0.3, "privacy.leak_by_n: does not end at the best of the"),
    ("target.interval", [0.9, 0.8], "target.interval: low 0.9 is above high 0.8"),
    ("codec.privacy.interval", [0.9, 0.8], "codec.privacy.interval: low 0.9 is above high 0.8"),
    ("privacy.attackers.0.name", "clip-3d", "privacy.attackers: two have the same name"),
]


ATTACK_FAULTS = [
    ("privacy.attacks.guess", {}, "privacy.attacks: unknown field guess"),
    ("privacy.attacks.curriculum.learner", DELETE, "privacy.attacks.curriculum: lacks learner"),
    ("privacy.attacks.retrieve.map", DELETE, "privacy.attacks.retrieve: lacks map"),
    ("privacy.attacks.retrieve.accuracy", 2, "privacy.attacks.retrieve.accuracy: must be at most"),
    ("privacy.attacks.reconstruct.reconstructed.ssim", 1.5, "reconstructed.ssim: must be at most"),
    ("privacy.attacks.reconstruct.anonymized.psnr", float("inf"), "must be a finite number"),
    ("privacy.attacks.reconstruct.interval", [0.3, 0.2], "interval: low 0.3 is above high 0.2"),
    ("privacy.leak", 0.213, "privacy.leak: is not the accuracy of the best attacker"),
    ("privacy.best", "plain-net", "privacy.best: 'plain-net' is not the best of the attackers"),
    ("privacy.leak_by_n.2", 0.25, "privacy.leak_by_n: does not end at the best of the attackers"),
    ("codec.privacy.attacks", {"retrieve": {}}, "codec.privacy.attacks.retrieve: lacks accuracy"),
]


@pytest.mark.parametrize(("field", "value", "message"), ATTACK_FAULTS)
def test_faults_of_attacks(tmp_path: Path, field: str, value: Any, message: str) -> None:
    result = example_result(leak=0.213)
    result["privacy"] |= example_attacks(0.25, "retrieve")
    write_result(tmp_path / "a.json", result)
    assert read_result(tmp_path / "a.json") == result
    with pytest.raises(DataError) as caught:
        write_result(tmp_path / "a.json", changed(result, field, value))
    assert message in str(caught.value)


def test_results_of_before_there_were_attacks_are_valid() -> None:
    kept = Path(__file__).parents[1] / "results"
    results = {*kept.glob("*/*.json"), *kept.glob("*/results/*.json")}
    results -= {*kept.glob("*/sweep.json")}
    assert len({path.parent for path in results}) > 3
    for path in results:
        assert read_result(path)["schema"] == "unseen/result/1"


@pytest.mark.parametrize(("field", "value", "message"), FAULTS)
def test_each_fault_names_file_and_field(
    tmp_path: Path, field: str, value: Any, message: str
) -> None:
    result = changed(example_result(), field, value)
    path = tmp_path / "broken.json"
    with pytest.raises(DataError) as written:
        write_result(path, result)
    assert list(tmp_path.iterdir()) == []
    path.write_text(json.dumps(result))  # Python's writer lets NaN through
    with pytest.raises(DataError) as read:
        read_result(path)
    for error in (written, read):
        lines = str(error.value).splitlines()
        assert str(path) in lines[0]
        assert any(message in line for line in lines)
        assert all(len(line) < 200 + len(str(path)) for line in lines)


def test_one_fault_is_one_line_and_many_are_all_listed(tmp_path: Path) -> None:
    result = changed(example_result(), "seed", "7")
    with pytest.raises(DataError) as one:
        write_result(tmp_path / "a.json", result)
    assert str(one.value) == f"{tmp_path / 'a.json'}: seed: must be integer, is str"
    result = changed(changed(result, "device", DELETE), "privacy.chance", float("nan"))
    with pytest.raises(DataError) as many:
        write_result(tmp_path / "a.json", result)
    assert set(many.value.faults) == {
        "seed: must be integer, is str",
        "the document: lacks device",
        "privacy.chance: must be a finite number, is nan",
    }


def test_files_that_are_no_results(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_result(path)
    path.write_text('{"schema": ')
    with pytest.raises(DataError, match="is not JSON"):
        read_result(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not JSON"):
        read_result(path)
    path.write_text("[1]")
    with pytest.raises(DataError, match="the document: must be object, is list"):
        read_result(path)
    path.write_text('{"schema": "unseen/faces/1"}')
    with pytest.raises(DataError, match="draw it with `unseen face-figures`"):
        read_result(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_result(path, example_result())
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_result(path, changed(example_result(), "seed", None))
    assert path.read_bytes() == before


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("codec", [True, False])
def test_previews_round_trip(tmp_path: Path, raw: bool, codec: bool) -> None:
    previews = example_previews(raw=raw, codec=codec, reconstructed=raw)
    write_previews(tmp_path / "run.json", previews)
    assert [path.name for path in tmp_path.iterdir()] == ["run.clips.npz"]
    read = read_previews(tmp_path / "run.json")
    assert read is not None
    assert read.captions == previews.captions
    for name in ("before", "after", "after_codec", "reconstructed"):
        ours, theirs = getattr(read, name), getattr(previews, name)
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_array_equal(ours, theirs)


def test_no_previews(tmp_path: Path) -> None:
    assert read_previews(tmp_path / "run.json") is None


@pytest.mark.usefixtures("unchecked")
def test_broken_previews_are_refused(tmp_path: Path) -> None:
    result = tmp_path / "run.json"
    path = previews_path(result)
    whole = example_previews()
    write_previews(result, whole)
    content = path.read_bytes()
    for broken in (b"", b"not a zip", content[: len(content) // 2]):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"run\.clips\.npz: cannot be read"):
            read_previews(result)
    refused = 0
    for place in range(60, len(content), 7):  # within the compressed arrays, too
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            found = read_previews(result)
        except DataError:
            refused += 1
        else:  # within what nobody reads: dates, permissions
            assert found is not None
            np.testing.assert_array_equal(found.after, whole.after)
            assert found.captions == whole.captions
    assert refused > len(content) / 7 / 2
    with path.open("wb") as file:
        np.save(file, whole.after)
    with pytest.raises(DataError, match="cannot be read"):
        read_previews(result)
    np.savez(path, captions=np.array(["a", "b"]))
    with pytest.raises(DataError, match="after"):
        read_previews(result)
    np.savez(path, after=whole.after, captions=np.array(["a", "b"], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        read_previews(result)
    for previews, message in (
        (Previews(whole.after, ("one",)), "captions: 1, but 2 clips"),
        (Previews(whole.after, whole.captions, whole.after[:, :3]), "before: "),
        (Previews(whole.after[:0], ()), "after: holds no frame"),
        (Previews(whole.after.astype(np.float32), whole.captions), "after: must be uint8"),
    ):
        with pytest.raises(DataError, match=message):
            write_previews(result, previews)


def test_what_is_nested_too_deeply_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    for depth in (500, 980, 100_000):
        path.write_text("[" * depth + "]" * depth)
        with pytest.raises(DataError, match=r"deep\.json"):
            read_result(path)


def test_only_a_result_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    manifest, settings, result = (tmp_path / n for n in ("m.csv", "config.json", "r.json"))
    manifest.write_text("path,split")
    settings.write_text('{"preset": "duet"}')
    write_result(result, example_result())
    refuse_result_file(result, SCHEMA)
    refuse_result_file(tmp_path / "new.json", SCHEMA)
    with pytest.raises(ConfigError, match=r"must end in \.json"):
        refuse_result_file(manifest, SCHEMA)
    for path, schema in ((settings, SCHEMA), (result, FACES)):
        with pytest.raises(ConfigError, match="is there and is no result of this kind"):
            refuse_result_file(path, schema)


def test_the_headline_leak_is_the_worst_of_pixels_and_codec() -> None:
    result = example_result(leak=0.213)
    assert worst_privacy(result) == (result["privacy"], False)
    result["codec"]["privacy"]["leak"] = 0.214
    assert worst_privacy(result) == (result["codec"]["privacy"], True)
    assert worst_privacy(result | {"codec": None}) == (result["privacy"], False)
