"""Families: stable names, the papers' constants, and every member a run that can be started."""

import re

import pytest

from unseen.config import RunConfig, about_preset, load_config, preset_names
from unseen.errors import ConfigError
from unseen.evaluation.suite import choose_attackers
from unseen.families.family import families, find_members, members
from unseen.models import canonical
from unseen.registry import Spec

VALUES_WU18 = [1, 2, 4, 6, 8, 10, 12, 14, 16, 18]


@pytest.mark.parametrize("name", members())
def test_every_member_is_a_configuration(name: str) -> None:
    member, config = members()[name], load_config(name)
    assert config.preset == name
    assert "\n" not in about_preset(name)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    for budget_model in config.budget_models:
        canonical(budget_model)
    settings = config.evaluation
    attackers = choose_attackers(str(settings.attackers), config.budget_models, settings.suite)
    assert len(attackers) == (4 if member.family == "duet" else 10)
    if member.line:
        assert len(config.budget_models) == member.size
        assert bool(config.game.restart_every) == member.restarting
        # A restart that the run is too short for would never happen.
        assert config.game.restart_every < config.train.steps
    else:
        assert member.anonymizer is not None
        assert member.name == f"{member.family}-{member.anonymizer.replace(':', '-')}"


def test_names_are_stable_and_no_presets() -> None:
    assert not set(members()) & set(preset_names())
    for name, member in members().items():
        if member.line:
            assert re.fullmatch(rf"{member.family}-{member.line}(-restart)?-[mk]\d+", name)
            letter = "k" if member.line == "k-beam" else "m"
            assert name.endswith(f"-{letter}{member.size}")
    count = {name: len(list(family.members())) for name, family in families().items()}
    assert len(members()) == sum(count.values())  # no two have one name


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sbu-entropy-restart-m4", ["sbu-entropy-restart-m4"]),
        ("duet-grl", [f"duet-grl{r}-m{m}" for r in ("", "-restart") for m in (1, 2, 4)]),
        ("duet-*-k4", ["duet-k-beam-k4", "duet-k-beam-restart-k4"]),
        ("duet-downsample", [f"duet-downsample-{rate}" for rate in (2, 4, 8, 16)]),
        ("sbu-k-beam-restart", [f"sbu-k-beam-restart-k{k}" for k in (1, 2, 4, 8)]),
        ("sbux", []),
    ],
)  # fmt: skip
def test_a_name_stands_for_members(words: str, expected: list[str]) -> None:
    assert [member.name for member in find_members(words)] == expected


def test_a_family_is_all_of_its_members() -> None:
    assert find_members("sbu") == find_members("sbu-*") == list(families()["sbu"].members())


def test_names_that_are_no_single_preset_are_explained() -> None:
    with pytest.raises(ConfigError, match="'duet-grl' stands for 6 presets, duet-grl-m1 to"):
        load_config("duet-grl")
    with pytest.raises(ConfigError, match=r"did you mean 'sbu-grl-m1'\?\); choose from: demo"):
        load_config("sbu-grll-m1")


def test_overrides_change_a_member() -> None:
    config = load_config("sbu-entropy-m2", ["game.gamma=3", "data.root=x"])
    assert (config.game.gamma, config.data.root, len(config.budget_models)) == (3.0, "x", 2)


def test_sbu_has_the_constants_of_the_papers() -> None:
    """Wang19 4.1.2, Wu18 4.1; the widths 0.60 - 0.02 i and the caps are the authors' code's."""
    for name in ("grl-m1", "entropy-m8", "entropy-restart-m8", "k-beam-k8", "wu18-restart-m18"):
        config = load_config(f"sbu-{name}")
        train, game = config.train, config.game
        assert (train.lr_target, train.lr_budget, train.lr_filter) == (1e-5, 1e-2, 1e-4)
        assert train.lr_schedule == "constant"
        assert (game.th1, game.th2, game.gamma, game.d_iter) == (0.85, 0.99, 2.0, 30)
        assert (game.cap_target, game.cap_budget, train.batch) == (30, 200, 160)
        assert (train.init_target, train.init_budget) == (500, 1000)
        assert game.hold_loss is None
        assert not game.joint
        assert (config.data.name, config.data.size, config.data.frames) == ("sbu", 112, 16)
        assert config.data.private == ("actor_pair",)
        assert config.target_model == "c3d"
        assert (config.filter.network, config.filter.width, config.filter.blocks) == (
            "johnson",
            32,
            5,
        )
        assert config.filter.output_limits == ("grey",)
        fit = config.evaluation.attacker_fit
        assert (fit.lr, fit.weight_decay, config.evaluation.codec) == (1e-4, 0.002, None)
    assert load_config("sbu-entropy-m4").train.steps == 67
    assert load_config("sbu-entropy-restart-m4").game.restart_every == 100
    m18 = load_config("sbu-wu18-restart-m18").budget_models
    widths = [Spec.parse(name).number() for name in m18]
    assert widths == pytest.approx([0.60 - 0.02 * i for i in range(18)])
    assert set(load_config("sbu-k-beam-k8").budget_models) == {"mobilenet:0.6"}


def test_strategies_are_those_of_the_presets() -> None:
    for name in ("grl", "k-beam", "uniform", "wu18"):
        game = load_config(name).game
        for family in ("sbu", "duet"):
            line = families()[family].lines.get(name)
            if line is None:
                continue
            size = f"{line.size}{line.values[0]}"
            member = load_config(f"{family}-{name}-{size}").game
            same = ("objective", "schedule", "end_to_end", "joint")
            assert [getattr(member, key) for key in same] == [getattr(game, key) for key in same]
    assert load_config("sbu-k-beam-k1").game.objective == "gradient_reversal"
    assert load_config("sbu-k-beam-k1").game.schedule == "k_beam"
    assert not load_config("duet-grl-m4").game.end_to_end
    assert load_config("duet-entropy-m4").game.objective == "negative_entropy"


def test_sizes_are_those_of_the_papers() -> None:
    found = families()
    assert list(found["sbu"].lines["wu18"].values) == VALUES_WU18  # Wu18 4.1
    assert list(found["sbu"].lines["entropy"].values) == VALUES_WU18
    assert list(found["ucf101-vispr17"].lines["wu18"].values) == [1, 2, 3, 4]  # Wu18 4.2
    # Wang19 5.5.2, Fig. 8: "Ours-KL method with M=1, 4 (with and without restarting)"
    grl = [member.name for member in find_members("hmdb51-vispr5-pahmdb51-grl")]
    assert [name.removeprefix("hmdb51-vispr5-pahmdb51-grl") for name in grl] == [
        "-m1", "-m4", "-restart-m1", "-restart-m4",
    ]  # fmt: skip
    for name in ("sbu", "ucf101-vispr7", "hmdb51-vispr5-pahmdb51"):  # Wang19 4.1.2, 4.2.2
        assert set(found[name].lines["k-beam"].values) == {1, 2, 4, 8}
        assert set(found[name].lines["entropy"].values) >= {1, 2, 4, 8}
    rates = {"sbu": {2, 4, 8, 16, 28, 56}, "ucf101-vispr7": {2, 4, 6}, "duet": {2, 4, 8}}
    for name, least in rates.items():
        specs = map(Spec.parse, found[name].handcrafted)
        assert least <= {spec.integer() for spec in specs if spec.name == "downsample"}
        assert {"raw", "mask-face", "mask-body"} <= set(found[name].handcrafted)


def test_cross_data_set_families_have_the_constants_of_the_papers() -> None:
    """Wu18 4.2, Wang19 4.2.2 and 5.5.1."""
    order = ["resnet-v1-50", "resnet-v2-50", "mobilenet:1", "mobilenet:0.75"]
    for name, private, th2 in (
        ("ucf101-vispr17", "vispr:17", 0.99),
        ("ucf101-vispr7", "vispr:7", 0.99),
        ("hmdb51-vispr5-pahmdb51", "vispr:5", 0.95),
    ):
        config = load_config(f"{name}-entropy-restart-m2")
        assert config.budget_models == tuple(order[:2])
        assert (config.game.gamma, config.game.th1, config.game.th2) == (0.5, 0.7, th2)
        assert (config.train.steps, config.game.restart_every) == (800, 100)
        assert (config.data.private_name, config.data.stills) == (private, "repeat")
        assert config.data.test_on == ("pa-hmdb51" if "pahmdb51" in name else None)
        rates = (config.train.lr_target, config.train.lr_budget, config.train.lr_filter)
        assert rates == (1e-5, 1e-2, 1e-4)
    # Four networks, from the beginning again.
    assert load_config("ucf101-vispr7-entropy-m8").budget_models == tuple(order * 2)


def test_published_points_are_of_members_and_percentages() -> None:
    for name, family in families().items():
        if family.published is None:
            continue
        keys = {member.key for member in family.members()}
        strange = set(family.published.points) - keys
        assert strange <= {"body, weakest obfuscation"}, name
        for target, leak in family.published.points.values():
            assert 1 < target < 100
            assert 1 < leak < 100
    sbu = families()["sbu"].published
    assert sbu is not None
    assert sbu.points["wu18-restart-m18"] == (82.3, 41.8)  # Wu18 4.1
    assert sbu.points["entropy-restart-m8"] == (82.2, 47.7)
    assert families()["duet"].like == "sbu"
