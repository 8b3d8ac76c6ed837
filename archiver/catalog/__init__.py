"""The catalog: what archiver knows of every task, in one SQLite file.

It is an index, not the truth: `archived` and `forgotten` rows can be rebuilt from the store alone.
It also holds the journal, which lets a later run finish what a killed one began, and the log of
runs. One connection behind a lock serves all threads; every change is one transaction, durable
where nothing else tells the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from archiver.catalog.audits import AUDITED, MANIFEST_LOST, Audits
from archiver.catalog.database import DAMAGED
from archiver.catalog.deaths import Deaths
from archiver.catalog.nights import InboxPlace, Nights, Numbers
from archiver.catalog.rows import (
    JournalEntry,
    RunRow,
    TaskRow,
    decode_time,
    encode_time,
)
from archiver.catalog.tasks import PAGE
from archiver.model import State, TaskRef

__all__ = [
    "AUDITED",
    "DAMAGED",
    "MANIFEST_LOST",
    "Catalog",
    "InboxPlace",
    "JournalEntry",
    "Numbers",
    "RunRow",
    "TaskRow",
    "decode_time",
    "encode_time",
]


class Catalog(Audits, Nights, Deaths):
    """What is known of every task; see the module's text."""

    # --- facts about the whole -------------------------------------------------------------------

    def fact(self, key: str) -> str | None:
        """Return one remembered fact (`store_id`, …)."""
        found = self._read("SELECT value FROM meta WHERE key = ?", (key,))
        return found[0][0] if found else None

    def remember_fact(self, key: str, value: str) -> None:
        """Remember one fact for good."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def recall(self, source: str, key: str) -> str | None:
        """Return what a provider asked to be remembered about one of its tasks or pages."""
        sql = "SELECT value FROM memory WHERE source = ? AND key = ?"
        found = self._read(sql, (source, key))
        return found[0][0] if found else None

    def memorise(self, source: str, key: str, value: str) -> None:
        """Remember something for a provider."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (source, key, value))

    def counts(self) -> dict[State, int]:
        """Return how many tasks there are in each state."""
        found = dict(self._read("SELECT state, count(*) FROM tasks GROUP BY state"))
        return {state: found.get(state.value, 0) for state in State}

    def stored_bytes(self) -> int:
        """Return the size of all archived assets."""
        sql = "SELECT coalesce(sum(stored_bytes), 0) FROM tasks WHERE state = 'archived'"
        return int(self._read(sql)[0][0])

    def number(self, condition: str, values: Sequence[str] = ()) -> int:
        """Count rows by a condition of this program's own (never of a user's)."""
        return int(self._read(f"SELECT count(*) FROM tasks WHERE {condition}", values)[0][0])

    def oldest(self, column: str, condition: str) -> datetime | None:
        """Return the smallest time in a column among the rows that meet a condition of ours."""
        return decode_time(self._read(f"SELECT min({column}) FROM tasks WHERE {condition}")[0][0])

    # --- rows ------------------------------------------------------------------------------------

    def add(self, refs: Iterable[TaskRef], *, now: datetime) -> int:
        """Queue tasks that are not known yet; return how many were new."""
        before = self._db.total_changes
        with self._transaction() as db:
            moment = encode_time(now)
            db.executemany(
                "INSERT OR IGNORE INTO tasks (source, task_id, state, first_seen_at,"
                " next_attempt_at) VALUES (?, ?, 'queued', ?, ?)",
                ((ref.source, ref.task_id, moment, moment) for ref in refs),
            )
            return self._db.total_changes - before

    def claim_folder(self, ref: TaskRef, choose: Callable[[Callable[[str], bool]], str]) -> str:
        """Return the task's folder; choose and fix it if it has none yet.

        Args:
            choose: Gets a test of "is this folder taken, case aside, by another task".
        """
        # Durable with the journal's entry, before which the folder holds nothing that counts.
        with self._transaction(synced=False) as db:
            key = (ref.source, ref.task_id)
            sql = "SELECT path FROM tasks WHERE source = ? AND task_id = ?"
            found = db.execute(sql, key).fetchone()
            if found and found[0]:
                return str(found[0])

            def taken(folder: str) -> bool:
                sql = "SELECT 1 FROM tasks WHERE path = ? COLLATE NOCASE"
                return db.execute(sql, (folder,)).fetchone() is not None

            folder = choose(taken)
            db.execute("UPDATE tasks SET path = ? WHERE source = ? AND task_id = ?", (folder, *key))
            return folder

    def history(self, ref: TaskRef) -> list[tuple[datetime, str]]:
        """Return what happened to a task, oldest first."""
        sql = "SELECT at, what FROM history WHERE source = ? AND task_id = ? ORDER BY rowid"
        found = self._read(sql, (ref.source, ref.task_id))
        return [(datetime.fromisoformat(at), what) for at, what in found]

    def queue_text(self) -> Iterator[bytes]:
        """Yield the tasks that are neither archived nor forgotten, as JSON Lines, in chunks."""
        sql = (
            "SELECT source, task_id, json_object('source', source, 'task_id', task_id, 'state',"
            " state, 'first_seen_at', first_seen_at, 'next_attempt_at', next_attempt_at,"
            " 'attempts', attempts, 'path', path, 'prompt', prompt, 'created_at', created_at,"
            " 'provider_task_id', provider_task_id, 'error_code', error_code, 'error_message',"
            " error_message, 'verdict_code', verdict_code, 'verdict_at', verdict_at)"
            " FROM tasks INDEXED BY tasks_open"
            " WHERE state NOT IN ('archived', 'forgotten') AND (source, task_id) > (?, ?)"
            f" ORDER BY source, task_id LIMIT {PAGE}"
        )
        after = ("", "")
        while page := self._read(sql, after):
            yield "".join(f"{line}\n" for _, _, line in page).encode("utf-8", "replace")
            after = (page[-1][0], page[-1][1])

    # --- the log of runs -------------------------------------------------------------------------

    def begin_run(self, command: str, *, now: datetime) -> int:
        """Write down that a run began; return its number."""
        with self._transaction() as db:
            sql = "INSERT INTO runs (command, started_at) VALUES (?, ?)"
            number = db.execute(sql, (command, encode_time(now))).lastrowid
        return int(number or 0)

    def end_run(
        self, number: int, *, now: datetime, exit_code: int, summary: Mapping[str, Any]
    ) -> None:
        """Write down how it ended."""
        with self._transaction() as db:
            db.execute(
                "UPDATE runs SET finished_at = ?, exit_code = ?, summary = ? WHERE id = ?",
                (encode_time(now), exit_code, json.dumps(summary), number),
            )

    def runs(self, *, most: int = 20) -> list[RunRow]:
        """Return the last runs, newest first."""
        sql = (
            "SELECT id, command, started_at, finished_at, exit_code, summary FROM runs"
            " ORDER BY id DESC LIMIT ?"
        )
        return [
            RunRow(
                id=row[0],
                command=row[1],
                started_at=datetime.fromisoformat(row[2]),
                finished_at=decode_time(row[3]),
                exit_code=row[4],
                summary=json.loads(row[5] or "{}"),
            )
            for row in self._read(sql, (str(most),))
        ]
