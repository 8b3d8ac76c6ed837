"""Connections kept open between requests, and one request with its answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from archiver.contracts import Clock
from archiver.errors import PassingError
from archiver.transport.connection import BUFFER_BYTES, Connection
from archiver.transport.dial import Dialler
from archiver.transport.faults import ConnectionLostError
from archiver.transport.link import Link
from archiver.transport.load import HostLoad
from archiver.transport.message import Head
from archiver.transport.sockets import OpenSockets

_LONGEST_IDLE_S = 60.0
_log = logging.getLogger("archiver.transport")

_Key = tuple[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A request as it goes out.

    Attributes:
        headers: Without `Host`, which follows from the link.
        guarded: Whether only public addresses may be connected to (assets).
        deadline: Until when (monotonic) the whole answer must have come.
    """

    link: Link
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    guarded: bool
    deadline: float | None = None


class Exchange:
    """A request that was answered; its body is yet to be read.

    Attributes:
        head: The answer's status and headers.
        sent_at: When the request was sent (monotonic).
    """

    def __init__(
        self,
        *,
        pool: Pool,
        key: _Key,
        host: str,
        connection: Connection,
        head: Head,
        sent_at: float,
    ) -> None:
        self.head = head
        self.sent_at = sent_at
        self._pool = pool
        self._key = key
        self._host = host
        self._connection: Connection | None = connection

    def read(self, limit: int = BUFFER_BYTES) -> memoryview | None:
        """Return the next bytes, a view valid until the next call; `None` at the proper end.

        Raises:
            PassingError: The body ended early, stalled, trickled, or its framing is broken.
            StoppedError: The run was told to stop.
        """
        if self._connection is None:
            return None
        try:
            piece = self._connection.read(limit)
            if piece is None:
                self._pool.check_stop()  # `stop` looks like the end of a body without a length
        except BaseException as fault:
            connection, self._connection = self._connection, None
            self._pool.drop(connection)
            self._pool.load.leave(self._host)
            if isinstance(fault, PassingError):
                self._pool.check_stop()
            raise
        if piece is None:
            self.close()
        return piece

    def close(self) -> None:
        """Give the connection back if it can be used again, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.skip_rest()
            self._pool.give_back(self._key, connection)
            self._pool.load.leave(self._host)


class Pool:
    """Keep-alive connections, by origin; safe from several threads.

    Connections for assets (guarded) and for an API (not guarded) are kept apart, so that no asset
    is ever asked over a connection whose address was not checked.

    Attributes:
        load: Counts the requests that are under way for each host.
    """

    def __init__(
        self,
        *,
        dialler: Dialler,
        sockets: OpenSockets,
        clock: Clock,
        load: HostLoad,
        max_idle: int,
    ) -> None:
        self.load = load
        self._dialler = dialler
        self._sockets = sockets
        self._clock = clock
        self._max_idle = max(1, max_idle)
        self._lock = threading.Lock()
        self._idle: dict[_Key, list[Connection]] = {}
        self._idle_count = 0
        self._closed = False

    def send(self, request: WireRequest) -> Exchange:
        """Send one request.

        A connection that was kept open and turns out dead before the first byte of an answer is
        replaced by a new one, once.

        Raises:
            PassingError: Time-out, reset, DNS, TLS, an answer that is not HTTP.
            ForbiddenAddressError: No public address, for a guarded request.
            ProviderError: A header that cannot be sent.
            StoppedError: The run was told to stop.
        """
        self.check_stop()
        self.load.enter(request.link.authority)
        try:
            return self._send(request)
        except BaseException:
            self.load.leave(request.link.authority)
            raise

    def _send(self, request: WireRequest) -> Exchange:
        key = (request.link.origin, request.guarded)
        try:
            kept = self._take(key)
            if kept is not None:
                try:
                    return self._ask(key, kept, request)
                except ConnectionLostError:
                    self.check_stop()
            fresh = self._dialler.open(request.link, guarded=request.guarded)
            return self._ask(key, fresh, request)
        except PassingError as fault:
            self.check_stop()
            _log.debug("%s %s -> %s", request.method, request.link.shown, fault.code)
            raise

    def _ask(self, key: _Key, connection: Connection, request: WireRequest) -> Exchange:
        link = request.link
        target = link.target
        headers = {"Host": link.authority, **request.headers}
        if connection.proxy is not None and link.scheme == "http":
            target = link.origin + target
            if connection.proxy.authorization:
                headers["Proxy-Authorization"] = connection.proxy.authorization
        sent_at = self._clock.monotonic()
        try:
            head = connection.ask(
                request.method, target, headers, request.body, deadline=request.deadline
            )
        except BaseException:
            self.drop(connection)
            raise
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s -> %d", request.method, link.shown, head.status)
        return Exchange(
            pool=self,
            key=key,
            host=link.authority,
            connection=connection,
            head=head,
            sent_at=sent_at,
        )

    def check_stop(self) -> None:
        """Raise `StoppedError` if the run was told to stop."""
        self._clock.check_stop()
        self._sockets.check()

    def _take(self, key: _Key) -> Connection | None:
        while True:
            with self._lock:
                kept = self._idle.get(key)
                if not kept:
                    return None
                connection = kept.pop()
                self._idle_count -= 1
            age = self._clock.monotonic() - connection.idle_since
            if age < _LONGEST_IDLE_S and connection.is_quiet():
                return connection
            self.drop(connection)

    def give_back(self, key: _Key, connection: Connection) -> None:
        """Keep a connection for the next request, or close it."""
        surplus: Connection | None = connection
        if connection.reusable and not self._sockets.is_shut:
            connection.idle_since = self._clock.monotonic()
            with self._lock:
                if not self._closed:
                    surplus = self._oldest() if self._idle_count >= self._max_idle else None
                    self._idle.setdefault(key, []).append(connection)
                    self._idle_count += 1
        if surplus is not None:
            self.drop(surplus)

    def _oldest(self) -> Connection:
        groups = [group for group in self._idle.values() if group]
        self._idle_count -= 1
        return min(groups, key=lambda group: group[0].idle_since).pop(0)

    def drop(self, connection: Connection) -> None:
        """Close a connection for good."""
        self._sockets.remove(connection.sock)
        connection.close()

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            kept = [connection for group in self._idle.values() for connection in group]
            self._idle.clear()
            self._idle_count = 0
        for connection in kept:
            self.drop(connection)
