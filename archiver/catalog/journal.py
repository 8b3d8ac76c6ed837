"""The journal: what a run is about to name, so that a later one can finish it; synced in groups."""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path

from archiver.catalog.database import Database
from archiver.catalog.rows import JournalEntry
from archiver.model import TaskRef


class _Waiting:
    """An entry on its way, and what became of it."""

    __slots__ = ("entry", "failure", "is_done")

    def __init__(self, entry: JournalEntry) -> None:
        self.entry = entry
        self.is_done = False
        self.failure: BaseException | None = None


class Journal(Database):
    """The journal's part of the catalog; mixed into `Catalog`."""

    def __init__(
        self, path: Path | None, *, read_only: bool = False, untouched: bool = False
    ) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._journalled: set[TaskRef] | None = None
        super().__init__(path, read_only=read_only, untouched=untouched)

    def write_journal(self, entry: JournalEntry) -> None:
        """Write down what is about to get its final name; durable when this returns.

        One sync serves all workers that came while the one before was under way: whoever gets the
        lock first then writes the entries of all.
        """
        waiting = _Waiting(entry)
        self._waiting.append(waiting)
        with self._lock:
            if not waiting.is_done:
                self._write_waiting()
        if waiting.failure is not None:
            raise waiting.failure

    def _write_waiting(self) -> None:
        batch: list[_Waiting] = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        entries = [waiting.entry for waiting in batch]
        failure: BaseException | None = None
        if self._journalled is not None:
            self._journalled.update(entry.ref for entry in entries)
        try:
            with self._transaction() as db:
                db.executemany(
                    "INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?)",
                    [(e.ref.source, e.ref.task_id, e.path, e.draft) for e in entries],
                )
        except BaseException as error:  # noqa: BLE001  (raised by each of those who wait)
            failure = error
        for waiting in batch:
            waiting.failure, waiting.is_done = failure, True

    def journal(self, ref: TaskRef | None = None) -> list[JournalEntry]:
        """Return one task's entry, or all."""
        sql = "SELECT source, task_id, path, draft FROM journal"
        if ref is None:
            found = self._read(sql)
        elif ref not in self._with_entries():
            return []
        else:
            found = self._read(f"{sql} WHERE source = ? AND task_id = ?", (ref.source, ref.task_id))
        return [
            JournalEntry(ref=TaskRef(source=row[0], task_id=row[1]), path=row[2], draft=row[3])
            for row in found
        ]

    def _with_entries(self) -> set[TaskRef]:
        """Return every task that has or had an entry: read once, since nobody else writes any.

        The locks of the sources see to that; almost no task has one.
        """
        if self._journalled is None:
            # Under the lock of whoever writes: what is on its way is in the file or adds itself.
            with self._lock:
                found = self._read("SELECT source, task_id FROM journal")
                self._journalled = {TaskRef(source=row[0], task_id=row[1]) for row in found}
        return self._journalled

    def drop_journal(self, ref: TaskRef) -> None:
        """Forget a task's entry: nothing of it is there any more."""
        with self._transaction() as db:
            self._drop_entry(db, ref)

    def _drop_entry(self, db: sqlite3.Connection, ref: TaskRef) -> None:
        sql = "DELETE FROM journal WHERE source = ? AND task_id = ?"
        db.execute(sql, (ref.source, ref.task_id))
        if self._journalled is not None:
            self._journalled.discard(ref)
