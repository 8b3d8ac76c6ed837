"""An HTTP server that sends exactly the bytes that a test tells it to, faults and all.

Use:
    with RawServer() as server:
        server.on("/file", cut(answer(b"0123456789"), at=80), reply(b"0123456789"))
        …ask server.url("/file")…
        assert [seen.target for seen in server.seen] == ["/file", "/file"]

Several handlers for one path are used in turn, the last one for good. A handler gets the `Line`
(the server's end of a connection) and the `Seen` request, and may do with the line what it likes;
a line that it leaves open carries the next request.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

STALL_S = 60.0
"""Longer than any client in the tests waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came.

    Attributes:
        target: As it stood on the wire.
        headers: Names in lower case.
        head: The bytes of the head.
        line: Number of the connection, from 0.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    head: bytes
    body: bytes
    line: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Line:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, number: int, stopping: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self.is_open = True
        self._stopping = stopping

    def send(self, data: bytes) -> None:
        """Send; nothing happens once the client has gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()

    def pause(self, seconds: float) -> None:
        """Wait, but not past the server's end."""
        self._stopping.wait(seconds)

    def stall(self) -> None:
        """Send nothing more, and keep the line open."""
        self.pause(STALL_S)
        self.close()

    def close(self) -> None:
        """End the connection in order."""
        self.is_open = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        """Break the connection off (RST)."""
        self.is_open = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Handler = Callable[[Line, Seen], None]


# --- bytes ----------------------------------------------------------------------------------------


def answer(
    body: bytes = b"",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    length: int | None = -1,
    version: str = "1.1",
) -> bytes:
    """Write an answer.

    Args:
        length: Content-Length; -1: the body's own, `None`: none.
    """
    lines = [f"HTTP/{version} {status} Whatever"]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunks(pieces: Iterable[bytes], *, end: bytes = b"0\r\n\r\n") -> bytes:
    """Write a body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def chunked(pieces: Iterable[bytes], *, end: bytes = b"0\r\n\r\n", status: int = 200) -> bytes:
    """Write an answer whose body is in chunks."""
    head = answer(status=status, length=None, headers={"Transfer-Encoding": "chunked"})
    return head + chunks(pieces, end=end)


# --- handlers -------------------------------------------------------------------------------------


def say(data: bytes, *, then_close: bool = False) -> Handler:
    """Send these bytes."""

    def handle(line: Line, seen: Seen) -> None:
        line.send(data)
        if then_close:
            line.close()

    return handle


def reply(
    body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Handler:
    """Answer in order."""
    return say(answer(body, status=status, headers=headers))


def redirect(location: str, *, status: int = 302) -> Handler:
    """Send elsewhere."""
    return reply(b"over there", status=status, headers={"Location": location})


def cut(data: bytes, *, at: int, how: str = "close") -> Handler:
    """Send the first `at` bytes, then `close`, `reset` or `stall`."""

    def handle(line: Line, seen: Seen) -> None:
        line.send(data[:at])
        if how == "reset":
            line.pause(0.05)  # a reset overtakes bytes that were not read yet
        {"close": line.close, "reset": line.reset, "stall": line.stall}[how]()

    return handle


def trickle(data: bytes, *, at: int, step: int, every_s: float) -> Handler:
    """Send the first `at` bytes at once, the others `step` at a time."""

    def handle(line: Line, seen: Seen) -> None:
        line.send(data[:at])
        for start in range(at, len(data), step):
            line.pause(every_s)
            if not line.is_open:
                return
            line.send(data[start : start + step])

    return handle


def file(data: bytes, *, etag: str = '"one"') -> Handler:
    """Serve a file that can be continued (`Range: bytes=N-` with `If-Range`)."""

    def handle(line: Line, seen: Seen) -> None:
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        start = seen.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
        if start.isdigit() and seen.headers.get("if-range", etag) == etag:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            line.send(answer(data[int(start) :], status=206, headers=headers))
        else:
            line.send(answer(data, headers=headers))

    return handle


# --- the server -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Turns:
    handlers: tuple[Handler, ...]
    used: int = field(default=0)

    def next(self) -> Handler:
        self.used += 1
        return self.handlers[min(self.used, len(self.handlers)) - 1]


class RawServer:
    """Listens on loopback, one thread for each connection.

    Attributes:
        seen: All requests so far.
        lines: How many connections were made.
        tls: Settings for https, or `None`.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.seen: list[Seen] = []
        self.lines = 0
        self.tls = tls
        self.host = host
        self.on_line: Callable[[Line], None] = lambda line: None
        """Called with each new connection, before its first request."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=64)
        self._turns: dict[str, _Turns] = {}
        self._open: set[Line] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def url(self, target: str) -> str:
        """Return the full link of a target."""
        return self.origin + target

    def on(self, path: str, *handlers: Handler) -> None:
        """Say what happens when a path is asked for: the handlers in turn, the last for good.

        Args:
            path: Without a query; `*` for every path that has no handlers of its own.
        """
        self._turns[path] = _Turns(handlers)

    def close(self) -> None:
        """End all connections and threads."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for line in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(line.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> RawServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(sock, self.lines))
            self.lines += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        line = Line(sock, number, self._stopping)
        with self._lock:
            self._open.add(line)
        try:
            if self.tls is not None:
                line.sock = self.tls.wrap_socket(sock, server_side=True)
            self.on_line(line)
            self._answer_all(line)
        except OSError:
            pass  # the client has gone; what that means is the test's to say
        finally:
            with self._lock:
                self._open.discard(line)
            if line.is_open:
                line.close()

    def _answer_all(self, line: Line) -> None:
        held = b""
        while line.is_open:
            while b"\r\n\r\n" not in held:
                more = line.sock.recv(1 << 16)
                if not more:
                    return
                held += more
            head, _, held = held.partition(b"\r\n\r\n")
            request, *fields = head.decode("latin-1").split("\r\n")
            method, target, _ = request.split(" ")
            pairs = (entry.partition(":") for entry in fields)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            length = int(headers.get("content-length", "0"))
            while len(held) < length:
                held += line.sock.recv(1 << 16)
            seen = Seen(
                method=method,
                target=target,
                headers=headers,
                head=head,
                body=held[:length],
                line=line.number,
            )
            held = held[length:]
            self.seen.append(seen)
            turns = self._turns.get(seen.path) or self._turns.get("*")
            handler = turns.next() if turns else reply(b"no such path", status=404)
            handler(line, seen)
