"""The wheel holds every module of the source tree: a package that setup.cfg does not know would be
left out.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from nervcodec.format.prior import PRIORS
from nervcodec.player.assets import page_files

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_every_module(tmp_path: Path) -> None:
    """The Python files of the built package are those of the source, and so are py.typed, the page
    of the report, the player, and the weights of priors with what their fits start from.
    """
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(
        ROOT / "nervcodec", tmp_path / "nervcodec", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = "import setuptools.build_meta as b; print(b.build_wheel('dist'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / "dist" / done.stdout.split()[-1]
    built = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("nervcodec/")}
    source = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nervcodec").rglob("*.py")}
    assert {name for name in built if name.endswith(".py")} == source
    others = {"nervcodec/py.typed", "nervcodec/bench/report.html.j2"}
    others |= {f"nervcodec/player/{name}" for name in page_files()}
    for number in PRIORS:
        others |= {
            f"nervcodec/nn/priors/{number}.npy",
            f"nervcodec/training/analysis_{number}.npz",
        }
    assert others <= built
