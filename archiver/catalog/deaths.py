"""In how many runs that died a task was in flight."""

from __future__ import annotations

from collections.abc import Iterable

from archiver.catalog.database import Database
from archiver.model import TaskRef


class Deaths(Database):
    """The part of the catalog that remembers what may crash a decoder; mixed into `Catalog`."""

    def note_deaths(self, refs: Iterable[TaskRef]) -> None:
        """Count one more death for each of these tasks."""
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO in_flight (source, task_id, deaths) VALUES (?, ?, 1)"
                " ON CONFLICT (source, task_id) DO UPDATE SET deaths = deaths + 1",
                ((ref.source, ref.task_id) for ref in refs),
            )

    def deaths(self) -> dict[TaskRef, int]:
        """Return the tasks that were in flight in runs that died, each with their number."""
        found = self._read("SELECT source, task_id, deaths FROM in_flight")
        return {TaskRef(source=row[0], task_id=row[1]): row[2] for row in found}

    def clear_deaths(self, ref: TaskRef) -> None:
        """Forget them: the task was gone through, and the process lives."""
        with self._transaction() as db:
            sql = "DELETE FROM in_flight WHERE source = ? AND task_id = ?"
            db.execute(sql, (ref.source, ref.task_id))
