"""What is read from a file is never run: no pickle, no eval, no shell, whether a file is decoded or
gone on from.
"""

from __future__ import annotations

import ast
import builtins
import io
import os
import pickle
import re
import shelve
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shell import TWO_SEGMENTS, Shell, write_clip

import nervcodec
from nervcodec.encoder.fit_job import unpacked
from nervcodec.encoder.resume import Journal

SOURCES = sorted(Path(nervcodec.__file__).parent.rglob("*.py"))
DATA = Path(__file__).parents[1] / "data"
FORBIDDEN: tuple[tuple[Any, str], ...] = (
    (pickle, "load"),
    (pickle, "loads"),
    (pickle, "Unpickler"),
    (shelve, "open"),
    (torch, "load"),
    (torch.jit, "load"),
    (torch.hub, "load"),
    (builtins, "eval"),
    (builtins, "exec"),  # not compile, of which numpy makes the syntax tree of an array's header
    (os, "system"),
    (os, "popen"),
    (os, "fork"),
    (os, "posix_spawn"),
    (os, "execv"),
    (os, "execve"),
    (subprocess, "Popen"),
)
# Modules that run programs, none of them on the way from a file to its frames, and none of them
# through a shell.
RUN_PROGRAMS = {
    "bench/environment": "asks git for the commit of the checkout",
    "bench/adapters": "asks the programs of a bench for their versions",
    "bench/process": "runs the encoders and decoders that it compares",
    "quality/tools": "runs the program vmaf where there is one",
}


class Forbidden(Exception):
    """Something ran code."""


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on whatever could run code from a file raises Forbidden, as does numpy.load if it
    may unpickle.
    """

    def forbidden(name: str) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise Forbidden(name)

        return call

    original = np.load

    def load(*arguments: Any, **options: Any) -> Any:
        # It is the third parameter, and False where it is not given.
        if options.get("allow_pickle") or any(arguments[2:3]):
            raise Forbidden("numpy.load with pickles")
        return original(*arguments, **options)

    for owner, name in FORBIDDEN:
        monkeypatch.setattr(owner, name, forbidden(f"{owner.__name__}.{name}"))
    monkeypatch.setattr(np, "load", load)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: pickle.loads(pickle.dumps(3)),
        lambda: pickle.load(io.BytesIO(pickle.dumps(3))),
        lambda: pickle.Unpickler(io.BytesIO()),
        lambda: shelve.open("x"),
        lambda: torch.load("x"),
        lambda: eval("1"),
        lambda: exec("1"),
        lambda: os.system("true"),
        lambda: os.popen("true"),
        lambda: os.fork(),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: subprocess.run(["true"]),
        lambda: subprocess.check_output("true", shell=True),
        lambda: np.load("x", allow_pickle=True),
        lambda: np.load("x", None, True),
    ],
)
def test_the_guard_bites(monkeypatch: pytest.MonkeyPatch, attempt: Callable[[], object]) -> None:
    """Each way to run code, or to unpickle, is noticed."""
    with monkeypatch.context() as patch:
        forbid(patch)
        with pytest.raises(Forbidden):
            attempt()


@pytest.fixture
def files(shell: Shell) -> Iterator[Shell]:
    """A folder with grid_yuv.nvpp and mlp_rgb.nvpp, one of each kind of network."""
    for path in DATA.glob("*.nvpp"):
        shutil.copy(path, shell.folder)
    yield shell


@pytest.mark.parametrize("file", ["grid_yuv.nvpp", "mlp_rgb.nvpp"])
@pytest.mark.parametrize(
    "command",
    [
        ("decode", "{file}", "back.y4m"),
        ("decode", "{file}", "back.mkv"),
        ("decode", "{file}", "back"),
        ("decode", "{file}", "back.y4m", "--salvage"),
        ("info", "{file}"),
        ("info", "{file}", "--json"),
        ("verify", "{file}"),
    ],
    ids=" ".join,
)
def test_reading_a_file_runs_no_code(
    files: Shell, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], file: str
) -> None:
    """decode, info and verify do their work where nothing may be unpickled, evaluated or
    started.
    """
    arguments = [word.format(file=file) for word in command]
    first = files(
        *arguments, *(["-y"] if "back" in command[-1] else [])
    )  # so that all that is imported late is here
    assert first.code == 0, first.err
    for path in files.folder.glob("back*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with monkeypatch.context() as patch:
        forbid(patch)
        result = files(*arguments)
    assert result.code == 0, result.err
    assert bool(list(files.folder.glob("back*"))) == (command[0] == "decode")


def test_going_on_runs_no_code(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encode goes on from a segment and a checkpoint where nothing may be unpickled, evaluated
    or started.
    """
    write_clip(shell.folder / "in.y4m", 8, 6, 4)
    original, n_left = Journal.add_checkpoint, [0]

    def add(journal: Journal, *arguments: Any) -> None:
        original(journal, *arguments)
        n_left[0] -= 1
        if not n_left[0]:
            raise RuntimeError("power loss")

    monkeypatch.setattr(Journal, "add_checkpoint", add)
    for is_guarded in (False, True):  # at first for all that is imported late
        n_left[0] = 4
        with pytest.raises(RuntimeError, match="power loss"):
            shell(*TWO_SEGMENTS, "-y")
        with monkeypatch.context() as patch:
            if is_guarded:
                forbid(patch)
            result = shell(*TWO_SEGMENTS, "-y")
        assert result.code == 0, result.err
        assert "nervcodec: segment 1 of 2 was fitted before" in result.err.splitlines()
        assert "nervcodec: segment 2: going on from fit epoch 2 of 2" in result.err


def test_a_checkpoint_with_a_pickle_is_none(shell: Shell) -> None:
    """A checkpoint that somebody made with a pickle in it, good digests and all, is not loaded."""

    class Harm:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return os.mkdir, ("harmed",)

    for value in (np.zeros(3), np.array([Harm()], dtype=object)):
        file = io.BytesIO()
        np.savez(file, numbers=np.frombuffer(b'{"epoch": 1}', np.uint8), a=value)
        if value.dtype == object:
            with pytest.raises(ValueError, match="allow_pickle=False"):
                unpacked(file.getvalue())
        else:
            assert unpacked(file.getvalue())[0] == {"epoch": 1}
    assert not (shell.folder / "harmed").exists()


# The source


_MODULES = re.compile(
    r"(c?pickle|cloudpickle|dill|joblib|jsonpickle|marshal|shelve|code|codeop|runpy|pty)(\..*)?",
    re.I,
)
_NAMES = re.compile(
    r"(builtins\.)?(eval|exec|compile|__import__)|torch\.(|jit\.|hub\.)load"
    r"|os\.(system|popen|exec|spawn|posix_spawn|fork)\w*|.*pickle.*",
    re.I,
)


def code_that_runs_code(tree: ast.AST) -> Iterator[str]:
    """Names in the source by which a file's content, or a text, could become code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _MODULES.fullmatch(alias.name))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (
                name for name in names if _MODULES.fullmatch(name) or _NAMES.fullmatch(name)
            )
        elif isinstance(node, ast.Name | ast.Attribute):
            if _NAMES.fullmatch(ast.unparse(node)):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if options.get("shell", "False") != "False":
                yield f"shell={options['shell']}"
            if (
                ast.unparse(node.func) in ("np.load", "numpy.load")
                and options.get("allow_pickle") != "False"
            ):
                yield ast.unparse(node)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import dill as d",
        "from os import system",
        "eval('1')",
        "f = exec",
        "compile(t, 'x', 'exec')",
        "__import__('x')",
        "os.system('x')",
        "os.execvp('x', [])",
        "torch.load(path)",
        "torch.jit.load(path)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "run('x', shell=True)",
        "run('x', shell=flag)",
        "multiprocessing.reduction.ForkingPickler.loads(x)",
        "x.pickle_it()",
    ],
)
def test_the_check_of_the_source_sees(source: str) -> None:
    """Each of these lines is found."""
    assert list(code_that_runs_code(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "re.compile('x')",
        "model.eval()",
        "np.load(path, allow_pickle=False)",
        "run(['x'], shell=False)",
        "os.replace(a, b)",
        "from torch import nn",
        "from .code import x",
        "'eval(pickle)'",
    ],
)
def test_the_check_of_the_source_lets_pass(source: str) -> None:
    """None of these is."""
    assert not list(code_that_runs_code(ast.parse(source)))


def module_name(path: Path) -> str:
    """package/module of a source file."""
    return path.relative_to(Path(nervcodec.__file__).parent).with_suffix("").as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_no_source_runs_code(path: Path) -> None:
    """No module names pickle, torch.load, eval, exec, os.system or a shell; those that run programs
    are known.
    """
    tree = ast.parse(path.read_text("utf-8"))
    assert list(code_that_runs_code(tree)) == []
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert ("subprocess" in imported) == (module_name(path) in RUN_PROGRAMS)
