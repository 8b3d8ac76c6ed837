"""Pictures through Pillow: every pixel is decoded, and no more than an honest picture has."""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
import warnings
import zlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO

from PIL import AvifImagePlugin, Image, TiffImagePlugin, WebPImagePlugin, features

from archiver.errors import ArchiverError, TruncatedError
from archiver.probe.pictures import (
    MAX_HELD_BYTES,
    MAX_HELD_PNG_PIXELS,
    Size,
    broken,
    check_size,
    decoder_bytes,
    exif_orientation,
    unpack_png,
)

# Importing a plugin registers it, without the forty that are of no use here.
_PLUGINS = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)

_PARALLEL_BYTES = 8_000_000
_ANIMATED = frozenset(("AVIF", "GIF", "PNG", "WEBP"))
_PROBED_PIXELS = 64_000_000
"""How many pixels of an animation's later frames a probe decodes; `--decode` decodes them all."""

_FAULTS = (
    OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError,
    ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error, Warning,
)  # fmt: skip
"""What Pillow raises on bytes that are wrong, found by reading its plugins and by fuzzing them."""

# The size is checked below, before anything is decoded, and an error is better than a warning.
Image.MAX_IMAGE_PIXELS = None

# It warns about oddities that are none of the user's business.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Pillow logs what it cannot read, and then raises it too; the error is enough.
logging.getLogger("PIL").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A decoded picture.

    Attributes:
        width_px: As a viewer shows it, orientation applied.
        height_px: Likewise.
    """

    width_px: int
    height_px: int


class PillowDecoder:
    """Decodes pictures; many threads may use one.

    All but small pictures are decoded one at a time, so that memory does not grow with the threads.
    """

    def __init__(self) -> None:
        self._large = threading.Lock()

    def knows(self, image_format: str) -> bool:
        """Return whether this Pillow was built with the format's library."""
        return image_format not in ("AVIF", "WEBP") or bool(features.check(image_format.lower()))

    def decode(
        self, file: IO[bytes], image_format: str, size: Size | None, *, everything: bool
    ) -> Shown:
        """Decode a picture or an animation.

        Args:
            file: Seekable, at its start.
            image_format: Pillow's name; no other format is tried.
            size: What the file's own structure told, if it was read.
            everything: Decode all frames of an animation, not only those of the first pixels.

        Raises:
            TooLargeError: More pixels than any honest picture has.
            TruncatedError: Pillow says that bytes are missing.
            NotMediaError: It cannot be decoded.
        """
        try:
            return self._decode(file, image_format, size, everything=everything)
        except ArchiverError:
            raise
        except _FAULTS as error:
            text = str(error).lower()
            if isinstance(error, EOFError) or "truncated" in text or "not enough" in text:
                raise TruncatedError("The picture is cut: it ends within its pixels.") from error
            raise broken(f"its {image_format} data are damaged") from error

    def _decode(
        self, file: IO[bytes], image_format: str, size: Size | None, *, everything: bool
    ) -> Shown:
        told = size.width_px * size.height_px if size else 0
        # Some libraries take their memory when the file is opened: where its size is told before,
        # so is its turn.
        with (
            self._turn(image_format, told),
            Image.open(file, formats=[image_format]) as image,
        ):
            width, height = image.size
            pixels = width * height
            several = image_format in _ANIMATED
            frames = size.frames if size else getattr(image, "n_frames", 1) if several else 1
            check_size(width, height, frames)
            with self._turn(image_format, 0 if told else pixels):
                if image_format == "PNG" and frames == 1 and pixels > MAX_HELD_PNG_PIXELS:
                    file.seek(0)
                    unpack_png(file)
                elif decoder_bytes(image_format, pixels) <= MAX_HELD_BYTES:
                    _load(image, frames, everything=everything)
                elif image_format == "JPEG" and not (size and size.progressive):
                    _load(image, 1, everything=False)
            orientation = 1 if image_format == "TIFF" else exif_orientation(_exif(image))
        if orientation >= 5:
            width, height = height, width
        return Shown(width_px=width, height_px=height)

    def _turn(self, image_format: str, pixels: int) -> AbstractContextManager[object]:
        is_large = decoder_bytes(image_format, pixels) > _PARALLEL_BYTES
        return self._large if is_large else contextlib.nullcontext()


def _load(image: Image.Image, frames: int, *, everything: bool) -> None:
    if image.format in ("JPEG", "MPO") and not everything:
        # At an eighth of the size every byte is read all the same, in a third of the time.
        image.draft(None, (1, 1))
    done = 0
    for index in range(frames):
        if index:
            image.seek(index)
            check_size(*image.size, frames)
        image.load()
        done += image.width * image.height
        if done > _PROBED_PIXELS and not everything:
            return


def _exif(image: Image.Image) -> bytes:
    found = image.info.get("exif")
    return found if isinstance(found, bytes) else b""
