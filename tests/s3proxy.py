"""Something that goes wrong between archiver and a real S3 server, at a request of one's choice.

Requests are passed on as they are, `Host` too, so that their signatures hold. A rule that a test
gives says of each request what goes wrong: an answer instead of the server's, a connection that
breaks before, within or after the request, silence, or the end of the process that asks.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from tests.s3servers import S3Server

CHANGING = frozenset({"PUT", "POST", "DELETE"})
_PIECE_BYTES = 1 << 20
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        number: Among those that change something, from 1; 0 for one that only reads.
    """

    number: int
    method: str
    target: str
    size: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.target} ({self.size} bytes)"


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """What goes wrong with one request.

    Attributes:
        when: The server gets none of it, half of its body, or all of it.
        status: Answered; 0: the connection is reset.
        hold_s: Silence before that.
        kill: The process whose id is in `S3Proxy.pid_file` is killed first.
    """

    when: Literal["before", "half", "after"] = "before"
    status: int = 0
    code: str = ""
    message: str = ""
    hold_s: float = 0.0
    kill: bool = False


Rule = Callable[[Asked], Wrong | None]


@dataclass
class S3Proxy:
    """A way to a server. `rule` may be changed at any time."""

    server: S3Server
    pid_file: Path
    endpoint_url: str = ""
    rule: Rule = field(default=lambda asked: None)
    seen: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, rule: Rule = lambda asked: None) -> None:
        """Count from 1 again, by another rule."""
        with self.lock:
            self.seen = []
            self.rule = rule

    def changes(self) -> list[Asked]:
        """Return the requests that changed something, oldest first."""
        return [asked for asked in self.seen if asked.number]

    def note(self, method: str, target: str, size: int, headers: Mapping[str, str]) -> Asked:
        """Count one request."""
        with self.lock:
            changing = method in CHANGING
            number = 1 + sum(1 for asked in self.seen if asked.number) if changing else 0
            asked = Asked(number=number, method=method, target=target, size=size, headers=headers)
            self.seen.append(asked)
            return asked

    def kill(self) -> None:
        """End the process that asks, by its own id."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self.pid_file.read_text()), signal.SIGKILL)


@contextlib.contextmanager
def s3_proxy(server: S3Server, pid_file: Path) -> Iterator[S3Proxy]:
    """Run one on loopback in front of a server's http side."""
    proxy = S3Proxy(server, pid_file)

    class Handler(_Handler):
        state = proxy

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients are killed as tests want it."""

    listening = Server(("127.0.0.1", 0), Handler)
    proxy.endpoint_url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: S3Proxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle()

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = self.state.note(self.command, self.path, size, headers)
        wrong = self.state.rule(asked)
        if wrong is None:
            self._pass_on(self.rfile.read(size), size)
            return
        if wrong.when == "before" and wrong.kill:
            self._go_wrong(wrong)
            return
        body = self.rfile.read(size)
        if wrong.when == "half":
            self._pass_on(body[: size // 2], size, silent=True)
        elif wrong.when == "after":
            self._pass_on(body, size, silent=True)
        self._go_wrong(wrong)

    def _go_wrong(self, wrong: Wrong) -> None:
        if wrong.kill:
            self.state.kill()
        time.sleep(wrong.hold_s)
        if not wrong.status:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        document = (
            f"<Error><Code>{escape(wrong.code)}</Code>"
            f"<Message>{escape(wrong.message)}</Message></Error>"
        ).encode()
        self.send_response(wrong.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(document)

    def _pass_on(self, body: bytes, size: int, *, silent: bool = False) -> None:
        """Ask the server; give its answer back unless that is to be lost.

        A body shorter than `size` breaks the connection to the server in its middle.
        """
        there = urlsplit(self.state.server.endpoint_url)
        with contextlib.closing(http.client.HTTPConnection(str(there.netloc), timeout=60)) as up:
            up.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    up.putheader(name, value)
            up.endheaders()
            up.send(body)
            if len(body) < size:
                return
            answer = up.getresponse()
            if silent:
                answer.read()
                return
            self._answer(answer)

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        sized = answer.getheader("Content-Length") is not None
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        if not sized and not bodiless:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while not bodiless and (piece := answer.read(_PIECE_BYTES)):
            self.wfile.write(piece)
