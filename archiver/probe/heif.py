"""AVIF and HEIC: where their items lie, and how large the main one is.

Source: ISO/IEC 14496-12, 8.11 (`meta`, `iloc`, `pitm`); ISO/IEC 23008-12, 6.5 (`ispe`, `irot`).
"""

from __future__ import annotations

import struct

from archiver.errors import TruncatedError
from archiver.probe.boxes import boxes, child, damaged
from archiver.probe.boxwalk import BoxWalker
from archiver.probe.known import KnownBytes
from archiver.probe.mp4 import check_last_box, examine_movie
from archiver.probe.structure import Structure

_MAX_ITEMS = 20_000


def examine_items(walker: BoxWalker, known: KnownBytes) -> Structure:
    """Check that all items of a picture lie inside the file.

    Returns:
        The main item's size as shown, if the index tells it.

    Raises:
        TruncatedError: An item or a box goes beyond the end, or the index is missing.
        NotMediaError: The index contradicts itself.
    """
    check_last_box(walker, known.size_bytes, sure=walker.meta is None)
    if walker.moov_box is not None:
        examine_movie(walker, known)
    if walker.meta is None or walker.meta_box is None:
        raise TruncatedError("The picture is cut: its index (meta) is missing.")
    body = walker.meta_box.header_bytes + 4
    try:
        end = _furthest_extent(walker.meta, body)
        width, height = _main_size(walker.meta, body)
    except (struct.error, IndexError) as error:
        raise damaged("its index is cut or damaged") from error
    if end > known.size_bytes:
        raise TruncatedError(
            f"The picture is cut: its index names bytes up to {end}, the file ends at"
            f" {known.size_bytes}."
        )
    return Structure(width_px=width, height_px=height)


class _Fields:
    """Reads big-endian numbers of any width one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> int:
        """Return the next number of `size` bytes; 0 for no bytes."""
        self.at += size
        if self.at > len(self.data):
            raise IndexError
        return int.from_bytes(self.data[self.at - size : self.at], "big")


def _furthest_extent(meta: bytes, body: int) -> int:
    place = child(meta, body, len(meta), b"iloc")
    if place is None:
        return 0
    version = meta[place[0]]
    fields = _Fields(meta[: place[1]], place[0] + 4)
    sizes = fields.take(2)
    offset_size, length_size = sizes >> 12, sizes >> 8 & 15
    base_size, index_size = sizes >> 4 & 15, sizes & 15 if version else 0
    furthest = taken = 0
    for _ in range(fields.take(4 if version == 2 else 2)):
        fields.take(4 if version == 2 else 2)
        method = fields.take(2) & 15 if version else 0
        elsewhere = fields.take(2)
        base = fields.take(base_size)
        for _ in range(fields.take(2)):
            fields.take(index_size)
            end = base + fields.take(offset_size) + fields.take(length_size)
            if not method and not elsewhere:
                furthest = max(furthest, end)
            taken += 1
            if taken > _MAX_ITEMS:
                raise damaged("its index has more items than any real picture")
    return furthest


def _main_size(meta: bytes, body: int) -> tuple[int, int] | tuple[None, None]:
    properties = child(meta, body, len(meta), b"iprp", b"ipco")
    links = child(meta, body, len(meta), b"iprp", b"ipma")
    main = child(meta, body, len(meta), b"pitm")
    if properties is None or links is None or main is None:
        return None, None
    number = _Fields(meta, main[0] + 4).take(4 if meta[main[0]] else 2)
    wanted = _linked(meta, links[0], number)
    width = height = 0
    turned = False
    for position, (kind, start, end) in enumerate(boxes(meta, *properties), start=1):
        if position in wanted and kind == b"ispe" and end - start >= 12:
            width, height = struct.unpack_from(">II", meta, start + 4)
        elif position in wanted and kind == b"irot":
            turned = bool(meta[start] & 1)
    if not width or not height:
        return None, None
    return (height, width) if turned else (width, height)


def _linked(meta: bytes, at: int, number: int) -> set[int]:
    """Return the positions of the properties that belong to an item (`ipma`)."""
    version, wide = meta[at], meta[at + 3] & 1
    fields = _Fields(meta, at + 4)
    for _ in range(min(fields.take(4), _MAX_ITEMS)):
        item = fields.take(4 if version else 2)
        count = fields.take(1)
        found = {fields.take(2) & 0x7FFF if wide else fields.take(1) & 0x7F for _ in range(count)}
        if item == number:
            return found
    return set()
