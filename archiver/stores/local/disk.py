"""The system calls under the local store, with the operating system's errors mapped.

Source: `fsync(2)`, `rename(2)`: a new name is durable once its folder was synced as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archiver.errors import system_error


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Map the operating system's errors where they enter."""
    try:
        yield
    except OSError as error:
        raise system_error(error, f"cannot {what}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes | bytearray | memoryview) -> None:
    """Write everything, however little the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
