"""nervcodec.util.address_space: limits of a batch system end in one line and exit 5."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fresh import ENVIRONMENT

from nervcodec.errors import ResourceError
from nervcodec.util import address_space
from nervcodec.util.address_space import allowed_resident_bytes, check_memory, out_of_memory

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(
    ("limit_kib", "arguments"),
    [
        (500_000, ("encode", "in.y4m", "out.nvpp")),
        (700_000, ("decode", "a.nvpp", "out.y4m")),
        (850_000, ("decode", "a.nvpp", "out.y4m")),
    ],
)
def test_a_low_limit_is_one_line(
    tmp_path: Path, limit_kib: int, arguments: tuple[str, ...]
) -> None:
    """Below what the libraries or the work take, nothing is begun: exit 5, and no traceback."""
    shutil.copy(DATA / "grid_yuv.nvpp", tmp_path / "a.nvpp")
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit_kib << 10},) * 2);"
        "from nervcodec.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 5 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "ulimit -v" in done.stderr and not (tmp_path / "out.y4m").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=str,
)
def test_failures_to_allocate_are_told_apart(error: Exception) -> None:
    """What allocators, loaders and threads raise is a lack of memory, also as a cause of others."""
    assert out_of_memory(error)
    caused = ValueError("something else")
    caused.__cause__ = error
    assert out_of_memory(caused)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), KeyError("out of memory")])
def test_other_errors_stay_bugs(error: Exception) -> None:
    """Nothing else is taken for a lack of memory."""
    assert out_of_memory(error) is None


def test_without_a_limit_all_is_allowed() -> None:
    """Where there is no limit, nothing is refused."""
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert allowed_resident_bytes() is None
    check_memory(1 << 60, "decoding")


def test_work_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is refused with what it takes and what is left."""
    monkeypatch.setattr(address_space, "allowed_resident_bytes", lambda: 300 << 20)
    check_memory(300 << 20, "decoding")
    with pytest.raises(ResourceError, match="decoding takes about 301 MiB .* 300 MiB"):
        check_memory(301 << 20, "decoding")
