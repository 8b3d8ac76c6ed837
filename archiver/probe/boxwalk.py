"""The top level of ISO base media files (MP4, MOV, M4A, 3GP, AVIF, HEIC) while they stream by."""

from __future__ import annotations

import struct

from archiver.probe.fragments import Fragments
from archiver.probe.walking import SKIP, TO_THE_END, Element, Walker

KEPT_INDEX_BYTES = 8 << 20
"""An index (`moov`) up to this size is kept; a larger one is read back if that can be done.

A fragment's index is held only while it is read.
"""

KNOWN_BOXES = frozenset(
    (
        b"ftyp", b"styp", b"moov", b"mdat", b"moof", b"mfra", b"sidx", b"ssix", b"prft", b"emsg",
        b"meta", b"free", b"skip", b"wide", b"uuid", b"udta", b"pdin", b"pnot", b"JXL ", b"jxlc",
        b"jxlp", b"jxll", b"jbrd", b"Exif", b"xml ", b"brob",
    )
)  # fmt: skip
"""The boxes that stand at the top of real files; anything else may be junk behind the end."""


class BoxWalker(Walker):
    """Walks the top-level boxes, keeps the index and digests fragments as they pass.

    Attributes:
        moov: The index, header included, if it was small enough to keep.
        moov_box: Where the index stands.
        meta: The item index of a picture, header included.
        meta_box: Where that stands.
        fragments: What the fragments say, added up.
    """

    header_bytes = 16

    def __init__(self) -> None:
        super().__init__()
        self.moov: bytes | None = None
        self.moov_box: Element | None = None
        self.meta: bytes | None = None
        self.meta_box: Element | None = None
        self.fragments = Fragments()

    def _parse(self, header: bytes, at: int) -> Element | None:
        if len(header) < 8:
            return None
        size, kind = struct.unpack_from(">I4s", header)
        header_bytes = 8
        if size == 1:
            if len(header) < 16:
                return None
            (size,) = struct.unpack_from(">Q", header, 8)
            header_bytes = 16
        elif size == 0 and kind in KNOWN_BOXES:
            return Element(kind, at, 8, TO_THE_END)
        if size >= header_bytes and kind.isascii() and kind.decode().isprintable():
            return Element(kind, at, header_bytes, min(at + size, TO_THE_END - 1))
        self._stop()
        return None

    def _visit(self, element: Element) -> int:
        body_bytes = element.end - element.body_at
        if element.kind == b"moov" and self.moov_box is None:
            self.moov_box = element
        elif element.kind == b"meta" and self.meta_box is None:
            self.meta_box = element
        elif element.kind not in (b"moof", b"sidx"):
            return SKIP
        if body_bytes <= KEPT_INDEX_BYTES:
            return body_bytes
        self.fragments.count += element.kind == b"moof"
        return SKIP

    def _keep(self, element: Element, data: bytes) -> None:
        if element.kind == b"moov":
            self.moov = data
            self.fragments.read_defaults(data, element.header_bytes)
        elif element.kind == b"meta":
            self.meta = data
        elif element.kind == b"moof":
            self.fragments.add(data, element.at, element.header_bytes)
        elif element.kind == b"sidx":
            self.fragments.add_index(data, element.header_bytes, element.end)
