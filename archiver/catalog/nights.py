"""What the nightly run asks of the catalog: what is due, what is new, how far inboxes were read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from archiver.catalog.asked import Asked
from archiver.catalog.rows import decode_time, encode_time
from archiver.model import State, TaskRef

_PAGE = 1000
_DAY_S = 86400.0
_LONGEST_SLACK = timedelta(minutes=30)
_EARLY = 100
"""A poll may come early by this part of the task's age: a nightly run starts some seconds earlier
or later than the one before, and must not find each task due only every other night."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxPlace:
    """How far an inbox was read.

    Attributes:
        offset_bytes: Where the first line begins that was not read to its end.
        lines: How many lines are before it.
        size_bytes, modified_ns: The file as it was then.
        digest: Of the beginning and of what is just before `offset_bytes`.
    """

    path: str
    device: int
    inode: int
    offset_bytes: int
    lines: int
    size_bytes: int
    modified_ns: int
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The archive in numbers."""

    states: Mapping[State, int]
    stored_bytes: int
    watermarked: int
    incomplete: int
    damaged: int
    oldest_waiting_at: datetime | None
    oldest_verified_at: datetime | None


class Nights(Asked):
    """The part of the catalog that the nightly run uses; mixed into `Catalog`."""

    # --- what is due -----------------------------------------------------------------------------

    def ask_due(
        self, sources: Collection[str], lifetimes: Mapping[str, float], *, now: datetime
    ) -> int:
        """Note the tasks of these sources that are due, most urgent first; return how many.

        Links of a finished task die some time after its creation: those that may still live go
        first, the ones that die next at their head. The others follow, the oldest first: nobody
        promises that links die so soon.

        Args:
            lifetimes: How long links live, in seconds, where that is known.
        """
        names = sorted(sources)
        marks = ", ".join("?" * len(names))
        moment = str(encode_time(now))
        latest = str(encode_time(now + _LONGEST_SLACK))
        cases = " ".join("WHEN ? THEN ?" for _ in names)
        cased = [item for name in names for item in (name, lifetimes.get(name, 0.0) / _DAY_S)]
        death = f"julianday(coalesce(created_at, first_seen_at)) + CASE source {cases} END"
        age = "julianday(?) - julianday(first_seen_at)"
        wait = "julianday(next_attempt_at) - julianday(?)"
        is_poll = (
            "(state = 'waiting' OR (state = 'retry' AND verdict_code IS NOT NULL)"
            " OR (state = 'archived' AND watermarked AND NOT incomplete))"
        )
        self.clear_asked()
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO asked (source, task_id) SELECT source, task_id FROM ("
                f"SELECT source, task_id, next_attempt_at, {death} AS death"
                " FROM tasks INDEXED BY tasks_due"
                f" WHERE next_attempt_at <= ? AND source IN ({marks}) AND state IN"
                " ('queued', 'waiting', 'retry', 'archived') AND (next_attempt_at <= ?"
                f" OR ({is_poll} AND {wait} <= ({age}) / {_EARLY})))"
                " ORDER BY coalesce(death, 0) <= julianday(?),"
                " death, next_attempt_at, source, task_id",
                (*cased, latest, *names, moment, moment, moment, moment),
            )
            return int(db.execute("SELECT count(*) FROM asked").fetchone()[0])

    # --- what is new -----------------------------------------------------------------------------

    def discover(self, found: Iterable[tuple[TaskRef, datetime | None]], *, now: datetime) -> int:
        """Queue tasks that are not known yet, with their date of creation; return how many."""
        moment = encode_time(now)
        with self._transaction() as db:
            before = db.total_changes
            db.executemany(
                "INSERT OR IGNORE INTO tasks (source, task_id, state, created_at, first_seen_at,"
                " next_attempt_at) VALUES (?, ?, 'queued', ?, ?, ?)",
                (
                    (ref.source, ref.task_id, encode_time(created_at), moment, moment)
                    for ref, created_at in found
                ),
            )
            return db.total_changes - before

    def inbox_place(self, path: str) -> InboxPlace | None:
        """Return how far an inbox was read."""
        found = self._read(
            "SELECT path, device, inode, offset_bytes, lines, size_bytes, modified_ns, head"
            " FROM inboxes WHERE path = ?",
            (path,),
        )
        if not found:
            return None
        row = found[0]
        return InboxPlace(
            path=row[0],
            device=row[1],
            inode=row[2],
            offset_bytes=row[3],
            lines=row[4],
            size_bytes=row[5],
            modified_ns=row[6],
            digest=bytes(row[7]),
        )

    def remember_inbox(self, place: InboxPlace) -> None:
        """Write down how far an inbox was read."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO inboxes (path, device, inode, offset_bytes, lines,"
                " size_bytes, modified_ns, head) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    place.path,
                    _signed(place.device),
                    _signed(place.inode),
                    place.offset_bytes,
                    place.lines,
                    place.size_bytes,
                    place.modified_ns,
                    place.digest,
                ),
            )

    # --- what is to be looked after --------------------------------------------------------------

    def to_check(self, sources: Collection[str], share: float) -> Iterator[TaskRef]:
        """Yield archived tasks to compare with their manifests: those known to be damaged, then a
        share of all, never and longest ago compared ones first.
        """
        names = sorted(sources)
        marks = ", ".join("?" * len(names))
        with self._transaction() as db:
            most = f"(SELECT count(*) FROM tasks WHERE state = 'archived' AND source IN ({marks}))"
            db.execute("DROP TABLE IF EXISTS temp.to_check")
            db.execute(
                "CREATE TEMP TABLE to_check (place INTEGER PRIMARY KEY,"
                " source TEXT, task_id TEXT, UNIQUE (source, task_id))"
            )
            db.execute(
                "INSERT INTO to_check (source, task_id) SELECT source, task_id FROM tasks"
                " INDEXED BY tasks_damaged"
                f" WHERE state = 'archived' AND error_code IS NOT NULL AND source IN ({marks})",
                names,
            )
            if share > 0:
                db.execute(
                    "INSERT OR IGNORE INTO to_check (source, task_id)"
                    " SELECT source, task_id FROM tasks INDEXED BY tasks_verified"
                    f" WHERE state = 'archived' AND source IN ({marks}) ORDER BY verified_at"
                    f" LIMIT (SELECT CAST({most} * ? + 0.999999 AS INTEGER))",
                    (*names, *names, share),
                )
        place = 0
        sql = (
            "SELECT place, source, task_id FROM to_check WHERE place > ?"
            f" ORDER BY place LIMIT {_PAGE}"
        )
        while page := self._read(sql, (place,)):
            for _, source, task_id in page:
                yield TaskRef(source=source, task_id=task_id)
            place = page[-1][0]

    def numbers(self) -> Numbers:
        """Return the archive in numbers."""
        states = dict.fromkeys(State, 0)
        stored_bytes = 0
        sql = "SELECT state, count(*), sum(stored_bytes) FROM tasks GROUP BY state"
        for state, number, size in self._read(sql):
            states[State(state)] = number
            stored_bytes += size if state == State.ARCHIVED else 0
        # The planner takes the index of states for these, and would read every row.
        count = "SELECT count(*) FROM tasks INDEXED BY {} WHERE state = 'archived' AND {}"
        waiting = "SELECT min(first_seen_at) FROM tasks WHERE state = 'waiting'"
        return Numbers(
            states=states,
            stored_bytes=stored_bytes,
            watermarked=self._one(count.format("tasks_marked", "watermarked")),
            incomplete=self._one(count.format("tasks_incomplete", "incomplete")),
            damaged=self._one(count.format("tasks_damaged", "error_code IS NOT NULL")),
            oldest_waiting_at=decode_time(self._one(waiting)),
            oldest_verified_at=self._oldest_check(),
        )

    def _oldest_check(self) -> datetime | None:
        found = self._read(
            "SELECT verified_at FROM tasks INDEXED BY tasks_verified WHERE state = 'archived'"
            " AND verified_at IS NOT NULL ORDER BY verified_at LIMIT 1"
        )
        return decode_time(found[0][0]) if found else None

    def never_checked(self) -> int:
        """Return how many archived tasks were never compared with their manifests."""
        return int(
            self._one(
                "SELECT count(*) FROM tasks INDEXED BY tasks_verified"
                " WHERE state = 'archived' AND verified_at IS NULL"
            )
        )

    def last_success(self, command: str) -> datetime | None:
        """Return when a run of this command last ended without anything wrong."""
        sql = (
            "SELECT finished_at FROM runs WHERE command = ? AND exit_code = 0"
            " ORDER BY id DESC LIMIT 1"
        )
        found = self._read(sql, (command,))
        return decode_time(found[0][0]) if found else None

    def _one(self, sql: str) -> Any:
        return self._read(sql)[0][0]


def _signed(number: int) -> int:
    """Return a number of 64 bits as SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number
