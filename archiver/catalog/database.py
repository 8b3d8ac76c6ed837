"""The SQLite file under the catalog: opening, migrating, transactions, error mapping.

Source: https://www.sqlite.org/wal.html (WAL with `synchronous=FULL`: durable at every commit).
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from archiver.errors import CatalogError, StoreFullError, system_error

BUSY_TIMEOUT_S = 30.0
CACHE_KIB = 32 << 10

DAMAGED = "catalog_damaged"
"""Code of the error when the file is no database any more."""

_DAMAGED = frozenset({"SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX"})
_LEAST_ROOM_BYTES = 128 << 10
_UNSAID = ("SQLITE_IOERR", "SQLITE_CANTOPEN")
"""Errors that do not tell a full disk from a broken one: making the shared index, for one."""

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE tasks (
        source TEXT NOT NULL, task_id TEXT NOT NULL, state TEXT NOT NULL,
        provider_task_id TEXT, path TEXT, prompt TEXT, created_at TEXT,
        archived_at TEXT, updated_at TEXT,
        watermarked INTEGER NOT NULL DEFAULT 0, incomplete INTEGER NOT NULL DEFAULT 0,
        stored_bytes INTEGER NOT NULL DEFAULT 0,
        first_seen_at TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at TEXT,
        error_code TEXT, error_message TEXT,
        verdict_code TEXT, verdict_at TEXT, verified_at TEXT,
        PRIMARY KEY (source, task_id)
    ) WITHOUT ROWID;
    CREATE INDEX tasks_state ON tasks (state, stored_bytes);
    CREATE INDEX tasks_due ON tasks (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
    CREATE INDEX tasks_verified ON tasks (verified_at) WHERE state = 'archived';
    CREATE INDEX tasks_path ON tasks (path COLLATE NOCASE) WHERE path IS NOT NULL;
    CREATE TABLE journal (
        source TEXT NOT NULL, task_id TEXT NOT NULL, path TEXT NOT NULL, draft BLOB NOT NULL,
        PRIMARY KEY (source, task_id)
    ) WITHOUT ROWID;
    CREATE TABLE in_flight (
        source TEXT NOT NULL, task_id TEXT NOT NULL, deaths INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (source, task_id)
    ) WITHOUT ROWID;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, command TEXT NOT NULL, started_at TEXT NOT NULL,
        finished_at TEXT, exit_code INTEGER, summary TEXT
    );
    CREATE TABLE history (
        source TEXT NOT NULL, task_id TEXT NOT NULL, at TEXT NOT NULL, what TEXT NOT NULL
    );
    CREATE INDEX history_task ON history (source, task_id);
    CREATE TABLE inboxes (
        path TEXT PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL,
        offset_bytes INTEGER NOT NULL, head BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE memory (
        source TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (source, key)
    ) WITHOUT ROWID;
    """,
    """
    CREATE INDEX tasks_open ON tasks (source, task_id) WHERE state NOT IN ('archived', 'forgotten');
    CREATE INDEX tasks_marked ON tasks (source) WHERE state = 'archived' AND watermarked;
    CREATE INDEX tasks_incomplete ON tasks (source) WHERE state = 'archived' AND incomplete;
    CREATE INDEX tasks_damaged ON tasks (source)
        WHERE state = 'archived' AND error_code IS NOT NULL;
    ALTER TABLE inboxes ADD COLUMN lines INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE inboxes ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE inboxes ADD COLUMN modified_ns INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE tasks ADD COLUMN manifest_bytes INTEGER;
    """,
)


class Database:
    """One SQLite file; safe for several threads.

    Args:
        path: The file, made when missing; `None`: in memory, for a dry run.
        read_only: For commands that only read; the file must exist.
        untouched: Not even to bring a file of an older version up to date: it is done in memory.
    """

    def __init__(
        self, path: Path | None, *, read_only: bool = False, untouched: bool = False
    ) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._synced = True
        with self._errors():
            self._db = self._connect(path, read_only=read_only)
            try:
                self._prepare(read_only=read_only, untouched=untouched)
            except BaseException:
                self._db.close()
                raise

    @staticmethod
    def _connect(path: Path | None, *, read_only: bool) -> sqlite3.Connection:
        if path is None:
            name, uri = ":memory:", False
        elif read_only:
            # Without a log beside it nobody writes to the file: read it without making one.
            has_log = path.with_name(path.name + "-wal").exists()
            mode = "mode=ro" if has_log else "mode=ro&immutable=1"
            name, uri = f"{path.absolute().as_uri()}?{mode}", True
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            name, uri = str(path), False
        return sqlite3.connect(
            name, uri=uri, timeout=BUSY_TIMEOUT_S, check_same_thread=False, isolation_level=None
        )

    def _prepare(self, *, read_only: bool, untouched: bool) -> None:
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise CatalogError(
                f"{self._path} was written by a newer archiver (format {version});"
                " update archiver, or move the file away and run `archiver reindex`"
            )
        if read_only and version == len(MIGRATIONS):
            return
        if read_only and not untouched:
            self._db.close()
            Database(self._path).close()
            self._db = self._connect(self._path, read_only=True)
            return
        if read_only:
            copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
            self._db.backup(copy)
            self._db.close()
            self._db = copy
        else:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA temp_store=FILE")
            # Of each file so much is kept in memory; SQLite's own 2 MB make random looks slow.
            self._db.execute(f"PRAGMA main.cache_size=-{CACHE_KIB}")
            self._db.execute(f"PRAGMA temp.cache_size=-{CACHE_KIB}")
        for number in range(version, len(MIGRATIONS)):
            with self._transaction():
                for statement in MIGRATIONS[number].split(";"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={number + 1}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            where = self._path or "the catalog"
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith("SQLITE_FULL") or (name.startswith(_UNSAID) and self._is_full()):
                raise StoreFullError(
                    f"no room for {where}: {error}; what is archived is safe:"
                    " free some space and run again"
                ) from error
            if getattr(error, "sqlite_errorname", "") in _DAMAGED:
                raise CatalogError(
                    f"{where} is damaged: {error}; the archive is not touched by this:"
                    " `archiver reindex` puts it aside and builds a new one from the store",
                    code=DAMAGED,
                ) from error
            raise CatalogError(
                f"{where} cannot be used: {error}; the archive is not touched by this."
                " If the file is damaged, move it away and run `archiver reindex`"
            ) from error
        except OSError as error:
            raise system_error(error, f"{self._path} cannot be used") from error

    def _is_full(self) -> bool:
        if self._path is None:
            return False
        try:
            return shutil.disk_usage(self._path.parent).free < _LEAST_ROOM_BYTES
        except OSError:
            return False

    @contextmanager
    def _transaction(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """Make one change, whole or not at all.

        Args:
            synced: Durable when this returns. Else the machine's end can take it back, up to the
                next synced change (never a killed process: the system holds it): for what the store
                tells as well, and for what only matters once a later, synced change is there.
        """
        with self._lock, self._errors():
            if self._db.in_transaction:
                yield self._db
                return
            if synced is not self._synced:
                self._db.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
                self._synced = synced
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # An I/O fault may have ended the transaction already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _temporary(self) -> Iterator[sqlite3.Connection]:
        """Work on temporary tables only: the file itself may be open for reading."""
        with self._lock, self._errors():
            self._db.execute("BEGIN")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._errors():
            return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock, self._errors():
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
