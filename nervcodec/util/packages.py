"""Which packages are installed, without loading them: decoding needs no torch."""

from __future__ import annotations

from importlib.util import find_spec

from nervcodec.errors import DependencyError


def are_installed(*names: str) -> bool:
    """Return whether all packages can be imported."""
    return all(find_spec(name) is not None for name in names)


def need_torch(what: str) -> None:
    """Raise DependencyError unless torch is installed.

    Args:
        what: what needs it, as the subject of a sentence.
    """
    if not are_installed("torch"):
        raise DependencyError(f"{what} needs torch; `pip install torch` installs it")
