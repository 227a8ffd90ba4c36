"""Registries and the `name:option` specification."""

import pytest

from unseen.errors import ConfigError, UnknownNameError
from unseen.registry import Registry, Spec, nearest


def _colours() -> Registry[int]:
    registry: Registry[int] = Registry("colour")
    registry.add("red", 1)
    registry.add("green", 2)
    return registry


def test_names_stand_for_what_was_added() -> None:
    registry = _colours()
    assert registry["red"] == 1
    assert list(registry) == ["red", "green"]
    assert "green" in registry
    assert "blue" not in registry


def test_register_gives_the_entry_back() -> None:
    registry: Registry[object] = Registry("thing")

    @registry.register("one")
    def entry() -> None: ...

    assert registry["one"] is entry


def test_a_duplicate_raises_and_keeps_the_first() -> None:
    registry = _colours()
    with pytest.raises(ValueError, match="colour 'red' is registered twice"):
        registry.add("red", 3)
    assert registry["red"] == 1


def test_an_unknown_name_lists_the_choices_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        _colours()["gren"]
    assert str(caught.value) == (
        "unknown colour 'gren' (did you mean 'green'?); choose from: red, green"
    )
    assert caught.value.__suppress_context__  # a user has no use for the KeyError


def test_nearest_is_silent_where_nothing_is_near() -> None:
    assert nearest("zzz", ["red", "green"]) == ""


@pytest.mark.parametrize(
    ("text", "name", "option"),
    [
        ("raw", "raw", None),
        (" blur:2 ", "blur", "2"),
        ("a:b:c", "a", "b:c"),
        ("blur:", "blur", None),
    ],
)
def test_spec_splits_at_the_first_colon(text: str, name: str, option: str | None) -> None:
    assert Spec.parse(text) == Spec(name, option)


@pytest.mark.parametrize("text", ["raw", "blur:2"])
def test_spec_round_trip(text: str) -> None:
    assert str(Spec.parse(text)) == text


def test_options_as_numbers() -> None:
    assert Spec.parse("blur:2.5").number() == 2.5
    assert Spec.parse("blur").number(1.5) == 1.5
    assert Spec.parse("blur:8.0").integer() == 8
    assert isinstance(Spec.parse("blur:8").integer(), int)
    assert Spec.parse("blur").integer(3) == 3
    assert Spec.parse("levels:2").integer(least=2) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blur", "'blur' needs a number, as in 'blur:8'"),
        ("blur:x", "'blur:x': 'x' is not a number; write e.g. 'blur:8'"),
        ("blur:2.5", "'blur:2.5': the option must be a whole number, as in 'blur:8'"),
        ("blur:0", "'blur:0': the option must be at least 1"),
        ("blur:inf", "'blur:inf': the option must be at least 1"),
        ("blur:nan", "'blur:nan': the option must be at least 1"),
    ],
)
def test_bad_whole_numbers_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Spec.parse(text).integer()
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["blur:2.5", "blur:9999999", "blur:1e300"])
def test_numbers_that_are_too_large_are_refused(text: str) -> None:
    message = f"'{text}': the option must be at most 2"
    with pytest.raises(ConfigError, match=message):
        Spec.parse(text).number(most=2)
    assert Spec.parse("blur:2").integer(most=2) == 2


def test_no_option() -> None:
    Spec.parse("raw").no_option()
    with pytest.raises(ConfigError, match="'raw' takes no option, but 'raw:1' gives one"):
        Spec.parse("raw:1").no_option()


def test_a_wrong_number_is_answered_with_a_sensible_one() -> None:
    for text, message in (("noise", "as in 'noise:0.3'"), ("noise:x", "write e.g. 'noise:0.3'")):
        with pytest.raises(ConfigError, match=message):
            Spec.parse(text).number(example="0.3")
