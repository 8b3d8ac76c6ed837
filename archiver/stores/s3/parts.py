"""Multipart uploads: parts leave in the background while the next one arrives.

Memory: an upload holds the part that arrives and at most two that leave; all uploads of a store
together have `BACKGROUND_PARTS` on their way, besides those that worker threads send themselves.
With 8 workers and 8 MiB parts that is 11 blocks, 88 MiB, whatever the size of the files.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any

from archiver.errors import StoreError
from archiver.stores.s3.buffers import Buffers
from archiver.stores.s3.place import TOKEN, Identity, Place
from archiver.stores.s3.sweep import OpenUploads, abort

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

MIB = 1 << 20
MIN_PART_BYTES = 5 * MIB
MAX_PART_BYTES = 5 << 30
MAX_PARTS = 10_000
BACKGROUND_PARTS = 3
PARTS_PER_UPLOAD = 2

_MAX_CLAIMED_PART_BYTES = 64 * MIB
_STEADY_PARTS = 4_000
_PARTS_PER_STEP = 500

Sent = Mapping[str, Any]
"""One entry of the list that completes an upload: number, ETag, checksum."""


def part_bytes(number: int, base_bytes: int) -> int:
    """Return the size of a part: constant as long as possible, then doubling every 500 parts.

    R2 wants equal parts, so 4,000 of them are (32 GB at 8 MiB); from there 10,000 parts reach 5 TiB
    from any base. Where the whole size is known, `base_for` makes growth unnecessary.

    Args:
        number: From 1.
        base_bytes: Size of the first.
    """
    steps = max(0, math.ceil((number - _STEADY_PARTS) / _PARTS_PER_STEP))
    return min(base_bytes << steps, MAX_PART_BYTES)


def base_for(claimed_bytes: int, base_bytes: int) -> int:
    """Return the size of equal parts, whole MiB, of which 10,000 hold a file of the claimed size.

    A claim is no proof, and memory follows from it: beyond 640 GB parts grow as bytes arrive.
    """
    needed = math.ceil(max(claimed_bytes, 0) / MAX_PARTS / MIB) * MIB
    return max(base_bytes, min(needed, _MAX_CLAIMED_PART_BYTES))


class Lanes:
    """A few background threads, shared by all uploads of a store."""

    def __init__(self, count: int = BACKGROUND_PARTS) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="s3-part")

    def submit(self, work: Callable[[], Sent]) -> Future[Sent] | None:
        """Do this in the background; `None`, and nothing done, when all threads are busy."""
        if not self._free.acquire(blocking=False):
            return None
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._free.release())
        return future


class Multipart:
    """One multipart upload under way. One thread uses it.

    Args:
        token: Random; kept as metadata, so that the finished object is known as this upload's.
    """

    def __init__(
        self,
        place: Place,
        key: str,
        identity: Identity,
        *,
        token: str,
        lanes: Lanes,
        buffers: Buffers,
        open_uploads: OpenUploads,
    ) -> None:
        self.key = key
        self.identity = identity
        self.token = token
        self._place = place
        self._full = place.full(key)
        self._lanes = lanes
        self._buffers = buffers
        self._open_uploads = open_uploads
        self._sending: list[Future[Sent]] = []
        self._sent: list[Sent] = []
        self._number = 0
        self._size_bytes = 0
        self._running = 0
        with place.faults("begin to write", key):
            answer = place.client.create_multipart_upload(
                Bucket=place.bucket,
                Key=self._full,
                ContentType=identity.media_type,
                Metadata={**identity.metadata, TOKEN: token},
                **place.of_upload(key),
                **place.checks.of_create(),
            )
        self._upload_id = answer["UploadId"]
        open_uploads.started(self._upload_id)
        if answer["ResponseMetadata"].get("RetryAttempts"):
            # An answer that was lost may have begun one as well.
            open_uploads.clean_key(self._full)

    @property
    def next_number(self) -> int:
        """The number of the part that arrives."""
        return self._number + 1

    def send(self, data: bytearray) -> None:
        """Send the next part, in the background if a thread is free; its memory goes back.

        Raises:
            StoreError: This part or an earlier one could not be written.
        """
        self._collect()
        self._number += 1
        if self._number > MAX_PARTS:
            raise StoreError(f"cannot write {self.key}: it is larger than any S3 object can be")
        self._size_bytes += len(data)
        self._running = self._place.checks.running(self._running, data)
        work = partial(self._send_part, self._number, data)
        under_way = len(self._sending) < PARTS_PER_UPLOAD and self._lanes.submit(work)
        if under_way:
            self._sending.append(under_way)
        else:
            self._sent.append(work())

    def complete(self) -> None:
        """Wait for all parts and make them one object.

        An answer that was lost does not count as a failure: whether the object is there, and is
        this upload's, is looked up.
        """
        wait(self._sending)
        self._collect()
        if len(self._sent) != self._number:
            raise StoreError(f"cannot finish {self.key}: a part of it could not be written")
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": part["PartNumber"], **part}  # type: ignore[typeddict-item]
            for part in sorted(self._sent, key=lambda part: int(part["PartNumber"]))
        ]
        try:
            with self._place.faults("finish", self.key):
                self._place.client.complete_multipart_upload(
                    Bucket=self._place.bucket,
                    Key=self._full,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": parts},
                    **self._place.checks.of_complete(self._running, self._size_bytes),
                )
        except StoreError:
            if not self._is_there():
                raise
        self._open_uploads.ended(self._upload_id)

    def _is_there(self) -> bool:
        try:
            found = self._place.head(self.key)
        except StoreError:
            return False
        return found is not None and found.token == self.token

    def abort(self) -> None:
        """Let go of all parts, those still on their way too.

        Parts that land after an abort would stay and be billed, so they are waited for.
        """
        wait(self._sending)
        self._open_uploads.ended(self._upload_id)
        abort(self._place, self._full, self._upload_id)

    def _collect(self) -> None:
        """Take the results of what has left; a failure of any part ends the upload."""
        done = [future for future in self._sending if future.done()]
        self._sending = [future for future in self._sending if not future.done()]
        self._sent += [future.result() for future in done]

    def _send_part(self, number: int, data: bytearray) -> Sent:
        place = self._place
        check = place.checks.of_part(data)
        try:
            with place.faults("write", self.key):
                answer = place.client.upload_part(
                    Bucket=place.bucket,
                    Key=self._full,
                    UploadId=self._upload_id,
                    PartNumber=number,
                    Body=data,  # type: ignore[arg-type]  # boto3 takes a bytearray
                    **check,  # type: ignore[arg-type]
                )
        finally:
            self._buffers.give(data)
        return {"PartNumber": number, "ETag": answer["ETag"], **place.checks.listed(check)}
