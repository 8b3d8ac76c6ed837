"""What was compared with the store: checks of files and manifests, and the catalog rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from archiver.catalog.rows import TaskRow, encode_time
from archiver.catalog.tasks import UPSERT, Tasks
from archiver.model import Fault

MANIFEST_LOST = "manifest_lost"
"""Code of the fault of a task that was archived, and whose manifest is not there any more."""

AUDITED = f"state = 'archived' OR (state = 'retry' AND error_code = '{MANIFEST_LOST}')"
"""The tasks that `verify` looks at: a lost manifest stays damage until it is there again."""


class Audits(Tasks):
    """The part of the catalog that is held against the store; a base of `Catalog`."""

    def mark_verified(self, row: TaskRow, *, now: datetime, fault: Fault | None) -> None:
        """Write down that a task's files were compared with its manifest.

        Nothing changes if the row was changed meanwhile.

        Args:
            fault: What is wrong with them; `MANIFEST_LOST`: the task is not archived any more,
                and due.
        """
        lost = fault is not None and fault.code == MANIFEST_LOST
        moment = encode_time(now)
        with self._transaction() as db:
            db.execute(
                "UPDATE tasks SET verified_at = ?, error_code = ?, error_message = ?,"
                " state = iif(?, 'retry', state), next_attempt_at = iif(?, ?, next_attempt_at)"
                " WHERE source = ? AND task_id = ? AND updated_at IS ? AND state = 'archived'",
                (
                    moment,
                    fault.code if fault else None,
                    fault.message if fault else None,
                    lost,
                    lost,
                    moment,
                    row.ref.source,
                    row.ref.task_id,
                    encode_time(row.updated_at),
                ),
            )

    def compare_folders(self, listed: Iterable[tuple[str, int, int | None]]) -> Iterator[TaskRow]:
        """Yield the audited tasks that one listing of the store does not show as they must be.

        Args:
            listed: Folder, size of its assets in bytes, and that of its manifest, if it is there.
        """
        with self._temporary() as db:
            db.execute("DROP TABLE IF EXISTS temp.listed")
            db.execute(
                "CREATE TEMP TABLE listed (path TEXT PRIMARY KEY, bytes INTEGER,"
                " manifest_bytes INTEGER) WITHOUT ROWID"
            )
            db.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", listed)
        yield from self.rows(
            f"({AUDITED}) AND (state <> 'archived' OR NOT EXISTS"
            " (SELECT 1 FROM listed WHERE listed.path = tasks.path"
            " AND listed.bytes = tasks.stored_bytes AND listed.manifest_bytes"
            " = coalesce(tasks.manifest_bytes, listed.manifest_bytes)))"
        )

    def mark_all_verified(self, *, now: datetime) -> None:
        """Write down that one listing of the store found every archived task as it must be.

        Those with a known fault are left as they are.
        """
        with self._transaction() as db:
            db.execute(
                "UPDATE tasks SET verified_at = ? WHERE state = 'archived' AND error_code IS NULL",
                (encode_time(now),),
            )

    def rebuild(
        self, rows: Iterable[TaskRow], *, store_id: str, unreadable: Mapping[str, Fault]
    ) -> int:
        """Replace all archived and forgotten rows by those that the store holds, at once.

        Other rows stay, unless the store says otherwise of the same task.

        Args:
            unreadable: What is wrong with the manifests, by folder, that gave no row; complete once
                `rows` has ended. A task that was known to be there keeps its row, with this fault.

        Returns:
            The number of rows that came from the store.
        """
        number = 0
        with self._transaction() as db:
            db.execute("DROP TABLE IF EXISTS temp.verified")
            db.execute(
                "CREATE TEMP TABLE verified AS SELECT source, task_id, updated_at, verified_at"
                " FROM tasks WHERE verified_at IS NOT NULL"
            )
            db.execute("DROP TABLE IF EXISTS temp.rebuilt")
            db.execute(
                "CREATE TEMP TABLE rebuilt (source TEXT, task_id TEXT,"
                " PRIMARY KEY (source, task_id)) WITHOUT ROWID"
            )
            for row in rows:
                db.execute(UPSERT, row.values())
                key = (row.ref.source, row.ref.task_id)
                db.execute("INSERT OR IGNORE INTO rebuilt VALUES (?, ?)", key)
                number += 1
            kept = [(fault.code, fault.message, path) for path, fault in unreadable.items()]
            db.executemany(
                "UPDATE tasks SET error_code = ?, error_message = ? WHERE path = ? COLLATE NOCASE"
                " AND state = 'archived'",
                kept,
            )
            db.execute("DROP TABLE IF EXISTS temp.kept")
            db.execute("CREATE TEMP TABLE kept (path TEXT COLLATE NOCASE PRIMARY KEY)")
            db.executemany(
                "INSERT OR IGNORE INTO kept VALUES (?)", ((path,) for path in unreadable)
            )
            db.execute(
                "DELETE FROM tasks WHERE state IN ('archived', 'forgotten') AND NOT EXISTS"
                " (SELECT 1 FROM rebuilt WHERE rebuilt.source = tasks.source"
                " AND rebuilt.task_id = tasks.task_id)"
                " AND (state = 'forgotten' OR NOT EXISTS"
                " (SELECT 1 FROM kept WHERE kept.path = tasks.path))"
            )
            db.execute(
                "UPDATE tasks SET verified_at = old.verified_at FROM temp.verified AS old"
                " WHERE tasks.source = old.source AND tasks.task_id = old.task_id"
                " AND tasks.updated_at IS old.updated_at"
            )
            db.execute("INSERT OR REPLACE INTO meta VALUES ('store_id', ?)", (store_id,))
        return number
