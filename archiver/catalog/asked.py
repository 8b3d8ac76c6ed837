"""The tasks that a command was asked for: a temporary table, so that their number costs no memory.

Its index begins with the id: names of sources are equal nearly always, and comparing them first
makes sorting a million ids half as slow again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime

from archiver.catalog.rows import encode_time
from archiver.catalog.tasks import PAGE, Tasks
from archiver.model import State, TaskRef, TaskRefs

_CREATE = (
    "CREATE TEMP TABLE IF NOT EXISTS asked (place INTEGER PRIMARY KEY, source TEXT, task_id TEXT)"
)
_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS temp.asked_key ON asked (task_id, source)"
_KNOWN = "tasks.source = asked.source AND tasks.task_id = asked.task_id"


class Asked(Tasks):
    """The part of the catalog that knows what a command was asked for; a base of `Catalog`."""

    def ask(self, refs: Iterable[TaskRef | TaskRefs]) -> int:
        """Note which tasks this process was asked for, each once; return how many there are."""
        with self._temporary() as db:
            db.execute(_CREATE)
            for group in _grouped(refs):
                _note(db, group)
            # Sorted at the end: a million ids in any order are slow to put in place one by one.
            try:
                db.execute(_INDEX)
            except sqlite3.IntegrityError:
                db.execute(
                    "DELETE FROM asked WHERE place NOT IN"
                    " (SELECT min(place) FROM asked GROUP BY source, task_id)"
                )
                db.execute(_INDEX)
            return int(db.execute("SELECT count(*) FROM asked").fetchone()[0])

    def clear_asked(self) -> None:
        """Forget what this process was asked for."""
        with self._lock, self._errors():
            self._db.execute("DROP TABLE IF EXISTS temp.asked")
            self._db.execute(_CREATE)
            self._db.execute(_INDEX)

    def unask(self, refs: Iterable[TaskRef]) -> int:
        """Take tasks out of those that this process was asked for; return how many are left."""
        with self._lock, self._errors():
            self._db.executemany(
                "DELETE FROM asked WHERE source = ? AND task_id = ?",
                [(ref.source, ref.task_id) for ref in refs],
            )
            return int(self._db.execute("SELECT count(*) FROM asked").fetchone()[0])

    def queue_asked(self, *, now: datetime) -> None:
        """Queue the asked tasks that are not known yet."""
        moment = encode_time(now)
        with self._transaction() as db:
            db.execute(
                # In the order of the index: both tables are read once, from end to end.
                "INSERT INTO tasks (source, task_id, state, first_seen_at, next_attempt_at)"
                " SELECT source, task_id, 'queued', ?, ? FROM asked WHERE NOT EXISTS"
                f" (SELECT 1 FROM tasks WHERE {_KNOWN}) ORDER BY task_id, source",
                (moment, moment),
            )

    def asked_counts(self) -> dict[State, int]:
        """Return the states of the asked tasks that are known, with their numbers."""
        # `CROSS JOIN` fixes the order of the tables: the asked ones sorted, beside them the known.
        sql = (
            "SELECT state, count(*) FROM"
            f" (SELECT state FROM asked CROSS JOIN tasks ON {_KNOWN}"
            " ORDER BY asked.task_id, asked.source) GROUP BY state"
        )
        return {State(state): number for state, number in self._read(sql)}

    def asked_sources(self) -> list[str]:
        """Return the sources of the asked tasks."""
        return [row[0] for row in self._read("SELECT DISTINCT source FROM asked")]

    def asked(self, *, skip: Iterable[State] = ()) -> Iterator[TaskRef]:
        """Yield the asked tasks in the order of asking, those in some states left out."""
        states = [state.value for state in skip]
        marks = ", ".join("?" * len(states))
        skipped = f"(SELECT 1 FROM tasks WHERE {_KNOWN} AND state IN ({marks}))"
        # First all at once in the order of the key, which is quick: mostly, few of many are left.
        with self._temporary() as db:
            db.execute("CREATE TEMP TABLE IF NOT EXISTS left_of_asked (place INTEGER PRIMARY KEY)")
            db.execute("DELETE FROM left_of_asked")
            db.execute(
                "INSERT INTO left_of_asked SELECT place FROM asked"
                f" WHERE NOT EXISTS {skipped} ORDER BY task_id, source",
                states,
            )
        sql = (
            "SELECT place, source, task_id FROM left_of_asked JOIN asked USING (place)"
            f" WHERE place > ? AND NOT EXISTS {skipped} ORDER BY place LIMIT {PAGE}"
        )
        place = 0
        while page := self._read(sql, (place, *states)):
            for _, source, task_id in page:
                yield TaskRef(source=source, task_id=task_id)
            place = page[-1][0]


def _grouped(refs: Iterable[TaskRef | TaskRefs]) -> Iterator[TaskRefs]:
    """Put tasks of one source that follow each other together, a page at a time."""
    source, ids = "", list[str]()
    for ref in refs:
        if ids and (ref.source != source or len(ids) >= PAGE or isinstance(ref, TaskRefs)):
            yield TaskRefs(source=source, task_ids=ids)
            ids = []
        if isinstance(ref, TaskRefs):
            yield ref
        else:
            source = ref.source
            ids.append(ref.task_id)
    if ids:
        yield TaskRefs(source=source, task_ids=ids)


def _note(db: sqlite3.Connection, group: TaskRefs) -> None:
    if any("\0" in task_id for task_id in group.task_ids):
        # SQLite ends a text of JSON at a zero.
        values = [(group.source, task_id) for task_id in group.task_ids]
        db.executemany("INSERT OR IGNORE INTO asked (source, task_id) VALUES (?, ?)", values)
        return
    db.execute(
        "INSERT OR IGNORE INTO asked (source, task_id) SELECT ?, value FROM json_each(?)",
        (group.source, json.dumps(group.task_ids)),
    )
