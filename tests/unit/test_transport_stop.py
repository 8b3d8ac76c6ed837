"""A run that is told to stop: no sleep, no read and no new connection holds it up."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC

import pytest

from archiver.contracts import AssetRequest
from archiver.errors import PassingError, StoppedError
from archiver.transport import SystemClock, Transport
from tests.rawserver import RawServer, answer, chunked, cut, reply
from tests.transportrig import HastyClock, get, open_api, open_transport

DATA = b"x" * 100_000


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


class Worker:
    """Runs something on a thread of its own and keeps how it ended."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.ended_with: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except (PassingError, StoppedError) as fault:
            self.ended_with = fault

    def join(self) -> BaseException | None:
        """Wait for its end, which must come within two seconds."""
        self._thread.join(2)
        assert not self._thread.is_alive()
        return self.ended_with


@pytest.mark.parametrize(
    "data",
    [
        b"",
        answer(DATA)[:30],
        answer(DATA)[:5000],
        answer(DATA, length=None)[:5000],
        chunked([DATA])[:5000],
    ],
    ids=["before-the-head", "head", "body", "body-without-length", "chunk"],
)
def test_a_blocked_reader_is_woken(server: RawServer, data: bytes) -> None:
    """Whoever waits for a byte ends within two seconds, and never takes the cut for the end."""
    server.on("/f", cut(data, at=len(data), how="stall"))
    clock = SystemClock()
    with open_transport(clock=clock, timeout_s=60) as transport:
        worker = Worker(lambda: get(transport.downloads(), server.url("/f")))
        time.sleep(0.2)
        clock.stop("stopped by SIGTERM")
        transport.stop()
        ended = worker.join()
    assert isinstance(ended, StoppedError)
    assert str(ended) == "stopped by SIGTERM"


def test_the_transport_alone_can_be_stopped(server: RawServer) -> None:
    """`stop` is enough, whatever the clock says, and nothing can be asked afterwards."""
    server.on("/f", cut(answer(DATA), at=500, how="stall"))
    with open_transport(timeout_s=60) as transport:
        worker = Worker(lambda: get(transport.downloads(), server.url("/f")))
        time.sleep(0.2)
        transport.stop()
        assert isinstance(worker.join(), StoppedError)
        with pytest.raises(StoppedError):
            get(transport.downloads(), server.url("/f"))
        with pytest.raises(StoppedError):
            open_api(transport, server.origin).request("GET", "/t")
    assert len(server.seen) == 1


def test_a_blocked_api_is_woken(server: RawServer) -> None:
    """An API request ends the same way, without further attempts."""
    server.on("/t", cut(answer(DATA), at=500, how="stall"))
    clock = SystemClock()
    with open_transport(clock=clock, timeout_s=60) as transport:
        worker = Worker(lambda: open_api(transport, server.origin).request("GET", "/t"))
        time.sleep(0.2)
        clock.stop("enough")
        transport.stop()
        assert isinstance(worker.join(), StoppedError)
    assert len(server.seen) == 1


def test_a_connection_being_made_is_given_up() -> None:
    """Who waits for a connection notices within a moment."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        clock = SystemClock()
        with open_transport(clock=clock, timeout_s=60) as transport:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/f"
            worker = Worker(lambda: get(transport.downloads(), url))
            time.sleep(0.2)
            clock.stop("enough")
            assert isinstance(worker.join(), StoppedError)
        for caller in callers:
            caller.close()


def test_a_handshake_is_given_up(server: RawServer) -> None:
    """So does who waits for the other side's TLS."""
    server.on_line = lambda line: line.stall()
    clock = SystemClock()
    with open_transport(clock=clock, timeout_s=60, tls=ssl.create_default_context) as transport:
        url = f"https://127.0.0.1:{server.port}/f"
        worker = Worker(lambda: get(transport.downloads(), url))
        time.sleep(0.3)
        clock.stop("enough")
        transport.stop()
        assert isinstance(worker.join(), StoppedError)


def test_a_busy_download_stops_between_chunks(server: RawServer) -> None:
    """A body that still flows ends at the next chunk."""
    server.on("/f", reply(DATA * 20))
    clock = HastyClock()
    with (
        open_transport(clock=clock) as transport,
        transport.downloads().open(AssetRequest(url=server.url("/f"))) as body,
    ):
        chunks = body.chunks()
        next(chunks)
        clock.stop("enough")
        with pytest.raises(StoppedError):
            next(chunks)


def test_a_pause_of_the_host_is_cut_short(server: RawServer) -> None:
    """Nobody sleeps through a stop."""
    server.on("/t", reply(b"", status=429, headers={"Retry-After": "200"}))
    clock = SystemClock()
    with open_transport(clock=clock) as transport:
        worker = Worker(lambda: open_api(transport, server.origin).request("GET", "/t"))
        time.sleep(0.3)
        clock.stop("enough")
        assert isinstance(worker.join(), StoppedError)


def test_the_byte_rate_is_cut_short(server: RawServer) -> None:
    """Nor does anybody wait for its turn to read."""
    server.on("/f", reply(DATA))
    clock = SystemClock()
    with open_transport(clock=clock, max_rate_bytes=1000) as transport:
        worker = Worker(lambda: get(transport.downloads(), server.url("/f")))
        time.sleep(0.3)
        clock.stop("enough")
        assert isinstance(worker.join(), StoppedError)


def test_nothing_stays_open(server: RawServer) -> None:
    """After `close` every connection is closed, those in use when they come back."""
    server.on("/f", reply(DATA))
    transport: Transport
    with open_transport() as transport:
        downloads = transport.downloads()
        get(downloads, server.url("/f"))
        with downloads.open(AssetRequest(url=server.url("/f"))) as body:
            transport.close()
            list(body.chunks())
        get(downloads, server.url("/f"))
    assert server.lines == 2


# --- the clock ------------------------------------------------------------------------------------


def test_the_clock_tells_the_time() -> None:
    """Aware, in UTC, and monotonic beside it."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    first = clock.monotonic()
    clock.sleep(0.05)
    assert clock.monotonic() - first >= 0.05
    assert not clock.stopped
    clock.check_stop()


def test_a_sleep_ends_with_the_run() -> None:
    """Sleepers wake within a moment, and the first reason is the one told."""
    clock = SystemClock()
    worker = Worker(lambda: clock.sleep(60))
    time.sleep(0.1)
    clock.stop("stopped by SIGINT")
    clock.stop("something later")
    ended = worker.join()
    assert isinstance(ended, StoppedError)
    assert str(ended) == "stopped by SIGINT"
    with pytest.raises(StoppedError):
        clock.sleep(0)
    with pytest.raises(StoppedError):
        clock.check_stop()
    assert clock.stopped
