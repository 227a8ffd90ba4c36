"""Who may attack: so many of a suite, or named networks, and no budget model."""

from itertools import combinations
from pathlib import Path

import pytest

from unseen.config import load_config, preset_names
from unseen.errors import ConfigError, UnknownNameError
from unseen.evaluation.suite import choose_attackers
from unseen.families.family import families
from unseen.models import MODELS, SUITES, canonical
from unseen.registry import Spec


@pytest.mark.parametrize(
    ("budget", "attacker"),
    [
        ("cnn", "cnn"),
        ("c3d-small", "c3d-small:16"),
        ("mobilenet:0.5", "mobilenet:0.50"),
        ("mobilenet-gn:0.5", "mobilenet:0.50"),
        ("mobilenet:0.5", "mobilenet-gn:0.5"),
        ("mobilenet-gn", "timm:mobilenetv1_100"),
        ("timm:mobilenetv1_125", "mobilenet:1.25"),
        ("timm:mobilenetv1_100.ra4_e3600_r224_in1k@pretrained", "mobilenet"),
        ("timm:resnet18", "timm:resnet18@pretrained"),
        ("timm:resnet18", "timm:resnet18.a1_in1k@pretrained"),
        ("resnet-v1-50", "timm:resnet50"),
        ("timm:inception_v3", "inception-v2"),
        ("resnet-v2-101", "timm:resnetv2_101"),
        ("resnet-v1-50", "torchvision:resnet50"),
        ("torchvision:resnet18", "timm:resnet18"),
        ("timm:mobilenetv2_100", "torchvision:mobilenet_v2"),
    ],
)
def test_a_budget_model_is_no_attacker_by_whatever_name(budget: str, attacker: str) -> None:
    with pytest.raises(ConfigError, match="trained against this filter as budget model") as caught:
        choose_attackers(f"vit-small,{attacker}", [budget])
    assert canonical(attacker) in str(caught.value)
    assert "vit-small" not in str(caught.value)


def test_a_budget_model_is_no_attacker_whatever_it_starts_from(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    weights.touch()
    for one, other in (("mobilenet-gn:0.5", "mobilenet:0.5"), ("cnn", "cnn")):
        for budget, attacker in ((one, f"{other}@{weights}"), (f"{one}@{weights}", other)):
            with pytest.raises(ConfigError, match="trained against this filter as budget model"):
                choose_attackers(attacker, [budget])


def test_a_budget_model_may_have_lost_the_file_it_started_from() -> None:
    """A run is evaluated elsewhere; only its attackers' weights must be at hand."""
    assert choose_attackers("1", ["mobilenet:0.6@gone.safetensors"])
    with pytest.raises(ConfigError, match="trained against this filter as budget model"):
        choose_attackers("mobilenet:0.6", ["mobilenet:0.6@gone.safetensors"])


@pytest.mark.parametrize(
    ("budget", "attacker"),
    [
        ("mobilenet-gn:0.5", "mobilenet:0.51"),
        ("c3d-small:12", "c3d-small:16"),
        ("c3d", "c3d-small"),
        ("timm:resnet18", "timm:resnet34"),
        ("timm:resnet50", "resnet-v1-101"),
        ("torchvision:resnet34", "timm:resnet18"),
        ("torchvision:r3d_18", "torchvision:mc3_18"),
        ("mobilenet:0.5", "timm:mobilenetv1_100"),
    ],
)
def test_another_width_or_depth_may_attack(budget: str, attacker: str) -> None:
    assert choose_attackers(attacker, [budget]) == [canonical(attacker)]


def test_a_number_takes_the_front_of_the_suite_without_budget_models() -> None:
    small = list(SUITES["small"])
    assert choose_attackers("4") == small[:4]
    assert choose_attackers("20") == small
    allowed = [name for name in small if name not in ("r3d-small", "mobilenet:0.25")]
    budget = ["mobilenet-gn:0.250", "r3d-small", "c3d-small:12"]
    assert choose_attackers("3", budget) == allowed[:3]
    assert choose_attackers("18", budget) == allowed
    with pytest.raises(ConfigError, match="has 18 attackers that are no budget models"):
        choose_attackers("19", budget)


def test_the_first_ten_stay_as_published_results_name_them() -> None:
    assert choose_attackers("10") == [
        "resnet-v1-10", "r3d-small", "cnn", "difference", "mobilenet:0.5", "inception-small",
        "vit-small", "crnn", "resnet-v2-14", "mobilenet:0.25",
    ]  # fmt: skip
    assert choose_attackers("10", suite="paper") == [
        "inception-v1", "inception-v2", "resnet-v1-50", "resnet-v1-101", "resnet-v2-50",
        "resnet-v2-101", "mobilenet:1", "mobilenet:0.75", "mobilenet:0.5", "mobilenet:0.25",
    ]  # fmt: skip


@pytest.mark.parametrize("count", range(1, 19))
def test_ensembles_of_the_papers_always_meet_ten_attackers(count: int) -> None:
    """Widths 0.60 - 0.02 i: from M = 6 on, one of them is an attacker of the papers."""
    widths = [f"mobilenet:{0.60 - 0.02 * i:.2f}" for i in range(count)]
    chosen = choose_attackers("10", widths, "paper")
    ten = list(SUITES["paper"][:10])
    if count < 6:
        assert chosen == ten
        return
    assert chosen == [name for name in ten if name != "mobilenet:0.5"] + ["mobilenet:0.45"]
    with pytest.raises(ConfigError) as caught:
        choose_attackers("mobilenet:0.5,resnet-v1-50", widths, "paper")
    assert "leave it out and name another, or write --attackers 2" in str(caught.value)
    assert "the next of the suite 'paper'" in str(caught.value)


@pytest.mark.parametrize("wanted", ["0", "21", "999"])
def test_a_number_that_cannot_be(wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"--attackers {wanted}: the suite 'small' has 20"):
        choose_attackers(wanted)


def test_a_superscript_is_no_number() -> None:
    with pytest.raises(UnknownNameError, match="²"):
        choose_attackers("²")


def test_names_that_cannot_be() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'vit-small'\?"):
        choose_attackers("cnn,vit-smal")
    for wrong in ("", " , ", "mobilenet:0.5, cnn,mobilenet:0.50"):
        with pytest.raises(ConfigError, match="name each attacker once"):
            choose_attackers(wrong)
    with pytest.raises(ConfigError, match="unknown suite 'large'; choose from: small, paper"):
        choose_attackers("3", suite="large")
    with pytest.raises(ConfigError, match=r"(?s)unknown suite 'large'.*did you mean 'vit-small'"):
        choose_attackers("cnn,vit-smal", suite="large")


@pytest.mark.parametrize("suite", list(SUITES))
def test_a_suite_has_twenty_networks_of_many_kinds(suite: str) -> None:
    names = SUITES[suite]
    assert len(names) == len({canonical(name) for name in names}) >= 20
    # Networks of the same family differ in width or depth, which their name says.
    kinds = [MODELS[Spec.parse(name).name].family for name in names]
    assert len(set(kinds)) >= (19 if suite == "small" else 5)
    for one, other in combinations(names, 2):
        assert choose_attackers(one, [other]) == [canonical(one)]


@pytest.mark.parametrize("name", [name for name in families() if name != "duet"])
def test_every_run_of_the_papers_meets_twenty_attackers(name: str) -> None:
    members = list(families()[name].members())
    assert len(members) > 10
    for member in members:
        chosen = choose_attackers("20", load_config(member.name).budget_models, "paper")
        assert len(set(chosen)) == 20


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("suite", list(SUITES))
def test_every_shipped_preset_meets_ten_attackers(preset: str, suite: str) -> None:
    budget = load_config(preset).budget_models
    assert budget
    chosen = choose_attackers("10", budget, suite)
    assert not {name.replace("-gn", "") for name in map(canonical, budget)} & set(chosen)
    ten = list(map(canonical, SUITES[suite][:10]))
    assert [name for name in chosen if name in ten] == chosen[: len(set(chosen) & set(ten))]
