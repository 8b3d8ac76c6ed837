"""Formats that are a plain row of packets: Ogg, FLV, MPEG-TS."""

from __future__ import annotations

import struct

from archiver.errors import TruncatedError
from archiver.probe.boxes import damaged
from archiver.probe.structure import Structure
from archiver.probe.walking import SKIP, Element, Walker

_OGG_HEADER_BYTES = 27
_TS_PACKET_BYTES = 188
_SLACK_S = 1.0


def check_ogg(tail: bytes, size_bytes: int) -> None:
    """Check that the last page is whole and says that it is the last.

    Args:
        tail: The last bytes of the file, 64 KiB (one page) or more.
        size_bytes: Of the file.

    Raises:
        TruncatedError: It is not, or does not.

    Source: RFC 3533, section 6: page header, segment table, flag 0x04 "end of stream".
    """
    at = tail.rfind(b"OggS\0")
    if at < 0:
        if tail[-4:] == b"OggS":
            raise TruncatedError("The file is cut in the header of a page.")
        raise damaged("it has no Ogg page where its last one should be")
    segments = tail[at + 26] if at + 26 < len(tail) else 0
    table = tail[at + _OGG_HEADER_BYTES : at + _OGG_HEADER_BYTES + segments]
    end = at + _OGG_HEADER_BYTES + segments + sum(table)
    if at + _OGG_HEADER_BYTES > len(tail) or len(table) < segments or end > len(tail):
        raise TruncatedError(f"The file is cut: its last page goes beyond byte {size_bytes}.")
    if not tail[at + 5] & 4:
        raise TruncatedError("The file is cut: its last page does not say that it is the last.")


class FlvWalker(Walker):
    """Walks the tags of an FLV file.

    Attributes:
        last_ms: The time of the latest tag.
        duration_s: What the file's own metadata say; 0 if they do not.
        file_bytes: The file's length, likewise.

    Source: Adobe Flash Video File Format Specification 10.1, annex E.
    """

    header_bytes = 11
    max_elements = 4_000_000

    def __init__(self) -> None:
        super().__init__()
        self.last_ms = 0
        self.duration_s = 0.0
        self.file_bytes = 0.0

    def _parse(self, header: bytes, at: int) -> Element | None:
        if at == 0:
            return Element(b"FLV", 0, 9, 13) if len(header) >= 9 else None
        if len(header) < self.header_bytes:
            return None
        if header[0] & 0x1F not in (8, 9, 18):
            self._stop()
            return None
        size = int.from_bytes(header[1:4], "big")
        self.last_ms = max(self.last_ms, header[7] << 24 | int.from_bytes(header[4:7], "big"))
        return Element(header[:1], at, 11, at + 11 + size + 4)

    def _visit(self, element: Element) -> int:
        is_metadata = element.kind == b"\x12" and not self.duration_s
        return 4096 if is_metadata else SKIP

    def _keep(self, element: Element, data: bytes) -> None:
        self.duration_s = _flv_number(data, b"duration")
        self.file_bytes = _flv_number(data, b"filesize")


def _flv_number(metadata: bytes, name: bytes) -> float:
    """Return a number from `onMetaData` (AMF0: length, name, marker 0, double); 0 if it is not."""
    mark = len(name).to_bytes(2, "big") + name + b"\0"
    at = metadata.find(mark)
    if at < 0 or at + len(mark) + 8 > len(metadata):
        return 0.0
    value: float = struct.unpack_from(">d", metadata, at + len(mark))[0]
    return value if 0 < value < 1e15 else 0.0


def examine_flv(walker: FlvWalker, size_bytes: int) -> Structure:
    """Check an FLV file against its own tags.

    Raises:
        TruncatedError: The last tag is cut, or the last one is long before the announced end.
    """
    end = max(walker.next_at, walker.file_bytes)
    if end > size_bytes or (walker.partial and walker.stopped_at is None):
        raise TruncatedError(
            f"The file is cut: its last tag goes beyond its end at byte {size_bytes}."
        )
    if walker.last_ms / 1000 < walker.duration_s * 0.95 - _SLACK_S:
        raise TruncatedError(
            f"The file is cut: it announces {walker.duration_s:.1f} s and ends at"
            f" {walker.last_ms / 1000:.1f} s."
        )
    return Structure(duration_s=walker.duration_s or walker.last_ms / 1000 or None)


def check_transport_stream(size_bytes: int) -> None:
    """Check that an MPEG transport stream ends with a whole packet.

    Raises:
        TruncatedError: It does not.
    """
    if rest := size_bytes % _TS_PACKET_BYTES:
        raise TruncatedError(f"The file is cut: its last packet has {rest} bytes of 188.")
