"""Options that every command has: --config, -v and -q."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from nervcodec import __version__
from nervcodec.cli import console
from nervcodec.errors import ConfigError
from nervcodec.util.address_space import check_libraries

# Set and empty, it stands for no file; benchmarks set it, so that figures do not depend on one.
VARIABLE = "NERVCODEC_CONFIG"
# Commands that need no libraries.
_LIGHT = ("info", "play", "export", "concat", "split", "completion", "man")
_LEVEL = "nervcodec.level"


def habits() -> list[click.Option]:
    """Return the options; they leave what they say with the console."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(),
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_use_config,
            help="defaults of options  [default: see the guide]",
        ),
        _level_option("-v", "--verbose", 1, "say settings, paths and times"),
        _level_option("-q", "--quiet", -1, "say nothing but errors"),
    ]


def config_path() -> Path | None:
    """Return the file of defaults that stands where it is looked for; None where there is none.

    It is that of $NERVCODEC_CONFIG, else nervcodec/config.toml in $XDG_CONFIG_HOME or ~/.config.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(home, "nervcodec", "config.toml")
    return path if path.is_file() else None


def invoke(command: click.Command, context: click.Context) -> Any:
    """Run a command; where it is to say more, name its settings before and its time after."""
    _set_level(context)
    if command.name not in _LIGHT:
        check_libraries()
    if not console.is_verbose():
        return click.Command.invoke(command, context)
    console.detail(f"nervcodec {__version__}, in {os.getcwd()}")
    for parameter in command.params:
        value = context.params.get(parameter.name or "")
        source = context.get_parameter_source(parameter.name or "")
        if source is not ParameterSource.DEFAULT and value is not None:
            origin = " (by the file of defaults)" if source is ParameterSource.DEFAULT_MAP else ""
            is_option = isinstance(parameter, click.Option)
            name = max(parameter.opts, key=len) if is_option else parameter.human_readable_name
            console.detail(f"{name} {value}{origin}")
    started = time.monotonic()
    result = click.Command.invoke(command, context)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    console.detail(
        f"took {time.monotonic() - started:.2f} s, {usage.ru_utime + usage.ru_stime:.2f} s of CPU"
    )
    return result


def _use_config(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if context.resilient_parsing:
        return
    path = config_path() if value is None else Path(value)
    if path is None:
        return
    from nervcodec.cli.config import apply_config

    root = context.find_root().command
    assert isinstance(root, click.Group)
    apply_config(context, path, root.list_commands(context))
    context.meta["nervcodec.config"] = path


def _level_option(short: str, name: str, level: int, text: str) -> click.Option:
    def ask(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and parameter.name is not None:
            source = context.get_parameter_source(parameter.name)
            is_configured = source is ParameterSource.DEFAULT_MAP
            context.meta.setdefault(_LEVEL, []).append((is_configured, level))

    return click.Option([short, name], is_flag=True, expose_value=False, callback=ask, help=text)


def _set_level(context: click.Context) -> None:
    """Tell the console how much to say; the command line counts more than the file of defaults.

    Raises:
        ConfigError: both more and less are asked for in one place.
    """
    asked: list[tuple[bool, int]] = context.meta.get(_LEVEL, [])
    levels = {level for is_configured, level in asked if not is_configured}
    levels = levels or {level for _, level in asked}
    if len(levels) > 1:
        raise ConfigError("verbose and quiet are given; legal: one of them")
    console.set_level(next(iter(levels), 0))
    path = context.meta.get("nervcodec.config")
    if path is not None:
        console.detail(f"defaults are those of {path}")
