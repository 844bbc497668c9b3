"""nervcodec.errors."""

from __future__ import annotations

import inspect
import pickle

import pytest

from nervcodec import errors
from nervcodec.errors import InvalidField, NervCodecError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, NervCodecError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_errors_come_from_other_processes_as_they_were(kind: type[NervCodecError]) -> None:
    """Their class, their words and what they carry survive the way."""
    arguments = ("n_frames", 3, "4") if kind is InvalidField else ("what is wrong",)
    error = kind(*arguments)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and str(copy) == str(error) and vars(copy) == vars(error)
