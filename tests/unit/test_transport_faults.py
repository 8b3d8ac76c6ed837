"""Files over a bad line: every fault of the wire comes out as a passing error, and none is missed.

Each test plays one fault with exact bytes on a real socket.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from archiver.contracts import AssetRequest
from archiver.errors import PassingError
from archiver.transport import HttpDownloads
from archiver.transport.connection import BUFFER_BYTES
from tests.rawserver import (
    Line,
    RawServer,
    Seen,
    answer,
    chunked,
    chunks,
    cut,
    file,
    reply,
    say,
    trickle,
)
from tests.transportrig import HastyClock, get, open_transport

DATA = bytes(range(256)) * 2500  # larger than one buffer
WHOLE = answer(DATA)
HEAD_BYTES = len(WHOLE) - len(DATA)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


@pytest.fixture
def downloads() -> Iterator[HttpDownloads]:
    with open_transport(timeout_s=0.5) as transport:
        yield transport.downloads()


def fault_of(downloads: HttpDownloads, url: str) -> str:
    """Return the code of the passing error that a file ends in."""
    with pytest.raises(PassingError) as caught:
        get(downloads, url)
    return caught.value.code


def read_until_fault(downloads: HttpDownloads, url: str) -> tuple[str, int]:
    """Return the code of the passing error, and how many bytes came before it."""
    came = 0
    try:
        with downloads.open(AssetRequest(url=url)) as body:
            for chunk in body.chunks():
                came += len(chunk)
    except PassingError as fault:
        return fault.code, came
    return "", came


# --- what is whole --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        answer(DATA, length=None),
        answer(DATA, length=None, version="1.0"),
        answer(DATA, headers={"Connection": "close"}),
        answer(DATA, headers={"Content-Length": str(len(DATA))}),
        answer(DATA, length=None, headers={"Transfer-Encoding": "identity"}),
        chunked([DATA]),
        chunked([DATA[:1], DATA[1:70_000], DATA[70_000:]]),
        chunked([DATA], end=b"0;last=1\r\nX-Trailer: 1\r\n\r\n"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + WHOLE,
        WHOLE.replace(b"\r\n", b"\n", 2).replace(b"\r\n\r\n", b"\n\n", 1),
        b"\r\n" + WHOLE,
        answer(DATA, headers={f"X-{number}": "v" * 200 for number in range(400)}),
        answer(DATA, headers={"X-Folded": "one\r\n two", "No Token": "x", "X-Odd": "a\x01b\xe4"}),
    ],
    ids=[
        "length",
        "until-close",
        "http-1.0",
        "connection-close",
        "same-length-twice",
        "identity-coding",
        "one-chunk",
        "chunks",
        "trailer",
        "continue",
        "early-hints",
        "bare-line-feeds",
        "line-end-before",
        "many-headers",
        "odd-headers",
    ],
)
def test_every_framing_is_read_whole(
    server: RawServer, downloads: HttpDownloads, data: bytes
) -> None:
    """A body arrives byte for byte, however its end is marked and whatever stands before it."""
    server.on("/f", say(data, then_close=b"Content-Length" not in data and b"chunk" not in data))
    got = get(downloads, server.url("/f"))
    assert (got.status, got.data) == (200, DATA)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_have_none(
    server: RawServer, downloads: HttpDownloads, status: int
) -> None:
    """204 and 304 end with their head, whatever length they announce, and the line goes on."""
    server.on("/f", say(answer(status=status, length=10)))
    server.on("/g", reply(b"next"))
    assert get(downloads, server.url("/f")).data == b""
    assert get(downloads, server.url("/g")).data == b"next"
    assert server.lines == 1


def test_headers_are_joined_and_in_lower_case(server: RawServer, downloads: HttpDownloads) -> None:
    """A field that comes twice is one value; control characters never come through."""
    server.on("/f", say(answer(b"", headers={"ETag": '"a"', "vary": "x\x07y", "Vary": "z"})))
    got = get(downloads, server.url("/f"))
    assert (got.headers["etag"], got.headers["vary"]) == ('"a"', "x y, z")


# --- cuts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [HEAD_BYTES, HEAD_BYTES + 1, HEAD_BYTES + BUFFER_BYTES + 5, -1])
def test_a_body_that_ends_early_is_noticed(
    server: RawServer, downloads: HttpDownloads, at: int
) -> None:
    """A close before the announced length is a short body, and what came was handed out."""
    server.on("/f", cut(WHOLE, at=at))
    came = len(WHOLE[:at]) - HEAD_BYTES
    assert read_until_fault(downloads, server.url("/f")) == ("short_body", came)


def test_bytes_before_a_reset_are_handed_out(server: RawServer, downloads: HttpDownloads) -> None:
    """What arrived before the line broke is not lost: it can be continued from there."""
    server.on("/f", cut(WHOLE, at=HEAD_BYTES + 5000, how="reset"))
    assert read_until_fault(downloads, server.url("/f")) == ("reset", 5000)


def test_bytes_before_a_stall_are_handed_out(server: RawServer, downloads: HttpDownloads) -> None:
    """Nor is what arrived just before the line went silent."""

    def stop_half_way(line: Line, seen: Seen) -> None:
        line.send(WHOLE[: HEAD_BYTES + 1])
        line.pause(0.02)
        line.send(WHOLE[HEAD_BYTES + 1 : HEAD_BYTES + 5000])
        line.stall()

    server.on("/f", stop_half_way)
    assert read_until_fault(downloads, server.url("/f")) == ("timeout", 5000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 20", "bad_http"),
        (WHOLE[: HEAD_BYTES - 2], "bad_http"),
    ],
    ids=["nothing", "in-the-status-line", "in-the-head"],
)
def test_a_close_before_the_body(
    server: RawServer, downloads: HttpDownloads, data: bytes, code: str
) -> None:
    """A connection that ends before an answer is complete is a passing fault."""
    server.on("/f", cut(data, at=len(data)))
    assert fault_of(downloads, server.url("/f")) == code


def test_a_reset_before_the_answer(server: RawServer, downloads: HttpDownloads) -> None:
    """So is one that is reset."""
    server.on("/f", cut(b"", at=0, how="reset"))
    assert fault_of(downloads, server.url("/f")) == "reset"


@pytest.mark.parametrize(
    "at", [0, 5, HEAD_BYTES, HEAD_BYTES + 1000], ids=["before", "head", "body-start", "body"]
)
def test_a_stall_is_cut(server: RawServer, downloads: HttpDownloads, at: int) -> None:
    """No byte for the time-out is a fault, wherever it happens, and not much later."""
    server.on("/f", cut(WHOLE, at=at, how="stall"))
    began = time.monotonic()
    assert fault_of(downloads, server.url("/f")) == "timeout"
    assert 0.4 < time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("data", "at"),
    [
        (WHOLE, HEAD_BYTES),
        (WHOLE, 0),
        (chunked([DATA]), 60),
        (chunked([b"a"] * 10_000), 60),
        (chunked([b"a"], end=b"0\r\n" + b"X: 1\r\n" * 10_000 + b"\r\n"), 60),
        (b"HTTP/1.1 100 Continue\r\nX: " + b"x" * 5000 + b"\r\n\r\n" + WHOLE, 0),
    ],
    ids=["body", "head", "chunk", "tiny-chunks", "trailer", "interim"],
)
def test_a_trickle_is_cut(
    server: RawServer, downloads: HttpDownloads, data: bytes, at: int
) -> None:
    """Under 1 KiB/s over twice the time-out is cut, in every part of an answer."""
    server.on("/f", trickle(data, at=at, step=10, every_s=0.05))
    began = time.monotonic()
    assert fault_of(downloads, server.url("/f")) == "too_slow"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("every_s", [0.045, 0.055, 0.07])
def test_a_trickle_of_pieces_that_are_gathered_is_cut(
    server: RawServer, downloads: HttpDownloads, every_s: float
) -> None:
    """The moment for which pieces are gathered is time waited too."""
    server.on("/f", trickle(WHOLE, at=HEAD_BYTES, step=8, every_s=every_s))
    assert fault_of(downloads, server.url("/f")) == "too_slow"


def test_bytes_are_delivered_before_more_are_waited_for(server: RawServer) -> None:
    """What came before a stall is handed on at once, however long the stall is borne."""
    server.on("/f", cut(WHOLE, at=HEAD_BYTES + 1000, how="stall"))
    with open_transport(timeout_s=30.0) as transport:
        with transport.downloads().open(AssetRequest(url=server.url("/f"))) as body:
            began = time.monotonic()
            assert len(next(iter(body.chunks()))) == 1000
        assert time.monotonic() - began < 10


def test_a_slow_line_that_moves_is_left_alone(server: RawServer) -> None:
    """Slow is no fault: some KiB/s over many windows come through."""
    data = b"x" * 24_000
    server.on("/f", trickle(answer(data), at=0, step=400, every_s=0.02))
    with open_transport(timeout_s=0.2) as transport:
        assert get(transport.downloads(), server.url("/f")).data == data


def test_a_reader_who_is_slow_is_not_blamed_on_the_line(
    server: RawServer, downloads: HttpDownloads
) -> None:
    """Only waiting for bytes counts: a slow disk never cuts a download."""
    server.on("/f", say(WHOLE))
    came = 0
    with downloads.open(AssetRequest(url=server.url("/f"))) as body:
        for chunk in body.chunks():
            came += len(chunk)
            time.sleep(0.7)
    assert came == len(DATA)


# --- nonsense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + WHOLE,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + WHOLE,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000,
        answer(b"hello", length=None, headers={"Content-Length": "5, 6"}),
        answer(b"hello", headers={"Content-Length": "6"}),
        answer(b"hello", length=None, headers={"Content-Length": "-5"}),
        answer(b"hello", length=None, headers={"Content-Length": "0x5"}),
        answer(b"hello", length=None, headers={"Content-Length": "5" * 30}),
        answer(b"hello", length=None, headers={"Content-Length ": "5"}),
        answer(b"hello", length=None, headers={"Transfer-Encoding": "gzip, chunked"}),
        answer(b"hello", length=None, headers={"Transfer-Encoding": "chunked, chunked"}),
        chunked([], end=b"-5\r\nhello"),
        chunked([], end=b"0x5\r\nhello\r\n0\r\n\r\n"),
        chunked([], end=b"\r\nhello\r\n0\r\n\r\n"),
        chunked([], end=b"fffffffffffffffff\r\nhello"),
        chunked([], end=b"3\r\nhello\r\n0\r\n\r\n"),
        chunked([], end=b"5;" + b"x" * 9000 + b"\r\nhello\r\n0\r\n\r\n"),
        chunked([b"x"], end=b"0\r\n" + b"X-T: 1\r\n" * 20_000 + b"\r\n"),
    ],
    ids=[
        "ssh",
        "http-2",
        "status-letters",
        "status-099",
        "switching",
        "interim-flood",
        "endless-head",
        "two-lengths",
        "two-length-fields",
        "negative-length",
        "hexadecimal-length",
        "huge-length",
        "spaced-length",
        "gzip-coding",
        "chunked-twice",
        "negative-chunk",
        "0x-chunk",
        "no-chunk-size",
        "huge-chunk",
        "chunk-overrun",
        "long-extension",
        "endless-trailer",
    ],
)
def test_what_is_not_http_is_refused(
    server: RawServer, downloads: HttpDownloads, data: bytes
) -> None:
    """Bytes whose end could be read in two ways, or in none, are a fault and never a file."""
    server.on("/f", say(data, then_close=True))
    assert fault_of(downloads, server.url("/f")) == "bad_http"


@pytest.mark.parametrize(
    "end",
    [b"", b"0\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5"],
    ids=["no-last", "no-end", "in-a-chunk", "no-line-end", "no-next", "in-a-size"],
)
def test_chunks_that_end_early_are_noticed(
    server: RawServer, downloads: HttpDownloads, end: bytes
) -> None:
    """Without the last chunk and its line end a chunked body is short."""
    server.on("/f", say(chunked([b"first"], end=end), then_close=True))
    assert fault_of(downloads, server.url("/f")) == "short_body"


def test_both_lengths_end_the_connection(server: RawServer, downloads: HttpDownloads) -> None:
    """Chunks win over Content-Length, and such a line carries no second answer (smuggling)."""
    both = answer(length=3, headers={"Transfer-Encoding": "chunked"}) + chunks([DATA])
    server.on("/f", say(both))
    assert get(downloads, server.url("/f")).data == DATA
    assert get(downloads, server.url("/f")).data == DATA
    assert server.lines == 2


# --- statuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 522, 599])
def test_statuses_that_pass(server: RawServer, downloads: HttpDownloads, status: int) -> None:
    """Time-outs and server errors are passing faults that bear their status."""
    server.on("/f", reply(b"oops", status=status))
    assert fault_of(downloads, server.url("/f")) == f"http_{status}"


@pytest.mark.parametrize("status", [200, 206, 300, 400, 401, 403, 404, 410, 416])
def test_other_statuses_are_given(server: RawServer, downloads: HttpDownloads, status: int) -> None:
    """What a status means for a file is not decided here."""
    server.on("/f", reply(b"see", status=status))
    got = get(downloads, server.url("/f"))
    assert (got.status, got.data) == (status, b"see")


# --- no connection --------------------------------------------------------------------------------


def test_nobody_listens(downloads: HttpDownloads) -> None:
    """A refused connection is a passing fault that says so."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(PassingError, match="refuses connections") as caught:
            get(downloads, f"http://127.0.0.1:{port}/f")
    assert caught.value.code == "unreachable"


def test_an_unknown_name(downloads: HttpDownloads) -> None:
    """A name without an address is a passing fault: name servers fail too."""
    assert fault_of(downloads, "http://cdn.invalid/f") == "dns"


def test_a_call_that_nobody_takes(server: RawServer) -> None:
    """Connecting has its own limit, and its end is a time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(address)
        began = time.monotonic()
        with open_transport(timeout_s=0.6) as transport:
            code = fault_of(transport.downloads(), f"http://127.0.0.1:{address[1]}/f")
        for caller in callers:
            caller.close()
    assert code == "timeout"
    assert time.monotonic() - began < 3


# --- connections that are kept --------------------------------------------------------------------


def test_one_connection_carries_many_requests(server: RawServer, downloads: HttpDownloads) -> None:
    """A connection is used again, also after chunks and after an error page nobody read."""
    server.on("/a", reply(b"a"))
    server.on("/b", say(chunked([b"b"])))
    server.on("/c", reply(b"not here", status=404))
    for path in ("/a", "/b", "/c", "/a"):
        with downloads.open(AssetRequest(url=server.url(path))) as body:
            if path != "/c":
                assert b"".join(map(bytes, body.chunks())) == path[1:].encode()
    assert server.lines == 1


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_kept_connection_that_died_is_replaced(
    server: RawServer, downloads: HttpDownloads, how: str
) -> None:
    """The server closed it while it was idle: the request goes out once more, unnoticed."""

    def then_end(line: Line, seen: Seen) -> None:
        line.send(answer(b"once"))
        line.pause(0.1)
        line.close() if how == "close" else line.reset()

    server.on("/f", then_end)
    for _ in range(3):
        assert get(downloads, server.url("/f")).data == b"once"
        time.sleep(0.2)
    assert (server.lines, len(server.seen)) == (3, 3)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_race_of_a_request_and_a_close(
    server: RawServer, downloads: HttpDownloads, how: str
) -> None:
    """It closes at the moment of the next request: that one is sent again on a new connection."""

    def first_then_end(line: Line, seen: Seen) -> None:
        earlier = [one for one in server.seen if one.line == line.number]
        if len(earlier) == 1:
            line.send(answer(b"fine"))
        else:
            line.close() if how == "close" else line.reset()

    server.on("/f", first_then_end)
    assert get(downloads, server.url("/f")).data == b"fine"
    assert get(downloads, server.url("/f")).data == b"fine"
    assert (server.lines, len(server.seen)) == (2, 3)


def test_a_new_connection_that_dies_is_not_tried_again(
    server: RawServer, downloads: HttpDownloads
) -> None:
    """Only a kept connection is replaced: the number of attempts is decided elsewhere."""
    server.on("/f", cut(b"", at=0))
    assert fault_of(downloads, server.url("/f")) == "reset"
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"x"], ids=["answer", "byte"]
)
def test_bytes_that_nobody_asked_for(
    server: RawServer, downloads: HttpDownloads, extra: bytes
) -> None:
    """A connection with bytes left over is closed: they would be taken for the next answer."""
    server.on("/f", say(answer(b"good") + extra))
    assert [get(downloads, server.url("/f")).data for _ in range(3)] == [b"good"] * 3
    assert server.lines == 3


def test_a_late_word_on_an_idle_connection(server: RawServer, downloads: HttpDownloads) -> None:
    """The 408 that servers put on idle connections is not taken for an answer."""

    def with_late_word(line: Line, seen: Seen) -> None:
        line.send(answer(b"good"))
        line.pause(0.1)
        line.send(answer(b"too late", status=408))

    server.on("/f", with_late_word)
    assert get(downloads, server.url("/f")).data == b"good"
    time.sleep(0.2)
    assert get(downloads, server.url("/f")).data == b"good"


def test_a_body_left_unread_ends_its_connection(
    server: RawServer, downloads: HttpDownloads
) -> None:
    """Who stops reading in the middle leaves no rest for the next request."""
    server.on("/f", say(WHOLE))
    with downloads.open(AssetRequest(url=server.url("/f"))) as body:
        next(iter(body.chunks()))
    assert get(downloads, server.url("/f")).data == DATA
    assert server.lines == 2


def test_idle_connections_are_bounded(downloads: HttpDownloads) -> None:
    """Of many hosts only the last few connections stay open."""
    servers = [RawServer() for _ in range(4)]
    try:
        with open_transport(max_connections=2) as transport:
            few = transport.downloads()
            for server in [*servers, *servers]:
                server.on("/f", reply(b"x"))
                get(few, server.url("/f"))
        assert [server.lines for server in servers] == [2, 2, 2, 2]
    finally:
        for server in servers:
            server.close()


def test_old_connections_are_not_used(server: RawServer) -> None:
    """After a minute of silence a connection is replaced."""
    server.on("/f", reply(b"x"))
    clock = HastyClock()
    with open_transport(clock=clock) as transport:
        get(transport.downloads(), server.url("/f"))
        clock.sleep(61)
        get(transport.downloads(), server.url("/f"))
    assert server.lines == 2


# --- resuming -------------------------------------------------------------------------------------


def test_a_range_is_asked_for_and_given(server: RawServer, downloads: HttpDownloads) -> None:
    """Range and If-Range go out as given, and a 206 comes back as it is."""
    server.on("/f", file(DATA, etag='"v1"'))
    got = get(downloads, server.url("/f"), Range="bytes=1000-", If_Range='"v1"')
    assert (got.status, got.length, got.data) == (206, len(DATA) - 1000, DATA[1000:])
    assert got.headers["content-range"] == f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
