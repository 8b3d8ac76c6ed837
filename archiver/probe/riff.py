"""RIFF files: WAV (also RF64), AVI and WebP.

Source: Microsoft's Multimedia Programming Interface 1.0 (RIFF); EBU Tech 3306 (RF64, `ds64`).
"""

from __future__ import annotations

import struct

from archiver.errors import TruncatedError
from archiver.probe.boxes import damaged
from archiver.probe.structure import Structure
from archiver.probe.walking import ENTER, SKIP, TO_THE_END, Element, Walker

_UNKNOWN_FROM = 0x7FFF_0000
"""Sizes from here on are what writers to a pipe leave (0x7fffffff, 0x80000000, 0xffffffff)."""

_OUTER = frozenset((b"RIFF", b"RF64", b"BW64"))
_KEPT_EXIF_BYTES = 64 << 10
_SIZE_SLACK = 8
"""Some writers count the eight bytes of the RIFF header in its size."""


class RiffWalker(Walker):
    """Walks the chunks.

    Attributes:
        form: `WAVE`, `AVI ` or `WEBP`.
        outer_end: Where the RIFF chunk ends by its own size; 0 if it does not tell.
        wave_format: Content of `fmt `.
        whole_until: Where the chunks met so far end, padding not counted.
        data_at: Where the sound begins; 0 if it was not met.
        data_end: Where it ends, if its chunk tells.
        exif: The EXIF chunk's content, of a WebP picture.
        frames: How many `ANMF` chunks (frames of an animated WebP) there are.
    """

    header_bytes = 12

    def __init__(self) -> None:
        super().__init__()
        self.form = b""
        self.outer_end = 0
        self.wave_format = b""
        self.data_at = 0
        self.data_end = 0
        self.whole_until = 0
        self.exif = b""
        self.frames = 0
        self._long_data_bytes: int | None = None

    def _parse(self, header: bytes, at: int) -> Element | None:
        if len(header) < 8:
            return None
        kind, size = struct.unpack_from("<4sI", header)
        if kind in _OUTER:
            if len(header) < 12:
                return None
            if size < _UNKNOWN_FROM and size:
                self.outer_end = at + 8 + size
            self.form = self.form or header[8:12]
            return Element(kind, at, 12, self.outer_end or TO_THE_END)
        behind = 0 < self.outer_end <= at
        if behind or not kind.isascii() or not kind.decode().isprintable():
            self._stop()
            return None
        if kind == b"data" and self.form == b"WAVE":
            self.data_at = at + 8
            if size == 0xFFFF_FFFF and self._long_data_bytes is not None:
                size = self._long_data_bytes
            elif size >= _UNKNOWN_FROM:
                size = 0
        elif kind == b"LIST" and size >= _UNKNOWN_FROM:
            size = 0
        if not size and kind in (b"data", b"LIST"):
            return Element(kind, at, 8, TO_THE_END)
        self.whole_until = at + 8 + size
        return Element(kind, at, 8, self.whole_until + size % 2)

    def _visit(self, element: Element) -> int:
        if element.kind in _OUTER:
            return ENTER
        if element.body_at == self.data_at:
            self.data_end = element.end
        if element.end == TO_THE_END:
            self._stop()
        self.frames += element.kind == b"ANMF"
        if element.kind == b"EXIF":
            return min(element.end - element.body_at, _KEPT_EXIF_BYTES)
        return 64 if element.kind in (b"fmt ", b"ds64") else SKIP

    def _keep(self, element: Element, data: bytes) -> None:
        if element.kind == b"EXIF":
            self.exif = data[8:]
        elif element.kind == b"fmt ":
            self.wave_format = data[8:]
        elif len(data) >= 24:
            (self._long_data_bytes,) = struct.unpack_from("<Q", data, 16)


def check_riff(walker: RiffWalker, size_bytes: int) -> None:
    """Check a RIFF file against its own sizes.

    Raises:
        TruncatedError: A chunk goes beyond the end.
    """
    end = max(walker.whole_until, walker.outer_end - _SIZE_SLACK)
    if end > size_bytes:
        raise TruncatedError(
            f"The file is cut: its chunks go up to byte {max(end, walker.outer_end)}, the file"
            f" ends at {size_bytes}."
        )


def examine_wave(walker: RiffWalker, size_bytes: int) -> Structure:
    """Check a WAV file, and read its length and form.

    Raises:
        TruncatedError: A chunk goes beyond the end, or there is no sound at all.
        NotMediaError: Its description is damaged.
    """
    check_riff(walker, size_bytes)
    if not walker.data_at:
        raise TruncatedError("The file is cut: it has a header, but no sound.")
    if len(walker.wave_format) < 16:
        raise damaged("the description of its sound is missing")
    (bytes_per_second,) = struct.unpack_from("<I", walker.wave_format, 8)
    length = min(walker.data_end, size_bytes) - walker.data_at
    return Structure(
        has_video=False,
        has_audio=True,
        duration_s=length / bytes_per_second if bytes_per_second and length > 0 else None,
    )
