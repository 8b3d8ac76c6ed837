"""Matroska and WebM.

Source: RFC 8794 (EBML: ids and sizes of variable length), RFC 9559 (Matroska).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from archiver.errors import TruncatedError
from archiver.probe.boxes import damaged
from archiver.probe.structure import Structure, shown_size
from archiver.probe.walking import ENTER, SKIP, TO_THE_END, Element, Walker

_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_INFO, _TRACKS, _CUES = b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = b"\xe7", b"\xa3", b"\xa0", b"\xa1"
_KEPT_BYTES = 1 << 20
_MAX_CHILDREN = 100_000
_SLACK_S = 1.0
_CODECS = {
    "V_MPEG4/ISO/AVC": "h264", "V_MPEGH/ISO/HEVC": "hevc", "V_AV1": "av1", "V_VP8": "vp8",
    "V_VP9": "vp9", "V_MPEG4/ISO/ASP": "mpeg4", "V_MJPEG": "mjpeg", "V_PRORES": "prores",
    "A_OPUS": "opus", "A_VORBIS": "vorbis", "A_AAC": "aac", "A_FLAC": "flac", "A_MPEG/L3": "mp3",
    "A_AC3": "ac3", "A_EAC3": "eac3", "A_PCM/INT/LIT": "pcm_s16le",
}  # fmt: skip


def element_at(data: bytes, at: int, file_at: int) -> Element | None:
    """Read an element's header; `None` if it is cut.

    Raises:
        ValueError: An id or a size that cannot be.
    """
    if at >= len(data):
        return None
    id_bytes = 9 - data[at].bit_length()
    if id_bytes > 4:
        raise ValueError("not an EBML id")
    size_at = at + id_bytes
    if size_at >= len(data):
        return None
    size_bytes = 9 - data[size_at].bit_length()
    if size_bytes > 8:
        raise ValueError("not an EBML size")
    if size_at + size_bytes > len(data):
        return None
    unknown = (1 << 7 * size_bytes) - 1
    size = int.from_bytes(data[size_at : size_at + size_bytes], "big") & unknown
    header = id_bytes + size_bytes
    end = TO_THE_END if size == unknown else file_at + header + size
    return Element(data[at:size_at], file_at, header, end)


class MatroskaWalker(Walker):
    """Walks segment, clusters and blocks, and keeps the descriptions.

    Clusters are entered where lengths are not told, as in live recordings.

    Attributes:
        info, tracks, cues: These elements, header included, if they were met.
        segment: The segment's header.
        whole_until: Where the clusters met so far end.
        last_ticks: The time of the latest block that was looked at.
    """

    header_bytes = 12
    max_elements = 4_000_000

    def __init__(self) -> None:
        super().__init__()
        self.info = b""
        self.tracks = b""
        self.cues = b""
        self.segment: Element | None = None
        self.whole_until = 0
        self.last_ticks = 0
        self._cluster_ticks = 0

    def _parse(self, header: bytes, at: int) -> Element | None:
        if self.segment is not None and at >= self.segment.end:
            self._stop()
            return None
        try:
            return element_at(header, 0, at)
        except ValueError:
            self._stop()
            return None

    def _visit(self, element: Element) -> int:
        if element.kind == _SEGMENT and self.segment is None:
            self.segment = element
            return ENTER
        if element.kind == _CLUSTER:
            if element.end != TO_THE_END:
                self.whole_until = max(self.whole_until, element.end)
            # A segment that tells its length needs no look at single blocks.
            told = self.segment is not None and self.segment.end != TO_THE_END
            return SKIP if told and element.end != TO_THE_END else ENTER
        if element.kind == _BLOCK_GROUP:
            return ENTER
        if element.kind in (_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK):
            return 12
        if element.kind in (_INFO, _TRACKS, _CUES):
            return min(element.end - element.body_at, _KEPT_BYTES)
        if element.end == TO_THE_END:
            self._stop()
        return SKIP

    def _keep(self, element: Element, data: bytes) -> None:
        body = data[element.header_bytes :]
        if element.kind == _TIMESTAMP:
            self._cluster_ticks = int.from_bytes(body[:8], "big")
        elif element.kind == _INFO:
            self.info = self.info or data
        elif element.kind == _TRACKS:
            self.tracks = self.tracks or data
        elif element.kind == _CUES:
            self.cues = self.cues or data
        elif len(body) >= 4:
            track_bytes = 9 - body[0].bit_length()
            ticks = int.from_bytes(body[track_bytes : track_bytes + 2], "big", signed=True)
            self.last_ticks = max(self.last_ticks, self._cluster_ticks + ticks)


def examine_matroska(walker: MatroskaWalker, size_bytes: int) -> Structure:
    """Check a Matroska file against its own structure.

    Raises:
        TruncatedError: An element or a cue lies beyond the end, or the description is missing.
        NotMediaError: The chain of elements breaks off inside the segment.
    """
    segment = walker.segment
    end = max(walker.next_at, walker.whole_until)
    if segment is not None and segment.end < TO_THE_END:
        end = max(end, segment.end)
    if size_bytes < end < TO_THE_END:
        raise TruncatedError(
            f"The file is cut: its structure goes up to byte {end}, the file ends at {size_bytes}."
        )
    if walker.stopped_at is not None and (segment is None or walker.stopped_at < segment.end):
        raise damaged(f"its structure breaks off at byte {walker.stopped_at}")
    if walker.partial:
        raise TruncatedError(
            f"The file is cut in the header of an element, at byte {walker.next_at}."
        )
    if segment is None or not walker.tracks:
        raise TruncatedError("The file is cut: the description of its tracks is missing.")
    try:
        _check_cues(walker, segment.body_at, size_bytes)
        info = _fields(walker.info)
        scale = _number(info.get(b"\x2a\xd7\xb1", b"")) or 1_000_000
        duration_s = _float(info.get(b"\x44\x89", b"")) * scale / 1e9
        last_s = walker.last_ticks * scale / 1e9
        structure = _structure(walker.tracks, duration_s or last_s)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise damaged("the description of its tracks is damaged") from error
    if segment.end >= TO_THE_END and last_s < duration_s - max(_SLACK_S, duration_s / 20):
        raise TruncatedError(
            f"The file is cut: it announces {duration_s:.1f} s and ends at {last_s:.1f} s."
        )
    return structure


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield id and content of the children of an element given with its header."""
    parent = element_at(data, 0, 0)
    at = parent.header_bytes if parent else len(data)
    for _ in range(_MAX_CHILDREN):
        element = element_at(data, at, at)
        if element is None:
            return
        yield element.kind, data[element.body_at : element.end]
        at = min(element.end, len(data))


def _fields(data: bytes) -> dict[bytes, bytes]:
    return dict(reversed(list(_children(data))))


def _number(data: bytes) -> int:
    return int.from_bytes(data[:8], "big")


def _float(data: bytes) -> float:
    if len(data) not in (4, 8):
        return 0.0
    value: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    return value if 0 <= value < 1e15 else 0.0


def _check_cues(walker: MatroskaWalker, segment_at: int, size_bytes: int) -> None:
    """Source: RFC 9559, 5.1.5.1.2.2: cluster positions count from the segment's content."""
    furthest = 0
    for point, data in _children(walker.cues):
        if point != b"\xbb":
            continue
        for kind, positions in _children(b"\xbb\xff" + data):
            if kind == b"\xb7":
                for name, value in _children(b"\xb7\xff" + positions):
                    if name == b"\xf1":
                        furthest = max(furthest, _number(value))
    if walker.cues and segment_at + furthest >= size_bytes:
        raise TruncatedError(
            f"The file is cut: its cues name byte {segment_at + furthest}, the file ends at"
            f" {size_bytes}."
        )


def _structure(tracks: bytes, duration_s: float) -> Structure:
    video = audio = None
    for kind, entry in _children(tracks):
        track = _fields(b"\xae\xff" + entry) if kind == b"\xae" else {}
        track_type = _number(track.get(b"\x83", b""))
        if track_type == 1:
            video = video or track
        elif track_type == 2:
            audio = audio or track
    main = video or audio or {}
    codec = main.get(b"\x86", b"").rstrip(b"\0").decode("ascii", "replace")
    shown = _fields(b"\xe0\xff" + (video or {}).get(b"\xe0", b""))
    roll = _projection_roll(shown.get(b"\x76\x70", b""))
    turned = abs(abs(roll) - 90) < 1
    width, height = _shown(shown, quarter_turn=turned)
    frame_ns = _number((video or {}).get(b"\x23\xe3\x83", b""))
    return Structure(
        has_video=video is not None,
        has_audio=audio is not None,
        width_px=width,
        height_px=height,
        quarter_turn=turned,
        duration_s=duration_s or None,
        codec=_CODECS.get(codec),
        frame_rate=1e9 / frame_ns if frame_ns else None,
    )


def _shown(
    settings: dict[bytes, bytes], *, quarter_turn: bool
) -> tuple[int, int] | tuple[None, None]:
    """Source: RFC 9559, 5.1.4.1.28: width and height of display give a ratio, whatever the unit."""
    width = _number(settings.get(b"\xb0", b""))
    height = _number(settings.get(b"\xba", b""))
    shown_width = _number(settings.get(b"\x54\xb0", b"")) or width
    shown_height = _number(settings.get(b"\x54\xba", b"")) or height
    aspect = (shown_width * height, shown_height * width)
    return shown_size(width, height, aspect=aspect, quarter_turn=quarter_turn)


def _projection_roll(projection: bytes) -> float:
    data = _fields(b"\x76\x70\xff" + projection).get(b"\x76\x75", b"")
    if len(data) not in (4, 8):
        return 0.0
    roll: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
    return roll
