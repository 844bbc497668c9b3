"""The package is built in floors: a module imports only modules below it, and heavy parts only where needed."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nervcodec

FOLDER = Path(nervcodec.__file__).parent
FLOORS = ("ahead", "memory", "errors", "config", "architecture", "goal", "presets", "fields", "bitstream", "limits",
          "fileinfo", "color", "framesums", "output", "journal", "contexts", "records", "entropy", "quantize",
          "backends", "recorded", "convolution", "wavelets", "trajectory", "model", "metrics", "prune", "optim",
          "ratecontrol", "fitstate", "losses", "stage", "fit", "refine", "plain", "stepping", "estimate", "y4m",
          "buffers", "libav", "machine", "survey", "video", "motion", "segment", "plan", "codec", "verify", "compare",
          "conventional", "adapters", "crops", "suites", "bench", "curves", "console", "plots", "report", "tables",
          "traffic", "speed", "floor", "options", "cli", "__main__")


def imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import in the tree, inside functions too, but not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(child.orelse, []))
        else:
            yield from imports(child)


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, its own package's as nervcodec.x; `from a import b` is a and a.b."""
    names: set[str] = set()
    for node in imports(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level <= 1, f"{path.name} imports from outside the package"
            base = ".".join(filter(None, ["nervcodec" if node.level else "", node.module]))
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def own_imports(name: str) -> set[str]:
    """Modules of the package that a module imports."""
    parts = [found.split(".") for found in imported(FOLDER / f"{name}.py")]
    return {part[1] for part in parts if part[0] == "nervcodec" and len(part) > 1 and part[1] in FLOORS}


def importers(package: str) -> set[str]:
    """Modules that import a package from outside."""
    return {path.stem for path in FOLDER.glob("*.py")
            if any(name.split(".")[0] == package for name in imported(path))}


def run(code: str, *arguments: str) -> str:
    """Runs code in a fresh interpreter and gives its output."""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    return subprocess.run([sys.executable, "-c", code, *arguments], env=environment, check=True, capture_output=True,
                          text=True).stdout


def test_every_module_has_a_floor() -> None:
    """The list of floors names every file of the package and nothing else."""
    assert {path.stem for path in FOLDER.glob("*.py")} == {*FLOORS, "__init__"}


@pytest.mark.parametrize("name", FLOORS)
def test_modules_import_only_what_is_below(name: str) -> None:
    """A module imports only modules that come before it in the list."""
    assert own_imports(name) <= set(FLOORS[:FLOORS.index(name)])


def test_the_check_sees_imports(tmp_path: Path) -> None:
    """Imports of every form and in functions are seen by the check, those for type checkers are not."""
    (tmp_path / "a.py").write_text("""
from . import one
from .two import x
from nervcodec import three
import nervcodec.four, os.path
if TYPE_CHECKING:
    from . import hidden
else:
    from . import five
def function():
    with open(x):
        from .six import y as z
""")
    own = {f"nervcodec.{name}" for name in ("one", "two", "two.x", "three", "four", "five", "six", "six.y")}
    assert imported(tmp_path / "a.py") == {"nervcodec", "os.path", *own}


def test_the_package_imports_lazily() -> None:
    """Importing the package loads none of its modules."""
    code = "import sys, nervcodec; print(sorted(name for name in sys.modules if name.startswith('nervcodec.')))"
    assert run(code).strip() == "[]"


@pytest.mark.parametrize(("package", "modules"), [
    ("constriction", {"entropy"}), ("av", {"libav"}), ("click", {"cli", "options"}), ("rich", {"console"}),
    ("bjontegaard", {"curves"}), ("matplotlib", {"plots"}), ("pytorch_msssim", {"losses", "metrics"})])
def test_packages_have_one_door(package: str, modules: set[str]) -> None:
    """Each foreign package is imported in one file alone, but click in two, and SSIM as a loss and as a measure."""
    assert importers(package) == modules


@pytest.mark.parametrize("name", ["errors", "config", "architecture", "goal", "presets", "fields", "bitstream",
                                  "limits", "fileinfo"])
def test_the_ground_floors_are_standard_library(name: str) -> None:
    """What info and --help need imports the standard library alone."""
    foreign = {found.split(".")[0] for found in imported(FOLDER / f"{name}.py")} - {"nervcodec"}
    assert foreign <= sys.stdlib_module_names


HEAVY = "print(sorted({'torch', 'numpy', 'av', 'constriction', 'matplotlib', 'bjontegaard'} & set(sys.modules)))"


def test_info_loads_nothing_heavy(tmp_path: Path, small_file: bytes) -> None:
    """Describing a file never loads torch, numpy or av."""
    (tmp_path / "a.nvpp").write_bytes(small_file)
    code = f"import sys; from nervcodec.fileinfo import info; assert info(sys.argv[1])['frames'] == 2; {HEAVY}"
    assert run(code, str(tmp_path / "a.nvpp")).strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["encode", "--help"], ["decode", "--help"], ["info", "--help"],
                                       ["compare", "--help"], ["bench", "--help"], ["--version"], ["info", "a.nvpp"],
                                       ["info", "--json", "a.nvpp"]], ids=" ".join)
def test_quick_commands_load_nothing_heavy(tmp_path: Path, small_file: bytes, arguments: list[str]) -> None:
    """--help, --version and info answer without loading torch, numpy or av."""
    (tmp_path / "a.nvpp").write_bytes(small_file)
    code = f"""
import os, sys
os.chdir(sys.argv.pop(1))
from nervcodec.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
{HEAVY}
"""
    lines = run(code, str(tmp_path), *arguments).splitlines()
    assert len(lines) > 1 and lines[-1] == "[]"
