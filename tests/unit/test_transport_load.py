"""How many requests a host gets at a time once it has refused some."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from archiver.contracts import AssetRequest
from archiver.errors import RateLimitedError, StoppedError
from archiver.transport.load import HostLoad
from tests.rawserver import Line, RawServer, Seen, answer, reply
from tests.transportrig import HastyClock, open_transport

HOST = "cdn.example"
WORKERS = 8


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


@pytest.fixture
def load() -> HostLoad:
    return HostLoad(clock=HastyClock())


def test_a_refusal_halves_and_answers_allow_more(load: HostLoad) -> None:
    """From eight to four, two, one, and never to none; up again one by one."""
    for _ in range(8):
        load.enter(HOST)
    assert load.most(HOST) is None
    found = []
    for _ in range(4):
        load.refused(HOST, sent_at=time.monotonic() + 60)
        found.append(load.most(HOST))
    assert found == [4, 2, 1, 1]
    for _ in range(32):
        load.answered(HOST)
    assert load.most(HOST) == 3
    assert load.most("other.example") is None


def test_refusals_of_what_was_under_way_count_once(load: HostLoad) -> None:
    """Eight requests that a busy host refuses together are one sign, not eight."""
    sent_at = time.monotonic() - 1
    for _ in range(8):
        load.enter(HOST)
    for _ in range(8):
        load.refused(HOST, sent_at=sent_at)
    assert load.most(HOST) == 4


def test_others_wait_until_a_request_is_over(load: HostLoad) -> None:
    """Who comes while the host has all that it bears goes on when one is done."""
    load.enter(HOST)
    load.refused(HOST, sent_at=time.monotonic() + 60)
    assert load.most(HOST) == 1
    gone = threading.Event()

    def follow() -> None:
        load.enter(HOST)
        gone.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert not gone.wait(0.3)
    load.leave(HOST)
    assert gone.wait(5)
    follower.join()


def test_a_stopped_run_does_not_wait() -> None:
    """Whoever waits for a host learns within moments that the run is over."""
    clock = HastyClock()
    load = HostLoad(clock=clock)
    load.enter(HOST)
    load.refused(HOST, sent_at=clock.monotonic() + 60)
    threading.Timer(0.1, clock.stop, ["stopped by SIGTERM"]).start()
    with pytest.raises(StoppedError):
        load.enter(HOST)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_gets_fewer_requests_at_a_time(server: RawServer, status: int) -> None:
    """A server that bears two at a time refuses a few, and then gets no more than it bears."""
    lock = threading.Lock()
    under_way = refused = served = 0
    late: list[int] = []

    def bear_two(line: Line, seen: Seen) -> None:
        nonlocal under_way, refused, served
        with lock:
            under_way += 1
            is_too_many = under_way > 2
            refused += is_too_many
            served += not is_too_many
            if served > 40:
                late.append(under_way)
        line.pause(0.02)
        with lock:
            under_way -= 1
        busy = answer(b"", status=status, headers={"Retry-After": "1"})
        line.send(busy if is_too_many else answer(b"x" * 1000))

    server.on("/file", bear_two)
    with open_transport(max_attempts=20) as transport:
        downloads = transport.downloads()

        def fetch(_: int) -> int:
            for attempt in downloads.attempts():
                with attempt, downloads.open(AssetRequest(url=server.url("/file"))) as body:
                    return sum(len(chunk) for chunk in body.chunks())
            return 0

        with ThreadPoolExecutor(WORKERS) as workers:
            assert list(workers.map(fetch, range(80))) == [1000] * 80
    assert refused < 20
    assert late
    assert max(late) <= 4


def test_a_body_that_is_given_up_is_over(server: RawServer) -> None:
    """However an exchange ends, the host's next request need not wait for it."""
    server.on("/file", reply(b"", status=429), reply(b"x" * 100_000), reply(b"whole"))
    with open_transport() as transport:
        downloads = transport.downloads()
        url = server.url("/file")
        with pytest.raises(RateLimitedError), downloads.open(AssetRequest(url=url)):
            pass
        with downloads.open(AssetRequest(url=url)) as body:
            next(iter(body.chunks()))
        with downloads.open(AssetRequest(url=url)) as body:
            assert b"".join(map(bytes, body.chunks())) == b"whole"
