"""Content codings, undone piece by piece so that a small body cannot become a huge one at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from archiver.errors import ArchiverError

_PIECE_BYTES = 1 << 18
_PLAIN = frozenset({"", "identity", "aws-chunked"})
_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})
_MOST_CODINGS = 3
_GZIP_MAGIC = 0x1F

ACCEPTED = "gzip, deflate"
"""What `decode` can undo."""


def codings(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the codings in force, in the order they were applied; empty for plain bytes.

    `aws-chunked` is none: it is a remnant of an upload that some stores hand out.
    """
    words = headers.get("content-encoding", "").lower().split(",")
    return tuple(word for part in words if (word := part.strip()) not in _PLAIN)


def decode(
    chunks: Iterable[bytes | memoryview],
    names: tuple[str, ...],
    *,
    refuse: Callable[[str], ArchiverError],
    cut_short: Callable[[], ArchiverError],
) -> Iterator[bytes | memoryview]:
    """Undo codings while a body streams.

    Args:
        names: From `codings`.
        refuse: Makes the error for a coding that is not known, or bytes that are not of it.
        cut_short: Makes the error for coded bytes that end too early.

    Raises:
        ArchiverError: From `refuse` or `cut_short`.
    """
    unknown = [name for name in names if name not in _KNOWN]
    if unknown or len(names) > _MOST_CODINGS:
        shown = "".join(char for char in ", ".join(unknown or names) if char.isprintable())
        raise refuse(f"content coding {shown[:40]!r} is not known")
    stream: Iterable[bytes | memoryview] = chunks
    for name in reversed(names):
        stream = _inflate(stream, name, refuse, cut_short)
    yield from stream


def _inflate(
    chunks: Iterable[bytes | memoryview],
    name: str,
    refuse: Callable[[str], ArchiverError],
    cut_short: Callable[[], ArchiverError],
) -> Iterator[bytes]:
    unpacker = None
    members = 0
    for chunk in chunks:
        data: bytes | memoryview = chunk
        while data:
            if unpacker is None:
                if members and (name == "deflate" or data[0] != _GZIP_MAGIC):
                    members = -1  # padding behind the last member: read, and let go
                if members < 0:
                    break
                unpacker = zlib.decompressobj(_window_bits(name, data))
            try:
                piece = unpacker.decompress(data, _PIECE_BYTES)
            except zlib.error:
                raise refuse(f"the body is not {name} as its header says") from None
            if piece:
                yield piece
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                data = unpacker.unused_data
                unpacker = None
                members += 1
    while unpacker is not None and not unpacker.eof:
        piece = unpacker.decompress(b"", _PIECE_BYTES)
        if not piece:
            raise cut_short()
        yield piece


def _window_bits(name: str, head: bytes | memoryview) -> int:
    if name != "deflate":
        return 16 + zlib.MAX_WBITS
    # "deflate" means zlib, but many servers send it bare. Source: RFC 9110 section 8.4.1.2.
    is_zlib = head[0] & 15 == 8 and (len(head) == 1 or (head[0] << 8 | head[1]) % 31 == 0)
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
