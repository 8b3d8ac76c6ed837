"""Files that a server coded although it was asked not to."""

from __future__ import annotations

import contextlib
import gzip
import random
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.contracts import AssetRequest
from archiver.errors import NotMediaError, PassingError
from archiver.transport import HttpDownloads
from archiver.transport.coding import decode
from tests.rawserver import RawServer, answer, chunked, cut, reply, say
from tests.transportrig import get, open_transport

DATA = random.Random(3).randbytes(300_000) + b"\x00" * 5_000_000


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        yield running


@pytest.fixture
def downloads() -> Iterator[HttpDownloads]:
    with open_transport() as transport:
        yield transport.downloads()


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS = {
    "gzip": gzip.compress(DATA),
    "GZIP": gzip.compress(DATA) + b"\x00" * 700_000,
    "x-gzip": gzip.compress(DATA[:400_000]) + gzip.compress(DATA[400_000:]),
    "deflate": zlib.compress(DATA),
    " deflate ": bare_deflate(DATA),
    "deflate, gzip": gzip.compress(zlib.compress(DATA)),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_coded_file_is_decoded(
    server: RawServer, downloads: HttpDownloads, coding: str, in_chunks: bool
) -> None:
    """It is marked as coded, comes out as the file, in pieces of bounded size."""
    packed = CODINGS[coding]
    data = answer(packed, headers={"Content-Encoding": coding})
    if in_chunks:
        framed = chunked([packed[i : i + 7777] for i in range(0, len(packed), 7777)])
        data = framed.replace(b"\r\n", f"\r\nContent-Encoding: {coding}\r\n".encode(), 1)
    server.on("/f", say(data))
    for _ in range(2):
        with downloads.open(AssetRequest(url=server.url("/f"))) as body:
            pieces = [bytes(chunk) for chunk in body.chunks()]
            assert body.encoded
        assert b"".join(pieces) == DATA
        assert max(map(len, pieces)) <= 1 << 18
    assert server.lines == 1


@pytest.mark.parametrize("coding", ["", "identity", "aws-chunked", "Identity, identity"])
def test_a_plain_file_is_plain(server: RawServer, downloads: HttpDownloads, coding: str) -> None:
    """Codings that change nothing leave a file that can be continued."""
    server.on("/f", reply(b"plain", headers={"Content-Encoding": coding}))
    got = get(downloads, server.url("/f"))
    assert (got.encoded, got.length, got.data) == (False, 5, b"plain")


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip,gzip,gzip,gzip"])
def test_an_unknown_coding_is_no_media(
    server: RawServer, downloads: HttpDownloads, coding: str
) -> None:
    """What was not asked for and cannot be undone is refused by name; its status is still told."""
    server.on("/f", reply(b"whatever", status=404, headers={"Content-Encoding": coding}))
    with downloads.open(AssetRequest(url=server.url("/f"))) as body:
        assert (body.status, body.encoded) == (404, True)
        with pytest.raises(NotMediaError, match="coding") as caught:
            list(body.chunks())
    assert caught.value.code == "not_media"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_wrong_coding_is_no_media(
    server: RawServer, downloads: HttpDownloads, coding: str
) -> None:
    """A header that does not fit the bytes will not fit them next time."""
    server.on("/f", reply(b"\xffnot coded at all", headers={"Content-Encoding": coding}))
    with pytest.raises(NotMediaError):
        get(downloads, server.url("/f"))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_coded_file_that_ends_early(
    server: RawServer, downloads: HttpDownloads, coding: str
) -> None:
    """Both a cut line and a coding without its end are short bodies."""
    headers = {"Content-Encoding": coding}
    whole = answer(CODINGS[coding], headers=headers)
    server.on("/f", cut(whole, at=len(whole) - 5), reply(CODINGS[coding][:-12], headers=headers))
    for _ in range(2):
        with pytest.raises(PassingError) as caught:
            get(downloads, server.url("/f"))
        assert caught.value.code == "short_body"


@given(st.binary(max_size=3000), st.integers(1, 50), st.sampled_from(["gzip", "deflate", "bare"]))
def test_pieces_of_any_size_decode_alike(data: bytes, size: int, kind: str) -> None:
    """How the wire cut the coded bytes makes no difference."""
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "bare": bare_deflate,
    }
    packed = packers[kind](data)
    pieces = [packed[i : i + size] for i in range(0, len(packed), size)]
    name = "gzip" if kind == "gzip" else "deflate"
    unpacked = decode(pieces, (name,), refuse=NotMediaError, cut_short=lambda: PassingError("x"))
    assert b"".join(map(bytes, unpacked)) == data


@given(st.lists(st.binary()), st.sampled_from([("gzip",), ("deflate",), ("gzip", "deflate")]))
def test_any_bytes_decode_or_are_refused(pieces: list[bytes], names: tuple[str, ...]) -> None:
    """Nothing but our own errors comes out."""
    unpacked = decode(pieces, names, refuse=NotMediaError, cut_short=lambda: PassingError("x"))
    with contextlib.suppress(NotMediaError, PassingError):
        list(unpacked)
