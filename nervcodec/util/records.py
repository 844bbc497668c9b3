"""Frozen records (dataclasses, named tuples, fractions) as JSON and back, exactly."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
_PLAIN = (int, float, str, bool, type(None))


def to_json(value: Any) -> Any:
    """Return what json.dumps writes and from_json() makes the same value of.

    Raises:
        TypeError: it holds something else than records, tuples, fractions, numbers, texts and None.
    """
    for plain in (bool, int, float, str):
        if isinstance(value, plain):  # FFmpeg's numbers are enumerations
            return plain(value)
    if value is None:
        return None
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    names = _names(type(value))
    if names is not None:
        return {name: to_json(getattr(value, name)) for name in names}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    raise TypeError(f"a record holds {value!r}; legal: records, tuples and plain values")


def from_json(kind: type[Record], data: Any) -> Record:
    """Return the value of a type of which to_json() has made these data.

    Raises:
        ValueError: they are of no such value.
        ConfigError: a record refuses its values.
    """
    value: Record = _value(kind, data)
    return value


def _value(kind: Any, data: Any) -> Any:
    origin = get_origin(kind)
    if origin is Literal:
        return _checked(data in get_args(kind), data, kind)
    if origin in (Union, types.UnionType):
        inner = [each for each in get_args(kind) if each is not type(None)]
        if data is None and len(inner) < len(get_args(kind)):
            return None
        (each,) = inner
        return _value(each, data)
    if origin is tuple:
        return _tuple(get_args(kind), data)
    if kind in _PLAIN:
        return _checked(type(data) is kind, data, kind)
    if kind is Fraction:
        top, bottom = _tuple((int, int), data)
        return _checked(bottom > 0, data, kind) and Fraction(top, bottom)
    names = _names(kind)
    _checked(names is not None and type(data) is dict and [*data] == names, data, kind)
    hints = _hints(kind)
    return kind(**{name: _value(hints[name], each) for name, each in data.items()})


def _tuple(kinds: Sequence[Any], data: Any) -> tuple[Any, ...]:
    _checked(type(data) is list, data, tuple)
    if len(kinds) == 2 and kinds[1] is ...:
        kinds = [kinds[0]] * len(data)
    _checked(len(kinds) == len(data), data, tuple)
    return tuple(_value(kind, each) for kind, each in zip(kinds, data))


def _checked(is_right: bool, data: Any, kind: Any) -> Any:
    if not is_right:
        raise ValueError(f"{kind} cannot be made of {str(data)[:80]}")
    return data


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of a record's values, which stand in its class: nothing comes from data."""
    return get_type_hints(kind)


def _names(kind: Any) -> list[str] | None:
    """Return the names of a record's values, None of what is no record."""
    if is_dataclass(kind):
        return [each.name for each in fields(kind)]
    names = getattr(kind, "_fields", None)
    return None if names is None else list(names)
