"""nervcodec.decoder.engines: which engine is taken, what each refuses, and that both give the same
frames.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest
import torch
from fresh import run
from shell import Shell, error_line

from nervcodec.decoder import engines
from nervcodec.decoder.decode import DecodeOptions
from nervcodec.decoder.engines import Engine, choose_engine, limit_blas
from nervcodec.errors import ConfigError, DependencyError, DeviceError


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)


def test_auto_takes_torch_where_it_is_installed() -> None:
    """And its device and threads as they are asked for."""
    assert choose_engine(device="cpu").name == "torch"
    assert choose_engine("torch", "cpu", True, 3) == Engine("torch", "cpu", True, 3)
    assert choose_engine("numpy", n_threads=2) == Engine("numpy", "cpu", False, 2)


@pytest.mark.usefixtures("no_torch")
def test_auto_takes_numpy_elsewhere() -> None:
    """Where there is no torch, auto and cpu are NumPy's."""
    for device in ("auto", "cpu"):
        assert choose_engine(device=device) == Engine("numpy")


@pytest.mark.usefixtures("no_torch")
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("torch",), "engine torch"),
        (("auto", "cuda"), "device cuda"),
        (("auto", "cpu", True), "fast"),
    ],
)
def test_what_needs_torch_says_so(arguments: tuple[str, str, bool], what: str) -> None:
    """An engine, a device and a speed that torch alone has, with the line that installs it."""
    with pytest.raises(DependencyError, match=f"{what} needs torch; `pip install torch`"):
        choose_engine(*arguments)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"engine": "jax"}, "engine is 'jax'; legal: auto, torch, numpy"),
        (
            {"engine": "numpy", "device": "cuda:1"},
            "device is cuda:1 with engine numpy; legal: auto",
        ),
        ({"engine": "numpy", "fast": True}, "fast with engine numpy; legal: with engine auto or"),
        ({"engine": "numpy", "n_threads": 0}, "threads is 0; legal: 1 to 1024"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str) -> None:
    """Before a file is read, with what is legal."""
    with pytest.raises(ConfigError, match=message):
        DecodeOptions(**settings)  # type: ignore[arg-type]


def test_a_missing_gpu_is_a_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch sees it."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(DeviceError, match="torch sees 0 CUDA devices"):
        choose_engine(device="cuda")


@pytest.mark.parametrize("name", ["torch", "numpy"])
@pytest.mark.parametrize("options", [(), ("--threads", "2"), ("--jobs", "2")], ids=str)
def test_both_engines_write_the_same_bytes(
    coded: Shell, name: str, options: tuple[str, ...]
) -> None:
    """On any number of threads and of processes; the report says which one it was."""
    assert coded("decode", "out.nvpp", "expected.y4m", "--threads", "1").code == 0
    done = coded("decode", "out.nvpp", "a.y4m", "--json", "--engine", name, *options)
    assert done.code == 0 and json.loads(done.out)["engine"] == name
    expected = (coded.folder / "expected.y4m").read_bytes()
    assert (coded.folder / "a.y4m").read_bytes() == expected


def test_ranges_of_frames(coded: Shell) -> None:
    """Frames across segments, and one alone."""
    for words in (("--frames", "1:4"), ("--frame", "3")):
        for name in ("torch", "numpy"):
            assert (
                coded("decode", "out.nvpp", f"{name}.y4m", "-y", "--engine", name, *words).code == 0
            )
        numpy, torchs = ((coded.folder / f"{name}.y4m").read_bytes() for name in ("numpy", "torch"))
        assert numpy == torchs


def test_verify_by_numpy(coded: Shell) -> None:
    """The sums that the encoder stored are those of NumPy's frames."""
    found = json.loads(coded("verify", "out.nvpp", "--json", "--engine", "numpy").out)
    assert (found["verdict"], found["engine"], found["device"]) == ("exact", "numpy", "cpu")


def test_fast_frames_are_near(coded: Shell) -> None:
    """Float32 gives all samples within a level, and not all of them exactly."""
    for name, words in (("exact", ()), ("fast", ("--fast",))):
        assert coded("decode", "out.nvpp", f"{name}.y4m", *words).code == 0
    exact, fast = (
        np.frombuffer((coded.folder / f"{name}.y4m").read_bytes(), np.uint8).astype(int)
        for name in ("exact", "fast")
    )
    off = np.abs(exact - fast)
    assert 0 < np.mean(off == 1) < 0.1 and off.max() == 1


def test_refusals_on_the_command_line(coded: Shell) -> None:
    """One line and exit 2; no output."""
    refused = coded("decode", "out.nvpp", "a.y4m", "--engine", "numpy", "--device", "cuda")
    assert refused.code == 2
    assert error_line(refused).endswith("device is cuda with engine numpy; legal: auto, cpu")
    refused = coded("verify", "out.nvpp", "--engine", "c")
    assert refused.code == 2 and "engine is 'c'; legal: auto, torch, numpy" in error_line(refused)
    assert not (coded.folder / "a.y4m").exists()


def test_blas_gets_one_thread_where_numpy_decodes() -> None:
    """If the user has not said how many, and NumPy is not loaded yet; the engine loads nothing."""
    code = (
        "import os, sys; os.environ.pop('OPENBLAS_NUM_THREADS', None); from"
        " nervcodec.decoder.engines import limit_blas; limit_blas('torch');"
        " print(os.environ.get('OPENBLAS_NUM_THREADS')); limit_blas('numpy');"
        " print(os.environ['OPENBLAS_NUM_THREADS']); print({'numpy', 'torch'} & set(sys.modules))"
    )
    assert run(code).split() == ["None", "1", "set()"]


def test_a_loaded_blas_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NumPy is loaded the variable would reach other processes only."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    limit_blas("numpy")
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_engines_are_named_once() -> None:
    """What options take is auto and what an engine may be."""
    assert engines.ENGINES == ("auto", "torch", "numpy")
