"""The parts of a file that are at hand, seen as one file with holes."""

from __future__ import annotations

import io
from typing import BinaryIO

from archiver.contracts import Peek
from archiver.errors import ArchiverError


class KnownBytes:
    """A file of which some pieces are kept, and others may be read back from the store.

    Attributes:
        size_bytes: Of the whole file.
    """

    def __init__(
        self, size_bytes: int, pieces: list[tuple[int, bytes | bytearray]], peek: Peek | None
    ) -> None:
        self.size_bytes = size_bytes
        self._pieces = pieces
        self._peek = peek

    def read(self, at: int, length: int) -> bytes:
        """Return bytes from an offset on: fewer than asked for at a hole or at the end."""
        length = max(0, min(length, self.size_bytes - at))
        parts = []
        while length:
            part = self._piece(at, length)
            if not part:
                break
            parts.append(part)
            at += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _piece(self, at: int, length: int) -> bytes:
        for start, piece in self._pieces:
            if start <= at < start + len(piece):
                return bytes(memoryview(piece)[at - start : at - start + length])
        found = self._peek(at, length) if self._peek is not None else None
        return found[:length] if found else b""


class SparseFile(io.RawIOBase, BinaryIO):
    """A seekable, read-only file object over `KnownBytes`; a hole reads like the end of the file.

    Attributes:
        missed: Whether a read began in a hole, so that nothing follows from what it led to.
        short: Whether a read began or ended in a hole.
        fault: What the store raised while bytes were read back. It waits here, since FFmpeg would
            lose it, or raise it over the next file.
    """

    def __init__(self, known: KnownBytes) -> None:
        super().__init__()
        self.missed = False
        self.short = False
        self.fault: ArchiverError | OSError | None = None
        self._known = known
        self._at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return up to `size` bytes."""
        rest = max(0, self._known.size_bytes - self._at)
        wanted = rest if size is None or size < 0 else min(size, rest)
        try:
            data = self._known.read(self._at, wanted)
        except (ArchiverError, OSError) as error:
            data, self.fault = b"", error
        self.missed = self.missed or (wanted > 0 and not data)
        self.short = self.short or len(data) < wanted
        self._at += len(data)
        return data

    def check(self) -> None:
        """Raise what the store raised.

        Raises:
            ArchiverError, OSError: The store's fault, not the file's.
        """
        if self.fault is not None:
            raise self.fault

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, also beyond the end."""
        base = (0, self._at, self._known.size_bytes)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the offset of the next read."""
        return self._at

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be sought in."""
        return True
