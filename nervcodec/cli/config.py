"""A file of defaults: [command] tables of option = value, in TOML."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from nervcodec.errors import ConfigError, DependencyError, NervCodecError

# Options that a file cannot set: they end the command, or name the file.
_EXCEPT = ("help", "version", "config")


def apply_config(context: click.Context, path: Path, names: Sequence[str]) -> None:
    """Have a command's options default to what a file says of it.

    Args:
        context: of the command.
        names: of all commands.
    Raises:
        ConfigError: the file cannot be read, or says what is none of the command's options.
        DependencyError: this Python needs a package to read TOML.
    """
    tables = _tables(path)
    for name, table in tables.items():
        if name not in names or not isinstance(table, Mapping):
            raise ConfigError(
                f"{path}: {name!r} is not a table of a command; legal:"
                f" {', '.join(f'[{_quoted(legal)}]' for legal in names)}"
            )
    name = context.command_path.partition(" ")[2]
    parameters = _settable(context.command)
    defaults = {}
    for key, value in tables.get(name, {}).items():
        parameter = parameters.get(key.replace("_", "-"))
        if parameter is None or parameter.name is None:
            raise ConfigError(
                f"{path}: [{_quoted(name)}] has no {key!r}; legal: {', '.join(parameters)}"
            )
        if parameter.multiple and not isinstance(value, list):
            value = [value]
        _check(path, f"{name}.{key}", context, parameter, value)
        defaults[parameter.name] = value
    context.default_map = defaults


def without_overridden(
    context: click.Context, values: Mapping[str, Any], unset: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a command's options, with what the file says of a group of them left
    out where one of the group is given on the command line.

    Args:
        context: of the command.
        values: of its options, by name.
        unset: values of the options of the group where they are not given.
    """
    sources = {name: context.get_parameter_source(name) for name in unset}
    if ParameterSource.COMMANDLINE not in sources.values():
        return dict(values)
    return {
        name: unset[name] if sources.get(name) is ParameterSource.DEFAULT_MAP else value
        for name, value in values.items()
    }


def _tables(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        return tomllib.loads(path.read_text("utf-8"))
    except ImportError as error:
        needed = f"{path} is TOML; 'pip install tomli' lets this Python read it"
        raise DependencyError(needed) from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(f"{path} is not TOML: {reason}") from error


def _settable(command: click.Command) -> dict[str, click.Option]:
    """Return the options that a file may set, by their long names."""
    found = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            name = max(parameter.opts, key=len).lstrip("-")
            if name not in _EXCEPT:
                found[name] = parameter
    return found


def _check(
    path: Path, name: str, context: click.Context, parameter: click.Option, value: Any
) -> None:
    """Raise ConfigError unless an option takes this value."""
    types, legal = _toml_types(parameter)
    for each in value if parameter.multiple else [value]:
        # A bool of Python's is an int too.
        if not isinstance(each, types) or isinstance(each, bool) != (types is bool):
            raise ConfigError(f"{path}: {name} is {each!r}; legal: {legal}")
    try:
        if parameter.expose_value:  # others act when they are read
            parameter.process_value(context, value)
    except click.BadParameter as error:
        raise ConfigError(f"{path}: {name}: {error.message}") from error
    except NervCodecError as error:
        raise ConfigError(f"{path}: {name}: {error}") from error


def _toml_types(parameter: click.Option) -> tuple[Any, str]:
    """Return the Python types of an option's values in TOML, and their names."""
    kind = parameter.type
    if parameter.is_flag:
        return bool, "true or false"
    if isinstance(kind, click.types.IntParamType):
        return int, "a whole number"
    if isinstance(kind, click.types.FloatParamType):
        return (int, float), "a number"
    if isinstance(kind, click.Choice):
        return str, ", ".join(f'"{choice}"' for choice in kind.choices)
    text = f'a text such as "{parameter.metavar}"'
    if parameter.multiple:
        return str, f"{text}, or a list of them"
    if isinstance(kind, click.types.StringParamType | click.Path):
        return str, text
    return (str, int, float), f"{text}, or a number"


def _quoted(name: str) -> str:
    """Return the name of a table as TOML wants it."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else f'"{name}"'
