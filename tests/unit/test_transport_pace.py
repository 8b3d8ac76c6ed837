"""How fast it goes: what a host asks for, requests and bytes per second."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import PassingError, RateLimitedError
from archiver.transport import SystemClock, parse_retry_after
from archiver.transport.load import HostLoad
from archiver.transport.pace import ByteRate, HostPauses, RequestRate, parse_http_date
from tests.rawserver import RawServer, answer, reply
from tests.transportrig import HastyClock, get, open_api, open_transport

NOW = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)
HOST = "cdn.example"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


def pauses(clock: HastyClock) -> HostPauses:
    return HostPauses(clock=clock, rng=random.Random(7), load=HostLoad(clock=clock))


# --- Retry-After ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "999999999999"}, 999999999999.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Mon, 23 Nov 2026 03:01:00 GMT"}, 60.0),
        ({"retry-after": "Mon, 23 Nov 2026 02:00:00 GMT"}, 0.0),
        ({"retry-after": "Monday, 23-Nov-26 03:01:00 GMT"}, 60.0),
        ({"retry-after": "Mon Nov 23 03:01:00 2026"}, 60.0),
        (
            {
                "retry-after": "Sun, 01 Jan 2040 00:00:30 GMT",
                "date": "Sun, 01 Jan 2040 00:00:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Mon, 23 Nov 2026 03:01:00 GMT", "date": "yesterday"}, 60.0),
        *[
            ({"retry-after": text}, None)
            for text in ("", "-5", "soon", "1e9", "nan", "inf", "0x10", "1,2", "9" * 40, "١٢")
        ],
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates by the answer's own clock; anything else asks for nothing."""
    assert parse_retry_after(headers, now=NOW) == seconds


@given(st.text(), st.text())
def test_any_header_is_read_or_ignored(value: str, date: str) -> None:
    """No value does harm, and no pause is negative."""
    seconds = parse_retry_after({"retry-after": value, "date": date}, now=NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    "text", ["", None, "x", "0", "Mon, 99 Foo 2026", "Thu, 01 Jan 1970 00:00:00 GMT", "9999999999"]
)
def test_absurd_dates_are_none(text: str | None) -> None:
    """A date that no server can mean is no date."""
    assert parse_http_date(text) is None


# --- pauses of a host -----------------------------------------------------------------------------


def test_a_pause_holds_all_workers_of_that_host_only(clock: HastyClock) -> None:
    """Who asks for the paused host waits, who asks for another does not."""
    shared = pauses(clock)
    shared.pause(HOST, 20, sent_at=clock.monotonic())
    shared.wait("other.example")
    assert clock.slept == []
    shared.wait(HOST)
    assert 20 <= sum(clock.slept) < 21.5


def test_a_shorter_pause_does_not_end_a_longer_one(clock: HastyClock) -> None:
    """The latest end counts."""
    shared = pauses(clock)
    shared.pause(HOST, 100, sent_at=0)
    shared.pause(HOST, 1, sent_at=0)
    shared.wait(HOST)
    assert sum(clock.slept) > 99


def test_a_long_pause_is_not_waited_for(clock: HastyClock) -> None:
    """Over five minutes every request is refused at once, until five minutes are left."""
    shared = pauses(clock)
    shared.pause(HOST, 1000, sent_at=0)
    with pytest.raises(RateLimitedError) as caught:
        shared.wait(HOST)
    assert caught.value.retry_after_s == pytest.approx(1000, abs=1)
    clock.sleep(750)
    clock.slept.clear()
    shared.wait(HOST)
    assert 249 < sum(clock.slept) < 252


def test_refusals_without_a_time_grow(clock: HastyClock) -> None:
    """A host that does not say for how long is left alone for longer each time, then anew."""
    shared = pauses(clock)
    grown = [shared.pause(HOST, None, sent_at=clock.monotonic()) for _ in range(7)]
    assert grown == [1, 2, 4, 8, 15, 15, 15]
    shared.forgive(HOST)
    assert shared.pause(HOST, 0, sent_at=clock.monotonic()) == 1


def test_refusals_of_one_moment_count_once(clock: HastyClock) -> None:
    """Eight requests under way when a host begins to refuse are one refusal."""
    shared = pauses(clock)
    sent_at = clock.monotonic()
    assert {shared.pause(HOST, None, sent_at=sent_at) for _ in range(8)} == {1}
    shared.wait(HOST)
    assert shared.pause(HOST, None, sent_at=clock.monotonic()) == 2


# --- pauses on the wire ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_retry_after_pauses_files_and_api_alike(
    server: RawServer, clock: HastyClock, status: int
) -> None:
    """A host that asks a file request for a pause gets it from everybody."""
    server.on("/f", reply(b"slow down", status=status, headers={"Retry-After": "40"}))
    server.on("/task", reply(b"{}"))
    with open_transport(clock=clock) as transport:
        with pytest.raises(RateLimitedError) as caught:
            get(transport.downloads(), server.url("/f"))
        assert caught.value.retry_after_s == 40
        assert clock.slept == []
        open_api(transport, server.origin).request("GET", "/task")
    assert 39 < sum(clock.slept) < 42


def test_a_date_is_judged_by_the_server(server: RawServer, clock: HastyClock) -> None:
    """A Retry-After date counts from the answer's Date, whatever the clock here says."""
    headers = {
        "Date": "Sun, 01 Jan 2040 00:00:00 GMT",
        "Retry-After": "Sun, 01 Jan 2040 00:00:40 GMT",
    }
    server.on("/f", reply(b"", status=503, headers=headers))
    with open_transport(clock=clock) as transport, pytest.raises(RateLimitedError) as caught:
        get(transport.downloads(), server.url("/f"))
    assert caught.value.retry_after_s == 40


def test_a_5xx_without_a_time_pauses_nobody(server: RawServer, clock: HastyClock) -> None:
    """An ordinary fault of one file is no reason to wait for the host."""
    server.on("/f", reply(b"", status=503, headers={"Retry-After": "0"}))
    with open_transport(clock=clock) as transport:
        for _ in range(2):
            with pytest.raises(PassingError) as caught:
                get(transport.downloads(), server.url("/f"))
            assert caught.value.code == "http_503"
    assert clock.slept == []


def test_a_429_without_a_time_pauses_too(server: RawServer, clock: HastyClock) -> None:
    """429 always pauses; once the host answers, its pauses are short again."""
    busy = reply(b"", status=429)
    server.on("/f", busy, busy, reply(b"file"), busy)
    with open_transport(clock=clock) as transport:
        downloads = transport.downloads()
        asked = []
        for _ in range(4):
            try:
                get(downloads, server.url("/f"))
            except RateLimitedError as fault:
                asked.append(fault.retry_after_s)
    assert asked == [1, 2, 1]


def test_no_request_goes_out_during_a_long_pause(server: RawServer, clock: HastyClock) -> None:
    """A pause of over five minutes ends the attempts and silences the host for everybody."""
    server.on("/f", reply(b"", status=429, headers={"Retry-After": "301"}))
    with open_transport(clock=clock) as transport:
        api = open_api(transport, server.origin)
        with pytest.raises(RateLimitedError) as caught:
            api.request("GET", "/f")
        assert caught.value.retry_after_s == 301
        for ask in (
            lambda: api.request("GET", "/g"),
            lambda: get(transport.downloads(), api.base_url),
        ):
            with pytest.raises(RateLimitedError):
                ask()
        assert (len(server.seen), clock.slept) == (1, [])
        clock.sleep(2)
        server.on("/g", reply(b"{}"))
        assert api.request("GET", "/g").status == 200


def test_a_redirects_host_is_the_one_paused(server: RawServer, clock: HastyClock) -> None:
    """The host that said 429 is paused, not the one that led there."""
    with RawServer() as other:
        other.on("/f", reply(b"", status=429, headers={"Retry-After": "40"}))
        server.on("/f", reply(b"", status=302, headers={"Location": other.url("/f")}))
        server.on("/g", reply(b"g"))
        with open_transport(clock=clock) as transport:
            with pytest.raises(RateLimitedError):
                get(transport.downloads(), server.url("/f"))
            get(transport.downloads(), server.url("/g"))
            assert clock.slept == []
            with pytest.raises(RateLimitedError):
                get(transport.downloads(), server.url("/f"))
            assert sum(clock.slept) > 39


# --- requests per second --------------------------------------------------------------------------


def test_requests_are_evenly_spaced(clock: HastyClock) -> None:
    """No burst at the start, no catching up after a rest."""
    rate = RequestRate(clock=clock, per_second=4)
    for _ in range(5):
        rate.wait()
    assert sum(clock.slept) == pytest.approx(1.0, abs=0.05)
    clock.sleep(60)
    clock.slept.clear()
    for _ in range(3):
        rate.wait()
    assert sum(clock.slept) == pytest.approx(0.5, abs=0.05)


def test_the_rate_is_one_for_all_workers() -> None:
    """Four threads together send no more than one alone."""
    rate = RequestRate(clock=SystemClock(), per_second=40)
    began = time.monotonic()

    def ask_five_times() -> None:
        for _ in range(5):
            rate.wait()

    workers = [threading.Thread(target=ask_five_times) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert 0.45 < time.monotonic() - began < 2


def test_the_rate_counts_attempts(server: RawServer, clock: HastyClock) -> None:
    """Retries go through the same gate."""
    server.on("/t", reply(b"", status=500), reply(b"", status=500), reply(b"{}"))
    with open_transport(clock=clock) as transport:
        open_api(transport, server.origin, max_requests_per_second=0.1).request("GET", "/t")
    assert sum(clock.slept) == pytest.approx(20, abs=1)


@pytest.mark.parametrize("per_second", [None, 0])
def test_no_rate_is_no_wait(clock: HastyClock, per_second: float | None) -> None:
    """Without a limit nobody waits."""
    for _ in range(3):
        RequestRate(clock=clock, per_second=per_second).wait()
    assert clock.slept == []


# --- bytes per second -----------------------------------------------------------------------------


def test_the_byte_rate_holds_over_all_files(server: RawServer, clock: HastyClock) -> None:
    """Two files of 1 MB at 100 kB/s take twenty seconds together, and the small slack less."""
    data = b"x" * 1_000_000
    server.on("/f", reply(data))
    with open_transport(clock=clock, max_rate_bytes=100_000) as transport:
        for _ in range(2):
            assert get(transport.downloads(), server.url("/f")).data == data
    assert 19 < sum(clock.slept) < 20.5
    assert max(clock.slept) < 0.5


def test_a_limited_line_is_not_called_slow(server: RawServer) -> None:
    """Our own limit, however low, never cuts a connection."""
    server.on("/f", reply(b"x" * 3000))
    with open_transport(timeout_s=0.3, max_rate_bytes=500, clock=HastyClock()) as transport:
        assert len(get(transport.downloads(), server.url("/f")).data) == 3000


@pytest.mark.parametrize("limit", [None, 0])
def test_no_byte_rate_is_no_wait(clock: HastyClock, limit: int | None) -> None:
    """Without a limit nothing is split and nobody waits."""
    rate = ByteRate(clock=clock, bytes_per_second=limit)
    rate.spend(1 << 40)
    assert (rate.read_size, clock.slept) == (None, [])


def test_an_api_is_not_under_the_byte_rate(server: RawServer, clock: HastyClock) -> None:
    """The limit is for files: a task's document is small, and others wait for it."""
    server.on("/t", lambda line, seen: line.send(answer(b'"' + b"x" * 100_000 + b'"')))
    with open_transport(clock=clock, max_rate_bytes=1000) as transport:
        open_api(transport, server.origin).request("GET", "/t")
    assert clock.slept == []
