"""`archive`: the command and what it prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from archiver.app import Options
from archiver.bulk import Result, archive, numbers_of
from archiver.catalog import TaskRow
from archiver.cli.context import Terminal, parse_option
from archiver.cli.output import (
    elapsed_words,
    outcome_line,
    row_json,
    short,
    summary_words,
)
from archiver.config import format_size, parse_duration
from archiver.errors import UsageError
from archiver.inputs import Naming, read_refs
from archiver.model import JsonValue, Outcome, TaskRef, TaskRefs
from archiver.policy import exit_code
from archiver.runner import Limits


def archive_command(
    terminal: Terminal,
    tasks: Sequence[str],
    *,
    input_file: str | None,
    wait: str | None,
    unwatermarked_only: bool,
    again: bool,
) -> int:
    """Archive these tasks now."""
    config = terminal.load()
    if not tasks and input_file is None:
        raise UsageError("name a task, or a file of tasks with -i FILE (- is standard input)")
    wait_s = parse_option("--wait", wait, parse_duration) if wait else 0.0
    naming = Naming([source.name for source in config.sources], only=terminal.common.source)
    options = Options(
        again=again, unwatermarked_only=unwatermarked_only, dry_run=terminal.common.dry_run
    )
    limits = Limits(max_duration_s=terminal.max_duration_s(), max_bytes=terminal.max_bytes())
    started_s = terminal.clock.monotonic()
    with terminal.session(config, options) as session:
        result = archive(
            session,
            asked_refs(tasks, input_file, naming),
            workers=config.download.workers,
            limits=limits,
            wait_s=wait_s,
            again=again,
            on_start=terminal.output.start,
            on_outcome=lambda outcome, row: show_outcome(terminal, outcome, row),
        )
    return finish(terminal, "archive", result, terminal.clock.monotonic() - started_s)


def asked_refs(
    tasks: Sequence[str], input_file: str | None, naming: Naming
) -> Iterator[TaskRef | TaskRefs]:
    """Yield what the command line and the input file name."""
    for text in tasks:
        ref = naming.ref(text)
        if not naming.wanted(ref):
            raise UsageError(f"{short(str(ref), 120)} is of another source than --source says")
        yield ref
    if input_file is not None:
        yield from filter(naming.wanted, read_refs(input_file, naming, stdin=sys.stdin))


def show_outcome(terminal: Terminal, outcome: Outcome, row: TaskRow) -> None:
    """Print what became of one task, if that is worth a line, and move the bar."""
    output = terminal.output
    output.line(outcome_line(outcome, row))
    if output.as_json:
        missing: JsonValue = list(outcome.missing)
        notes: JsonValue = list(outcome.notes)
        refused: JsonValue = list(outcome.refused)
        record = row_json(row) | {"state": outcome.state.value, "changed": outcome.changed}
        output.record(record | {"missing": missing, "refused": refused, "notes": notes})
    output.advance()


def finish(terminal: Terminal, command: str, result: Result, elapsed_s: float) -> int:
    """Print the summary; return the exit code."""
    code = result.exit_code
    if terminal.signal_code is not None:
        code = exit_code([code, terminal.signal_code])
    tally = result.tally
    words = summary_words(tally)
    if tally.fetched_bytes:
        words += f" ({format_size(tally.fetched_bytes)} in {elapsed_words(elapsed_s)})"
    lines = [words, *remarks(result)]
    summary = {
        "command": command,
        **numbers_of(tally),
        "stopped_by": result.report.stopped_by,
        "duration_s": round(elapsed_s, 3),
    }
    terminal.output.finish(lines, summary, exit_code=code)
    for error_line in failures(result):
        terminal.output.complain(error_line)
    return int(code)


def remarks(result: Result) -> list[str]:
    """Return what a person should know besides the numbers."""
    tally, lines = result.tally, []
    if tally.watermarked:
        lines.append(
            f"  {tally.watermarked} only as a watermarked copy; `run` looks for clean ones"
        )
    if tally.missing_previews:
        lines.append(f"  {tally.missing_previews} without a preview; `run` completes them")
    if tally.incomplete:
        lines.append(f"  {tally.incomplete} with an output missing; `run` completes them")
    left = {"max_duration": "--max-duration", "max_bytes": "--max-bytes"}
    if result.report.stopped_by in left:
        lines.append(f"  stopped by {left[result.report.stopped_by]}; the rest stays queued")
    if result.report.stopped_by == "signal":
        lines.append("  stopped; what was in flight is parked, the rest stays queued")
    return lines


def failures(result: Result) -> list[str]:
    """Return what went wrong beyond single tasks, one line each."""
    lines = []
    for name, error in result.report.refused_keys.items():
        lines.append(
            f"source {name}: {short(error.message)}; its tasks stay queued:"
            " check the key (`archiver doctor`)"
        )
    for name, error in result.report.faulty_sources.items():
        lines.append(f"source {name}: {short(error.message)}; its other tasks stay queued")
    if result.failure is not None:
        lines.append(f"archiver: {short(result.failure.message, 2000)}")
    if result.report.bugs:
        lines.append(f"archiver: {result.report.bugs} tasks met a bug in archiver; see the log")
    return lines
