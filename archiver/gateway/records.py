"""What was asked, and what was answered: the gateway's memory for tests and for the demo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from threading import Lock

from archiver.gateway.exchange import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request, as it stood when the record was read.

    Attributes:
        origin: `api` or `assets`.
        path: Raw, without query; on the API origin without the gateway's prefix.
        query: Raw.
        headers: Names in lower case.
        body: As it came.
        status: Of the answer; 0 when the connection ended without one.
        sent_bytes: Of the body, handed to the network. A client that left may have seen fewer.
        task_ids: Which tasks the answer was about.
        fault: Name of the fault that it met, or empty.
        at: The gateway's time.
        began_s: `time.monotonic()` when the answer was ready to be sent.
        ended_s: `time.monotonic()` when the answer was over; `None` while it is being sent.
        connection: A number for each TCP connection.
    """

    origin: str
    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int
    sent_bytes: int
    task_ids: tuple[str, ...]
    fault: str
    at: datetime
    began_s: float
    ended_s: float | None
    connection: int

    @property
    def authorized(self) -> bool:
        """Whether it bore an Authorization header."""
        return "authorization" in self.headers

    @property
    def range(self) -> str | None:
        """Its Range header."""
        return self.headers.get("range")


@dataclass(slots=True, kw_only=True)
class Entry:
    """A record while its answer is being sent; only its own connection's thread writes to it."""

    request: Request
    status: int
    task_ids: tuple[str, ...]
    fault: str
    at: datetime
    began_s: float
    connection: int
    sent_bytes: int = 0
    ended_s: float | None = None

    def record(self) -> RequestRecord:
        """Return what it says now."""
        return RequestRecord(
            origin=self.request.origin,
            method=self.request.method,
            path=self.request.path,
            query=self.request.query,
            headers=self.request.headers,
            body=self.request.body,
            status=self.status,
            sent_bytes=self.sent_bytes,
            task_ids=self.task_ids,
            fault=self.fault,
            at=self.at,
            began_s=self.began_s,
            ended_s=self.ended_s,
            connection=self.connection,
        )


@dataclass(slots=True)
class RequestLog:
    """All requests since the gateway began, or since `clear`."""

    _entries: list[Entry] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, entry: Entry) -> None:
        """Remember a request; before the first byte of its answer is sent."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()

    def records(
        self,
        pattern: str | None = None,
        *,
        method: str | None = None,
        origin: str | None = None,
        task_id: str | None = None,
    ) -> tuple[RequestRecord, ...]:
        """Return the requests that fit all that is given, in the order of their answers.

        Args:
            pattern: A path, or one with `*` and `?`.
        """
        with self._lock:
            entries = tuple(self._entries)
        return tuple(
            entry.record()
            for entry in entries
            if (pattern is None or _fits(entry.request.path, pattern))
            and method in (None, entry.request.method)
            and origin in (None, entry.request.origin)
            and (task_id is None or task_id in entry.task_ids)
        )


def _fits(path: str, pattern: str) -> bool:
    return path == pattern or fnmatchcase(path, pattern)
