"""Memory for the parts of uploads, used again and again.

Blocks of some MiB that come and go in many threads make glibc keep twice of what is in use; blocks
that are kept do not. Full parts give theirs back; the odd sizes at the end of files are let go.
"""

from __future__ import annotations

import threading

SMALL_BYTES = 1 << 20
"""Up to this size a file gets only what it needs."""

KEPT = 4
"""Blocks that wait: enough to be used at once, few enough to be spared while pictures come."""


class Buffers:
    """Blocks of one size that wait to be used again. Safe to use from many threads."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._free: list[bytearray] = []

    def take(self, size_bytes: int) -> bytearray:
        """Return a block of this size, with anything in it."""
        if size_bytes == self._size_bytes:
            with self._lock:
                if self._free:
                    return self._free.pop()
        return bytearray(size_bytes)

    def give(self, block: bytearray) -> None:
        """Take a block back that nobody uses any more; one of another size is let go."""
        if len(block) == self._size_bytes:
            with self._lock:
                if len(self._free) < KEPT:
                    self._free.append(block)


class Filling:
    """The part that arrives: a small block at first, then a whole one."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._block = bytearray()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, piece: memoryview, *, capacity: int) -> None:
        """Add bytes.

        Args:
            capacity: How many bytes the part will hold in the end; never exceeded.
        """
        end = self._length + len(piece)
        if len(self._block) < end and end > SMALL_BYTES:
            self._enlarge(capacity)
        if end <= len(self._block):
            memoryview(self._block)[self._length : end] = piece
        else:
            self._block += piece
        self._length = end

    def _enlarge(self, capacity: int) -> None:
        block = self._buffers.take(capacity)
        memoryview(block)[: self._length] = memoryview(self._block)[: self._length]
        self._buffers.give(self._block)
        self._block = block

    def peek(self, offset: int, length: int) -> bytes:
        """Return a copy of some bytes, as far as they are there."""
        return bytes(memoryview(self._block)[: self._length][offset : offset + length])

    def take(self) -> bytearray:
        """Return what arrived, for the caller to give back, and begin anew."""
        block, self._block = self._block, bytearray()
        del block[self._length :]
        self._length = 0
        return block

    def clear(self) -> None:
        """Forget what arrived."""
        self._buffers.give(self._block)
        self._block = bytearray()
        self._length = 0
