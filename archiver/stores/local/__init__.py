"""A folder on a disk of this machine.

Bytes on their way are `<stem>.part`, with `<stem>.part.json` beside them: what proves that the rest
belongs to them. A final name appears by `rename` of a synced file and in no other way.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from archiver.contracts import StoredEntry
from archiver.errors import (
    DamageError,
    LockedError,
    StoreError,
    StoreFullError,
    WrongStoreError,
)
from archiver.model import StoredObject
from archiver.stores.local.disk import store_errors, sync_folder, write_all
from archiver.stores.local.upload import PART, PROOF, LocalUpload

__all__ = ["PART", "PROOF", "LocalStore", "LocalUpload"]

_OWN_FOLDER = ".archiver"
_MOST_TRIES = 100


_Place = tuple[int, int]
"""Which folder it is, whatever its name: its device and inode."""


def _place_of(folder: Path | os.DirEntry[str]) -> _Place:
    found = folder.stat()
    return found.st_dev, found.st_ino


class LocalStore:
    """A folder; see `contracts.Store`.

    Args:
        root: The folder; made at the first write.
        min_free_bytes: Space to leave on the disk; 0: until it is full.
    """

    is_local = True

    def __init__(self, root: Path, *, min_free_bytes: int = 0) -> None:
        self._root = root
        self._min_free_bytes = min_free_bytes
        self._place: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """The folder's path."""
        return str(self._root)

    def path_of(self, key: str) -> Path:
        """Return the path of a key, which can never leave the root."""
        parts = key.split("/")
        if key.startswith("/") or "\0" in key or any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"not a key of a store: {key!r}")
        return self._root.joinpath(*parts)

    def check(self) -> None:
        """Write, read and remove a probe file; look at the free space."""
        probe = self._root / _OWN_FOLDER / f"probe-{os.getpid()}{PART}"
        with store_errors(f"use the store {self._root}"):
            self.require_free_space()
            self.make_folder(probe.parent)
            try:
                with probe.open("w+b", buffering=0) as file:
                    write_all(file.fileno(), b"archiver")
                    file.seek(0)
                    if file.read() != b"archiver":
                        raise StoreError(f"{self._root} does not give back what was written")
            finally:
                with suppress(FileNotFoundError):
                    probe.unlink()
                self.drop_empty(probe.parent)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold `.archiver/lock`; the kernel lets go of it when the process dies."""
        from filelock import FileLock, Timeout

        path = self._root / _OWN_FOLDER / "lock"
        with store_errors(f"lock the store {self._root}"):
            self.make_folder(path.parent)
            held = FileLock(path)
            try:
                held.acquire(timeout=0)
            except Timeout:
                raise LockedError(
                    f"another run is at work on the store {self._root}; nothing was changed"
                ) from None
            self._place = self._find_place()
        try:
            # What a killed run left here; nobody else writes while the lock is held.
            self.clean(_OWN_FOLDER)
            yield
        finally:
            self._place = None
            held.release()

    def _find_place(self) -> tuple[int, int] | None:
        """Return which folder on which disk this store is at this moment."""
        try:
            found = (self._root / _OWN_FOLDER).stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def begin(self, folder: str, stem: str) -> LocalUpload:
        """Open `folder/stem.part`."""
        return LocalUpload(self, folder, stem)

    def adopt_part(self, folder: str, stem: str, name: str, *, sha256: str) -> StoredObject | None:
        """Publish a complete part that a killed run left, if its digest is the journal's."""
        part = self.path_of(folder) / (stem + PART)
        with store_errors(f"take up {part}"):
            try:
                with part.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                        return None
                    os.fsync(file.fileno())
                    size = file.tell()
            except FileNotFoundError:
                return None
            (part.parent / (stem + PROOF)).unlink(missing_ok=True)
            part.rename(part.parent / name)
        return StoredObject(key=f"{folder}/{name}", size_bytes=size, sha256=sha256)

    def put_document(self, key: str, data: bytes, *, media_type: str = "application/json") -> None:
        """Write, sync, rename, sync the folder: before the rename for its siblings' names too."""
        path = self.path_of(key)
        part = path.with_name(path.name + PART)
        with store_errors(f"write {path}"):
            self.make_folder(path.parent)
            try:
                handle = os.open(
                    part,
                    os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW,
                    0o666,
                )
                try:
                    write_all(handle, data)
                    os.fsync(handle)
                finally:
                    os.close(handle)
                sync_folder(path.parent)
                part.rename(path)
            except OSError:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
                raise
            sync_folder(path.parent)

    def read_document(self, key: str, *, max_bytes: int = 64 << 20) -> bytes | None:
        """Return a small file's bytes."""
        path = self.path_of(key)
        with store_errors(f"read {path}"):
            try:
                with path.open("rb") as file:
                    data = file.read(max_bytes + 1)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
        if len(data) > max_bytes:
            raise DamageError(f"{path} is larger than any document of ours ({max_bytes} bytes)")
        return data

    def stat(self, key: str) -> StoredEntry | None:
        """Return a file's size."""
        path = self.path_of(key)
        with store_errors(f"look at {path}"):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return self._entry(key, found)

    @staticmethod
    def _entry(key: str, found: os.stat_result) -> StoredEntry:
        modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
        return StoredEntry(key=key, size_bytes=found.st_size, modified_at=modified_at)

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a file for reading."""
        path = self.path_of(key)
        with store_errors(f"read {path}"):
            try:
                return path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                raise DamageError(f"{path} is not there", code="lost") from None

    def entries(self, prefix: str = "") -> Iterator[StoredEntry]:
        """Yield every final file under a folder, in order of their names."""
        with store_errors(f"list {self._root}"):
            if not self._root.exists():
                return
            above = [_place_of(folder) for folder in (self._root, *self._root.resolve().parents)]
        yield from self._entries(prefix, frozenset(above))

    def _entries(self, prefix: str, above: frozenset[_Place]) -> Iterator[StoredEntry]:
        """Yield the files of a folder; a link that leads back above itself is passed over."""
        top = self.path_of(prefix) if prefix else self._root
        with store_errors(f"list {top}"):
            try:
                children = sorted(os.scandir(top), key=lambda child: child.name)
            except (FileNotFoundError, NotADirectoryError):
                return
            for child in children:
                key = f"{prefix}/{child.name}" if prefix else child.name
                if child.is_dir():
                    place = _place_of(child)
                    if place not in above:
                        yield from self._entries(key, above | {place})
                elif not child.name.endswith((PART, PROOF)) and key != f"{_OWN_FOLDER}/lock":
                    with suppress(FileNotFoundError):
                        yield self._entry(key, child.stat())

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files, then the folders that this leaves empty."""
        for key in keys:
            path = self.path_of(key)
            with store_errors(f"remove {path}"):
                try:
                    path.unlink()
                except (FileNotFoundError, NotADirectoryError):
                    continue
                sync_folder(path.parent)
                self.drop_empty(path.parent)

    def clean(self, folder: str) -> None:
        """Remove parts and proofs of this folder."""
        path = self.path_of(folder)
        with store_errors(f"clean {path}"):
            try:
                names = [child.name for child in os.scandir(path)]
            except (FileNotFoundError, NotADirectoryError):
                return
            for name in names:
                if name.endswith((PART, PROOF)):
                    (path / name).unlink(missing_ok=True)
            self.drop_empty(path)

    def clean_stale(self, older_than: timedelta) -> int:
        """Remove nothing: parts on a disk are seen, and can be continued."""
        return 0

    def free_bytes(self) -> int | None:
        """Return what the disk has left for this user."""
        folder = self._root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with store_errors(f"look at the disk of {self._root}"):
            return shutil.disk_usage(folder).free

    def require_free_space(self) -> None:
        """Raise `StoreFullError` under `min_free`."""
        free = self.free_bytes() if self._min_free_bytes else None
        if free is not None and free < self._min_free_bytes:
            raise StoreFullError(
                f"{self._root} has {free >> 20} MiB left, less than min_free"
                f" ({self._min_free_bytes >> 20} MiB); what is archived is safe:"
                " free some space and run again"
            )

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each made durable in its parent.

        Raises:
            WrongStoreError: The disk went while a run held the lock, and another folder shows
                where it was mounted.
        """
        tries = 0
        while not folder.is_dir():
            tries += 1
            if tries > _MOST_TRIES:  # a file system that makes no folders, such as /proc
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
            if self._place is not None and self._find_place() != self._place:
                raise WrongStoreError(
                    f"the disk of {self._root} is gone, and what is there now is another folder;"
                    " nothing was written there: mount it and run again"
                )
            self.make_folder(folder.parent)
            # The parent may go between the two calls: another worker removes folders left empty.
            with suppress(FileExistsError, FileNotFoundError):
                folder.mkdir()
                sync_folder(folder.parent)
            if folder.exists() and not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))

    def drop_empty(self, folder: Path) -> None:
        """Remove a folder and those above it, up to the root, as long as they are empty."""
        while folder != self._root and self._root in folder.parents:
            try:
                folder.rmdir()
            except OSError:  # not empty, or another worker made use of it
                return
            folder = folder.parent
