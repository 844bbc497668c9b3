"""Join modules of JavaScript to one script, which needs no other file.

Each module becomes a function that returns its exports. That is enough for the modules of this
package, which import and export by name, at the start of a line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from nervcodec.errors import ConfigError

_FROM = r"\s*from\s*['\"]\./([\w./-]+)['\"];?[ \t]*$"
_IMPORT = re.compile(r"^import\s*(\{[^}]*\}|\*\s*as\s+\w+)" + _FROM, re.MULTILINE)
_EXPORTED = re.compile(
    r"^export\s+((?:async\s+)?function\s*\*?|class|const|let)\s+(\w+)", re.MULTILINE
)
_EXPORT_LIST = re.compile(r"^export\s*\{([^}]*)\};?[ \t]*$", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*$|\bimport\.meta\b.*$|^await\b.*$", re.MULTILINE)
_COMMENTS = re.compile(
    r"^[ \t]*(?://.*|/\*(?:[^*]|\*(?!/))*\*/[ \t]*)\n|(?<=[;,{}])[ \t]+// .*$", re.MULTILINE
)


def bundle(files: Mapping[str, str], entry: str, worker: str) -> str:
    """Return one script that does what a module and those that it imports do.

    A worker's modules stand in it once, those that the page runs too: the constant WORKER_MODULES
    lists (name, function) of all of them, of which the page makes the script of the worker.

    Args:
        files: text of modules by name.
        entry: name of the module that runs.
        worker: name of the module that a worker runs.

    Raises:
        ConfigError: a module that is missing, imports itself through others, or is written in
            another way than this can read.
    """
    of_page, of_worker = (_bodies(files, name) for name in (entry, worker))
    makers = "".join(
        f"const {_maker(name)} = () => {{\n{body}}};\n"
        for name, body in {**of_worker, **of_page}.items()
    )
    listed = ", ".join(f"['{_variable(name)}', {_maker(name)}]" for name in of_worker)
    runs = "".join(f"const {_variable(name)} = {_maker(name)}();\n" for name in of_page)
    return f"'use strict';\n{makers}const WORKER_MODULES = [{listed}];\n{runs}"


def _bodies(files: Mapping[str, str], entry: str) -> dict[str, str]:
    """Return the bodies of the functions of a module and of those that it imports, these first."""
    ordered: dict[str, str] = {}
    _collect(files, entry, ordered, ())
    return ordered


def _collect(
    files: Mapping[str, str], name: str, ordered: dict[str, str], above: tuple[str, ...]
) -> None:
    """Add a module after those that it imports."""
    if name in ordered:
        return
    if name in above:
        raise ConfigError(f"{name} imports itself through {', '.join(above)}")
    if name not in files:
        raise ConfigError(f"there is no module {name}, which {above[-1:]} imports")
    text = files[name]
    for match in _IMPORT.finditer(text):
        _collect(files, posixpath.normpath(match[2]), ordered, (*above, name))
    ordered[name] = _body(name, text)


def _body(name: str, text: str) -> str:
    """Return a module's text as the body of a function that returns its exports."""
    exported = list(_exported(text))
    text = _COMMENTS.sub("", _EXPORT_LIST.sub("", text))
    text = _IMPORT.sub(lambda match: _import(match[1], match[2]), text)
    text = _EXPORTED.sub(r"\1 \2", text).replace("import.meta.url", "location.href")
    if left := _OTHER.search(text):
        raise ConfigError(f"{name} has {left[0].strip()!r}, which cannot be joined to one script")
    text = without_margins(text)
    return f"{text}\nreturn {{ {', '.join(exported)} }};\n" if exported else f"{text}\n"


def _exported(text: str) -> Iterator[str]:
    """Yield the properties of the object of a module's exports."""
    for match in _EXPORTED.finditer(text):
        yield match[2]
    for match in _EXPORT_LIST.finditer(text):
        for part in filter(None, (part.strip() for part in match[1].split(","))):
            inner, _, outer = part.partition(" as ")
            yield f"{outer.strip() or inner}: {inner.strip()}"


def _import(names: str, module: str) -> str:
    """Return the declaration that takes the place of an import."""
    variable = _variable(posixpath.normpath(module))
    if names.startswith("*"):
        return f"const {names.split()[-1]} = {variable};"
    renamed = re.sub(r"\s+as\s+", ": ", names)
    return f"const {renamed} = {variable};"


def without_margins(text: str) -> str:
    """Return the text without indentation and empty lines; a text over several lines keeps them."""
    lines = text.splitlines()
    if any(line.count("`") % 2 for line in lines):
        return text
    return "\n".join(filter(None, map(str.strip, lines)))


def _maker(name: str) -> str:
    return f"make_{_variable(name)}"


def _variable(name: str) -> str:
    return "module_" + re.sub(r"\W", "_", name)
