"""`run` and `ingest`: the commands and what they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from archiver import spool
from archiver.app import Options
from archiver.audit import Verified
from archiver.cli.context import Terminal, parse_option
from archiver.cli.output import Output, elapsed_words, short, summary_words
from archiver.cli.work import failures, finish, remarks, show_outcome
from archiver.config import Config, format_size, parse_duration
from archiver.errors import ArchiverError, ConfigError, StoppedError, UsageError
from archiver.ingest import ingest
from archiver.model import JsonObject, JsonValue
from archiver.nightly import Listeners, run_night
from archiver.notify import Notifier
from archiver.policy import ExitCode
from archiver.reports import Night, problem_json
from archiver.runner import Limits
from archiver.transport.clock import SystemClock


def run_command(terminal: Terminal, *, every: str | None) -> int:
    """Do what the configuration names, once or again and again."""
    config = terminal.load()
    sources = terminal.sources(config)
    if every is None:
        return int(one_night(terminal, config, sources))
    every_s = parse_option("--every", every, parse_duration)
    if every_s <= 0:
        raise UsageError("--every needs a time, e.g. 5m")
    with terminal.signals():
        return _repeat(terminal, config, sources, every_s)


def _repeat(terminal: Terminal, config: Config, sources: Sequence[str], every_s: float) -> int:
    """Run until a signal comes; what a run cannot do, the next one may."""
    common = terminal.common
    while True:
        began_s = terminal.clock.monotonic()
        try:
            one_night(terminal, config, sources)
        except ConfigError:
            raise
        except ArchiverError as error:
            terminal.output.complain(f"archiver: {short(error.message, 2000)}")
        if terminal.signal_code is not None:
            return int(terminal.signal_code)
        # A run that was ended by its time stopped its own clock.
        terminal.clock = SystemClock()
        terminal.output = Output(
            as_json=common.json, quiet=common.quiet, progress=not common.no_progress
        )
        took_s = terminal.clock.monotonic() - began_s
        try:
            terminal.clock.sleep(max(0.0, every_s - took_s))
        except StoppedError:
            return int(terminal.signal_code or ExitCode.SIGTERM)


def one_night(terminal: Terminal, config: Config, sources: Sequence[str]) -> ExitCode:
    """Run once and print how it went."""
    limits = Limits(max_duration_s=terminal.max_duration_s(), max_bytes=terminal.max_bytes())
    listeners = Listeners(
        on_start=terminal.output.start,
        on_outcome=lambda outcome, row: show_outcome(terminal, outcome, row),
        on_damage=lambda verified, repaired: _show_damage(terminal, verified, repaired=repaired),
        words_of=lambda night: "\n".join(summary_lines(night)),
    )
    with terminal.session(config, Options(dry_run=terminal.common.dry_run)) as session:
        night = run_night(
            session,
            sources,
            workers=config.download.workers,
            limits=limits,
            notifier=Notifier(config.notify, os.environ),
            listeners=listeners,
        )
    return _finish(terminal, night)


def _finish(terminal: Terminal, night: Night) -> ExitCode:
    code = night.exit_code
    for problem in night.found.problems:
        terminal.output.record({"type": "problem", **problem_json(problem)})
    summary: JsonObject = {
        "command": "run",
        **_numbers(night),
        "stopped_by": night.result.report.stopped_by,
        "duration_s": round(night.duration_s, 3),
        "report": night.report_path,
    }
    lines = summary_lines(night)
    if code and night.report_path:
        lines.append(f"  look closer: archiver status; the report is {night.report_path}")
    terminal.output.finish(lines, summary, exit_code=int(code))
    for line in _complaints(night):
        terminal.output.complain(line)
    return code


def _numbers(night: Night) -> JsonObject:
    from archiver.bulk import numbers_of

    return {
        **numbers_of(night.result.tally),
        "discovered": night.found.inbox_new + night.found.list_new,
        "expired": night.expired,
        "lost_in_queue_order": night.lost_in_queue_order,
        "checked": night.audit.checked,
        "damaged": night.audit.damaged,
        "repaired": night.audit.repaired,
    }


def summary_lines(night: Night) -> list[str]:
    """Return a run in words."""
    tally, audit = night.result.tally, night.audit
    words = summary_words(tally)
    if tally.fetched_bytes:
        words += f" ({format_size(tally.fetched_bytes)} in {elapsed_words(night.duration_s)})"
    lines = [words, *remarks(night.result)]
    new = night.found.inbox_new + night.found.list_new
    if new:
        lines.append(f"  {new} new")
    if night.lost_in_queue_order:
        lines.append(
            f"  {night.lost_in_queue_order} would have lost their links in the order of the queue;"
            " they were taken first"
        )
    if night.expired:
        lines.append(
            f"  {night.expired} had lost their links before their turn: run more often"
            " (`archiver install` knows how often)"
        )
    if audit.checked:
        checked = f"  {audit.checked} checked ({format_size(audit.checked_bytes)})"
        checked += f", {audit.damaged} damaged" if audit.damaged else ", no damage"
        checked += f", {audit.repaired} repaired" if audit.repaired else ""
        lines.append(checked)
    if audit.open_damage:
        lines.append("  `archiver verify --repair` tries again; `archiver status` names them")
    return lines


def _complaints(night: Night) -> list[str]:
    """Return what went wrong beyond single tasks, one line each."""
    shown = {problem.source for problem in night.found.problems if problem.stops}
    lines = [
        f"source {problem.source}: {problem.fault.code}: {short(problem.fault.message)}"
        for problem in night.found.problems
    ]
    return lines + [
        line
        for line in failures(night.result)
        if not any(line.startswith(f"source {name}:") for name in shown)
    ]


def _show_damage(terminal: Terminal, verified: Verified, *, repaired: bool) -> None:
    after = "; repaired" if repaired else f"; archiver show {short(str(verified.row.ref), 120)}"
    for damage in verified.damages:
        words = f"{damage.fault.code}: {damage.fault.message}"
        terminal.output.line(f"{short(str(damage.ref), 120)}  {damage.path}: {short(words)}{after}")
        terminal.output.record(
            {
                "type": "damage",
                "source": damage.ref.source,
                "task_id": damage.ref.task_id,
                "path": damage.path,
                "error": {"code": damage.fault.code, "message": damage.fault.message},
                "repaired": repaired,
            }
        )


# --- ingest -----------------------------------------------------------------------------------


def ingest_command(terminal: Terminal, files: Sequence[str]) -> int:
    """Archive straight from saved or posted bodies."""
    config = terminal.load()
    if terminal.common.source is not None:
        terminal.sources(config)
    bodies = [(name, _read(name)) for name in files or ("-",)]
    limits = Limits(max_duration_s=terminal.max_duration_s(), max_bytes=terminal.max_bytes())
    started_s = terminal.clock.monotonic()
    with terminal.session(config, Options(dry_run=terminal.common.dry_run)) as session:
        done = ingest(
            session,
            bodies,
            source=terminal.common.source,
            workers=config.download.workers,
            limits=limits,
            on_outcome=lambda outcome, row: show_outcome(terminal, outcome, row),
        )
    if done.saved_only:
        words = f"{done.saved} saved; a run is at work: it, or the next one, takes them"
        summary: JsonObject = {"command": "ingest", "saved": done.saved, "saved_only": True}
        terminal.output.finish([words], summary, exit_code=0)
        return 0
    return finish(terminal, "ingest", done.result, terminal.clock.monotonic() - started_s)


def _read(name: str) -> JsonValue:
    if name == "-":
        data = sys.stdin.buffer.read(spool.MOST_BYTES + 1)
        return spool.parse_body(data, "standard input")
    try:
        with Path(name).expanduser().open("rb") as file:
            data = file.read(spool.MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{short(name)}: cannot be read: {error.strerror}") from None
    return spool.parse_body(data, short(name))
