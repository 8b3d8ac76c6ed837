"""Judging a picture: whole by its own structure, then decoded by Pillow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from archiver.contracts import Sniffed
from archiver.errors import NotMediaError, TruncatedError
from archiver.model import MediaInfo
from archiver.probe.boxwalk import BoxWalker
from archiver.probe.gathering import GatheredMedia
from archiver.probe.heif import examine_items
from archiver.probe.known import KnownBytes, SparseFile
from archiver.probe.mp4 import check_last_box
from archiver.probe.pictures import (
    MAX_HELD_BYTES,
    Size,
    beginning_of_jpeg,
    check_gif,
    check_jpeg,
    check_png,
    check_size,
    decoder_bytes,
    exif_orientation,
    webp_size,
)
from archiver.probe.riff import RiffWalker, check_riff
from archiver.probe.structure import Structure, shown_size
from archiver.probe.svg import examine_svg

if TYPE_CHECKING:
    from archiver.probe.pillow_decoder import PillowDecoder

_PILLOW_FORMATS = {
    "jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP", "tiff": "TIFF",
    "avif": "AVIF",
}  # fmt: skip
"""Pillow's name of a format, by file name ending; other pictures are judged by structure alone."""

_CHECKS = {"jpg": check_jpeg, "png": check_png, "gif": check_gif}
_ENDS = {"jpg": b"\xff\xd9", "png": b"IEND\xae\x42\x60\x82", "gif": b"\x3b"}
_COPIED_BYTES = 1 << 20


def judge_picture(
    gathered: GatheredMedia,
    known: KnownBytes,
    sniffed: Sniffed,
    pillow: PillowDecoder,
    *,
    everything: bool,
) -> MediaInfo:
    """Judge a picture.

    Args:
        gathered: All that was kept of it.
        known: That, and what can be read back.
        sniffed: Chooses the format.
        pillow: Decodes.
        everything: Decode all frames of an animation.

    Raises:
        TruncatedError: Its own structure says that bytes are missing.
        NotMediaError: It cannot be decoded.
        TooLargeError: It unpacks to more pixels than any honest picture has.
    """
    structure, size = _examine(gathered, known, sniffed)
    width, height = structure.width_px, structure.height_px
    image_format = _PILLOW_FORMATS.get(sniffed.extension)
    if image_format is not None and pillow.knows(image_format) and not structure.costly:
        file = _to_decode(gathered, known, size, everything=everything)
        try:
            shown = pillow.decode(file, image_format, size, everything=everything)
            width, height = shown.width_px, shown.height_px
        except (NotMediaError, TruncatedError):
            if not isinstance(file, SparseFile):
                raise
            file.check()
            # Pillow takes a short read for the end of the file.
            if not file.short:
                raise
    return MediaInfo(
        kind="image",
        media_type=sniffed.media_type,
        extension=sniffed.extension,
        width_px=width,
        height_px=height,
        codec=(image_format or sniffed.extension).lower(),
    )


def _to_decode(
    gathered: GatheredMedia, known: KnownBytes, size: Size | None, *, everything: bool
) -> BinaryIO:
    """Return the bytes that are worth decoding, as a file; small ones in one piece of memory."""
    if not gathered.is_whole:
        return SparseFile(known)
    beginning = beginning_of_jpeg(gathered.whole, size) if size and not everything else None
    if beginning is not None:
        return io.BytesIO(beginning)
    return io.BytesIO(gathered.whole) if known.size_bytes <= _COPIED_BYTES else SparseFile(known)


def _examine(
    gathered: GatheredMedia, known: KnownBytes, sniffed: Sniffed
) -> tuple[Structure, Size | None]:
    """Check the structure; return it, and the stored size if it is told outside of boxes."""
    extension, walker = sniffed.extension, gathered.walker
    if isinstance(walker, BoxWalker):
        if extension == "jxl":
            check_last_box(walker, known.size_bytes, sure=True)
            return Structure(), None
        return examine_items(walker, known), None
    if isinstance(walker, RiffWalker):
        check_riff(walker, known.size_bytes)
        return _webp(gathered.head, walker)
    if not gathered.is_whole:
        _check_end(known, extension)
        return Structure(), None
    if extension == "svg":
        return examine_svg(gathered.whole), None
    check = _CHECKS.get(extension)
    return Structure(), check(gathered.whole) if check is not None else None


def _webp(head: bytes, walker: RiffWalker) -> tuple[Structure, Size]:
    """Judge the size of a WebP picture: its library takes memory for all when it opens a file."""
    width, height = webp_size(head)
    frames = max(1, walker.frames)
    check_size(width, height, frames)
    shown = shown_size(width, height, quarter_turn=exif_orientation(walker.exif) >= 5)
    return Structure(
        width_px=shown[0],
        height_px=shown[1],
        costly=decoder_bytes("WEBP", width * height) > MAX_HELD_BYTES,
    ), Size(width_px=width, height_px=height, frames=frames)


def _check_end(known: KnownBytes, extension: str) -> None:
    """Look for the end marker of a picture that was too large to keep."""
    tail = known.read(known.size_bytes - (64 << 10), 64 << 10)
    if _ENDS.get(extension, b"") not in tail:
        raise TruncatedError("The picture is cut: its end marker is missing.")
