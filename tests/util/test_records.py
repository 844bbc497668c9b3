"""nervcodec.util.records: records as JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import pytest

from nervcodec.util.records import from_json, to_json


class Pair(NamedTuple):
    first: int
    second: str | None


@dataclass(frozen=True)
class Record:
    kind: Literal["a", "b"]
    share: float
    is_set: bool
    rate: Fraction
    pairs: tuple[Pair, ...]
    size: tuple[int, int] | None = None


class Number(IntEnum):
    SEVEN = 7


RECORD = Record("b", 0.1, True, Fraction(-30000, 1001), (Pair(1, None), Pair(Number.SEVEN, "x")))


@pytest.mark.parametrize("value", [RECORD, Record("a", 1e-300, False, Fraction(2), (), (3, 4))])
def test_records_come_back_as_they_were(value: Record) -> None:
    """Through JSON, to the last bit and of the same types; enumerations become their numbers."""
    back = from_json(Record, json.loads(json.dumps(to_json(value))))
    assert back == value and repr(back) == repr(value).replace("<Number.SEVEN: 7>", "7")


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "c"},
        {"share": 1},
        {"share": "0.1"},
        {"is_set": 1},
        {"rate": [1, 0]},
        {"rate": [1]},
        {"rate": None},
        {"pairs": {}},
        {"pairs": [{"first": 1}]},
        {"pairs": [{"first": True, "second": None}]},
        {"size": [1, 2, 3]},
        {"more": 1},
    ],
)
def test_other_data_are_refused(changed: dict[str, Any]) -> None:
    """What is missing, too much or of another type is a ValueError."""
    with pytest.raises(ValueError, match="cannot be made of"):
        from_json(Record, to_json(RECORD) | changed)


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_what_is_no_object_is_refused(data: object) -> None:
    """A record is an object with all of its names."""
    with pytest.raises(ValueError, match="cannot be made of"):
        from_json(Record, data)


def test_what_is_no_record_is_refused() -> None:
    """A list is not what it would come back as."""
    with pytest.raises(TypeError, match="a record holds"):
        to_json((1, [2]))
