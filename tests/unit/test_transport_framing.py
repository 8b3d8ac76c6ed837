"""The reader of HTTP/1.1 on random input: however the bytes are cut, it reads the same."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import PassingError
from archiver.transport import SystemClock
from archiver.transport.connection import Connection
from tests.rawserver import answer, chunked

NAMES = st.from_regex(r"X-[A-Za-z0-9-]{1,12}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=6)
SOUP = st.lists(
    st.sampled_from(
        [
            *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n"),
            *(b"HTTP/1.1 204 x\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n"),
            *(
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: close\r\n",
                b"X: y\r\n",
                b" more\r\n",
            ),
            *(
                b"\r\n",
                b"\n",
                b"\r",
                b"5\r\nhello\r\n",
                b"0\r\n",
                b"hello",
                b":",
                b"\x00",
                b"ffff\r\n",
            ),
        ]
    )
    | st.binary(max_size=8),
    max_size=20,
)


class ScriptedSocket:
    """A socket whose bytes come in the pieces that a test says, and then end."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        pass

    def recv_into(self, view: memoryview) -> int:
        if not self._pieces:
            return 0
        piece = self._pieces.pop(0)
        count = min(len(piece), len(view))
        view[:count] = piece[:count]
        if piece[count:]:
            self._pieces.insert(0, piece[count:])
        return count


def cut_up(data: bytes, at: Sequence[int]) -> list[bytes]:
    """Cut bytes at these places."""
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[a:b] for a, b in pairwise(places)]


def connect(pieces: Sequence[bytes]) -> Connection:
    """Make a connection on which these bytes come."""
    sock = cast("socket.socket", ScriptedSocket(pieces))
    return Connection(sock, peer="peer", timeout_s=30, clock=SystemClock())


def read(connection: Connection, *, limit: int = 1 << 18) -> tuple[int, bytes] | str:
    """Read one answer: its status and body, or the fault's code."""
    try:
        head = connection.ask("GET", "/", {})
        body = bytearray()
        while (piece := connection.read(limit)) is not None:
            body += piece
    except PassingError as fault:
        return fault.code
    return head.status, bytes(body)


def read_by_library(data: bytes) -> tuple[int, bytes]:
    """Read the same with the standard library."""

    class Source:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(data)

    response = http.client.HTTPResponse(cast("socket.socket", Source()), method="GET")
    response.begin()
    return response.status, response.read()


@given(
    body=st.binary(max_size=2000),
    headers=HEADERS,
    pieces=st.lists(st.integers(0, 5000), max_size=8),
    sizes=st.lists(st.integers(1, 700), max_size=6),
    framing=st.sampled_from(["length", "chunks", "close"]),
    limit=st.integers(1, 5000),
)
def test_cuts_make_no_difference(
    body: bytes,
    headers: dict[str, str],
    pieces: list[int],
    sizes: list[int],
    framing: str,
    limit: int,
) -> None:
    """A proper answer is read whole however the network cut it, as the standard library does."""
    if framing == "chunks":
        places = [sum(sizes[: number + 1]) for number in range(len(sizes))]
        data = chunked([piece for piece in cut_up(body, places) if piece])
    else:
        data = answer(body, headers=headers, length=-1 if framing == "length" else None)
    connection = connect(cut_up(data, pieces))
    assert read(connection, limit=limit) == (200, body)
    assert connection.reusable == (framing != "close")
    assert read_by_library(data) == (200, body)


@given(body=st.binary(min_size=1, max_size=300), coded=st.booleans(), at=st.integers(0, 10_000))
def test_an_answer_that_was_cut_is_never_whole(body: bytes, coded: bool, at: int) -> None:
    """With a known end, no proper beginning of an answer passes for the answer."""
    data = chunked([body]) if coded else answer(body)
    assert read(connect([data[: at % len(data)]])) in ("short_body", "bad_http", "reset")


@given(SOUP, st.lists(st.integers(0, 500), max_size=5))
def test_any_bytes_are_an_answer_or_a_fault(soup: list[bytes], at: list[int]) -> None:
    """Whatever comes is read or is a passing fault, the same however it was cut."""
    data = b"".join(soup)
    assert read(connect([data])) == read(connect(cut_up(data, at)))


@given(st.binary(max_size=400), st.lists(st.integers(0, 500), max_size=4))
def test_the_end_of_a_head_is_found_across_cuts(data: bytes, at: list[int]) -> None:
    """The empty line counts also when the network cut it in two."""
    pieces = cut_up(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + data, at)
    assert read(connect(pieces)) == (200, b"")
