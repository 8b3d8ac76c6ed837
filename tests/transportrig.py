"""What the tests of the transport share: a clock that skips pauses, and a transport to try."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from archiver.contracts import AssetRequest, Downloads
from archiver.transport import HttpApi, SystemClock, Transport
from archiver.transport.dial import begin_connect

KEY = "sk-canary-key-5f1c"


class HastyClock(SystemClock):
    """Real time, but for pauses: they are written down and skipped.

    Attributes:
        slept: Every pause, in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self._skipped_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._skipped_s)

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped_s

    def sleep(self, seconds: float) -> None:
        self.check_stop()
        with self._lock:
            self.slept.append(seconds)
            self._skipped_s += seconds


@contextmanager
def open_transport(**changes: Any) -> Iterator[Transport]:
    """Make a transport for loopback; `changes` are arguments of `Transport`."""
    settings: dict[str, Any] = {
        "clock": HastyClock(),
        "rng": random.Random(7),
        "timeout_s": 5.0,
        "max_attempts": 6,
        "allow_private_addresses": True,
    }
    with Transport(**{**settings, **changes}) as transport:
        yield transport


def open_api(transport: Transport, base_url: str, **changes: Any) -> HttpApi:
    """Make an API with a bearer key; `changes` are arguments of `Transport.api`."""
    settings: dict[str, Any] = {
        "auth": lambda: {"Authorization": f"Bearer {KEY}"},
        "headers": {},
        "max_requests_per_second": None,
    }
    return transport.api(base_url=base_url, **{**settings, **changes})


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What one request brought."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    encoded: bool
    data: bytes


def get(downloads: Downloads, url: str, **headers: str) -> Got:
    """Ask for a file once and read it whole."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with downloads.open(AssetRequest(url=url, headers=named)) as body:
        data = b"".join(bytes(chunk) for chunk in body.chunks())
        return Got(
            status=body.status,
            headers=body.headers,
            length=body.length,
            encoded=body.encoded,
            data=data,
        )


class FakeInternet:
    """A resolver with names of its own, and calls to public addresses that end on loopback.

    Args:
        names: The answers for each name, one for each time it is asked; the last for good.
        port: Where on loopback every call ends.

    Attributes:
        asked: Names that were resolved.
        called: Addresses that were connected to.
    """

    def __init__(self, names: Mapping[str, list[list[str]]], port: int) -> None:
        self.asked: list[str] = []
        self.called: list[str] = []
        self._names = {name: list(answers) for name, answers in names.items()}
        self._port = port

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self._names.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def begin_connect(self, ip: str, port: int) -> socket.socket:
        self.called.append(ip)
        return begin_connect("127.0.0.1", self._port)
