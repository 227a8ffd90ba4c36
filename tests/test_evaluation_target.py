"""Further target models on a frozen anonymizer: learned, measured, written, read back, refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score

from tiny_game import tiny_config, tiny_data
from unseen.anonymizers.learned import filter_hash, load_filter
from unseen.anonymizers.load import load_anonymizer
from unseen.config import EvaluationConfig
from unseen.data.clips import ClipDataset
from unseen.errors import ConfigError, UnseenError, WeightsError
from unseen.evaluation import target as targets
from unseen.evaluation.evaluate import evaluate
from unseen.evaluation.target import load_target, train_target
from unseen.evaluation.target_contract import read_target_contract
from unseen.models import create_model, macs, parameter_count
from unseen.training.run import train
from unseen.types import to_clips, to_stored
from visible import FIT, apart, over_two, visible_data

QUICK = EvaluationConfig(
    attackers="pixel", target_model="c3d-small:4", target_fit=FIT, attacker_fit=FIT, jobs=1
)
BRIEF = QUICK.model_copy(update={"target_fit": FIT.model_copy(update={"cap": 2})})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filter that keeps the action and hides the pair."""
    folder = tmp_path_factory.mktemp("run") / "mine"
    config = tiny_config("filter.output_limits=noise:0.05")
    train(config, tiny_data(config), folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "mine"))


@pytest.fixture(scope="module")
def contacts() -> ClipDataset:
    return tiny_data(tiny_config("data.target=contact", "data.test=26"))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_behind_a_handcrafted_anonymizer(tmp_path: Path) -> None:
    data, out = visible_data(), tmp_path / "deep" / "stripes.safetensors"
    made = train_target("downsample:4", data, out, QUICK, raw=True)
    contract = made.contract
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "stripes.json", "stripes.safetensors",
    ]  # fmt: skip
    assert contract.model_dump(mode="json") == json.loads(out.with_suffix(".json").read_text())
    assert (contract.column, contract.classes) == ("stripe", ("above", "below"))
    assert contract.anonymizer.model_dump() == {"name": "downsample:4", "hash": None}
    assert (contract.metric, contract.chance, contract.codec) == ("accuracy", 0.5, "h264:crf=23")
    assert contract.raw is not None
    for scores in (contract.anonymized, contract.raw):
        for one in (scores.pixels, scores.stored):
            assert one is not None
            assert one.score > 0.8  # the stripe outlives both the pooling and the codec
            assert one.interval[0] <= one.score <= one.interval[1]

    # The figure, worked out from the files beside the evaluation.
    shown = load_anonymizer("downsample:4")(to_clips(data.test.clips))
    again = load_target(out)
    assert again.contract == contract
    with torch.no_grad():
        answers = again.model(to_clips(to_stored(shown))).argmax(1).numpy()
    assert contract.anonymized.pixels.score == np.mean(answers == data.test.target)
    assert contract.cost.parameters == parameter_count(again.model)
    assert contract.cost.macs_per_frame == macs(again.model, shown[:1]) // 4


def test_what_was_learned_is_kept_where_the_raw_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:  # what the raw one is passed through
        raise KeyboardInterrupt

    monkeypatch.setattr(targets, "load_anonymizer", fail)
    out = tmp_path / "t.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_target("blur:4", visible_data(train=24, val=8, test=16), out, BRIEF, raw=True)
    assert load_target(out).contract.raw is None


def test_weights_that_are_missing_are_told_before_any_work(tmp_path: Path) -> None:
    config = BRIEF.model_copy(update={"target_model": f"cnn@{tmp_path}/no.safetensors"})
    with pytest.raises(WeightsError, match=r"no\.safetensors"):
        targets.prepare_target("blur:4", "stripe", tmp_path / "t.safetensors", config)


def test_it_is_the_fresh_target_model_of_the_evaluation(tmp_path: Path) -> None:
    data = visible_data(train=24, val=8, test=16)
    result = evaluate("blur:4", data, tmp_path / "r.json", BRIEF)
    made = train_target("blur:4", data, tmp_path / "t.safetensors", BRIEF)
    scores = made.contract.anonymized
    assert scores.stored is not None
    assert scores.pixels.score == pytest.approx(result["target"]["retrained_accuracy"])
    assert scores.stored.score == pytest.approx(result["codec"]["target"]["retrained_accuracy"])
    assert list(scores.pixels.interval) == pytest.approx(result["target"]["interval"])


def test_intervals_are_over_recordings(tmp_path: Path) -> None:
    data = apart(visible_data(train=24, val=8, test=16))
    result = evaluate("blur:4", data, tmp_path / "r.json", BRIEF)
    for part in (result, result["codec"]):
        target, privacy = part["target"], part["privacy"]
        assert target["interval"] in over_two(target["retrained_accuracy"], 16)
        assert len(privacy["attackers"]) == 1
        assert privacy["interval"] in over_two(privacy["leak"], 16)
    made = train_target("blur:4", data, tmp_path / "t.safetensors", BRIEF)
    for found in (made.contract.anonymized.pixels, made.contract.anonymized.stored):
        assert found is not None
        assert list(found.interval) in over_two(found.score, 16)


def test_clips_that_a_run_was_trained_on_test_no_further_target(
    run: Path, contacts: ClipDataset
) -> None:
    learned = replace(contacts, train=contacts.val, test=contacts.train, hash="another")
    with pytest.raises(UnseenError, match="were seen when"):
        train_target(run, learned, config=BRIEF)
    assert not (run / "targets").exists()


def test_behind_a_learned_filter(run: Path, contacts: ClipDataset) -> None:
    before = _files(run)
    config = BRIEF.model_copy(update={"codec": None})
    made = train_target(run, contacts, config=config)
    after = _files(run)
    assert after.keys() - before.keys() == {"targets/contact.json", "targets/contact.safetensors"}
    assert {name: after[name] for name in before} == before  # the filter is frozen
    contract = made.contract
    assert made.weights == run / "targets" / "contact.safetensors"
    assert contract.anonymizer.name == "mine"
    assert contract.anonymizer.hash == filter_hash(load_filter(run))
    assert (contract.metric, contract.multi_label, contract.classes) == ("cmap", True, ("contact",))
    assert [contract.raw, contract.anonymized.stored, contract.codec] == [None] * 3
    assert contract.fit.epochs == 2

    seed = np.random.SeedSequence([config.seed, 2, 0, 0]).generate_state(1)[0]  # of the test clips
    model, learned = load_target(made.weights).model, load_filter(run)
    torch.manual_seed(int(seed))
    with torch.no_grad():
        shown = to_clips(to_stored(learned(to_clips(contacts.test.clips))))
        logits = model(shown).numpy()
    expected = average_precision_score(contacts.test.target[:, 0], logits[:, 0])
    assert contract.anonymized.pixels.score == pytest.approx(expected)


def test_two_filters_have_two_hashes(run: Path) -> None:
    learned = load_filter(run)
    first = filter_hash(learned)
    assert first == filter_hash(load_filter(run))
    with torch.no_grad():
        next(learned.parameters())[0] += 1e-3
    assert filter_hash(learned) != first
    louder = load_filter(run)
    louder.config = louder.config.model_copy(update={"output_limits": ("noise:0.4",)})
    assert filter_hash(louder) != first


# ------------------------------------------------------------ refused before any work


def _refused(
    anonymizer: str | Path, data: ClipDataset, out: Path | None, folder: Path, **change: Any
) -> str:
    before = _files(folder)
    with pytest.raises(UnseenError) as caught:
        train_target(anonymizer, data, out, BRIEF.model_copy(update=change))
    assert _files(folder) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_the_filter_hides_is_no_target(run: Path, tmp_path: Path) -> None:
    pairs = tiny_data(tiny_config("data.target=pair", "data.test=26"))
    told = _refused(run, pairs, None, tmp_path)
    assert "'pair' is what" in told
    assert "unseen evaluate" in told


def test_of_several_hidden_attributes_none_is_a_target(run: Path, tmp_path: Path) -> None:
    path = run / "anonymizer.json"
    contract = json.loads(path.read_text())
    contract["about"]["private"]["column"] = "glasses,skirt"
    path.write_text(json.dumps(contract))
    skirts = tiny_data(tiny_config("data.target=skirt", "data.test=26"))
    assert "'skirt' is what" in _refused(run, skirts, None, tmp_path)


@pytest.mark.parametrize("there", ["contact.safetensors", "contact.json"])
def test_nothing_is_overwritten(
    there: str, run: Path, contacts: ClipDataset, tmp_path: Path
) -> None:
    (run / "targets").mkdir()
    (run / "targets" / there).write_text("mine")
    assert f"{there} is there already" in _refused(run, contacts, None, tmp_path)


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    assert "name a file with -o" in _refused("raw", data, None, tmp_path)
    told = _refused("raw", data, tmp_path / "t.pt", tmp_path)
    assert told == "f_T is written as safetensors: call it t.safetensors"
    (tmp_path / "file").write_text("")
    told = _refused("raw", data, tmp_path / "file" / "t.safetensors", tmp_path)
    assert told.endswith("file is no folder")


def test_all_that_is_wrong_is_told_at_once(run: Path, contacts: ClipDataset) -> None:
    pairs = replace(contacts, target=replace(contacts.target, name="pair"))
    change = BRIEF.model_copy(update={"codec": "h265"})
    with pytest.raises(ConfigError) as caught:
        train_target(run, pairs, run / "t.pt", change)
    for fault in ("'pair' is what", "unknown codec 'h265'", "call it t.safetensors"):
        assert fault in str(caught.value)


def test_clips_of_another_size(run: Path, tmp_path: Path) -> None:
    large = tiny_data(tiny_config("data.target=contact", "data.size=24", "data.train=8"))
    told = _refused(run, large, None, tmp_path)
    assert "works at 16 pixels, and these clips have 24: set data.size=16" in told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codec": "h265"}, "unknown codec 'h265'"),
        ({"target_model": "c3d-smal"}, "did you mean 'c3d-small'?"),
        ({"device": "tpuu"}, "device 'tpuu' cannot be used"),
    ],
)
def test_settings_that_cannot_be_used(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    assert message in _refused("raw", data, tmp_path / "t.safetensors", tmp_path, **change)


def test_a_filter_that_does_not_say_what_it_hides(
    run: Path, contacts: ClipDataset, tmp_path: Path
) -> None:
    contract = json.loads((run / "anonymizer.json").read_text())
    (run / "anonymizer.json").write_text(json.dumps({**contract, "about": {}}))
    told = _refused(run, contacts, None, tmp_path)
    assert "does not say what the filter was trained to hide" in told


def test_a_column_becomes_a_file_name(run: Path, contacts: ClipDataset) -> None:
    named = replace(contacts, target=replace(contacts.target, name="a b/../c"))
    made = train_target(run, named, config=BRIEF.model_copy(update={"codec": None}))
    assert made.weights == run / "targets" / "a-b-..-c.safetensors"
    assert made.contract.column == "a b/../c"


# ------------------------------------------------------------ read back


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _other_shape(path: Path) -> None:
    save_file({key: value[..., None] for key, value in load_file(path).items()}, path)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    path = train_target("raw", data, tmp_path / "t.safetensors", BRIEF).weights
    whole, text = path.read_bytes(), path.with_suffix(".json").read_text()
    for damage in (Path.unlink, _cut, _other_shape):
        damage(path)
        with pytest.raises(
            WeightsError, match=r"t\.safetensors is missing, damaged or does not fit"
        ):
            load_target(path)
        path.write_bytes(whole)
    broken = {**json.loads(text), "chance": 7, "model": None}
    for content, message in (
        ("{", "t.json is damaged: Invalid JSON"),
        (json.dumps(broken), "model Input should be a valid string; chance Input should be less"),
    ):
        path.with_suffix(".json").write_text(content)
        with pytest.raises(WeightsError) as caught:
            load_target(path)
        assert message in str(caught.value)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"t\.json cannot be read"):
        load_target(path)


def test_weights_of_another_architecture_do_not_fit(tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    path = train_target("raw", data, tmp_path / "t.safetensors", BRIEF).weights
    other = create_model("c3d-small:8", 2, size=16, frames=4).state_dict()
    save_file({k: v.contiguous() for k, v in other.items()}, path)
    with pytest.raises(WeightsError, match="is missing, damaged or does not fit"):
        load_target(path)


def test_kept_contracts_can_be_read() -> None:
    kept = sorted((Path(__file__).parents[1] / "results").glob("*/targets/*.json"))
    assert kept
    for path in kept:
        assert read_target_contract(path).column == path.stem
