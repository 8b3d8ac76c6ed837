"""One `.part` file on its way to its final name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from archiver.contracts import ResumeProof
from archiver.errors import StoreError
from archiver.model import StoredObject
from archiver.stores.local.disk import store_errors, write_all

if TYPE_CHECKING:
    from archiver.stores.local import LocalStore

PART = ".part"
PROOF = ".part.json"
READ_BYTES = 1 << 20
FREE_CHECK_EVERY_BYTES = 64 << 20


class LocalUpload:
    """One `.part` file; see `contracts.Upload`."""

    def __init__(self, store: LocalStore, folder: str, stem: str) -> None:
        self._store = store
        self._folder = store.path_of(folder)
        self._folder_key = folder
        self._part = self._folder / (stem + PART)
        self._proof_path = self._folder / (stem + PROOF)
        self._name = stem
        self._handle: int | None = None
        self._offset = 0
        self._unchecked_bytes = 0
        self._proof: ResumeProof | None = None
        self._ended = False
        with store_errors(f"open {self._part}"):
            self._take_up()

    def _take_up(self) -> None:
        """Continue a parked part whose proof can be read; else begin anew at the first write."""
        try:
            size = self._part.stat().st_size
            proof = ResumeProof(**json.loads(self._proof_path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return
        readable = (
            isinstance(proof.etag, str)
            and isinstance(proof.link, str)
            and type(proof.total_bytes) is int
        )
        if readable and 0 < size <= proof.total_bytes:
            self._handle = os.open(self._part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._offset = os.lseek(self._handle, 0, os.SEEK_END)
            self._proof = proof

    @property
    def offset(self) -> int:
        """Bytes held."""
        return self._offset

    @property
    def proof(self) -> ResumeProof | None:
        """What the held bytes' origin said of itself."""
        return self._proof

    def held(self) -> Iterator[bytes]:
        """Yield the bytes held, from the first."""
        position = 0
        while position < self._offset:
            chunk = self.peek(position, min(READ_BYTES, self._offset - position))
            if not chunk:
                raise StoreError(f"{self._part} became shorter while it was read")
            yield chunk
            position += len(chunk)

    def identify(self, name: str, media_type: str, metadata: Mapping[str, str]) -> None:
        """Take the final name; a file system keeps no media type."""
        self._name = name

    def expect(self, proof: ResumeProof | None) -> None:
        """Write the proof beside the part, before the bytes that it speaks of."""
        with store_errors(f"write {self._proof_path}"):
            if proof == self._proof:
                return
            self._proof = proof
            if proof is None:
                self._proof_path.unlink(missing_ok=True)
                return
            self._store.make_folder(self._folder)
            self._proof_path.write_text(json.dumps(asdict(proof)), encoding="utf-8")

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append to the part, looking at the free space now and then."""
        with store_errors(f"write {self._part}"):
            if self._unchecked_bytes <= 0:
                self._store.require_free_space()
                self._unchecked_bytes = FREE_CHECK_EVERY_BYTES
            if self._handle is None:
                self._handle = self._create()
            write_all(self._handle, chunk)
        self._offset += len(chunk)
        self._unchecked_bytes -= len(chunk)

    def _create(self) -> int:
        self._store.make_folder(self._folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._part, flags, 0o666)

    def restart(self) -> None:
        """Forget the bytes held and what they belonged to."""
        with store_errors(f"restart {self._part}"):
            self._proof = None
            self._proof_path.unlink(missing_ok=True)
            if self._handle is not None:
                os.ftruncate(self._handle, 0)
                os.lseek(self._handle, 0, os.SEEK_SET)
        self._offset = 0

    def peek(self, offset: int, length: int) -> bytes | None:
        """Read back what was written."""
        if self._handle is None:
            return None
        with store_errors(f"read {self._part}"):
            return os.pread(self._handle, length, offset)

    def seal(self) -> None:
        """Sync the part."""
        with store_errors(f"sync {self._part}"):
            if self._handle is None:
                self._handle = self._create()
            os.fsync(self._handle)

    def publish(self, *, sha256: str) -> StoredObject:
        """Rename the synced part; the proof goes first, so that nothing stray can stay."""
        key = f"{self._folder_key}/{self._name}"
        stored = StoredObject(key=key, size_bytes=self._offset, sha256=sha256)
        if self._ended:
            return stored
        with store_errors(f"name {self._folder / self._name}"):
            self._close()
            self._proof_path.unlink(missing_ok=True)
            self._part.rename(self._folder / self._name)
        self._ended = True
        return stored

    def park(self) -> None:
        """Leave part and proof for a later run; a part without proof is of no use to anyone."""
        if self._ended:
            return
        if self._proof is None or self._offset == 0:
            self.discard()
            return
        self._ended = True
        self._close()

    def discard(self) -> None:
        """Remove part and proof, and the folder if that leaves it empty."""
        if self._ended:
            return
        self._ended = True
        with store_errors(f"remove {self._part}"):
            self._close()
            self._part.unlink(missing_ok=True)
            self._proof_path.unlink(missing_ok=True)
            self._store.drop_empty(self._folder)

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
