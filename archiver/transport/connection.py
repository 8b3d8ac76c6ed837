"""One connection to one server: a request out, an answer in, byte by byte accounted for."""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections.abc import Mapping

from archiver.contracts import Clock
from archiver.errors import PassingError
from archiver.transport.faults import ConnectionLostError, ended_early, no_meaning, passing
from archiver.transport.message import (
    HEAD_END,
    HEAD_LIMIT_BYTES,
    BadHead,
    Head,
    parse_chunk_size,
    parse_head,
    write_head,
)
from archiver.transport.proxies import Proxy

BUFFER_BYTES = 1 << 19
SLOWEST_BYTES_PER_S = 1024

_LINGER_S = 0.05
_MOST_INTERIM_ANSWERS = 20
_LONGEST_LINE_BYTES = 4096
_LONGEST_TRAILER_BYTES = 1 << 16
_LINE_ENDS = (b"\r\n", b"\n")


class Connection:
    """A socket with one reusable buffer; used by one thread at a time.

    A body is read into the buffer and handed out as views of it, so that nothing is copied. All
    faults are raised as `PassingError`.

    Args:
        sock: Connected, TLS done.
        peer: Host and port, for messages.
        timeout_s: Longest wait for a byte.
        proxy: The proxy at the other end, if there is one.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        peer: str,
        timeout_s: float,
        clock: Clock,
        proxy: Proxy | None = None,
    ) -> None:
        self.sock = sock
        self.peer = peer
        self.proxy = proxy
        self.idle_since = 0.0
        self._monotonic = clock.monotonic
        self._timeout_s = timeout_s
        self._store = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._store)
        self._start = self._end = 0
        self._head: Head | None = None
        self._begin(None)
        self._complete = True
        self._waits_s = timeout_s
        sock.settimeout(timeout_s)
        # A plain socket's descriptor is read directly: no wait for what is here already.
        self._descriptor = sock.fileno() if type(sock) is socket.socket else -1
        self._arrival = select.poll()
        if self._descriptor >= 0:
            self._arrival.register(self._descriptor, select.POLLIN)

    def _begin(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._start = self._end = 0
        self._received = 0
        self._now = 0.0
        self._slow_s, self._slow_bytes = 0.0, 0
        self._left: int | None = 0
        self._got = 0
        self._first_chunk = True
        self._fault: PassingError | None = None
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether the answer was read to its end."""
        return self._complete

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: all read, nothing unasked for has come."""
        persistent = self._head is None or self._head.persistent
        return self._complete and persistent and self.is_empty and self._fault is None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received that is not read yet."""
        return self._start == self._end

    def is_quiet(self) -> bool:
        """Tell whether an idle connection is still open and silent, without waiting."""
        if isinstance(self.sock, ssl.SSLSocket):
            if self.sock.pending():
                return False
            self._arrival.register(self.sock, select.POLLIN)
        return not self._arrival.poll(0)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    # --- request and head ---------------------------------------------------------------------

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        deadline: float | None = None,
    ) -> Head:
        """Send a request and read the head of its answer.

        Args:
            target: As it goes on the wire.
            deadline: Until when (monotonic) the whole answer must have come.

        Raises:
            ConnectionLostError: The connection ended before the first byte of an answer.
            PassingError: Any other fault of the network, or an answer that is not HTTP.
            ProviderError: A header that cannot be sent.
        """
        request = write_head(method, target, headers) + body
        self._begin(deadline)
        self._wait_at_most(self._timeout_s)
        try:
            self.sock.sendall(request)
        except OSError as fault:
            raise self._mapped(fault) from None
        head = self._final_head(method)
        self._head = head
        self._left = head.length
        self._complete = head.length == 0
        return head

    def _final_head(self, method: str) -> Head:
        for _ in range(_MOST_INTERIM_ANSWERS):
            try:
                head = parse_head(self._head_bytes(), method=method)
            except BadHead as fault:
                raise no_meaning(self.peer, str(fault)) from None
            if head.status == 101:
                raise no_meaning(self.peer, "a change of protocol that was not asked for")
            if head.status >= 200:
                return head
        raise no_meaning(self.peer, "too many interim answers")

    def _head_bytes(self) -> bytes:
        scanned = self._start
        while True:
            # Line ends before a status line are remains of an answer before it.
            while self._start < self._end and self._store[self._start] in b"\r\n":
                self._start += 1
            found = HEAD_END.search(self._store, max(self._start, scanned - 3), self._end)
            if found:
                raw = bytes(self._view[self._start : found.start()])
                self._start = found.end()
                return raw
            if self._end - self._start > HEAD_LIMIT_BYTES:
                raise no_meaning(self.peer, "a head without end")
            scanned = self._end
            if self._more() == 0:
                if self._received == 0:
                    raise ConnectionLostError(f"{self.peer} closed the connection")
                raise no_meaning(self.peer, "a head that ends early")

    # --- body -----------------------------------------------------------------------------------

    def read(self, limit: int = BUFFER_BYTES) -> memoryview | None:
        """Return the next bytes of the body; `None` at its proper end.

        Args:
            limit: At most so many bytes.

        Returns:
            A view that is valid until the next call.

        Raises:
            PassingError: The body ended early, stalled, or its framing is broken.
        """
        if self._complete:
            return None
        chunked = self._head is not None and self._head.chunked
        if chunked and not self._left and not self._next_chunk():
            self._complete = True
            return None
        want = limit if self._left is None else min(limit, self._left)
        if self._start == self._end:
            if self._fault is not None:
                raise self._fault
            self._refill(want, gather=not chunked)
        piece = self._view[self._start : min(self._end, self._start + want)]
        if not piece:
            if self._left is None:
                self._complete = True
                return None
            raise ended_early(self.peer, self._got, None if chunked else self._got + self._left)
        self._start += len(piece)
        self._got += len(piece)
        if self._left is not None:
            self._left -= len(piece)
            self._complete = self._left == 0 and not chunked
        return piece

    def skip_rest(self) -> None:
        """Read the rest of the body if it is all here already; never waits for bytes."""
        if self._complete or self._head is None:
            return
        if self._head.chunked:
            here = self._store[max(self._start, self._end - 5) : self._end] == b"0\r\n\r\n"
        else:
            here = self._left is not None and self._left <= self._end - self._start
        while here and not self._complete:
            try:
                self.read()
            except PassingError:
                return  # the connection is not `reusable` then, and nobody wants these bytes

    def _refill(self, want: int, *, gather: bool) -> None:
        """Fill the empty buffer with up to `want` bytes.

        Small reads are gathered for a moment, and no longer than that: a chunk costs its reader
        more than a read costs here, and bytes that came are delivered before more are waited for.
        A fault after some bytes is kept until they are delivered.
        """
        self._start = self._end = 0
        lingers_until = 0.0
        try:
            while self._end < want:
                lingers = lingers_until > 0
                count = self._more(want if gather else BUFFER_BYTES, lingers=lingers)
                if count == 0 or not gather or (lingers and self._now > lingers_until):
                    return
                if not lingers:
                    lingers_until = self._now + _LINGER_S
        except PassingError as fault:
            if self._end == 0:
                raise
            self._fault = fault

    def _next_chunk(self) -> bool:
        if not self._first_chunk and self._line() not in _LINE_ENDS:
            raise no_meaning(self.peer, "a chunk longer than announced")
        self._first_chunk = False
        size = parse_chunk_size(self._line())
        if size is None:
            raise no_meaning(self.peer, "a chunk without a size")
        self._left = size
        if size:
            return True
        trailer = 0
        while (line := self._line()) not in _LINE_ENDS:
            trailer += len(line)
            if trailer > _LONGEST_TRAILER_BYTES:
                raise no_meaning(self.peer, "a trailer without end")
        return False

    def _line(self) -> bytes:
        while True:
            at = self._store.find(b"\n", self._start, self._end)
            if (at if at >= 0 else self._end) - self._start > _LONGEST_LINE_BYTES:
                raise no_meaning(self.peer, "a line without end")
            if at >= 0:
                line = bytes(self._view[self._start : at + 1])
                self._start = at + 1
                return line
            if self._more() == 0:
                raise ended_early(self.peer, self._got, None)

    # --- socket ---------------------------------------------------------------------------------

    def _more(self, upto: int = BUFFER_BYTES, *, lingers: bool = False) -> int:
        """Receive once, behind what the buffer holds; 0 at the end of the connection.

        Args:
            lingers: Whether to give 0 too, not a fault, when nothing comes in time.
        """
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == BUFFER_BYTES:
            held = bytes(self._view[self._start : self._end])
            self._view[: len(held)] = held
            self._start, self._end = 0, len(held)
        before = self._monotonic()
        try:
            view = self._view[self._end : upto]
            count = self._receive(view, _LINGER_S if lingers else self._timeout_s)
        except OSError as fault:
            if not (lingers and isinstance(fault, TimeoutError)):
                raise self._mapped(fault) from None
            count = 0
        self._now = self._monotonic()
        self._end += count
        self._received += count
        if count or lingers:
            self._judge_speed(count, self._now - before)
        return count

    def _receive(self, view: memoryview, wait_s: float) -> int:
        """Receive once, waiting at most so long for the first byte.

        Raises:
            OSError: Also `TimeoutError`.
        """
        if self._descriptor < 0:
            self._wait_at_most(wait_s)
            return self.sock.recv_into(view)
        # Of an answer to a request that was just sent nothing can be here.
        is_here = self._received > 0
        while True:
            if not is_here and not self._arrival.poll(wait_s * 1000):
                raise TimeoutError
            try:
                return os.readv(self._descriptor, [view])
            except BlockingIOError:
                is_here = False

    def _wait_at_most(self, seconds: float) -> None:
        if seconds != self._waits_s:
            self.sock.settimeout(seconds)
            self._waits_s = seconds

    def _mapped(self, fault: OSError) -> PassingError:
        if self._received or isinstance(fault, TimeoutError | ssl.SSLError):
            return passing(self.peer, fault)
        return ConnectionLostError(f"{self.peer} broke the connection off")

    def _judge_speed(self, count: int, waited_s: float) -> None:
        """Cut a connection that trickles. Only time spent waiting for bytes counts."""
        # No single wait is longer than the time-out, whatever a clock says that was moved.
        self._slow_s += min(waited_s, self._timeout_s)
        self._slow_bytes += count
        too_slow = False
        if self._slow_s >= 2 * self._timeout_s:
            too_slow = self._slow_bytes < self._slow_s * SLOWEST_BYTES_PER_S
            self._slow_s, self._slow_bytes = 0.0, 0
        if too_slow or (self._deadline is not None and self._now > self._deadline):
            raise PassingError(f"{self.peer} sends too slowly; it was cut off", code="too_slow")
