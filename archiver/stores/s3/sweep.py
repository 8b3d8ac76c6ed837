"""Unfinished multipart uploads: which are ours and alive, and which a dead run left behind.

They cost money and are seen in no listing of objects. Servers that cannot list them are tolerated
(MinIO lists them by exact key only, and removes them itself after a day).

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from botocore.exceptions import ClientError

from archiver.contracts import Clock
from archiver.stores.s3.faults import code_of, status_of
from archiver.stores.s3.place import Place

LISTING_LIFETIME_S = 60.0
"""How long one listing of the prefix serves `clean`, which is called once per task."""

_LOG = logging.getLogger(__name__)
_NONE = "NoSuchUpload"
"""What rclone answers when there is nothing to list."""

_CANNOT_LIST = frozenset({400, 403, 405, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """One multipart upload as the server lists it; `key` is the bucket's."""

    key: str
    upload_id: str
    begun_at: datetime | None


def unfinished_uploads(place: Place, full_key: str = "") -> list[Unfinished]:
    """Return every unfinished upload below the prefix, or of one key.

    Raises:
        ClientError: The server's refusal, for the caller to judge.
    """
    pages = place.client.get_paginator("list_multipart_uploads").paginate(
        Bucket=place.bucket, Prefix=full_key or place.top
    )
    try:
        return [
            Unfinished(
                key=found["Key"], upload_id=found["UploadId"], begun_at=found.get("Initiated")
            )
            for page in pages
            for found in page.get("Uploads", [])
            if not full_key or found["Key"] == full_key
        ]
    except ClientError as error:
        if code_of(error) == _NONE:
            return []
        raise


def abort(place: Place, full_key: str, upload_id: str) -> None:
    """Abort one upload; one that is not there any more is no error."""
    with place.faults("remove an unfinished upload of"):
        try:
            place.client.abort_multipart_upload(
                Bucket=place.bucket, Key=full_key, UploadId=upload_id
            )
        except ClientError as error:
            if code_of(error) not in (_NONE, "404"):
                raise


class OpenUploads:
    """The unfinished uploads below a prefix. Safe to use from many threads."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._lock = threading.Lock()
        self._alive: set[str] = set()
        self._listed: dict[str, Unfinished] = {}
        self._listed_at: float | None = None
        self._warned = False

    def started(self, upload_id: str) -> None:
        """Note that this process is at work on an upload."""
        with self._lock:
            self._alive.add(upload_id)

    def ended(self, upload_id: str) -> None:
        """Note that an upload is completed, or left to be cleaned."""
        with self._lock:
            self._alive.discard(upload_id)
            self._listed.pop(upload_id, None)

    def clean(self, folder: str) -> None:
        """Abort what dead processes left in a folder.

        What this process itself began is not touched. One listing of the whole prefix serves all
        calls for a minute: what another process leaves in that time is found later.
        """
        top = self._place.full(folder)
        with self._lock:
            now = self._clock.monotonic()
            if self._listed_at is None or now - self._listed_at > LISTING_LIFETIME_S:
                self._listed = {found.upload_id: found for found in self._tolerant_listing()}
                self._listed_at = now
            dead = [
                found
                for found in self._listed.values()
                if found.key.rpartition("/")[0] == top and found.upload_id not in self._alive
            ]
            for found in dead:
                del self._listed[found.upload_id]
        for found in dead:
            abort(self._place, found.key, found.upload_id)

    def clean_key(self, full_key: str) -> None:
        """Abort what is unfinished of one object, but for what this process is at work on."""
        found = self._tolerant_listing(full_key)
        with self._lock:
            dead = [upload for upload in found if upload.upload_id not in self._alive]
        for upload in dead:
            abort(self._place, upload.key, upload.upload_id)

    def clean_stale(self, older_than: timedelta) -> int:
        """Abort every upload below the prefix that was begun longer ago; return how many."""
        limit = self._clock.now() - older_than
        with self._lock:
            alive = frozenset(self._alive)
            stale = [
                found
                for found in self._tolerant_listing()
                if found.begun_at and found.begun_at < limit and found.upload_id not in alive
            ]
        for found in stale:
            abort(self._place, found.key, found.upload_id)
        return len(stale)

    def _tolerant_listing(self, full_key: str = "") -> list[Unfinished]:
        with self._place.faults("list the unfinished uploads of"):
            try:
                return unfinished_uploads(self._place, full_key)
            except ClientError as error:
                if status_of(error) not in _CANNOT_LIST:
                    raise
                if not self._warned:
                    self._warned = True
                    _LOG.warning(
                        "the unfinished uploads of %s cannot be listed (%s): what a killed run"
                        " leaves stays there; a lifecycle rule of the bucket can remove it",
                        self._place.label,
                        code_of(error),
                    )
                return []
