"""`reindex`: the catalog rebuilt from the store alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime

from archiver import layout
from archiver.bookkeeping import settle
from archiver.catalog import TaskRow
from archiver.errors import DamageError
from archiver.manifest import Manifest, Tombstone, read_manifest
from archiver.model import Fault, JsonValue, State, TaskRef
from archiver.session import Session, read_identity
from archiver.verdicts import archived, fault_of

READERS = 16


@dataclass(slots=True, kw_only=True)
class Reindexed:
    """What `reindex` found."""

    archived: int = 0
    forgotten: int = 0
    queued: int = 0
    unreadable: dict[str, Fault] = field(default_factory=dict)


def reindex(session: Session) -> Reindexed:
    """Rebuild the catalog's archived and forgotten rows from the store.

    Other rows come from the old catalog if there are any, else from the store's queue.

    Raises:
        StoreError: The store has no identity, or another than the catalog knows.
    """
    session.check_identity()
    identity = read_identity(session.store)
    if identity is None:
        raise DamageError(f"{session.store.label} is no archive: {layout.STORE_KEY} is not there")
    found = Reindexed()
    was_empty = not any(session.catalog.counts().values())
    broken: dict[str, Fault] = {}
    rows = _rows(session, found, broken)
    if session.dry_run:
        for _ in rows:
            pass
        return found
    session.catalog.rebuild(rows, store_id=identity.id, unreadable=broken)
    if was_empty:
        found.queued = _requeue(session)
    return found


def _tombstones(session: Session, found: Reindexed) -> Iterator[tuple[str, Tombstone]]:
    for entry in session.store.entries(layout.FORGOTTEN_PREFIX.rstrip("/")):
        try:
            tombstone = Tombstone.parse(session.store.read_document(entry.key) or b"")
        except DamageError as error:
            found.unreadable[entry.key] = fault_of(error)
        else:
            yield entry.key, tombstone


def _rows(session: Session, found: Reindexed, broken: dict[str, Fault]) -> Iterator[TaskRow]:
    """Yield a row for each tombstone and each manifest; the later one of a task counts."""
    keys: dict[TaskRef, str] = {}  # no more than that of each: there may be very many
    for key, tombstone in _tombstones(session, found):
        keys[tombstone.ref] = key
        found.forgotten += 1
        row = TaskRow(
            ref=tombstone.ref, state=State.FORGOTTEN, first_seen_at=tombstone.forgotten_at
        )
        yield forgotten_row(row, tombstone)
    for folder, manifest in _manifests(session):
        if isinstance(manifest, DamageError):
            fault = fault_of(manifest)
            found.unreadable[f"{folder}/{layout.MANIFEST_NAME}"] = broken[folder] = fault
            continue
        row = row_of(session, manifest, folder)
        if row.ref in keys:
            data = session.store.read_document(keys[row.ref])
            yield forgotten_row(row, Tombstone.parse(data or b""))
        else:
            found.archived += 1
            yield row


def _manifests(session: Session) -> Iterator[tuple[str, Manifest | DamageError]]:
    folders = (
        entry.key.rpartition("/")[0]
        for entry in session.store.entries()
        if entry.key.endswith(f"/{layout.MANIFEST_NAME}")
        and not entry.key.startswith(f"{layout.STORE_FOLDER}/")
    )

    def read(folder: str) -> tuple[str, Manifest | DamageError]:
        try:
            return folder, read_manifest(session.store, folder) or DamageError("it is gone")
        except DamageError as error:
            return folder, error

    if session.store.is_local:
        yield from map(read, folders)
        return
    with ThreadPoolExecutor(READERS) as readers:
        batch: list[str] = []
        for folder in folders:
            batch.append(folder)
            if len(batch) == READERS * 8:
                yield from readers.map(read, batch)
                batch = []
        yield from readers.map(read, batch)


def row_of(session: Session, manifest: Manifest, folder: str) -> TaskRow:
    """Return the catalog's row of an archived task, from its manifest alone."""
    row = TaskRow(
        ref=manifest.ref, state=State.ARCHIVED, first_seen_at=manifest.archived_at, path=folder
    )
    outcome = archived(row, manifest, changed="", path=folder)
    settled, _ = settle(row, outcome, now=session.clock.now(), rules=session.rules)
    return replace(settled, attempts=0)


def forgotten_row(row: TaskRow, tombstone: Tombstone) -> TaskRow:
    """Return a row as `forget` leaves it."""
    return replace(
        row,
        state=State.FORGOTTEN,
        path=row.path or tombstone.path,
        stored_bytes=0 if tombstone.delete else row.stored_bytes,
        next_attempt_at=None,
        fault=Fault(code="forgotten", message=tombstone.reason),
        verdict_code=None,
        verdict_at=None,
    )


def _requeue(session: Session) -> int:
    """Take up the queue that the last run with work left wrote into the store."""
    data = session.store.read_document(layout.PENDING_KEY, max_bytes=1 << 30)
    number = 0
    for line in (data or b"").splitlines():
        row = _queued_row(line)
        if row is not None and session.catalog.row(row.ref) is None:
            session.catalog.put(row)
            number += 1
    return number


def _queued_row(line: bytes) -> TaskRow | None:
    try:
        value: dict[str, JsonValue] = json.loads(line)
        code, message = _text(value.get("error_code")), _text(value.get("error_message"))
        fault = Fault(code=code, message=message or "") if code else None
        return TaskRow(
            ref=TaskRef(source=str(value["source"]), task_id=str(value["task_id"])),
            state=State(str(value["state"])),
            first_seen_at=_time(value["first_seen_at"]) or datetime.min,  # noqa: DTZ901
            next_attempt_at=_time(value.get("next_attempt_at")),
            path=_text(value.get("path")),
            prompt=_text(value.get("prompt")),
            created_at=_time(value.get("created_at")),
            provider_task_id=_text(value.get("provider_task_id")),
            fault=fault,
            verdict_code=_text(value.get("verdict_code")),
            verdict_at=_time(value.get("verdict_at")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: JsonValue) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
