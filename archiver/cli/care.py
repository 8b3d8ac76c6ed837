"""`verify`, `reindex`, `forget`: looking after what is archived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from archiver import layout
from archiver.app import Options, put_catalog_aside
from archiver.audit import Check, Verified, is_audited, verify
from archiver.catalog import DAMAGED
from archiver.cli.context import Terminal, parse_option
from archiver.cli.output import short
from archiver.cli.work import asked_refs
from archiver.config import Config, format_size, parse_share
from archiver.errors import CatalogError, StoreError, UsageError
from archiver.forgetting import Forgotten, forget, restore
from archiver.inputs import Naming, one_by_one
from archiver.model import JsonObject, TaskRef
from archiver.policy import ExitCode, exit_code
from archiver.reindex import reindex
from archiver.repair import Repairs
from archiver.session import STORE_ID, Session, read_identity


def verify_command(
    terminal: Terminal,
    tasks: Sequence[str],
    *,
    full: bool,
    decode: bool,
    share: str | None,
    repair: bool,
) -> int:
    """Compare what is stored with the manifests."""
    config = terminal.load()
    naming = Naming([source.name for source in config.sources], only=terminal.common.source)
    refs = [naming.ref(text) for text in tasks] or None
    check = Check(
        full=full or decode or (repair and refs is not None),
        decode=decode,
        share=parse_option("--share", share, parse_share) if share else 1.0,
        max_bytes=terminal.max_bytes(),
    )
    facts: set[ExitCode] = set()
    dry_run = terminal.common.dry_run
    options = Options(dry_run=dry_run, read_only=not repair and dry_run)
    with terminal.session(config, options) as session, ExitStack() as held:
        repairs = None
        if repair and not dry_run:
            names = {ref.source for ref in refs} if refs else set(terminal.sources(config))
            held.enter_context(session.writing(names, adopt=reindex))
            repairs = Repairs(session, session.open_sources(names))
        unknown = [ref for ref in refs or () if not _is_audited(session, ref)]
        for ref in unknown:
            terminal.output.complain(f"{short(str(ref), 120)}: not archived, nothing to verify")
            facts.add(ExitCode.PARTIAL)
        audit = verify(
            session,
            refs,
            check,
            repair=repairs,
            on_result=lambda verified, repaired: _show(terminal, verified, repaired=repaired),
        )
    if audit.open_damage:
        facts.add(ExitCode.DAMAGE)
    if repairs is not None and repairs.key_refused:
        facts.add(ExitCode.KEY_REFUSED)
    code = exit_code(facts)
    if terminal.signal_code is not None:
        code = terminal.signal_code
    words = f"{audit.checked} {'task' if audit.checked == 1 else 'tasks'} checked"
    if audit.checked_bytes:
        words += f" ({format_size(audit.checked_bytes)})"
    words += f", {audit.damaged} damaged" if audit.damaged else ", no damage"
    if audit.repaired:
        words += f", {audit.repaired} repaired"
    lines = [words]
    if audit.open_damage and not repair:
        lines.append("  `archiver verify --repair` fetches damaged files again")
    summary: JsonObject = {
        "command": "verify",
        "checked": audit.checked,
        "damaged": audit.damaged,
        "repaired": audit.repaired,
        "checked_bytes": audit.checked_bytes,
    }
    terminal.output.finish(lines, summary, exit_code=code)
    return int(code)


def _is_audited(session: Session, ref: TaskRef) -> bool:
    row = session.catalog.row(ref)
    return row is not None and is_audited(row)


def _show(terminal: Terminal, verified: Verified, *, repaired: bool) -> None:
    for damage in verified.damages:
        words = f"{damage.fault.code}: {damage.fault.message}"
        after = "; repaired" if repaired else ""
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


def reindex_command(terminal: Terminal) -> int:
    """Rebuild the catalog from the store."""
    config = terminal.load()
    try:
        return _reindex(terminal, config)
    except CatalogError as error:
        if error.code != DAMAGED or terminal.common.dry_run:
            raise
        aside = put_catalog_aside(config, now=terminal.clock.now())
        terminal.output.complain(f"archiver: {short(error.message, 400)}; it is now {aside.name}")
    return _reindex(terminal, config)


def _reindex(terminal: Terminal, config: Config) -> int:
    dry_run = terminal.common.dry_run
    with terminal.session(config, Options(dry_run=dry_run)) as session:
        names = [source.name for source in config.sources]
        if read_identity(session.store) is None and session.catalog.fact(STORE_ID) is None:
            raise StoreError(
                f"{session.store.label} is no archive: it has no {layout.STORE_KEY};"
                " is store.url right, is the disk mounted?"
            )
        with session.writing(names, adopt=lambda session: None):
            found = reindex(session)
    for key, fault in found.unreadable.items():
        terminal.output.line(f"{short(key)}: cannot be read ({fault.code}); left as it is")
    code = ExitCode.DAMAGE if found.unreadable else ExitCode.DONE
    words = "would find " if dry_run else ""
    words += f"{found.archived} archived and {found.forgotten} forgotten tasks"
    words += "" if dry_run else " found"
    if found.queued:
        words += f", {found.queued} taken from the store's queue"
    summary: JsonObject = {
        "command": "reindex",
        "archived": found.archived,
        "forgotten": found.forgotten,
        "queued": found.queued,
        "unreadable": len(found.unreadable),
    }
    terminal.output.finish([words], summary, exit_code=code)
    return int(code)


def forget_command(
    terminal: Terminal,
    tasks: Sequence[str],
    *,
    input_file: str | None,
    reason: str | None,
    delete: bool,
    undo: bool,
) -> int:
    """Never fetch these again, or take that back."""
    config = terminal.load()
    if not tasks and input_file is None:
        raise UsageError("name a task, or a file of tasks with -i FILE (- is standard input)")
    if not undo and not (reason or "").strip():
        raise UsageError("--reason TEXT is needed: whoever finds the tombstone will ask why")
    if undo and delete:
        raise UsageError("--undo and --delete exclude each other")
    naming = Naming([source.name for source in config.sources], only=terminal.common.source)
    refs: Iterable[TaskRef] = _unique(one_by_one(asked_refs(tasks, input_file, naming)))
    options = Options(dry_run=terminal.common.dry_run)
    with terminal.session(config, options) as session:
        if undo:
            done = restore(session, refs)
        else:
            done = forget(session, refs, reason=reason or "", delete=delete)
    terminal.output.finish(
        [_forgotten_words(done, undo=undo, dry_run=options.dry_run)],
        _forgotten_json(done),
        exit_code=0,
    )
    return 0


def _unique(refs: Iterator[TaskRef]) -> list[TaskRef]:
    return list(dict.fromkeys(refs))


def _forgotten_words(done: Forgotten, *, undo: bool, dry_run: bool) -> str:
    would = "would be: " if dry_run else ""
    if undo:
        return f"{would}{done.restored} taken back, {done.unchanged} were not forgotten"
    words = f"{would}{done.forgotten} forgotten, {done.unchanged} were already"
    return words + (f", {done.deleted_files} files deleted" if done.deleted_files else "")


def _forgotten_json(done: Forgotten) -> JsonObject:
    return {
        "command": "forget",
        "forgotten": done.forgotten,
        "restored": done.restored,
        "unchanged": done.unchanged,
        "deleted_files": done.deleted_files,
    }
