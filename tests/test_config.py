"""Configurations: presets, overrides, and messages for what cannot be used."""

import pytest
from pydantic import ValidationError

from unseen.config import RunConfig, about_preset, load_config, preset_names
from unseen.errors import ConfigError
from unseen.face_config import load_face_config
from unseen.training.face_objectives import FACE_OBJECTIVES
from unseen.training.objectives import OBJECTIVES


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    config = load_config(name)
    assert config.preset == name
    assert config != RunConfig(preset=name)  # a preset that changes nothing is a misspelt one
    assert about_preset(name)
    assert "\n" not in about_preset(name)
    assert config.game.objective in (*OBJECTIVES, "none")


def test_an_objective_is_a_setting_as_soon_as_it_is_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for registry, name in ((OBJECTIVES, "mine"), (FACE_OBJECTIVES, "ours")):
        monkeypatch.setattr(registry, "_entries", {**registry._entries, name: len})
    assert load_config(overrides=["game.objective=mine"]).game.objective == "mine"
    faces = load_face_config("lfw-faces", ["game.objectives=ours,misclassify"])
    assert faces.game.objectives == ("ours", "misclassify")
    with pytest.raises(
        ConfigError, match=r"game.objective: .*'min' \(did you mean 'mine'.*, none$"
    ):
        load_config(overrides=["game.objective=min"])
    with pytest.raises(ConfigError, match=r"game.objectives.0: unknown face objective 'miss'"):
        load_face_config("lfw-faces", ["game.objectives=miss"])


def test_the_demo_is_a_preset() -> None:
    assert "demo" in preset_names()


@pytest.mark.parametrize("name", preset_names())
def test_a_configuration_survives_json(name: str) -> None:
    config = load_config(name)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_without_a_preset_the_defaults_stand() -> None:
    assert load_config() == RunConfig()


def test_overrides_win_over_the_preset() -> None:
    before = load_config("demo")
    after = load_config("demo", ["game.gamma=7", "data.name=my.csv", "train.steps=5"])
    assert after.game.gamma == 7.0
    assert after.data.name == "my.csv"
    assert after.train.steps == 5
    assert after.game.model_copy(update={"gamma": before.game.gamma}) == before.game
    assert after.filter == before.filter
    assert load_config(overrides=["train.steps=1", "train.steps=2"]).train.steps == 2


def test_overrides_change_a_given_configuration() -> None:
    base = load_config(overrides=["game.gamma=3", "train.seed=4"])
    changed = load_config(overrides=["game.gamma=5"], base=base)
    assert changed == base.model_copy(update={"game": base.game.model_copy(update={"gamma": 5.0})})


@pytest.mark.parametrize("text", ["pair,glasses", '["pair", "glasses"]'])
def test_lists_are_json_or_separated_by_commas(text: str) -> None:
    assert load_config(overrides=[f"data.private={text}"]).data.private == ("pair", "glasses")


def test_a_list_that_may_be_null() -> None:
    assert load_config(overrides=["data.split_by=what,who"]).data.split_by == ("what", "who")
    assert load_config(overrides=["data.split_by=null"]).data.split_by is None


def test_lists_of_one_and_of_none() -> None:
    config = load_config(
        overrides=["filter.output_limits=noise:0.1", "filter.input_limits=", "budget_models=a"]
    )
    assert config.filter.output_limits == ("noise:0.1",)
    assert config.filter.input_limits == ()
    assert config.budget_models == ("a",)


def test_of_another_data_set_all_attributes_are_private() -> None:
    there = "data.private_name=vispr:5"
    config = load_config("demo", [there])
    assert config.data.private == ("all",)
    assert load_config("demo", [there, "data.private=face"]).data.private == ("face",)
    # Named again it is no other one.
    of_run = load_config("demo", [there, "data.private=face"])
    assert load_config(None, [there], base=of_run) == of_run
    assert load_config("duet-cross", ["train.steps=5"]).data == load_config("duet-cross").data


def test_null_and_words() -> None:
    config = load_config(overrides=["game.hold_loss=0.5", "game.schedule=monitored"])
    assert (config.game.hold_loss, config.game.schedule) == (0.5, "monitored")
    assert load_config(overrides=["game.hold_loss=null"], base=config).game.hold_loss is None


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000])
def test_what_is_no_value_is_told_as_any_other(text: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.seed"):
        load_config(overrides=[f"data.seed={text}"])


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=["game.gama=2"])
    assert str(caught.value) == (
        "configuration: unknown key 'game.gama' (did you mean 'game.gamma'?)"
    )


def test_a_section_is_no_key() -> None:
    with pytest.raises(ConfigError, match="unknown key 'game'"):
        load_config(overrides=["game=2"])


def test_a_label_is_no_setting() -> None:
    hint = "name a preset by --preset NAME, in a sweep by NAME alone"
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=["preset=duet", "game.gama=2"])
    message = str(caught.value)
    assert message.startswith(f"configuration: 'preset' is no setting: {hint}; unknown key 'game.g")
    for text in ("kind=faces", "preset=lfw-faces"):
        with pytest.raises(ConfigError, match=f"'{text.split('=')[0]}' is no setting: {hint}"):
            load_face_config(overrides=[text])


def test_every_unknown_key_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=["game.gama=2", "trian.steps=3", "seed"])
    message = str(caught.value)
    assert "did you mean 'game.gamma'?" in message
    assert "did you mean 'train.steps'?" in message
    assert "'seed' is not of the form key=value" in message
    assert "\n" not in message


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(
            overrides=["game.gamma=-1", "train.batch=many", "data.size=3", "filter.network=unet"]
        )
    message = str(caught.value)
    for part in ("game.gamma", "given: -1", "train.batch", "given: 'many'", "data.size", "unet"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["budget_models="], "without budget_models nothing would drive the filter to hide"),
        (["data.private="], "data.private: Tuple should have at least 1 item"),
        (["train.batch=9", "train.devices=2"], "train: batch 9 does not divide over 2 devices"),
        (["game.gamma_min=3", "game.gamma_max=2"], "game: gamma_min 3.0 is above gamma_max 2.0"),
        (["game.schedule=k_beam", "game.hold_loss=1"], "game: hold_loss moves gamma"),
    ],
)
def test_settings_that_do_not_fit_each_other(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=overrides)
    assert str(caught.value).startswith(f"configuration: {message}")
    assert len(str(caught.value)) < 160  # not the whole configuration


@pytest.mark.parametrize(
    "key",
    [
        "data.seed",
        "train.seed",
        "evaluation.seed",
        "evaluation.target_fit.seed",
        "evaluation.attacker_fit.seed",
    ],
)
@pytest.mark.parametrize("seed", [-1, 2**31])
def test_seeds_that_not_everything_takes(key: str, seed: int) -> None:
    with pytest.raises(ConfigError, match=f"configuration: {key}: Input should be "):
        load_config(overrides=[f"{key}={seed}"])
    assert load_config(overrides=[f"{key}={2**31 - 1}"]) != load_config()


@pytest.mark.parametrize("key", ["train.threads", "train.devices", "evaluation.jobs"])
def test_processes_that_no_machine_has(key: str) -> None:
    for count in (0, 1025):
        with pytest.raises(ConfigError, match=f"configuration: {key}: Input should be "):
            load_config(overrides=[f"{key}={count}"])


def test_the_limits_alone_need_no_budget_models() -> None:
    config = load_config(overrides=["budget_models=", "game.objective=none"])
    assert config.budget_models == ()


def test_an_unknown_preset_lists_the_presets() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("dmo")
    assert str(caught.value).startswith("unknown preset 'dmo' (did you mean 'demo'?); choose from:")
    assert all(name in str(caught.value) for name in preset_names())


def test_sections_are_frozen_and_closed() -> None:
    config = load_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.game.gamma = 3.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        RunConfig.model_validate({"game": {"gama": 1}})
