"""Whether a still picture or an animation is whole, by its own structure; and how large it is."""

from __future__ import annotations

import io
import re
import struct
import zlib
from dataclasses import dataclass, replace
from typing import IO

from archiver.errors import NotMediaError, TooLargeError, TruncatedError

# With a fixed first byte, which `re` looks for twenty times as fast as for a repeated one.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_NO_LENGTH = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
_JPEG_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_JPEG_SEQUENTIAL = frozenset((0xC0, 0xC1))
_JPEG_BEHIND_PIXELS = frozenset((0x01, 0xDC, *range(0xE0, 0xF0), 0xFE))
_DECODED_BYTES = 8 << 10
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
MAX_HELD_BYTES = 64_000_000
"""Pictures that need more are never unpacked as a whole.

A JPEG is unpacked at an eighth of its size then; others, and progressive JPEG, are judged by their
structure.
"""

MAX_HELD_PNG_PIXELS = 2_000_000
"""A larger PNG is unpacked piece by piece."""

_DECODER_BYTES_PER_PIXEL = {"WEBP": 18, "AVIF": 16, "JPEG": 6}
"""What the libraries take, measured; the others' decoders hold little more than the pixels."""

_MAX_PIXELS = 200_000_000
_MAX_FRAME_PIXELS = 40_000_000
_MAX_FRAMES = 20_000
_MAX_ANIMATION_PIXELS = 10_000_000_000
_PIECE_BYTES = 1 << 20
_PACKED_BYTES = 64 << 10
_MAX_PARTS = 1_000_000
_FREE_SCANS = 12
_MAX_SCANNED_PIXELS = 4_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Size of a picture as stored.

    Attributes:
        width_px: Columns, before any orientation is applied.
        height_px: Rows, likewise.
        frames: How many pictures the file holds.
        progressive: Whether a decoder holds all of a JPEG before it gives a pixel.
        pixels_at: Where the pixels of a JPEG begin, if no marker that matters to a decoder stands
            between them and the end; else 0.
    """

    width_px: int
    height_px: int
    frames: int = 1
    progressive: bool = False
    pixels_at: int = 0


def decoder_bytes(image_format: str, pixels: int) -> int:
    """Return how much memory it takes to unpack a picture as a whole."""
    return pixels * _DECODER_BYTES_PER_PIXEL.get(image_format, 4)


def broken(what: str) -> NotMediaError:
    """Return the error for a picture that cannot be shown."""
    return NotMediaError(f"The picture cannot be decoded: {what}.", code="undecodable")


def _cut(what: str) -> TruncatedError:
    return TruncatedError(f"The picture is cut: {what}.")


def check_size(width: int, height: int, frames: int = 1) -> None:
    """Refuse a picture that unpacks to more than any honest one has.

    Args:
        width: In pixels.
        height: In pixels.
        frames: How many pictures there are.

    Raises:
        TooLargeError: Too many pixels, or too many frames.
    """
    limit = _MAX_PIXELS if frames == 1 else _MAX_FRAME_PIXELS
    if width * height > limit:
        raise TooLargeError(
            f"The picture says that it has {width}x{height} pixels; more than {limit} are not"
            " unpacked."
        )
    if frames > _MAX_FRAMES or width * height * frames > _MAX_ANIMATION_PIXELS:
        raise TooLargeError(
            f"The animation says that it has {frames} frames of {width}x{height} pixels; so many"
            " are not unpacked."
        )


def check_jpeg(data: bytes | bytearray) -> Size:
    """Walk the segments and scans up to the end marker; what follows it is not looked at.

    Raises:
        TruncatedError: No end marker.
        TooLargeError: So many scans that a decoder is busy for minutes.

    Source: ITU-T T.81, annex B.
    """
    size = Size(width_px=0, height_px=0)
    at, scans, components = 2, 0, 0
    for _ in range(_MAX_PARTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise _cut("its end marker (EOI) is missing")
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return size
        if size.pixels_at and marker not in _JPEG_BEHIND_PIXELS:
            size, components = replace(size, pixels_at=0), 0
        if marker in _JPEG_NO_LENGTH:
            continue
        if at + 2 > len(data):
            raise _cut("it ends in the header of a segment")
        if marker in _JPEG_FRAME and at + 8 <= len(data):
            height, width, count = struct.unpack_from(">HHB", data, at + 3)
            components = count if marker in _JPEG_SEQUENTIAL else 0
            size = Size(width_px=width, height_px=height, progressive=marker in _JPEG_PROGRESSIVE)
        scans += marker == 0xDA
        if scans > _FREE_SCANS and scans * size.width_px * size.height_px > _MAX_SCANNED_PIXELS:
            raise TooLargeError(
                f"The picture has {scans} scans or more of {size.width_px}x{size.height_px} pixels;"
                " so many are not decoded."
            )
        is_scan_of_all = marker == 0xDA and at + 3 <= len(data) and data[at + 2] == components
        at += struct.unpack_from(">H", data, at)[0]
        if at > len(data):
            raise _cut("it ends in a segment")
        if is_scan_of_all:
            size = replace(size, pixels_at=at)
    raise broken("more segments than any real picture has")


def beginning_of_jpeg(data: bytes | bytearray, size: Size) -> bytes | None:
    """Return a JPEG that ends soon after the pixels begin; `None` if all of it must be decoded.

    A decoder takes any bits for pixels: it stumbles over tables and markers only, and behind the
    first pixels there are none.
    """
    if not size.pixels_at or len(data) <= size.pixels_at + _DECODED_BYTES:
        return None
    return bytes(memoryview(data)[: size.pixels_at + _DECODED_BYTES]) + b"\xff\xd9"


def check_png(data: bytes | bytearray) -> Size:
    """Walk the chunks up to `IEND`, with the checksums of all that a viewer needs.

    Raises:
        TruncatedError: A chunk is cut, or `IEND` is missing.
        NotMediaError: A checksum is wrong.

    Source: W3C PNG (third edition), 5.3 (chunk layout), 5.6 (order).
    """
    view = memoryview(data)
    at, size = 8, Size(width_px=0, height_px=0)
    for _ in range(_MAX_PARTS):
        if at + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        needed = kind[:1].isupper() or kind in (b"acTL", b"fcTL", b"fdAT")
        if (
            needed
            and zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]
        ):
            raise broken(f"the checksum of a part at byte {at} is wrong")
        if kind == b"IHDR" and length >= 8:
            width, height = struct.unpack_from(">II", data, at + 8)
            size = Size(width_px=width, height_px=height)
        elif kind == b"acTL" and length >= 4:
            (frames,) = struct.unpack_from(">I", data, at + 8)
            size = Size(width_px=size.width_px, height_px=size.height_px, frames=frames)
        elif kind == b"IEND":
            return size
        at = end
    raise _cut("its end (IEND) is missing")


def unpack_png(file: IO[bytes]) -> None:
    """Unpack all pixels of a PNG in bounded memory, to see that they are all there.

    Args:
        file: At its start.

    Raises:
        TruncatedError: There are fewer than the header says.
        NotMediaError: They cannot be unpacked.
    """
    expected = _png_bytes(file.read(33))
    file.seek(8)
    unpacker = zlib.decompressobj()
    found = 0
    try:
        while len(header := file.read(8)) == 8:
            left, kind = struct.unpack(">I4s", header)
            if kind != b"IDAT" or found >= expected:
                file.seek(left + 4, io.SEEK_CUR)
                continue
            while left and (packed := file.read(min(left, _PACKED_BYTES))):
                left -= len(packed)
                while packed and found < expected:
                    found += len(unpacker.decompress(packed, _PIECE_BYTES))
                    packed = unpacker.unconsumed_tail
            file.seek(4, io.SEEK_CUR)
        while found < expected and (more := len(unpacker.decompress(b"", _PIECE_BYTES))):
            found += more
    except zlib.error as error:
        raise broken("its packed pixels are damaged") from error
    if found < expected:
        raise _cut(f"{found} of {expected} bytes of its pixels are there")


def _png_bytes(data: bytes) -> int:
    """Return how many bytes the unpacked pixels of a PNG have, one filter byte a row included."""
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _PNG_CHANNELS.get(colour, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def check_gif(data: bytes | bytearray) -> Size:
    """Walk the blocks up to the trailer, counting pictures.

    Raises:
        TruncatedError: A block is cut, or the trailer is missing.
        NotMediaError: Something else than a block.

    Source: CompuServe's GIF89a specification, sections 15 to 27.
    """
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        at, frames = 13 + _colours(flags), 0
        for _ in range(_MAX_PARTS):
            if data[at] == 0x3B:
                return Size(width_px=width, height_px=height, frames=frames)
            if data[at] == 0x21:
                at = _after_blocks(data, at + 2)
            elif data[at] == 0x2C:
                frames += 1
                at = _after_blocks(data, at + 11 + _colours(data[at + 9]))
            elif data[at] == 0:
                at += 1
            else:
                raise broken(f"an unknown block at byte {at}")
    except (IndexError, struct.error) as error:
        raise _cut("its trailer is missing") from error
    raise broken("more blocks than any real picture has")


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes | bytearray, at: int) -> int:
    while length := data[at]:
        at += length + 1
    return at + 1


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP picture's canvas; zeros if its header is none.

    Source: RFC 9649, 2.5 to 2.7 (simple lossy and lossless, extended).
    """
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return 0, 0
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF


def exif_orientation(exif: bytes) -> int:
    """Return the orientation (tag 0x0112) of an EXIF block; 1 (as stored) if it has none.

    Source: CIPA DC-008 (EXIF 2.32), 4.6.4; TIFF 6.0, section 2.
    """
    data = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return 1
    (at,) = struct.unpack_from(order + "I", data, 4)
    if at + 2 > len(data):
        return 1
    (count,) = struct.unpack_from(order + "H", data, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", data, entry)
        if tag == 0x0112 and kind == 3 and 1 <= value <= 8:
            return int(value)
    return 1
