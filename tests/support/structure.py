"""Print figures of the structure of a checkout: `python tests/support/structure.py [CHECKOUT]`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def modules(root: Path) -> dict[str, ast.Module]:
    """Return the syntax tree of each module by its dotted name; __init__ files are left out."""
    paths = (path for path in (root / "nervcodec").rglob("*.py") if path.stem != "__init__")
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): ast.parse(path.read_text("utf-8"))
        for path in paths
    }


def imports(name: str, tree: ast.Module, names: set[str]) -> Iterator[str]:
    """Yield the modules of the package that a module imports, but those for types alone."""
    for node in executed(tree):
        if isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from {base, *(f"{base}.{alias.name}" for alias in node.names)} & names
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & names


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below a node but those that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from executed(child)


def package_of(name: str) -> str:
    """Return the package of a module: its first folder, or its own name where it has none."""
    return name.split(".")[1]


def longest_function(trees: dict[str, ast.Module]) -> tuple[int, str]:
    """Return the lines of the longest function, with its name."""
    return max(
        (node.end_lineno - node.lineno + 1, f"{name}.{node.name}")
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.end_lineno
    )


def reached(start: str, edges: set[tuple[str, str]]) -> set[str]:
    """Return the modules that a module needs, itself and those in functions counted."""
    known, new = {start}, {start}
    while new:
        new = {other for name, other in edges if name in new} - known
        known |= new
    return known


def reach(verb: str, flat: str, trees: dict[str, ast.Module], edges: set[tuple[str, str]]) -> str:
    """Return what a command of the decoder reaches, in words."""
    start = next(n for n in (f"nervcodec.decoder.{verb}", f"nervcodec.{flat}") if n in trees)
    names = reached(start, edges)
    n_lines = sum(trees[name].body[-1].end_lineno or 0 for name in names)
    folders = sorted({name.split(".")[1] for name in names if name.count(".") > 1})
    return f"{len(names)} modules, {n_lines:,} lines" + (
        f", {len(folders)} packages" if folders else ""
    )


def figures(root: Path) -> dict[str, object]:
    """Return what the overview shows of a checkout."""
    trees = modules(root)
    edges = {
        (name, other) for name, tree in trees.items() for other in imports(name, tree, set(trees))
    }
    edges = {(name, other) for name, other in edges if name != other}
    packages = {name.split(".")[1] for name in trees if name.count(".") > 1}
    between = {(package_of(a), package_of(b)) for a, b in edges} - {(p, p) for p in packages}
    files = [
        (len(path.read_text("utf-8").splitlines()), path.relative_to(root).as_posix())
        for path in (root / "nervcodec").rglob("*.py")
    ]
    return {
        "modules": len(trees),
        "packages": len(packages),
        "imports between modules": len(edges),
        "imports between packages": len(between) if packages else "-",
        "decode reaches": reach("decode", "codec", trees, edges),
        "verify reaches": reach("verify", "verify", trees, edges),
        "longest function": "{} lines, {}".format(*longest_function(trees)),
        "longest file": "{} lines, {}".format(*max(files)),
    }


if __name__ == "__main__":
    for key, value in figures(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()).items():
        print(f"| {key} | {value} |")
