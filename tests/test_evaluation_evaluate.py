"""From an anonymizer to a result file: handcrafted and learned, refusals before any work."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny_game import tiny_config, tiny_data
from unseen.anonymizers.learned import load_filter
from unseen.config import DataConfig, EvaluationConfig
from unseen.data.clips import BoxSource, ClipDataset, LabelSet, Split, across
from unseen.data.codec import codec_round_trip
from unseen.errors import ConfigError, RunError, UnseenError, WeightsError
from unseen.evaluation.evaluate import _cost, evaluate, prepare, refuse_attacks
from unseen.evaluation.results import previews_path, read_previews, read_result
from unseen.models import create_model
from unseen.training.folder import refuse_seen_clips, run_config, with_its_split
from unseen.training.run import train
from unseen.types import to_clips
from visible import FIT, apart, over_two, visible_data

QUICK = EvaluationConfig(
    attackers="pixel,c3d-small:4",
    target_model="c3d-small:4",
    target_fit=FIT,
    attacker_fit=FIT,
    jobs=1,
    device="cpu",
)
BRIEF = QUICK.model_copy(
    update={"target_fit": FIT.model_copy(update={"cap": 1}),
            "attacker_fit": FIT.model_copy(update={"cap": 1})}
)  # fmt: skip


@pytest.fixture(scope="module")
def duet() -> ClipDataset:
    return tiny_data(tiny_config())


@pytest.fixture(scope="module")
def trained(duet: ClipDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "mine"
    train(tiny_config("filter.output_limits=noise:0.05"), duet, folder)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "mine"))


def test_a_handcrafted_anonymizer_end_to_end(tmp_path: Path) -> None:
    data, out = visible_data(), tmp_path / "deep" / "down.json"
    result = evaluate("downsample:4", data, out, QUICK)
    assert read_result(out) == result
    assert sorted(path.name for path in out.parent.iterdir()) == ["down.clips.npz", "down.json"]
    assert result["name"] == "downsample:4"
    assert result["anonymizer"] == {
        "spec": "downsample:4", "kind": "handcrafted", "random": False, "options": {},
        "parameters": 0,
    }  # fmt: skip
    assert result["data"]["hash"] == data.hash
    assert result["data"]["counts"] == {"train": 64, "val": 16, "test": 32}
    assert (result["data"]["size"], result["data"]["frames"]) == (16, 4)
    assert result["cost"] is result["training"] is result["target"]["accuracy"] is None
    assert result["configuration"] == {
        "evaluation": QUICK.model_dump(mode="json"), "run": None, "data": None,
    }  # fmt: skip
    for part in (result, result["codec"]):
        # Brightness and stripe outlive both the pooling and the codec.
        assert part["privacy"]["leak"] > 0.95
        assert part["target"]["retrained_accuracy"] > 0.8
        names = [row["name"] for row in part["privacy"]["attackers"]]
        assert names == ["pixel", "c3d-small:4"]
    assert result["codec"]["bits_per_second"] > 0
    previews = read_previews(out)
    assert previews is not None
    assert previews.captions == ("above", "below")
    assert previews.before is not None
    assert np.array_equal(previews.before, data.test.clips[[0, 4]])
    cells = previews.before.reshape(2, 4, 4, 4, 4, 4, 3).mean((3, 5))
    centres = previews.after[:, :, 2::4, 2::4].astype(float)
    assert np.abs(centres - cells).max() < 12
    assert previews.after_codec is not None
    assert not np.array_equal(previews.after, previews.after_codec)


def test_the_leak_is_the_worst_of_all_attacks(tmp_path: Path) -> None:
    """The classifiers have no time to learn, the others have little."""
    data, out = visible_data(train=32, val=8, test=16), tmp_path / "r.json"
    config = QUICK.model_copy(
        update={
            "attacks": ("classify", "reconstruct", "retrieve", "curriculum"),
            "identifier": "pixel",
            "encoder": "pixel",
            "learner": "pixel",
            "attackers": "cnn,pixel",
            "attacker_fit": FIT.model_copy(update={"cap": 2}),
            "target_fit": BRIEF.target_fit,
        }
    )
    result = evaluate("raw", data, out, config)
    assert read_result(out) == result
    for part in (result, result["codec"]):
        privacy = part["privacy"]
        assert list(privacy["attacks"]) == ["reconstruct", "retrieve", "curriculum"]
        rows = {row["name"]: row for row in privacy["attackers"]} | privacy["attacks"]
        assert privacy["leak"] == max(row["accuracy"] for row in rows.values())
        assert rows[privacy["best"]]["accuracy"] == privacy["leak"]
        assert privacy["leak_by_n"][-1] == max(r["accuracy"] for r in privacy["attackers"])
        for attack in privacy["attacks"].values():
            low, high = attack["interval"]
            assert low <= attack["accuracy"] <= high
    anonymized = result["privacy"]["attacks"]["reconstruct"]["anonymized"]
    assert anonymized == {"ssim": pytest.approx(1.0), "psnr": pytest.approx(100.0)}
    previews = read_previews(out)
    assert previews is not None
    assert previews.reconstructed is not None
    assert previews.reconstructed.shape == previews.after.shape

    # Real people: what was reconstructed of them is not kept either.
    people = replace(data, synthetic=False)
    brief = config.model_copy(update={"attacks": ("classify", "reconstruct"), "codec": None})
    brief = brief.model_copy(update={"attacker_fit": FIT.model_copy(update={"cap": 1})})
    evaluate("grey", people, out, brief)
    previews = read_previews(out)
    assert previews is not None
    assert previews.before is previews.reconstructed is None


def test_across_two_data_sets_each_fold_has_its_own(tmp_path: Path) -> None:
    """One has the stripe and no brightness, the other the brightness and no stripe."""
    striped, bright = visible_data(), visible_data(train=48, val=12, test=20)

    def stripes(split: Split) -> Split:
        level = (45 * split.private).astype(np.uint8)[:, None, None, None, None]
        return Split(split.clips - level, split.target, np.zeros((len(split), 0), np.float32))

    def brightness(split: Split) -> Split:
        clips = split.clips.copy()
        clips[:, :, 2:5] = clips[:, :, 11:14] = clips[:, :, 7:8]
        return Split(clips, np.zeros((len(split), 0), np.float32), split.private)

    striped, bright = (
        replace(data, train=one(data.train), val=one(data.val), test=one(data.test))
        for data, one in ((striped, stripes), (bright, brightness))
    )
    config = QUICK.model_copy(update={"attacks": ("classify", "reconstruct")})
    both = replace(across(striped, bright), synthetic=True)
    result = evaluate("downsample:2", both, tmp_path / "r.json", config)
    previews = read_previews(tmp_path / "r.json")
    assert previews is not None
    assert previews.reconstructed is None  # what is shown is of the target's clips
    assert read_result(tmp_path / "r.json") == result
    assert result["data"]["counts"] == {"train": 64, "val": 16, "test": 32}
    assert result["data"]["private_data"] == {
        "name": "visible", "hash": bright.hash, "fps": 12.5,
        "counts": {"train": 48, "val": 12, "test": 20},
    }  # fmt: skip
    for part in (result, result["codec"]):
        assert part["target"]["retrained_accuracy"] > 0.8
        assert part["privacy"]["leak"] > 0.95
        assert part["privacy"]["chance"] == pytest.approx(0.25)


def test_images_of_a_filter_that_sees_motion_alone_are_refused(
    duet: ClipDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "motion"
    config = tiny_config("filter.input_limits=motion:0.8", "train.steps=0", "train.init_target=1")
    train(config, duet, folder)
    error = _refused(folder, across(duet, replace(duet, still=True)), tmp_path / "r.json")
    assert "their leak would be nothing" in str(error)


@pytest.mark.parametrize(
    ("synthetic", "wanted", "shown"),
    [(False, None, False), (False, True, True), (True, None, True), (True, False, False)],
)
def test_raw_frames_of_people_stay_out_of_the_previews(
    synthetic: bool, wanted: bool | None, shown: bool, tmp_path: Path
) -> None:
    data = visible_data(train=16, val=8, test=8, synthetic=synthetic)
    config = BRIEF.model_copy(update={"previews": wanted, "codec": None, "attackers": "pixel"})
    result = evaluate("pixelate:4", data, tmp_path / "r.json", config)
    assert result["codec"] is None
    previews = read_previews(tmp_path / "r.json")
    assert previews is not None
    assert (previews.before is not None) == shown
    assert previews.after_codec is None
    raw = data.test.clips.astype(int)
    for clip in previews.after.astype(int):
        assert np.abs(raw - clip).mean((1, 2, 3, 4)).min() > 2


def test_clips_that_a_run_was_trained_on_do_not_test_it(
    trained: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    swapped = replace(duet, train=duet.test, test=duet.train)
    chosen = replace(duet, val=duet.test, test=duet.val)
    for data in (swapped, chosen):
        error = _refused(trained, data, tmp_path / "r.json")
        count = len(data.test)
        assert f"{count} of the {count} test clips of duet were seen when" in str(error)
    with pytest.raises(RunError, match="test clips of duet were seen"):
        refuse_seen_clips(trained, replace(duet, other=chosen))
    # What a data set has in train and test both is its own affair.
    refuse_seen_clips(trained, replace(duet, test=duet.train))


def test_a_run_keeps_the_split_that_it_was_trained_with() -> None:
    run = tiny_config("data.name=m.csv", "data.target=what", "data.private=who,where")
    # Also where columns are the same: `train-target` leaves the private ones out.
    assert with_its_split(run, run.data).split_by == ("what", "who", "where")
    room = run.data.model_copy(update={"target": "room", "private": ("all",)})
    assert with_its_split(run, room).split_by == ("what", "who", "where")
    named = room.model_copy(update={"split_by": ("room", "who")})
    across = run.data.model_copy(update={"private_name": "o.csv", "private": ("hat", "tall")})
    assert with_its_split(run, across).split_by == ("what", "hat", "tall")
    elsewhere = room.model_copy(update={"name": "n.csv"})
    assert (with_its_split(run, named), with_its_split(run, elsewhere)) == (named, elsewhere)


def test_raw_video_of_people_leaves_no_previews_either(tmp_path: Path) -> None:
    data = visible_data(train=16, val=8, test=8)
    config = BRIEF.model_copy(update={"codec": None, "attackers": "pixel"})
    evaluate("raw", replace(data, synthetic=True), tmp_path / "r.json", config)
    assert read_previews(tmp_path / "r.json") is not None
    evaluate("raw", replace(data, synthetic=False), tmp_path / "r.json", config)
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_a_trained_run_end_to_end(trained: Path, duet: ClipDataset, tmp_path: Path) -> None:
    result = evaluate(trained, duet, tmp_path / "r.json", BRIEF)
    assert read_result(tmp_path / "r.json") == result
    assert (result["name"], result["anonymizer"]["kind"]) == ("mine", "learned")
    assert result["anonymizer"]["random"] is True
    assert result["anonymizer"]["options"]["output_limits"] == ["noise:0.05"]
    written = json.loads((trained / "training.json").read_text())
    assert result["training"]["steps"] == written["steps"]
    assert len(result["training"]["rows"]) == len(written["rows"])
    assert result["cost"]["anonymizer"]["parameters"] == result["anonymizer"]["parameters"] > 0
    for part in result["cost"].values():
        assert part["macs_per_frame"] > 0
        assert part["milliseconds_per_frame"] > 0
    assert result["configuration"]["run"] == run_config(trained).model_dump(mode="json")


def test_the_runs_own_target_model_is_measured_on_pixels_and_on_stored_video(
    run: Path, tmp_path: Path
) -> None:
    data = tiny_data(tiny_config("data.test=96"))
    module = load_filter(run)
    noise = np.random.SeedSequence([QUICK.seed, 2, 0, 0]).generate_state(1)[0]
    torch.manual_seed(int(noise))  # of the only pass over the test clips
    batches = torch.split(to_clips(data.test.clips), 32)
    with torch.no_grad():
        shown = (torch.cat([module(batch) for batch in batches]) * 255).round()
    pixels = shown.movedim(1, -1).to(torch.uint8).numpy()
    stored = codec_round_trip(pixels, "h264:crf=51", data.fps).clips
    target = create_model(run_config(run).target_model, 8, size=16, frames=4).eval()
    weights = load_file(run / "target.safetensors")
    target.load_state_dict(weights)
    with torch.no_grad():  # so few steps left it with one answer to all; now it has several
        bias = next(key for key in weights if weights[key].shape == (8,))
        weights[bias] -= target(to_clips(pixels)).mean(0)
        save_file(weights, run / "target.safetensors")
        target.load_state_dict(weights)
        answers = [target(to_clips(clips)).argmax(1).numpy() for clips in (pixels, stored)]
    expected = [np.mean(each == data.test.target) for each in answers]
    assert abs(expected[0] - expected[1]) > 0.01
    config = BRIEF.model_copy(update={"attackers": "pixel", "codec": "h264:crf=51"})
    result = evaluate(run, data, tmp_path / "r.json", config)
    found = [result["target"]["accuracy"], result["codec"]["target"]["accuracy"]]
    assert found == pytest.approx(expected)


def test_all_intervals_of_a_run_are_over_recordings(
    trained: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    config = BRIEF.model_copy(
        update={"attackers": "c3d-small:4", "attacks": ("classify", "retrieve"),
                "encoder": "c3d-small:4"}
    )  # fmt: skip
    result = evaluate(trained, apart(duet), tmp_path / "r.json", config)
    for part in (result, result["codec"]):
        assert part["target"]["own_interval"] in over_two(part["target"]["accuracy"], 8)
        found = part["privacy"]["attacks"]["retrieve"]
        assert found["interval"] in over_two(found["accuracy"], 8)


def test_what_a_filter_costs_is_measured_where_the_evaluation_computes(
    trained: Path, duet: ClipDataset
) -> None:
    # "meta" stands for a device that the filter, loaded on the processor, is not on.
    config = EvaluationConfig(target_model="c3d-small:4", device="meta")
    cost = _cost(load_filter(trained), duet, config)
    assert cost["anonymizer"]["parameters"] > 0
    assert cost["target"]["macs_per_frame"] > 0


def test_a_run_is_called_by_its_folder(
    trained: Path, duet: ClipDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    subject = prepare(".", BRIEF, tmp_path / "r.json")
    assert subject.name == "mine"
    assert subject.run is not None


def test_the_same_seed_gives_the_same_figures(tmp_path: Path) -> None:
    data = visible_data(train=16, val=8, test=8)
    one, other = (evaluate("blur:4", data, tmp_path / f"{i}.json", BRIEF) for i in (0, 1))
    for part in ("target", "privacy"):
        assert _timeless(one[part]) == _timeless(other[part])
        assert _timeless(one["codec"][part]) == _timeless(other["codec"][part])


def test_what_found_boxes_is_said(tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    found = (BoxSource("body", "torchvision:x", 0.5, "ab"), BoxSource("face", "y", 0.2, "cd"))
    others = across(data, replace(data, found=found[:1]))
    result = evaluate("raw", replace(others, found=found), tmp_path / "r.json", BRIEF)
    body, face = result["data"]["boxes"]
    assert body == {"kind": "body", "detector": "torchvision:x", "threshold": 0.5, "weights": "ab"}
    assert face["detector"] == "y"
    assert result["data"]["private_data"]["boxes"] == [body]
    own = evaluate("raw", data, tmp_path / "own.json", BRIEF)
    assert "boxes" not in own["data"]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(v) for key, v in value.items() if key != "seconds"}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


# ------------------------------------------------------------ refused before any work


def _refused(anonymizer: str | Path, data: ClipDataset, out: Path, **change: Any) -> UnseenError:
    before = sorted(out.parent.iterdir())
    with pytest.raises(UnseenError) as caught:
        evaluate(anonymizer, data, out, BRIEF.model_copy(update=change))
    assert sorted(out.parent.iterdir()) == before
    return caught.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codec": "h265"}, "unknown codec 'h265'"),
        ({"codec": "h264:crf=99"}, "crf=N with N from 0"),
        ({"attackers": "pixle"}, "did you mean 'pixel'?"),
        ({"attackers": 21}, "has 20 attackers"),
        ({"attackers": "timm:resnet18@gone.safetensors"}, "weights gone.safetensors: no such file"),
        ({"attacks": ("classify", "retrieve"), "encoder": "r3d-smal"}, "did you mean 'r3d-small'?"),
        ({"attacks": ("classify", "reconstruct"), "identifier": "cn"}, "did you mean 'cnn'?"),
        ({"suite": "big"}, "unknown suite 'big'"),
        ({"target_model": "c3d-smal"}, "did you mean 'c3d-small'?"),
        ({"device": "tpuu"}, "device 'tpuu' cannot be used"),
    ],
)
def test_settings_that_cannot_be_used(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    error = _refused("raw", data, tmp_path / "r.json", **change)
    assert message in str(error)
    with pytest.raises(UnseenError):  # and before there are data
        prepare("raw", BRIEF.model_copy(update=change), tmp_path / "r.json")


def test_a_folder_is_no_result_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder: give the name of a file"):
        evaluate("raw", visible_data(train=4, val=4, test=4), tmp_path, BRIEF)


def test_what_is_kept_beside_a_result_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "one.partial").write_text("mine")
    (tmp_path / "two.clips.npz").mkdir()
    for name, message in (
        ("one.json", "is no folder"),
        ("two.json", "is a folder"),
        (f"{'x' * 250}.json", "longer than 255 bytes"),
        ("settings.csv", "must end in .json"),
    ):
        with pytest.raises(ConfigError, match=message):
            prepare("raw", BRIEF, tmp_path / name)


@pytest.mark.parametrize("name", ["mobilenet:0.01", "mobilenet-gn:0.03"])
def test_budget_models_of_the_run_are_no_attackers(
    name: str, trained: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    error = _refused(trained, duet, tmp_path / "r.json", attackers=f"pixel,{name}")
    assert f"{name} trained against this filter as budget model" in str(error)


@pytest.mark.parametrize(("attack", "model"), [("retrieve", "encoder"), ("curriculum", "learner")])
def test_networks_of_other_attacks_are_no_budget_models(
    attack: str, model: str, trained: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    change = {"attacks": ("classify", attack), model: "mobilenet:0.01"}
    error = _refused(trained, duet, tmp_path / "r.json", **change)
    assert "mobilenet:0.01 trained against this filter as budget model" in str(error)


def test_what_the_data_lack_is_said_before_any_work(tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    error = _refused("mask-face", data, tmp_path / "r.json")
    assert str(error) == (
        "'mask-face' needs face boxes, which the data visible lacks: load them with "
        "load_data(..., boxes=['face'])"
    )
    from_settings = DataConfig(name="duet", private=("hat", "coat"))
    with pytest.raises(ConfigError, match=r"'retrieve' looks for one person; .* hat, coat"):
        refuse_attacks(EvaluationConfig(attacks=("classify", "retrieve")), from_settings)
    refuse_attacks(EvaluationConfig(), from_settings)
    every = from_settings.model_copy(update={"private": ("all",)})
    with pytest.raises(ConfigError, match=r"'retrieve' looks for one person; .* all "):
        refuse_attacks(EvaluationConfig(attacks=("classify", "retrieve")), every)
    several = LabelSet("hat,coat", ("hat", "coat"), multi_label=True)
    several_data = replace(data, private=several)
    error = _refused("raw", several_data, tmp_path / "r.json", attacks=("classify", "retrieve"))
    assert "'retrieve' looks for one person; the private attribute hat,coat" in str(error)


def test_clips_of_a_size_that_the_filter_does_not_work_at(trained: Path, tmp_path: Path) -> None:
    large = tiny_data(tiny_config("data.size=24", "data.train=8"))
    error = _refused(trained, large, tmp_path / "r.json")
    assert "works at 16 pixels, and these clips have 24: set data.size=16" in str(error)


def test_f_T_of_other_classes_is_refused(  # noqa: N802
    trained: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    classes = (*duet.target.classes[:-1], "waving")
    other = replace(duet, target=LabelSet("action", classes))
    error = _refused(trained, other, tmp_path / "r.json")
    assert isinstance(error, RunError)
    assert "was trained to tell approaching" in str(error)
    assert "waving" in str(error)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _other_shape(path: Path) -> None:
    save_file({key: value[..., None] for key, value in load_file(path).items()}, path)


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _other_shape])
@pytest.mark.parametrize("name", ["target.safetensors", "anonymizer.safetensors"])
def test_damaged_weights_are_refused(
    name: str, damage: Any, run: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    damage(run / name)
    error = _refused(run, duet, tmp_path / "r.json")
    assert isinstance(error, WeightsError)
    assert name in str(error)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", None, "is not a run: config.json is missing"),
        ("config.json", "{", "config.json is damaged: Invalid JSON"),
        ("config.json", '{"game": {"gamma": "much"}}', "config.json is damaged: game.gamma Input"),
        ("config.json", '{"gaem": {}}', "config.json is damaged: gaem Extra inputs"),
        ("training.json", "{", "training.json is damaged"),
        ("training.json", "{}", "training.json is damaged"),
        ("anonymizer.json", "{", "anonymizer.json is damaged"),
        ("anonymizer.json", None, "anonymizer.json is missing"),
    ],
)
def test_damaged_descriptions_are_refused(
    name: str, text: str | None, message: str, run: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    if text is None:
        (run / name).unlink()
    else:
        (run / name).write_text(text)
    error = _refused(run, duet, tmp_path / "r.json")
    assert message in str(error)
    assert "\n" not in str(error)


def test_a_contract_must_say_what_the_target_was(
    run: Path, duet: ClipDataset, tmp_path: Path
) -> None:
    contract = json.loads((run / "anonymizer.json").read_text())
    del contract["about"]["target"]
    (run / "anonymizer.json").write_text(json.dumps(contract))
    assert "does not say what f_T was trained for" in str(_refused(run, duet, tmp_path / "r.json"))


def test_nothing_is_written_where_the_work_fails(tmp_path: Path) -> None:
    data = visible_data(train=4, val=4, test=4)
    out = tmp_path / "r.json"
    assert "would remove nothing" in str(_refused("blur:16", data, out))
    assert not previews_path(out).exists()
