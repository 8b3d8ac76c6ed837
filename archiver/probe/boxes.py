"""Reading boxes of ISO base media files (MP4, MOV, M4A, 3GP, AVIF, HEIC) from memory.

Source: ISO/IEC 14496-12, 4.2: size (32 bits, or 1 and then 64 bits, or 0 for "to the end") and
type (four characters).
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Literal

from archiver.errors import NotMediaError

_MAX_CHILDREN = 20_000


def damaged(what: str) -> NotMediaError:
    """Return the error for an index that contradicts itself."""
    return NotMediaError(f"The file cannot be played: {what}.", code="undecodable")


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin of content and end of every box between two offsets.

    Like FFmpeg, takes a box that is longer than its parent as ending with it, and stops at
    padding.

    Raises:
        NotMediaError: More boxes than any honest file has.
    """
    for _ in range(_MAX_CHILDREN):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif size == 0:
            size = end - start
        if start + size < body:
            return
        yield kind, body, min(start + size, end)
        start += size
    raise damaged("its index has more boxes than any real file")


def child(data: bytes, start: int, end: int, *path: bytes) -> tuple[int, int] | None:
    """Return begin and end of the content of the first box at a path of types."""
    for wanted in path:
        for kind, body, body_end in boxes(data, start, end):
            if kind == wanted:
                start, end = body, body_end
                break
        else:
            return None
    return start, end


def numbers(
    data: bytes, start: int, end: int, count: int, code: Literal["H", "I", "Q"]
) -> array[int]:
    """Read a table of big-endian numbers.

    Raises:
        NotMediaError: The table says that it is longer than the box which holds it.
    """
    values = array(code)
    stop = start + count * values.itemsize
    if stop > end or stop > len(data):
        raise damaged(f"a table in its index names {count} entries, more than there are")
    values.frombytes(data[start:stop])
    if sys.byteorder == "little":
        values.byteswap()
    return values
