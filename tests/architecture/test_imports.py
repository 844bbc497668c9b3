"""Packages import only packages below them, each foreign package has one door, and quick commands
load nothing heavy.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fresh import run

import nervcodec

FOLDER = Path(nervcodec.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
# Packages, each with those that its modules may import besides itself.
LOWEST = {"util", "errors"}
FORMAT = LOWEST | {"format"}
MAY_IMPORT = {
    "errors": set(),
    "util": {"errors"},
    "jobs": LOWEST,
    "format": LOWEST,
    "video": FORMAT,
    "player": FORMAT,
    "coding": FORMAT,
    "nn": FORMAT | {"video", "coding"},
    "quality": FORMAT | {"video", "coding"},
    "decoder": FORMAT | {"video", "coding", "nn", "jobs"},
    "training": FORMAT | {"coding", "nn"},
    "encoder": FORMAT | {"jobs", "video", "coding", "nn", "quality", "decoder", "training"},
    "bench": FORMAT
    | {"jobs", "video", "coding", "nn", "quality", "decoder", "training", "encoder"},
    "cli": FORMAT
    | {"jobs", "video", "coding", "nn", "quality", "decoder", "training", "encoder", "bench"}
    | {"player"},
    "__main__": {"cli"},
    "__init__": set(),
}
# Programs and what they alone use: nothing imports them that a user runs.
PROGRAMS = {
    "training/pretrain": MAY_IMPORT["training"],
    "training/pretraining_codec": MAY_IMPORT["training"],
    "training/pretraining_data": MAY_IMPORT["training"] | {"video"},
}


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
    """Dotted names that a file imports; `from a import b` is a and a.b."""
    names: set[str] = set()
    for node in imports(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0 and node.module, f"{path} imports by a relative name"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def package_of(path: Path) -> str:
    """The package that a module belongs to, or its own name where it stands beside them."""
    return path.relative_to(FOLDER).with_suffix("").parts[0]


def importers(package: str) -> set[str]:
    """Modules, as package/module, that import a foreign package."""
    return {
        path.relative_to(FOLDER).with_suffix("").as_posix()
        for path in MODULES
        if any(name.split(".")[0] == package for name in imported(path))
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_packages_import_only_what_is_below(path: Path) -> None:
    """A module imports its own package and those that the table allows."""
    parts = [name.split(".") for name in imported(path)]
    found = {part[1] for part in parts if part[0] == "nervcodec" and len(part) > 1} - {
        "__version__"
    }
    name = path.relative_to(FOLDER).with_suffix("").as_posix()
    allowed = PROGRAMS.get(name, MAY_IMPORT[package_of(path)])
    assert found <= allowed | {package_of(path)}


def test_nothing_imports_the_programs() -> None:
    """No module but the programs themselves imports one of them."""
    programs = {f"nervcodec.{name.replace('/', '.')}" for name in PROGRAMS}
    others = (
        path
        for path in MODULES
        if path.relative_to(FOLDER).with_suffix("").as_posix() not in PROGRAMS
    )
    assert not programs & set().union(*map(imported, others))


def test_the_check_sees_imports(tmp_path: Path) -> None:
    """Imports of every form and in functions are seen by the check, those for type checkers are
    not.
    """
    (tmp_path / "a.py").write_text("""
from nervcodec.one import x
import nervcodec.two, os.path
if TYPE_CHECKING:
    from nervcodec import hidden
else:
    from nervcodec import three
def function():
    with open(x):
        from nervcodec.four import y as z
""")
    own = {f"nervcodec.{name}" for name in ("one", "one.x", "two", "three", "four", "four.y")}
    assert imported(tmp_path / "a.py") == {"nervcodec", "os.path", *own}


def test_modules_import_each_other_in_no_circle() -> None:
    """From no module do imports, also those in functions, lead back to it."""
    names = {
        ".".join(("nervcodec", *path.relative_to(FOLDER).with_suffix("").parts)): path
        for path in MODULES
    }
    left = {name: imported(path) & set(names) - {name} for name, path in names.items()}
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]
    assert not left


def test_the_package_imports_lazily() -> None:
    """Importing the package loads none of its modules."""
    code = (
        "import sys, nervcodec; print(sorted(name for name in sys.modules if"
        " name.startswith('nervcodec.')))"
    )
    assert run(code).strip() == "[]"


def test_the_decoder_stands_by_itself() -> None:
    """Decoding and verifying load nothing of training, encoder, quality, bench or the command
    line.
    """
    code = (
        "import sys, nervcodec.decoder.decode, nervcodec.decoder.verify,"
        " nervcodec.decoder.reconstruct; print(sorted({name.split('.')[1] for name in sys.modules"
        " if name.startswith('nervcodec.')}))"
    )
    assert (
        run(code).strip()
        == "['coding', 'decoder', 'errors', 'format', 'jobs', 'nn', 'util', 'video']"
    )


def test_decoding_by_numpy_loads_no_torch() -> None:
    """Nor do verifying, joining, comparing and the command line's modules, before they need it."""
    code = (
        "import sys, nervcodec.decoder.decode, nervcodec.decoder.verify,"
        " nervcodec.decoder.segment_jobs, nervcodec.decoder.numpy_network, nervcodec.video.joining,"
        " nervcodec.quality.compare, nervcodec.encoder.plan; from nervcodec.cli.main import"
        " commands; commands(); print(sorted({'torch', 'pytorch_msssim'} & set(sys.modules)))"
    )
    assert run(code).strip() == "[]"


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        ("constriction", {"coding/range_coder"}),
        (
            "av",
            {
                f"video/ffmpeg_{name}"
                for name in (
                    "animation",
                    "decode",
                    "elementary",
                    "encode",
                    "filter",
                    "frames",
                    "pictures",
                    "png",
                    "properties",
                    "scale",
                    "sound",
                    "sound_joining",
                    "sound_writer",
                    "times",
                )
            },
        ),
        ("rich", {"cli/console"}),
        ("bjontegaard", {"bench/bdrate"}),
        ("matplotlib", {"bench/plots"}),
        ("jinja2", {"bench/report"}),
        ("ray", {"jobs/ray_cluster"}),
        ("pytorch_msssim", {"training/losses", "quality/metrics"}),
    ],
)
def test_packages_have_one_door(package: str, modules: set[str]) -> None:
    """Each foreign package is imported in one place alone, and SSIM as a loss and as a measure."""
    assert importers(package) == modules


def test_torch_stays_out_of_what_decodes_without_it() -> None:
    """Of the packages that decode, these modules alone import torch."""
    doors = {name for name in importers("torch") if name.split("/")[0] in ("nn", "decoder", "cli")}
    of_nn = ("conv", "cuda_graphs", "device", "exact_layers", "exact_network", "grid_maps")
    assert doors == {f"nn/{name}" for name in (*of_nn, "grids", "network")} | {
        "decoder/reconstruct"
    }
    others = {"format", "util", "jobs", "video", "coding"}
    assert not others & {name.split("/")[0] for name in importers("torch")}


def test_click_stays_in_the_command_line() -> None:
    """click is imported by modules of cli alone."""
    assert {name.partition("/")[0] for name in importers("click")} == {"cli"}


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if package_of(path) in FORMAT | {"player", "__init__"}],
    ids=lambda path: path.stem,
)
def test_the_lowest_packages_are_standard_library(path: Path) -> None:
    """What info, play and --help need imports the standard library alone."""
    assert {found.split(".")[0] for found in imported(path)} - {
        "nervcodec"
    } <= sys.stdlib_module_names


HEAVY = (
    "print(sorted({'torch', 'numpy', 'av', 'constriction', 'matplotlib', 'bjontegaard', 'rich'} &"
    " set(sys.modules)))"
)


def test_info_loads_nothing_heavy(tmp_path: Path, small_file: bytes) -> None:
    """Describing a file never loads torch, numpy or av."""
    (tmp_path / "a.nvpp").write_bytes(small_file)
    code = (
        "import sys; from nervcodec.format.info import info;"
        f" assert info(sys.argv[1]).format.n_frames == 2; {HEAVY}"
    )
    assert run(code, str(tmp_path / "a.nvpp")).strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["encode", "--help"],
        ["decode", "--help"],
        ["info", "--help"],
        ["compare", "--help"],
        ["bench", "--help"],
        ["bench", "speed", "--help"],
        ["bench", "roofline", "--help"],
        ["--version"],
        ["info", "a.nvpp"],
        ["info", "--json", "a.nvpp"],
        ["play", "--help"],
        ["export", "a.nvpp", "a.html", "--json", "-v"],
    ],
    ids=" ".join,
)
def test_quick_commands_load_nothing_heavy(
    tmp_path: Path, small_file: bytes, arguments: list[str]
) -> None:
    """--help, --version and info answer without loading torch, numpy or av."""
    (tmp_path / "a.nvpp").write_bytes(small_file)
    code = f"""
import os, sys
os.chdir(sys.argv.pop(1))
from nervcodec.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
{HEAVY}
"""
    lines = run(code, str(tmp_path), *arguments).splitlines()
    assert len(lines) > 1 and lines[-1] == "[]"
