"""Where torch is not installed: files decode to the same frames, and what needs torch says so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fresh import ENVIRONMENT, assert_refused
from shell import Shell

from nervcodec.decoder.verify import verify

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = sorted(map(str, DATA.glob("*.nvpp")))
# Every process of Python imports this first.
_HIDE = "import sys\nsys.modules['torch'] = None\n"
_GOLDEN = """
import sys
import numpy as np
from nervcodec.decoder.decode import shown_frames
from nervcodec.decoder.engines import choose_engine
from nervcodec.format.container import load
from nervcodec.video.frames import Frames
for path in sys.argv[1:]:
    file = load(path)
    parts = shown_frames(file, 0, file.header.format.n_frames, choose_engine())
    with np.load(path.replace(".nvpp", ".npz")) as golden:
        for number, plane in enumerate(Frames.concatenate(list(parts)).planes):
            assert np.array_equal(plane, golden[f"plane{number}"]), path
print(len(sys.argv) - 1)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of processes in which torch cannot be imported."""
    folder = tmp_path_factory.mktemp("hidden")
    (folder / "sitecustomize.py").write_text(_HIDE)
    path = os.pathsep.join((str(folder), ENVIRONMENT["PYTHONPATH"]))
    return {**ENVIRONMENT, "PYTHONPATH": path}


class Bare:
    """Runs commands in a folder, without torch."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "nervcodec", *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def bare(coded: Shell, environment: dict[str, str]) -> Bare:
    """In the folder of `coded`."""
    return Bare(coded.folder, environment)


def test_a_file_decodes_to_the_same_frames(coded: Shell, bare: Bare) -> None:
    """By one process and by two, which have no torch either."""
    assert coded("decode", "out.nvpp", "torch.y4m", "--engine", "torch").code == 0
    expected = (coded.folder / "torch.y4m").read_bytes()
    for n_jobs in ("1", "2"):
        code, out, _ = bare("decode", "out.nvpp", "a.y4m", "--json", "-y", "--jobs", n_jobs)
        assert code == 0 and json.loads(out)["engine"] == "numpy"
        assert (coded.folder / "a.y4m").read_bytes() == expected


def test_a_file_is_verified(coded: Shell, bare: Bare) -> None:
    """What NumPy decodes is what torch decoded when it was encoded."""
    found = json.loads(bare("verify", "out.nvpp", "--json")[1])
    expected = verify(coded.folder / "out.nvpp", engine="torch").as_json()
    assert found.pop("engine") == "numpy" and expected.pop("engine") == "torch"
    assert {**found, "input": ""} == {**json.loads(json.dumps(expected)), "input": ""}
    assert found["verdict"] == "exact"


def test_golden_files_decode_to_their_frames(environment: dict[str, str]) -> None:
    """Sample by sample, in a process that has no torch."""
    done = subprocess.run(
        [sys.executable, "-c", _GOLDEN, *GOLDEN],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and int(done.stdout) == len(GOLDEN), done.stderr


def test_files_are_described_joined_and_cut(coded: Shell, bare: Bare) -> None:
    """info, concat, split and help need no torch."""
    for words in (("info", "out.nvpp"), ("--help",), ("decode", "--help"), ("encode", "--help")):
        assert bare(*words) == (0, *coded(*words)[1:])
    assert bare("concat", "out.nvpp", "out.nvpp", "both.nvpp")[0] == 0
    assert bare("split", "both.nvpp", "part.nvpp", "--frames", "0:5")[0] == 0
    assert (coded.folder / "part.nvpp").exists()


def test_videos_are_compared(coded: Shell, bare: Bare) -> None:
    """PSNR is measured; SSIM, which torch measures, has a reason."""
    assert bare("decode", "out.nvpp", "a.y4m")[0] == 0
    found = json.loads(bare("compare", "in.y4m", "a.y4m", "--json")[1])
    expected = json.loads(coded("compare", "in.y4m", "a.y4m", "--json").out)
    assert found["psnr"] == expected["psnr"] and found["ssim"] is None
    assert found["ssim_reason"].startswith("SSIM needs torch and pytorch-msssim; `pip install")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("encode", "in.y4m", "new.nvpp"), "encoding needs torch"),
        (("decode", "out.nvpp", "new.y4m", "--engine", "torch"), "engine torch needs torch"),
        (("decode", "out.nvpp", "new.y4m", "--fast"), "fast needs torch"),
        (("verify", "out.nvpp", "--device", "cuda"), "device cuda needs torch"),
        (("bench", "in.y4m"), "benchmarking needs torch"),
        (("bench", "speed", "in.y4m"), "benchmarking needs torch"),
        (("bench", "roofline"), "benchmarking needs torch"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_what_needs_torch_says_so(bare: Bare, words: tuple[str, ...], message: str) -> None:
    """In one line with what installs it, exit 2, and nothing is written."""
    before = sorted(bare.folder.iterdir())
    assert_refused(bare(*words), 2, f"{message}; `pip install torch` installs it")
    assert sorted(bare.folder.iterdir()) == before


@pytest.mark.slow
def test_an_installation_as_the_guide_says(tmp_path: Path) -> None:
    """Into an environment of its own: it has no torch, and decodes the golden files."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "nervcodec", source / "nervcodec", ignore=shutil.ignore_patterns("__pycache__")
    )
    guide = (ROOT / "docs" / "guide" / "decoding.md").read_text("utf-8")
    lines = re.findall(r"^\$ pip (install .*)$", guide, re.MULTILINE)
    assert len(lines) == 2
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(words, cwd=source, env=variables, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    run(sys.executable, "-m", "venv", str(tmp_path / "venv"))
    programs = tmp_path / "venv" / "bin"
    for line in lines:
        quiet = ("--quiet", "--disable-pip-version-check", "-c", "constraints.txt")
        run(str(programs / "pip"), *line.split(), *quiet)
    shutil.rmtree(source / "nervcodec")  # what is installed is what runs
    assert "No module named 'torch'" in run(str(programs / "python"), "-c", "import torch", code=1)
    n_golden = len(GOLDEN)
    assert int(run(str(programs / "python"), "-c", _GOLDEN, *GOLDEN)) == n_golden
    program = str(programs / "nervcodec")
    run(program, "decode", str(DATA / "gray.nvpp"), str(tmp_path / "a.y4m"))
    assert '"engine": "numpy"' in run(program, "verify", "--json", str(DATA / "gray.nvpp"))
    assert "encoding needs torch" in run(program, "encode", "a.y4m", "b.nvpp", code=2)
