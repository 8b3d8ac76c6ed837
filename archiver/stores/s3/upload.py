"""One object on its way into the bucket: see `contracts.Upload`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from archiver.contracts import ResumeProof
from archiver.errors import StoreError
from archiver.layout import MANIFEST_NAME
from archiver.model import StoredObject
from archiver.stores.s3.buffers import Buffers, Filling
from archiver.stores.s3.documents import Documents
from archiver.stores.s3.parts import Lanes, Multipart, base_for, part_bytes
from archiver.stores.s3.place import Identity, Place, header_values
from archiver.stores.s3.renames import begin_rename, clean_rename, copy, finish_rename
from archiver.stores.s3.sweep import OpenUploads


class S3Upload:
    """Holds at most one part that is not on its way yet; up to that size it is a single put.

    A part leaves when it is full and more bytes come, so that the last one is never empty.
    """

    def __init__(
        self,
        place: Place,
        folder: str,
        *,
        documents: Documents,
        part_size_bytes: int,
        lanes: Lanes,
        buffers: Buffers,
        open_uploads: OpenUploads,
        new_token: Callable[[], str],
    ) -> None:
        self._place = place
        self._folder = folder
        self._documents = documents
        self._part_size_bytes = part_size_bytes
        self._base_bytes = part_size_bytes
        self._lanes = lanes
        self._buffers = buffers
        self._open_uploads = open_uploads
        self._new_token = new_token
        self._identity: Identity | None = None
        self._proof: ResumeProof | None = None
        self._filling = Filling(buffers)
        self._offset = 0
        self._multipart: Multipart | None = None
        self._early_key: str | None = None
        self._failed = False
        self._ended = False
        self._stored: StoredObject | None = None

    @property
    def offset(self) -> int:
        """Bytes taken so far; 0 at first, as nothing is ever parked."""
        return self._offset

    @property
    def proof(self) -> ResumeProof | None:
        """What the bytes' origin said of itself in this run."""
        return self._proof

    def held(self) -> Iterator[bytes]:
        """Yield nothing: no bytes outlive a run."""
        return iter(())

    def identify(self, name: str, media_type: str, metadata: Mapping[str, str]) -> None:
        """Take name, media type and metadata; the latter is made short and ASCII.

        Once parts are on their way, another name or media type costs a copy within the server at
        the end, and metadata stay as they were.
        """
        self._place.full(f"{self._folder}/{name}")
        self._identity = Identity(
            name=name, media_type=media_type, metadata=header_values(metadata)
        )

    def expect(self, proof: ResumeProof | None) -> None:
        """Remember, in this process only; a known size also sets the size of the parts."""
        self._proof = proof
        if proof is not None and self._multipart is None:
            self._base_bytes = base_for(proof.total_bytes, self._part_size_bytes)

    def vouch(self, sha256: str) -> None:
        """Nothing: what S3 holds of an upload is never continued by another run."""

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append, sending each part that is full."""
        with self._at_work():
            view = memoryview(chunk).cast("B")
            while view:
                number = self._multipart.next_number if self._multipart else 1
                capacity = part_bytes(number, self._base_bytes)
                room = capacity - len(self._filling)
                if room <= 0:
                    self._send_part()
                    continue
                taken = view[:room]
                self._filling.append(taken, capacity=capacity)
                self._offset += len(taken)
                view = view[room:]

    def _send_part(self) -> None:
        if self._multipart is None:
            identity = self._require_identity()
            self._multipart = Multipart(
                self._place,
                f"{self._folder}/{identity.name}",
                identity,
                token=self._new_token(),
                lanes=self._lanes,
                buffers=self._buffers,
                open_uploads=self._open_uploads,
            )
        self._multipart.send(self._filling.take())

    def restart(self) -> None:
        """Let go of all bytes, on the server too."""
        self._require_open()
        self._drop()
        self._failed = False
        self._proof = None
        self._base_bytes = self._part_size_bytes

    def peek(self, offset: int, length: int) -> bytes | None:
        """Return bytes that have not left yet."""
        start = self._offset - len(self._filling)
        return self._filling.peek(offset - start, length) if offset >= start else None

    def seal(self) -> None:
        """Do nothing: what was sent is the server's, what is held leaves with `publish`."""

    def publish(self, *, sha256: str) -> StoredObject:
        """Send the single put, or the last part and the completion; then look at the result.

        Raises:
            StoreError: Also when the object is not there afterwards, or of another size, or
                another writer's.
            PassingError: Another machine archived the task meanwhile; or it was renamed on its
                way, and its first name is taken. Nothing was replaced.
        """
        if self._stored is not None:
            return self._stored
        identity = self._require_identity()
        key = f"{self._folder}/{identity.name}"
        with self._at_work():
            self._documents.require_unchanged(f"{self._folder}/{MANIFEST_NAME}")
            if self._multipart is None:
                self._put(key, identity, sha256)
                self._verify(key, token=None)
            else:
                self._complete(self._multipart, key, identity)
        self._ended = True
        self._stored = StoredObject(key=key, size_bytes=self._offset, sha256=sha256)
        return self._stored

    def _put(self, key: str, identity: Identity, sha256: str) -> None:
        place = self._place
        data = self._filling.take()
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        with place.faults("write", key):
            place.client.put_object(
                Bucket=place.bucket,
                Key=place.full(key),
                Body=data,  # type: ignore[arg-type]  # boto3 takes a bytearray
                ContentType=identity.media_type,
                Metadata={**identity.metadata, "sha256": sha256},
                **place.of_upload(key),
                **place.checks.of_put(data, bytes.fromhex(sha256)),
            )
        self._buffers.give(data)

    def _complete(self, multipart: Multipart, key: str, identity: Identity) -> None:
        if len(self._filling):
            self._send_part()
        is_renamed = multipart.identity.name != identity.name
        if is_renamed:
            begin_rename(self._place, multipart.key, token=multipart.token)
            self._early_key = multipart.key
        multipart.complete()
        self._verify(multipart.key, token=multipart.token)
        if is_renamed or multipart.identity.media_type != identity.media_type:
            copy(
                self._place,
                multipart.key,
                key,
                identity,
                size_bytes=self._offset,
                token=multipart.token,
            )
            self._verify(key, token=multipart.token)
        if is_renamed:
            finish_rename(self._place, multipart.key)
            self._early_key = None

    def _verify(self, key: str, *, token: str | None) -> None:
        """Look at what the server made of it; of another size than ours, it does not stay."""
        label = self._place.label
        found = self._place.head(key)
        if found is None:
            raise StoreError(f"{key} is not in {label} after it was written")
        if token and found.token and found.token != token:
            raise StoreError(
                f"another writer replaced {key} in {label}; one prefix has one writer",
                code="store_conflict",
            )
        if found.size_bytes != self._offset:
            self._place.remove(key)
            raise StoreError(
                f"{label} kept {found.size_bytes} of {self._offset} bytes of {key}; the object was"
                " removed: this server cannot be trusted"
            )

    def park(self) -> None:
        """Let go: parts cannot be continued by another run, since the digest is not known."""
        self.discard()

    def discard(self) -> None:
        """Let go of all bytes, on the server too.

        After a failure of the store that may fail as well: what is left is the next run's to
        remove, and the first failure is the one to report.
        """
        if self._ended:
            return
        self._ended = True
        try:
            self._drop()
        except StoreError:
            if not self._failed:
                raise

    def _drop(self) -> None:
        multipart, self._multipart = self._multipart, None
        self._filling.clear()
        self._offset = 0
        if multipart is not None:
            multipart.abort()
        if self._early_key is not None:
            clean_rename(self._place, self._early_key)
            self._early_key = None

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Let nothing but an end follow a failure: bytes are lost with it."""
        self._require_open()
        if self._failed:
            raise StoreError(f"an upload to {self._folder} failed before and cannot go on")
        try:
            yield
        except StoreError:
            self._failed = True
            raise

    def _require_open(self) -> None:
        if self._ended:
            raise RuntimeError("the upload has ended")

    def _require_identity(self) -> Identity:
        if self._identity is None:
            raise RuntimeError("identify() comes before the bytes")
        return self._identity
