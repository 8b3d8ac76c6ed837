"""`demo`: the main job on an embedded gateway, without key, network or configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from archiver.app import open_session
from archiver.bulk import Result, archive, numbers_of
from archiver.catalog import TaskRow
from archiver.cli.context import Terminal
from archiver.cli.output import elapsed_words, short, summary_words
from archiver.config import Config, config_from_mapping, format_size
from archiver.errors import UsageError
from archiver.gateway import Gateway
from archiver.gateway.cases import Case
from archiver.gateway.scenario import Scenario, all_scenario, demo_scenario
from archiver.ingest import ingest
from archiver.manifest import AssetRecord, Manifest, read_manifest
from archiver.model import JsonObject, State, TaskRef
from archiver.policy import ExitCode, Tally, exit_code
from archiver.runner import Limits
from archiver.session import Session

DEFAULT_FOLDER = "archiver-demo"
KEY_VARIABLE = "ARCHIVER_DEMO_KEY"
CONFIG_NAME = "archiver.toml"
_HEADING = "# Written by `archiver demo`: look at its archive with any command of archiver."


def demo_command(terminal: Terminal, folder: str | None, *, everything: bool = False) -> int:
    """Archive the demo's tasks with the ordinary pipeline and say what happened to each.

    Args:
        everything: Tasks of every provider, in one table.
    """
    root = Path(folder or DEFAULT_FOLDER).absolute()
    _require_demo_folder(root)
    started_s = terminal.clock.monotonic()
    make = all_scenario if everything else demo_scenario
    scenario = make(terminal.clock.now())
    output = terminal.output
    with Gateway() as gateway:
        scenario.install(gateway)
        names = dict.fromkeys(case.provider for case in scenario.cases)
        config = _write_config(root, gateway, names)
        refs = {case.task_id: _ref(case) for case in scenario.cases}
        output.line(f"an embedded gateway serves {len(refs)} tasks at {gateway.base_url}")
        with _session(terminal, config, gateway) as session:
            result = archive(
                session,
                [refs[case.task_id] for case in scenario.cases if not case.posted],
                workers=config.download.workers,
                limits=Limits(),
                on_start=output.start,
                on_outcome=lambda outcome, row: output.advance(),
            )
            for case in scenario.cases:
                if case.posted:
                    refs[case.task_id] = _hand_over(session, gateway, case, result)
            output.stop()
            as_expected = _tell(terminal, session, scenario, refs, as_table=everything)
    elapsed_s = terminal.clock.monotonic() - started_s
    return _finish(terminal, root, result, elapsed_s, as_expected=as_expected)


def _require_demo_folder(root: Path) -> None:
    config = root / CONFIG_NAME
    try:
        if not root.exists() or not any(root.iterdir()):
            return
        if config.is_file() and config.read_text("utf-8").startswith(_HEADING):
            return
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{root} cannot be used: {error}") from None
    raise UsageError(f"{root} is not empty and not a demo's; name another folder")


def _ref(case: Case) -> TaskRef:
    return TaskRef(source=case.provider, task_id=case.task_id)


def _hand_over(session: Session, gateway: Gateway, case: Case, result: Result) -> TaskRef:
    """Archive a task straight from the answer that its maker got, as `ingest` does."""
    body = gateway.answer(case.task_id)
    pipeline = session.open_sources([case.provider])[case.provider]
    (task,) = pipeline.provider.read_body(body)
    workers = session.config.download.workers
    done = ingest(
        session, [(case.title, body)], source=case.provider, workers=workers, limits=Limits()
    )
    for number in fields(Tally):
        if isinstance(more := getattr(done.result.tally, number.name), int):
            setattr(result.tally, number.name, getattr(result.tally, number.name) + more)
    return task.ref


def _write_config(root: Path, gateway: Gateway, providers: Iterable[str]) -> Config:
    sources = "".join(
        f"""
[[source]]
name = "{name}"
provider = "{name}"
base_url = "{gateway.base_url}"
api_key_env = "{KEY_VARIABLE}"
max_requests_per_second = 200
"""
        for name in providers
    )
    settings = f"""{_HEADING}
state_dir = ".state"

[store]
url = "."
min_free = "0"

[download]
timeout = "5s"

[network]
allow_private_addresses = true
{sources}"""
    import tomllib

    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / CONFIG_NAME).write_text(settings, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{root} cannot be written: {error.strerror}") from None
    return config_from_mapping(tomllib.loads(settings), base_dir=root)


@contextmanager
def _session(terminal: Terminal, config: Config, gateway: Gateway) -> Iterator[Session]:
    with (
        terminal.signals(),
        open_session(
            config,
            environ={KEY_VARIABLE: gateway.api_key},
            clock=terminal.clock,
            redactor=terminal.redactor,
        ) as session,
    ):
        terminal.output.received_bytes = session.received_bytes
        yield session


def _tell(
    terminal: Terminal,
    session: Session,
    scenario: Scenario,
    refs: Mapping[str, TaskRef],
    *,
    as_table: bool,
) -> bool:
    """Print what became of each case; tell whether all is as it must be."""
    all_right = True
    for case in scenario.cases:
        ref = refs[case.task_id]
        row = session.catalog.row(ref)
        manifest = _manifest(session, row)
        right = row is not None and _is_expected(case, row, manifest)
        all_right = all_right and right
        words = _words(row, manifest)
        mark = "ok" if right else "NOT AS EXPECTED"
        if as_table:
            terminal.output.line(_table_line(case, row, manifest, mark))
        else:
            terminal.output.line(f"\n{case.title}\n  {case.why}\n  {mark}: {words}")
        record: JsonObject = {
            "type": "task",
            "source": case.provider,
            "task_id": ref.task_id,
            "title": case.title,
            "state": row.state.value if row else None,
            "path": row.path if row else None,
            "as_expected": right,
            "message": words,
        }
        terminal.output.record(record)
    return all_right


def _table_line(case: Case, row: TaskRow | None, manifest: Manifest | None, mark: str) -> str:
    files = []
    for record in manifest.assets if manifest else ():
        verdict = record.duration if record.actual.width_px is None else record.dimensions
        files.append(f"{record.path} {verdict}")
    state = row.state.value if row else "unknown"
    words = ", ".join(files)
    if not words and row is not None and row.fault is not None:
        words = short(row.fault.message, 60)
    return f"{case.provider:<14} {state:<9} {mark:<4} {short(case.title, 56):<57} {words}"


def _manifest(session: Session, row: TaskRow | None) -> Manifest | None:
    if row is None or not row.path:
        return None
    return read_manifest(session.store, row.path)


def _main(manifest: Manifest | None) -> AssetRecord | None:
    records = manifest.assets if manifest else ()
    return next((record for record in records if not record.role.is_preview), None)


def _is_expected(case: Case, row: TaskRow, manifest: Manifest | None) -> bool:
    expected, main = case.expected, _main(manifest)
    if row.state is not expected.state or (main is None) != (expected.rendition is None):
        return False
    if main is None or manifest is None:
        return True
    refused = {refusal.rendition for refusal in manifest.refused}
    return (
        main.rendition == expected.rendition
        and main.watermarked == expected.watermarked
        and (expected.dimensions is None or main.dimensions is expected.dimensions)
        and {missing.role for missing in manifest.missing} == set(expected.missing)
        and set(expected.refused) <= refused
    )


def _words(row: TaskRow | None, manifest: Manifest | None) -> str:
    if row is None:
        return "not in the catalog"
    if row.state is not State.ARCHIVED or manifest is None:
        fault = f": {row.fault.message}" if row.fault else ""
        return f"{row.state}{short(fault)}"
    parts = []
    for record in manifest.assets:
        size = f"{record.actual.width_px}x{record.actual.height_px}"
        parts.append(
            f"{record.path} ({record.rendition}, {size} {record.dimensions},"
            f" {format_size(record.size_bytes)})"
        )
    words = "archived: " + ", ".join(parts)
    if manifest.missing:
        words += "; missing: " + ", ".join(manifest.missing_words)
    for refusal in manifest.refused:
        words += f"; not taken: {refusal.rendition} ({short(refusal.message, 120)})"
    return words


def _finish(
    terminal: Terminal, root: Path, result: Result, elapsed_s: float, *, as_expected: bool
) -> int:
    facts = {ExitCode.DONE if as_expected else ExitCode.BUG}
    if terminal.signal_code is not None:
        facts.add(terminal.signal_code)
    if result.failure is not None:
        facts.add(result.exit_code)
    code = exit_code(facts)
    shown = _shown(root)
    lines = [
        "",
        f"{summary_words(result.tally)} ({elapsed_words(elapsed_s)})",
        "every case came out as it must" if as_expected else "some cases came out wrong",
        f"look at it: ls -R {shown}; archiver verify --full -c {shown}/{CONFIG_NAME}",
    ]
    if result.failure is not None:
        terminal.output.complain(f"archiver: {short(result.failure.message, 2000)}")
    summary: JsonObject = {"command": "demo", "folder": str(root), **numbers_of(result.tally)}
    terminal.output.finish(lines, summary, exit_code=code)
    return int(code)


def _shown(root: Path) -> str:
    try:
        return str(root.relative_to(Path.cwd()))
    except ValueError:
        return str(root)
