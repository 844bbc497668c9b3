"""Memory limits of a shell or a batch system (ulimit -v): what they leave, and what they end."""

from __future__ import annotations

import resource
from importlib.util import find_spec
from pathlib import Path

from nervcodec.errors import ResourceError

# What Python and the smaller libraries map besides torch's own files: about 270 MiB.
_OTHER_LIBRARIES = 288 << 20
# What allocators, loaders and threads say when there is no memory.
_FAILURES = (
    "not enough memory",
    "allocate memory",
    "bad_alloc",
    "out of memory",
    "failed to map segment",
    "could not create a primitive",
    "could not create a memory",
    "start new thread",
)


def allowed_resident_bytes() -> int | None:
    """Return the most bytes that can be resident under the limit of the address space, with what is
    mapped now; None where there is no limit, or it is unknown what is mapped.
    """
    limit = _limit()
    if limit is None:
        return None
    try:
        mapped, resident = Path("/proc/self/statm").read_text("ascii").split()[:2]
    except (OSError, ValueError):
        return None
    return limit - (int(mapped) - int(resident)) * resource.getpagesize()


def check_libraries() -> None:
    """Raise ResourceError where the limit is too low for torch to be loaded, which would end in the
    middle of it.
    """
    limit = _limit()
    if limit is None:
        return
    need = _torch_bytes() + _OTHER_LIBRARIES
    if limit < need:
        raise ResourceError(
            f"memory is limited to {limit >> 20:,} MiB (ulimit -v); torch and the other libraries"
            f" take {need >> 20:,} MiB alone; allow more"
        )


def check_memory(need: int, work: str) -> None:
    """Raise ResourceError where some work needs more resident bytes than the limit allows."""
    allowed = allowed_resident_bytes()
    if allowed is not None and need > allowed:
        raise ResourceError(
            f"{work} takes about {need >> 20:,} MiB of memory, more than the"
            f" {max(allowed, 0) >> 20:,} MiB that the limit (ulimit -v) leaves; allow more"
        )


def out_of_memory(error: BaseException) -> str | None:
    """Return what to say of an error that comes of a lack of memory, None of another one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or _tells_failure(cause):
            limit = _limit()
            allowed = f", limited to {limit >> 20:,} MiB (ulimit -v)" if limit else ""
            return f"there is not enough memory{allowed}; allow more, or take smaller frames"
        cause = cause.__cause__ or cause.__context__
    return None


def _tells_failure(error: BaseException) -> bool:
    text = str(error).lower()
    is_possible = isinstance(error, (RuntimeError, ImportError, OSError))
    return is_possible and any(failure in text for failure in _FAILURES)


def _limit() -> int | None:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _torch_bytes() -> int:
    """Return the bytes of torch's own libraries, which are mapped when it is loaded."""
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return 0
    folder = Path(spec.submodule_search_locations[0], "lib")
    return sum(file.stat().st_size for file in folder.glob("*.so*"))
