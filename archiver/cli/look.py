"""`status`, `list`, `show`: what the catalog and the manifests say. They take no lock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from archiver.app import Options
from archiver.catalog import TaskRow, encode_time
from archiver.cli.context import Terminal
from archiver.cli.output import iso, row_json, short
from archiver.config import format_duration, format_size, parse_duration
from archiver.errors import ConfigError, DamageError, UsageError
from archiver.inputs import Naming
from archiver.manifest import read_manifest
from archiver.model import JsonObject, JsonValue, State
from archiver.policy import ExitCode
from archiver.session import Session

READ_ONLY = Options(read_only=True)
ATTENTION = "state = 'archived' AND error_code IS NOT NULL"


def status_command(terminal: Terminal, *, runs: bool) -> int:
    """Print counts by state, sizes, ages, and what needs a person."""
    config = terminal.load()
    with terminal.session(config, READ_ONLY) as session:
        if runs:
            return _print_runs(terminal, session)
        facts = _facts(session)
        states: JsonObject = {
            state.value: number for state, number in session.catalog.counts().items()
        }
        lines = [
            f"archive   {session.store.label}",
            f"catalog   {config.state_dir}",
            *(f"{state:<9} {number}" for state, number in states.items() if number),
            f"bytes     {format_size(int(str(facts['stored_bytes'])))}",
        ]
        now = terminal.clock.now()
        for words, key in (
            ("oldest waiting task", "oldest_waiting_at"),
            ("oldest check", "oldest_verified_at"),
        ):
            if facts[key] is not None:
                age_s = (now - datetime.fromisoformat(str(facts[key]))).total_seconds()
                lines.append(f"{words}: {format_duration(round(max(age_s, 0)))} ago")
        if facts["never_verified"]:
            lines.append(f"never checked: {facts['never_verified']} (`archiver verify --full`)")
        if facts["never_verified"] or facts["oldest_verified_at"]:
            lines.append(f"one pass of checks: {_pass_words(config.run.verify_share)}")
        if facts["watermarked"]:
            lines.append(f"only watermarked: {facts['watermarked']}")
        if facts["incomplete"]:
            lines.append(f"with something missing: {facts['incomplete']}")
        for row in session.catalog.rows(ATTENTION):
            words = row.fault.message if row.fault else ""
            lines.append(
                f"needs you: {short(str(row.ref), 120)}: {short(words)};"
                f" archiver verify --repair {short(str(row.ref), 120)}"
            )
        last = next((r for r in session.catalog.runs() if r.command == "run"), None)
        if last is not None and last.exit_code:
            lines.append(
                f"needs you: the last run ended with exit code {last.exit_code};"
                f" its report is in {config.state_dir / 'reports'}"
            )
        for line in lines:
            terminal.output.line(line)
        terminal.output.finish([], {"command": "status", "states": states, **facts}, exit_code=0)
    return 0


def _pass_words(share: float) -> str:
    """Say how many runs it takes to check the whole archive once."""
    if share <= 0:
        return "none; `verify_share` is 0"
    runs = math.ceil(1 / share - 1e-9)
    return (
        f"every {runs} runs, unless `verify_max_bytes` ends them early" if runs > 1 else "each run"
    )


def _facts(session: Session) -> JsonObject:
    numbers = session.catalog.numbers()
    return {
        "stored_bytes": numbers.stored_bytes,
        "watermarked": numbers.watermarked,
        "incomplete": numbers.incomplete,
        "never_verified": session.catalog.never_checked(),
        "damaged": numbers.damaged,
        "oldest_waiting_at": iso(numbers.oldest_waiting_at),
        "oldest_verified_at": iso(numbers.oldest_verified_at),
    }


def _print_runs(terminal: Terminal, session: Session) -> int:
    rows = session.catalog.runs()
    for run in rows:
        code = "running or killed" if run.exit_code is None else f"exit {run.exit_code}"
        asked = run.summary.get("asked", 0)
        archived = run.summary.get("archived", 0)
        terminal.output.line(
            f"{iso(run.started_at)}  {run.command:<8} {code:<18} {asked} tasks, {archived} archived"
        )
        terminal.output.record(
            {
                "type": "run",
                "id": run.id,
                "command": run.command,
                "started_at": iso(run.started_at),
                "finished_at": iso(run.finished_at),
                "exit_code": run.exit_code,
                "summary": run.summary,
            }
        )
    if not rows:
        terminal.output.line("no run yet")
    terminal.output.finish([], {"command": "status", "runs": len(rows)}, exit_code=0)
    return 0


def list_command(
    terminal: Terminal, *, state: str | None, since: str | None, search: str | None
) -> int:
    """Print the catalog's rows."""
    config = terminal.load()
    terms, values = ["1"], []
    if state is not None:
        terms.append("state = ?")
        values.append(State(state).value)
    if terminal.common.source is not None:
        terms.append("source = ?")
        values.append(terminal.sources(config)[0])
    if since is not None:
        terms.append("coalesce(created_at, first_seen_at) >= ?")
        values.append(str(encode_time(_moment(since, terminal.clock.now()))))
    if search is not None:
        terms.append("prompt LIKE ? ESCAPE '!'")
        for special in "!%_":
            search = search.replace(special, f"!{special}")
        values.append(f"%{search}%")
    number = 0
    with terminal.session(config, READ_ONLY) as session:
        for row in session.catalog.rows(" AND ".join(terms), values):
            number += 1
            terminal.output.line(_row_line(row))
            terminal.output.record(row_json(row))
    terminal.output.finish([], {"command": "list", "tasks": number}, exit_code=0)
    return 0


def _row_line(row: TaskRow) -> str:
    created = iso(row.created_at) or "-"
    words = [short(row.prompt, 60)] if row.prompt else []
    if row.watermarked:
        words.insert(0, "[watermarked]")
    if row.fault is not None:
        words.insert(0, f"[{row.fault.code}]")
    return (
        f"{row.state.value:<9} {created:<25} {short(str(row.ref), 120)}  {' '.join(words)}".rstrip()
    )


def _moment(text: str, now: datetime) -> datetime:
    """Read a date, a time, or a span that ends now (`7d`)."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        from datetime import timedelta

        return now - timedelta(seconds=parse_duration(text))
    except (ConfigError, OverflowError):
        raise UsageError(
            f"--since: {text!r} is neither a date (2024-10-15) nor a span (7d)"
        ) from None


def show_command(terminal: Terminal, tasks: Sequence[str]) -> int:
    """Print one task: its row, its manifest, its history."""
    config = terminal.load()
    naming = Naming([source.name for source in config.sources], only=terminal.common.source)
    code = 0
    with terminal.session(config, READ_ONLY) as session:
        for text in tasks:
            row = session.catalog.row(naming.ref(text))
            if row is None:
                terminal.output.complain(f"{short(text, 120)}: not in the catalog")
                code = 3
                continue
            code = max(code, _show(terminal, session, row))
    terminal.output.finish([], {"command": "show", "tasks": len(tasks)}, exit_code=code)
    return code


def _show(terminal: Terminal, session: Session, row: TaskRow) -> int:
    import json

    manifest: JsonObject | None = None
    code = ExitCode.DONE
    try:
        held = read_manifest(session.store, row.path) if row.path else None
        manifest = held.to_json() if held else None
    except DamageError as error:
        terminal.output.complain(f"{short(error.message)}; `archiver verify --repair` mends it")
        code = ExitCode.DAMAGE
    history: JsonValue = [
        {"at": iso(at), "what": what} for at, what in session.catalog.history(row.ref)
    ]
    terminal.output.record(row_json(row) | {"manifest": manifest, "history": history})
    lines = [
        f"{name:<16} {short(str(value), 2000)}"
        for name, value in row_json(row).items()
        if name != "type" and value is not None
    ]
    lines += [f"{iso(at)}  {short(what)}" for at, what in session.catalog.history(row.ref)]
    if manifest is not None:
        lines.append(json.dumps(manifest, indent=2, ensure_ascii=True))
    for line in lines:
        terminal.output.line(line)
    return int(code)
