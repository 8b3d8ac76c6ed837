"""The rows of the catalog: read one or all, write one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from archiver.catalog.journal import Journal
from archiver.catalog.rows import COLUMNS, MARKS, TaskRow, encode_time
from archiver.model import State, TaskRef

PAGE = 1000
"""Rows read at once."""

UPSERT = (
    f"INSERT INTO tasks ({COLUMNS}) VALUES ({MARKS}) ON CONFLICT (source, task_id) DO UPDATE SET "
    + ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in COLUMNS.split(",")[2:])
)


class Tasks(Journal):
    """The part of the catalog that holds the rows; a base of `Catalog`."""

    def row(self, ref: TaskRef) -> TaskRow | None:
        """Return one task's row."""
        sql = f"SELECT {COLUMNS} FROM tasks WHERE source = ? AND task_id = ?"
        found = self._read(sql, (ref.source, ref.task_id))
        return TaskRow.read(found[0]) if found else None

    def rows(
        self, condition: str = "1", values: Sequence[str] = (), *, order: str = ""
    ) -> Iterator[TaskRow]:
        """Yield rows page by page; a row changed meanwhile is given in the one or the other form.

        Args:
            condition: SQL of this program's own; what users gave goes into `values`.
            order: A column to sort by first; without it, by source and id.
        """
        key = f"coalesce({order}, ''), source, task_id" if order else "source, task_id"
        start = ("",) * (3 if order else 2)
        marks = ", ".join("?" * len(start))
        sql = (
            f"SELECT {COLUMNS}, {key} FROM tasks"
            f" WHERE ({condition}) AND ({key}) > ({marks}) ORDER BY {key} LIMIT {PAGE}"
        )
        after: tuple[str, ...] = start
        while page := self._read(sql, (*values, *after)):
            for found in page:
                yield TaskRow.read(found)
            after = tuple(page[-1][-len(start) :])

    def put(self, row: TaskRow, *, what: str = "", at: datetime | None = None) -> None:
        """Write one row whole; its journal entry goes when it is archived.

        Args:
            what: A line for the task's history, if this is worth one.
            at: When.
        """
        self.put_all([(row, what)], at=at)

    def put_all(self, changes: Sequence[tuple[TaskRow, str]], *, at: datetime | None) -> None:
        """Write several rows as `put` writes one, all or none of them."""
        # An archived task is in the store, and in the journal until this row is durable.
        synced = any(row.state is not State.ARCHIVED or row.fault for row, _ in changes)
        with self._transaction(synced=synced) as db:
            for row, what in changes:
                db.execute(UPSERT, row.values())
                if row.state in (State.ARCHIVED, State.FORGOTTEN):
                    self._drop_entry(db, row.ref)
                if what:
                    values = (row.ref.source, row.ref.task_id, encode_time(at), what)
                    db.execute("INSERT INTO history VALUES (?, ?, ?, ?)", values)
