"""The documentation against the code: settings, links, commands, names."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import unseen
from unseen.cli import _parser
from unseen.config import EvaluationConfig, FitConfig, RunConfig
from unseen.models import SUITES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SETTINGS = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTIONS = {
    name: info.annotation
    for name, info in RunConfig.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}


def _rows(heading: str) -> dict[str, str]:
    """The default, as written, of each setting in the table under a heading."""
    part = re.split(r"^## ", SETTINGS, flags=re.MULTILINE)
    (text,) = [p for p in part if p.splitlines()[0].strip() == heading]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {name.strip("`"): default for name, default, _ in cells}


def _written(default: object) -> str:
    return "none" if default == () else f"`{default}`"


@pytest.mark.parametrize("name", list(SECTIONS))
def test_every_setting_is_described_with_its_default(name: str) -> None:
    model = SECTIONS[name]
    assert model is not None
    expected = {
        key: "see below" if info.annotation is FitConfig else _written(info.default)
        for key, info in model.model_fields.items()
    }
    assert _rows(f"`{name}`") == expected


def test_both_trainings_of_the_evaluation_are_described() -> None:
    target, attacker = EvaluationConfig().target_fit, EvaluationConfig().attacker_fit
    expected = {}
    for key in FitConfig.model_fields:
        one, other = getattr(target, key), getattr(attacker, key)
        more = f"; `target_fit`: `{one}`" if one != other else ""
        expected[key] = f"`{other}`{more}"
    assert _rows("`evaluation.target_fit`, `evaluation.attacker_fit`") == expected


def test_settings_at_the_top_are_described() -> None:
    top = {k: _written(v.default) for k, v in RunConfig.model_fields.items() if k not in SECTIONS}
    del top["preset"]  # named by an option
    assert _rows("Top level") == top


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_images_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        link = next(part for part in target if part)
        if link.startswith("@@") or "://" in link:
            continue
        file, _, anchor = link.partition("#")
        to = page.parent / file if file else page
        assert to.exists(), f"{page.name}: {link}"
        if anchor and to.suffix == ".md":
            titles = re.findall(r"^#+ (.+)$", to.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles]
            assert anchor in slugs, f"{page.name}: {link}"


def _commands(page: Path) -> list[list[str]]:
    """The `unseen ...` lines of a page's code blocks, as words."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line and line[0] in ("unseen", ".venv/bin/unseen")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_can_be_typed(page: Path) -> None:
    for words in _commands(page):
        shown = [word for word in words if word != "..."]
        if "..." in words and "-o" not in words:
            shown += ["-o", "out"]
        _parser().parse_args(shown)


def test_the_readme_shows_commands() -> None:
    assert {words[0] for words in _commands(PAGES[0])} >= {"train", "evaluate", "report"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_the_package_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"\bunseen\.(\w+)\(", text):
        assert name in unseen.__all__, f"{page.name}: unseen.{name}"
    for module in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
        places = (ROOT, ROOT / "src" / "unseen")
        assert any((place / module).exists() for place in places), f"{page.name}: {module}"


def test_the_attackers_are_described() -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for name in SUITES["small"]:
        assert f"`{name}`" in text
