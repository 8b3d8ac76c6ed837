"""Options that every command takes, before or after its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True, kw_only=True)
class Common:
    """What the options said that all commands share."""

    config: str | None = None
    sets: list[str] = field(default_factory=list)
    dry_run: bool = False
    quiet: bool = False
    verbose: int = 0
    json: bool = False
    no_progress: bool = False
    source: str | None = None
    max_duration: str | None = None
    max_bytes: str | None = None
    workers: int | None = None


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Note an option wherever it stood: the later one counts, repeated ones add up."""
    common = context.find_root().ensure_object(Common)
    name = str(parameter.name)
    if not value:
        return
    if name == "sets":
        common.sets.extend(value)
    elif name == "verbose":
        common.verbose += value
    else:
        setattr(common, name, value)


def _option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, callback=_keep, expose_value=False, **settings)


_OPTIONS = (
    _option("-c", "--config", metavar="FILE", help="The configuration to use."),
    _option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one key."),
    _option("-n", "--dry-run", is_flag=True, help="Ask for documents only; touch nothing."),
    _option("-q", "--quiet", is_flag=True, help="Print nothing unless something is wrong."),
    _option("-v", "--verbose", count=True, help="Say more on stderr; -vv: all."),
    _option("--json", is_flag=True, help="One JSON object a line on stdout."),
    _option("--no-progress", is_flag=True, help="Draw no bar."),
    _option("--source", metavar="NAME", help="Only this source."),
    _option("--max-duration", metavar="TIME", help="Stop after e.g. 2h; the rest stays queued."),
    _option("--max-bytes", metavar="SIZE", help="Stop after e.g. 50GiB; the rest stays queued."),
    _option("--workers", type=click.IntRange(1, 256), metavar="N", help="Tasks at once."),
)


def common_options(command: Command) -> Command:
    """Give a command the options that all share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
