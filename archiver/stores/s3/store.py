"""The store itself: see `contracts.Store`."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from itertools import islice
from typing import BinaryIO

from botocore.exceptions import ClientError

from archiver.contracts import Clock, StoredEntry
from archiver.errors import DamageError, StoreError
from archiver.model import StoredObject
from archiver.stores.s3.buffers import Buffers
from archiver.stores.s3.diagnosis import Diagnosis, Trial
from archiver.stores.s3.documents import Documents
from archiver.stores.s3.faults import status_of
from archiver.stores.s3.parts import MAX_PART_BYTES, MIN_PART_BYTES, Lanes
from archiver.stores.s3.place import OWN_FOLDER, Place
from archiver.stores.s3.reader import READ_AHEAD_BYTES, ObjectReader
from archiver.stores.s3.renames import NOTE, clean_rename
from archiver.stores.s3.sweep import OpenUploads
from archiver.stores.s3.upload import S3Upload

DELETE_BATCH = 1000
"""Keys of one batched delete.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
"""

_NOT_FINAL = (".part", NOTE)
_NO_BATCHES = frozenset({400, 405, 411, 501})


class S3Store:
    """A prefix of a bucket. Safe to use from many threads; `connect` makes one.

    Args:
        part_size_bytes: Size of a multipart upload's parts, and the limit of single puts; brought
            between 5 MiB and 5 GiB.
        new_token: Returns a random word that no other upload has.
    """

    is_local = False

    def __init__(
        self,
        place: Place,
        *,
        clock: Clock,
        part_size_bytes: int,
        new_token: Callable[[], str],
    ) -> None:
        self._place = place
        self._part_size_bytes = min(max(part_size_bytes, MIN_PART_BYTES), MAX_PART_BYTES)
        self._new_token = new_token
        self._lanes = Lanes()
        self._buffers = Buffers(self._part_size_bytes)
        self._documents = Documents(place)
        self._open_uploads = OpenUploads(place, clock)
        self._batched_deletes = True

    @property
    def label(self) -> str:
        """`s3://bucket/prefix`."""
        return self._place.label

    def check(self) -> None:
        """List, write, read and delete a probe object; begin and abort a probe upload.

        What a killed run left of its own probes is removed.
        """
        Diagnosis(self._place, self._new_token()).require()
        self._open_uploads.clean(OWN_FOLDER.rstrip("/"))

    def diagnose(self) -> list[Trial]:
        """Try every right that a run needs, and say of each whether it is there."""
        return Diagnosis(self._place, self._new_token()).trials()

    def lock(self) -> AbstractContextManager[None]:
        """Keep nobody out: S3 has no locks. One prefix has one writer, by agreement."""
        return nullcontext()

    def begin(self, folder: str, stem: str) -> S3Upload:
        """Open an upload; nothing is sent yet."""
        self._place.full(f"{folder}/{stem}")
        return S3Upload(
            self._place,
            folder,
            documents=self._documents,
            part_size_bytes=self._part_size_bytes,
            lanes=self._lanes,
            buffers=self._buffers,
            open_uploads=self._open_uploads,
            new_token=self._new_token,
        )

    def adopt_part(self, folder: str, stem: str, name: str, *, sha256: str) -> StoredObject | None:
        """Return the object if it is final already with this digest: parts cannot be adopted."""
        key = f"{folder}/{name}"
        try:
            with ObjectReader(self._place, key) as reader:
                digest = hashlib.sha256()
                while chunk := reader.read(READ_AHEAD_BYTES):
                    digest.update(chunk)
                size_bytes = reader.size_bytes
        except DamageError:
            return None
        if digest.hexdigest() != sha256:
            return None
        return StoredObject(key=key, size_bytes=size_bytes, sha256=sha256)

    def put_document(self, key: str, data: bytes, *, media_type: str = "application/json") -> None:
        """Write a small object, in class STANDARD."""
        self._documents.write(key, data, media_type=media_type)

    def read_document(self, key: str, *, max_bytes: int = 64 << 20) -> bytes | None:
        """Return a small object's bytes.

        Raises:
            DamageError: It is larger than `max_bytes`.
        """
        return self._documents.read(key, max_bytes=max_bytes)

    def stat(self, key: str) -> StoredEntry | None:
        """Return an object's size."""
        found = self._place.head(key)
        if found is None:
            return None
        return StoredEntry(key=key, size_bytes=found.size_bytes, modified_at=found.modified_at)

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open an object for reading; one GET as long as it is read forward."""
        return io.BufferedReader(ObjectReader(self._place, key), READ_AHEAD_BYTES)

    def entries(self, prefix: str = "") -> Iterator[StoredEntry]:
        """Yield every final object under a folder, a page of up to 1000 per request."""
        for entry in self._listing(prefix):
            # Consoles keep empty objects named like folders.
            if not entry.key.endswith(("/", *_NOT_FINAL)):
                yield entry

    def _listing(self, prefix: str) -> Iterator[StoredEntry]:
        top = self._place.top
        under = f"{self._place.full(prefix)}/" if prefix else top
        pages = iter(
            self._place.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=under
            )
        )
        while True:
            with self._place.faults("list"):
                page = next(pages, None)
            if page is None:
                return
            for found in page.get("Contents", []):
                key = found["Key"].removeprefix(top)
                if key:
                    yield StoredEntry(
                        key=key, size_bytes=found["Size"], modified_at=found["LastModified"]
                    )

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, many per request where the server can do that."""
        remaining = iter(keys)
        while batch := list(islice(remaining, DELETE_BATCH)):
            if len(batch) == 1 or not self._batched_deletes or not self._delete_batch(batch):
                for key in batch:
                    self._place.remove(key)

    def _delete_batch(self, keys: list[str]) -> bool:
        """Delete at once; false when the server cannot (it may want an MD5 that boto3 omits)."""
        place = self._place
        objects = [{"Key": place.full(key)} for key in keys]
        with place.faults("delete objects in"):
            try:
                answer = place.client.delete_objects(
                    Bucket=place.bucket,
                    Delete={"Objects": objects, "Quiet": True},  # type: ignore[typeddict-item]
                )
            except ClientError as error:
                if status_of(error) not in _NO_BATCHES:
                    raise
                self._batched_deletes = False
                return False
        left = [found for found in answer.get("Errors", []) if found.get("Code") != "NoSuchKey"]
        if left:
            key = left[0].get("Key", "").removeprefix(place.top)
            raise StoreError(
                f"cannot delete {key} in {place.label}: the server says {left[0].get('Code')}"
                f" ({len(left)} of {len(keys)} objects are left)"
            )
        return True

    def clean(self, folder: str) -> None:
        """Remove what dead processes left in this folder: unfinished uploads, early names."""
        self._open_uploads.clean(folder)
        parts = [entry.key for entry in self._listing(folder) if entry.key.endswith(_NOT_FINAL)]
        for key in parts:
            if "/" in key.removeprefix(f"{folder}/"):
                continue
            if key.endswith(NOTE):
                clean_rename(self._place, key.removesuffix(NOTE))
            else:
                self._place.remove(key)

    def clean_stale(self, older_than: timedelta) -> int:
        """Abort all unfinished uploads under the prefix begun longer ago; return how many."""
        return self._open_uploads.clean_stale(older_than)

    def free_bytes(self) -> int | None:
        """Return `None`: a bucket has no such number."""
        return None
