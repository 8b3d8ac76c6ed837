"""One file on its way to its final name: a `.part`, or, while it is whole and small, in memory."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.contracts import ResumeProof
from archiver.errors import DamageError, StoreError
from archiver.model import StoredObject
from archiver.stores.local.disk import store_errors, write_all

if TYPE_CHECKING:
    from archiver.stores.local import LocalStore

PART = ".part"
PROOF = ".part.json"
READ_BYTES = 1 << 20
HELD_BYTES = 1 << 19
FREE_CHECK_EVERY_BYTES = 64 << 20


@functools.cache
def boot_id() -> str:
    """Return which start of the machine this is; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _is_readable(proof: ResumeProof) -> bool:
    texts = (proof.etag, proof.link, proof.vouched_sha256, proof.boot)
    numbers = (proof.total_bytes, proof.vouched_bytes)
    return all(isinstance(text, str) for text in texts) and all(
        type(number) is int and number >= 0 for number in numbers
    )


class LocalUpload:
    """One `.part` file; see `contracts.Upload`.

    A small file that comes at one go, whole, waits in memory and meets the disk when it is named:
    half the files made and removed, and a killed run loses nothing that it would not have lost a
    millisecond before.
    """

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
        self._has_proof_file = False
        self._whole: bytes | None = None
        self._ended = False
        with store_errors(f"open {self._part}"):
            self._take_up()

    def _take_up(self) -> None:
        """Continue a parked part whose proof can be read; else begin anew at the first write."""
        try:
            found = self._proof_path.read_bytes()
        except FileNotFoundError:
            return
        self._has_proof_file = True
        try:
            proof = ResumeProof(**json.loads(found))
            size = self._part.stat().st_size
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return
        if not _is_readable(proof):
            return
        # A machine that lost its power may have kept a file's length and lost what was in it.
        is_same_start = proof.boot in ("", boot_id())
        held = size if is_same_start else min(size, proof.vouched_bytes)
        if max(1, proof.vouched_bytes) <= held <= proof.total_bytes:
            self._handle = os.open(self._part, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.ftruncate(self._handle, held)
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
        """Yield the bytes held, from the first, and compare them with what came."""
        proof = self._proof
        vouched, proof_sha256 = (proof.vouched_bytes, proof.vouched_sha256) if proof else (0, "")
        digest = hashlib.sha256()
        position = 0
        while position < self._offset:
            end = vouched if position < vouched else self._offset
            chunk = self.peek(position, min(READ_BYTES, end - position))
            if not chunk:
                raise StoreError(f"{self._part} became shorter while it was read")
            position += len(chunk)
            if position <= vouched:
                digest.update(chunk)
            if position == vouched and digest.hexdigest() != proof_sha256:
                raise DamageError(f"{self._part} is not what came", code="part_damaged")
            yield chunk

    def identify(self, name: str, media_type: str, metadata: Mapping[str, str]) -> None:
        """Take the final name; a file system keeps no media type."""
        self._name = name

    def expect(self, proof: ResumeProof | None) -> None:
        """Take the proof; it is written beside the part, before the bytes that it speaks of."""
        if proof == self._proof:
            return
        self._proof = replace(proof, boot=boot_id()) if proof is not None else None
        self._drop_proof_file()

    def vouch(self, sha256: str) -> None:
        """Take the digest of what is held into the proof, also of one that is on disk already."""
        if self._proof is None:
            return
        self._proof = replace(
            self._proof, vouched_bytes=self._offset, vouched_sha256=sha256, boot=boot_id()
        )
        if self._has_proof_file:
            with store_errors(f"write {self._proof_path}"):
                self._write_proof(self._proof)

    def _drop_proof_file(self) -> None:
        if self._has_proof_file:
            with store_errors(f"remove {self._proof_path}"):
                self._proof_path.unlink(missing_ok=True)
            self._has_proof_file = False

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append to the part, looking at the free space now and then."""
        with store_errors(f"write {self._part}"):
            if self._unchecked_bytes <= 0:
                self._store.require_free_space()
                self._unchecked_bytes = FREE_CHECK_EVERY_BYTES
            self._unchecked_bytes -= len(chunk)
            if self._is_all(chunk):
                self._whole = bytes(chunk)
            else:
                self._append(chunk)
        self._offset += len(chunk)

    def _is_all(self, chunk: bytes | bytearray | memoryview) -> bool:
        """Whether this is the whole file, and small."""
        is_first = self._handle is None and self._offset == 0
        total = self._proof.total_bytes if self._proof else None
        return is_first and len(chunk) == total and total <= HELD_BYTES

    def _append(self, chunk: bytes | bytearray | memoryview, *, proven: bool = True) -> None:
        if self._handle is None:
            self._handle = self._create()
        if proven and self._proof is not None and not self._has_proof_file:
            self._write_proof(self._proof)
        write_all(self._handle, chunk)

    def _create(self) -> int:
        self._store.make_folder(self._folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._part, flags, 0o666)

    def _empty(self) -> None:
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)

    def _write_proof(self, proof: ResumeProof) -> None:
        """Write the proof over the one before, which is no longer: no kill can leave half of it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= 0 if self._has_proof_file else os.O_TRUNC
        self._has_proof_file = True
        handle = os.open(self._proof_path, flags, 0o666)
        try:
            write_all(handle, json.dumps(asdict(proof)).encode())
        finally:
            os.close(handle)

    def restart(self) -> None:
        """Forget the bytes held and what they belonged to."""
        with store_errors(f"restart {self._part}"):
            self._proof = self._whole = None
            self._drop_proof_file()
            self._empty()
        self._offset = 0

    def peek(self, offset: int, length: int) -> bytes | None:
        """Read back what was written."""
        if self._whole is not None:
            return self._whole[offset : offset + length]
        if self._handle is None:
            return None
        with store_errors(f"read {self._part}"):
            return os.pread(self._handle, length, offset)

    def seal(self) -> None:
        """Sync the part; what waits in memory is synced when it is named."""
        if self._whole is None:
            self._sync()

    def _sync(self) -> None:
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
            if self._whole is not None:
                # It needs no proof: the journal has its digest by now.
                self._empty()
                self._append(self._whole, proven=False)
                self._sync()
            self._close()
            self._drop_proof_file()
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
        with store_errors(f"keep {self._part}"):
            if self._whole is not None:
                self._empty()
                self._append(self._whole)
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
