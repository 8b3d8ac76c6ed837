"""One origin: a port on loopback, a thread for each connection, replies sent as they say.

Source: RFC 9112 (framing, keep-alive). Not built on `http.server`: that one changes the path, asks
DNS, and cannot end a connection in the ways that a network can.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import format_datetime
from http.client import HTTPException, parse_headers
from http.client import responses as reasons
from io import BufferedReader
from threading import Lock, Thread, current_thread
from typing import Protocol

from archiver.gateway.exchange import Delivery, Framing, Reply, Request
from archiver.gateway.records import Entry

HOST = "127.0.0.1"
_MAX_LINE_BYTES = 65_536
_MAX_REQUEST_BYTES = 16 << 20
_QUEUE = 256
_SLICES_PER_S = 20
_BEFORE_RESET_S = 0.05


class Application(Protocol):
    """What an origin asks for its answers."""

    def begin(self, request: Request, connection: int) -> tuple[Reply, Entry]:
        """Answer a request, and remember it."""
        ...

    def now(self) -> datetime:
        """Return the time, for `Date` headers and records."""
        ...


class Origin:
    """A port that listens or refuses, until `close`. It begins by refusing.

    Args:
        numbers: Gives each connection its number.
    """

    def __init__(self, name: str, application: Application, numbers: Iterator[int]) -> None:
        self._name = name
        self._application = application
        # Bound but never listening: keeps the port while nothing listens on it.
        self._holder = _bound(0)
        self._port: int = self._holder.getsockname()[1]
        self._listener: _Listener | None = None
        self._threads: list[Thread] = []
        self._numbers = numbers
        self._closed = False
        self._lock = Lock()

    @property
    def url(self) -> str:
        """The origin, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    def listen(self) -> None:
        """Accept connections, unless it is closed."""
        with self._lock:
            if self._listener is None and not self._closed:
                self._listener = _Listener(self._port, self._serve)

    def refuse(self) -> None:
        """End all connections and refuse new ones, as a machine without a server does."""
        with self._lock:
            if self._listener is not None:
                self._threads += self._listener.stop()
                self._listener = None

    def close(self) -> None:
        """Refuse for good, and wait until no thread and no socket is left."""
        self._closed = True
        self.refuse()
        for thread in self._threads:
            if thread is not current_thread():
                thread.join()
        self._holder.close()

    def _serve(self, connected: socket.socket) -> None:
        _Connection(connected, self._name, next(self._numbers), self._application).run()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((HOST, port))
    return bound


class _Serve(Protocol):
    def __call__(self, connected: socket.socket) -> None: ...


class _Listener:
    """Accepts connections on a port, each served by a thread of its own."""

    def __init__(self, port: int, serve: _Serve) -> None:
        self._serve = serve
        self._socket = _bound(port)
        self._socket.listen(_QUEUE)
        self._stopped, self._stop = socket.socketpair()
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._lock = Lock()
        self._acceptor = Thread(target=self._accept, name="gateway")
        self._acceptor.start()

    def stop(self) -> list[Thread]:
        """Stop accepting and end all connections; return the threads that are to be joined."""
        self._stop.close()
        if current_thread() is not self._acceptor:
            self._acceptor.join()
        with self._lock:
            for connected in self._open:
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)
            return self._threads

    def _accept(self) -> None:
        with self._socket, self._stopped, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._stopped in ready:
                    return
                connected, _ = self._socket.accept()
                thread = Thread(target=self._run, args=(connected,), name="gateway-connection")
                with self._lock:
                    self._open.add(connected)
                    self._threads = [t for t in self._threads if t.is_alive()]
                    thread.start()
                    self._threads.append(thread)

    def _run(self, connected: socket.socket) -> None:
        try:
            self._serve(connected)
        finally:
            with self._lock:
                self._open.discard(connected)
            connected.close()


class _Connection:
    """One connection: requests one after the other, each answered before the next is read."""

    def __init__(
        self, connected: socket.socket, origin: str, number: int, application: Application
    ) -> None:
        self._socket = connected
        self._origin = origin
        self._number = number
        self._application = application
        self._reset = False

    def run(self) -> None:
        """Serve until one side has enough."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = self._socket.makefile("rb")
        # A client that leaves in the middle is what many tests are about.
        with reader, suppress(ConnectionError):
            while self._exchange(reader):
                pass
        if self._reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def _exchange(self, reader: BufferedReader) -> bool:
        """Read one request and answer it; tell whether the connection is still of use."""
        line = reader.readline(_MAX_LINE_BYTES + 1)
        if not line:
            return False
        if len(line) > _MAX_LINE_BYTES:
            return self._refuse(414)
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return self._refuse(400)
        method, target, version = parts
        try:
            message = parse_headers(reader)
        except HTTPException:
            return self._refuse(431)
        headers: dict[str, str] = {}
        for name, value in message.items():
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        body = self._body(reader, headers)
        if body is None:
            return False
        path, _, query = target.partition("?")
        request = Request(
            origin=self._origin,
            method=method,
            path=path,
            query=query,
            headers=headers,
            body=body,
        )
        lasting = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        return self._answer(request, lasting=lasting)

    def _body(self, reader: BufferedReader, headers: Mapping[str, str]) -> bytes | None:
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers:
            self._refuse(411)
            return None
        if not length.isdecimal() or int(length) > _MAX_REQUEST_BYTES:
            self._refuse(413)
            return None
        if headers.get("expect", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = reader.read(int(length))
        return body if len(body) == int(length) else None

    def _refuse(self, status: int) -> bool:
        """Answer a request that cannot be read; the connection ends."""
        head = f"HTTP/1.1 {status} {reasons[status]}\r\nContent-Length: 0\r\nConnection: close"
        self._socket.sendall(head.encode() + b"\r\n\r\n")
        return False

    def _answer(self, request: Request, *, lasting: bool) -> bool:
        reply, entry = self._application.begin(request, self._number)
        try:
            return self._send(request, reply, entry, lasting=lasting)
        finally:
            entry.ended_s = time.monotonic()

    def _send(self, request: Request, reply: Reply, entry: Entry, *, lasting: bool) -> bool:
        delivery = reply.delivery
        if delivery.delay_s and not self._wait(delivery.delay_s):
            return False
        if delivery.silent:
            self._reset = delivery.reset
            return False
        lasting = (
            lasting
            and delivery.framing is not Framing.CLOSE
            and delivery.announced_bytes in (None, reply.end - reply.start)
        )
        self._socket.sendall(self._head(request, reply, lasting=lasting))
        if request.method == "HEAD" or reply.status in (204, 304):
            return lasting
        if not self._send_body(reply, entry):
            if delivery.reset and self._wait(_BEFORE_RESET_S):
                # What the network still holds would be lost with the reset.
                self._reset = True
            return False
        if delivery.framing is Framing.CHUNKED:
            self._socket.sendall(b"0\r\n\r\n")
        return lasting

    def _head(self, request: Request, reply: Reply, *, lasting: bool) -> bytes:
        date = format_datetime(self._application.now().replace(microsecond=0), usegmt=True)
        lines = [f"HTTP/1.1 {reply.status} {reasons.get(reply.status, 'Unknown')}", f"Date: {date}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if reply.status not in (204, 304):
            if reply.delivery.framing is Framing.CHUNKED:
                lines.append("Transfer-Encoding: chunked")
            elif reply.delivery.framing is Framing.LENGTH:
                announced = reply.delivery.announced_bytes
                length = reply.end - reply.start if announced is None else announced
                lines.append(f"Content-Length: {length}")
        if not lasting:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send_body(self, reply: Reply, entry: Entry) -> bool:
        """Send the body as the delivery says; tell whether all of it was sent."""
        delivery = reply.delivery
        stall_at = delivery.stall_after_bytes
        for chunk in reply.content.chunks(reply.start, reply.end):
            view = memoryview(chunk)
            while view:
                if stall_at is not None and entry.sent_bytes >= stall_at:
                    stall_at = None
                    if not self._wait(delivery.stall_s):
                        return False
                room = _room(delivery, entry.sent_bytes, stall_at)
                if room == 0:
                    return False
                piece = view[:room]
                # Before the network has it: a client that has read it finds it counted.
                entry.sent_bytes += len(piece)
                self._send_piece(piece, delivery.framing)
                view = view[len(piece) :]
                if delivery.bytes_per_s and not self._wait(len(piece) / delivery.bytes_per_s):
                    return False
        return True

    def _send_piece(self, piece: memoryview, framing: Framing) -> None:
        if framing is Framing.CHUNKED:
            self._socket.sendall(b"%x\r\n" % len(piece))
            self._socket.sendall(piece)
            self._socket.sendall(b"\r\n")
        else:
            self._socket.sendall(piece)

    def _wait(self, seconds: float | None) -> bool:
        """Wait; tell whether the client is still there. A gateway that closes ends the wait."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            return not selector.select(seconds)


def _room(delivery: Delivery, sent: int, stall_at: int | None) -> int:
    """Return how many bytes may go before something happens; 0 when it is the cut's turn."""
    room = 1 << 62
    if delivery.cut_after_bytes is not None:
        room = max(0, delivery.cut_after_bytes - sent)
    if stall_at is not None:
        room = min(room, stall_at - sent)
    if delivery.bytes_per_s:
        room = min(room, max(1, int(delivery.bytes_per_s / _SLICES_PER_S)))
    return room
