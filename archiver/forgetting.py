"""`forget`: never fetch these again, whatever happens to the catalog; and taking it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from archiver import layout
from archiver.catalog import TaskRow
from archiver.errors import DamageError
from archiver.manifest import Tombstone, read_manifest
from archiver.model import State, TaskRef
from archiver.reindex import forgotten_row, reindex, row_of
from archiver.session import Session


@dataclass(slots=True, kw_only=True)
class Forgotten:
    """How many tasks were forgotten, taken back, or left as they were."""

    forgotten: int = 0
    restored: int = 0
    unchanged: int = 0
    deleted_files: int = 0


def forget(
    session: Session, refs: Iterable[TaskRef], *, reason: str, delete: bool = False
) -> Forgotten:
    """Write a tombstone for each task; with `delete`, remove its files: manifest, then objects.

    The tombstone comes first: a killed command leaves a task that is forgotten, with files that
    the same command deletes when it is given again.
    """
    done, refs = Forgotten(), list(refs)
    with session.writing({ref.source for ref in refs}, adopt=reindex):
        for ref in refs:
            _forget(session, ref, reason, delete=delete, done=done)
    return done


def _forget(session: Session, ref: TaskRef, reason: str, *, delete: bool, done: Forgotten) -> None:
    now = session.clock.now()
    row = session.catalog.row(ref) or TaskRow(ref=ref, state=State.QUEUED, first_seen_at=now)
    if row.state is State.FORGOTTEN and not delete:
        done.unchanged += 1
        return
    done.forgotten += 1
    tombstone = Tombstone(ref=ref, reason=reason, forgotten_at=now, path=row.path, delete=delete)
    if session.dry_run:
        return
    session.store.put_document(layout.tombstone_key(ref), tombstone.to_bytes())
    if delete and row.path:
        done.deleted_files += _delete_files(session, row.path)
    session.catalog.put(forgotten_row(row, tombstone), what=f"forgotten: {reason}", at=now)


def _delete_files(session: Session, folder: str) -> int:
    """Delete a task's manifest and outputs; what else lies in its folder or below is not its own.

    They are told by their names: a killed command may have deleted the manifest already.
    """
    store, objects = session.store, []
    for entry in store.entries(folder):
        name = entry.key.removeprefix(f"{folder}/")
        if layout.is_asset_name(name):
            objects.append(entry.key)
    store.delete([f"{folder}/{layout.MANIFEST_NAME}"])
    store.delete(objects)
    session.store.clean(folder)
    return len(objects)


def restore(session: Session, refs: Iterable[TaskRef]) -> Forgotten:
    """Take `forget` back: archived again if the manifest is still there, else queued."""
    done, refs = Forgotten(), list(refs)
    with session.writing({ref.source for ref in refs}, adopt=reindex):
        for ref in refs:
            row = session.catalog.row(ref)
            if row is None or row.state is not State.FORGOTTEN:
                done.unchanged += 1
                continue
            done.restored += 1
            if not session.dry_run:
                restored = _restored(session, row)
                session.catalog.put(restored, what="forget taken back", at=session.clock.now())
                session.store.delete([layout.tombstone_key(ref)])
    return done


def _restored(session: Session, row: TaskRow) -> TaskRow:
    manifest = None
    if row.path:
        try:
            manifest = read_manifest(session.store, row.path)
        except DamageError:
            manifest = None
    if manifest is not None:
        return row_of(session, manifest, row.path or "")
    now = session.clock.now()
    return TaskRow(
        ref=row.ref,
        state=State.QUEUED,
        first_seen_at=row.first_seen_at,
        next_attempt_at=now,
        path=row.path,
    )
