"""How much memory the process keeps for itself."""

from __future__ import annotations

import ctypes
import sys

LARGE_BLOCK_BYTES = 4 << 20
"""From 1 MiB on it would also be the head of each video, at a fourteenth more CPU."""
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> None:
    """Let glibc give large blocks back to the system when they are freed, for this whole process.

    By itself it keeps them for its heaps once one was freed, for each thread: with pictures of 20
    MB and 8 workers, 330 MB instead of 125.

    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
