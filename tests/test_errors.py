"""The error hierarchy."""

import pickle

import pytest

from unseen import errors
from unseen.errors import ConfigError, DataError, Faults, UnseenError, WeightsError, together


def test_one_base_catches_every_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__]
    own = [kind for kind in kinds if kind.__module__ == "unseen.errors" and kind is not Faults]
    assert len(own) == 8
    assert all(issubclass(kind, UnseenError) for kind in own)
    assert not issubclass(UnseenError, ValueError | OSError)  # nothing else is caught with it


def test_data_errors_list_every_fault() -> None:
    error = DataError("a.csv: 2 faults", ["line 2: no such file", "line 5: no label"])
    assert str(error) == "a.csv: 2 faults\n  - line 2: no such file\n  - line 5: no label"
    assert error.faults == ("line 2: no such file", "line 5: no label")
    assert str(DataError("a.csv is empty")) == "a.csv is empty"


def test_faults_are_collected_and_told_together() -> None:
    faults = Faults()
    faults.refuse("nothing is wrong")
    first = ConfigError("gamma is -1")
    with faults.collected():
        raise first
    with pytest.raises(ConfigError) as alone:  # the only one stays what it is
        faults.refuse("several are wrong:")
    assert alone.value is first
    with faults.collected():
        raise DataError("a.csv:", ["line 2", "line 3"])
    with pytest.raises(DataError) as caught:
        faults.refuse("several are wrong:")
    expected = "several are wrong:\n  - gamma is -1\n  - a.csv:\n    - line 2\n    - line 3"
    assert str(caught.value) == expected
    with pytest.raises(KeyError), faults.collected():  # a fault of the program passes
        {}["a"]


def test_faults_survive_a_raise() -> None:
    with pytest.raises(DataError) as caught:
        raise DataError("one", ["two"])
    assert caught.value.faults == ("two",)


def test_errors_survive_the_way_out_of_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(DataError("a.csv: 2 faults", ["one", "two"])))
    assert isinstance(error, DataError)
    assert str(error) == "a.csv: 2 faults\n  - one\n  - two"
    assert error.faults == ("one", "two")
    own = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in own:
        if issubclass(kind, UnseenError):
            again = pickle.loads(pickle.dumps(kind("what is wrong")))
            assert (type(again), str(again)) == (kind, "what is wrong")


def test_what_is_wrong_in_several_places_is_told_at_once() -> None:
    def fails(error: Exception) -> str:
        raise error

    assert together(ConfigError, "two", [lambda: "a", lambda: "b"]) == ["a", "b"]
    one = WeightsError("no weights", ["a.pt", "b.pt"])
    with pytest.raises(WeightsError) as alone:
        together(ConfigError, "two", [lambda: "a", lambda: fails(one)])
    assert alone.value is one
    with pytest.raises(ConfigError) as caught:
        together(ConfigError, "two", [lambda: fails(one), lambda: fails(DataError("no data"))] * 2)
    assert str(caught.value) == "two\n  - no weights\n    - a.pt\n    - b.pt\n  - no data"
    with pytest.raises(ZeroDivisionError):  # not one that a user can mend
        together(ConfigError, "two", [lambda: fails(one), lambda: fails(ZeroDivisionError())])
