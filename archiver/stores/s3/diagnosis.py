"""Try what a run needs, right by right, leaving nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from archiver.errors import StoreError
from archiver.stores.s3.documents import Documents
from archiver.stores.s3.place import Place
from archiver.stores.s3.sweep import abort, unfinished_uploads

PROBES = ".archiver/probe-"
"""What the names of all probes begin with."""

_CONTENT = b"archiver"
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One thing that was tried.

    Attributes:
        right: In AWS's words, e.g. `s3:PutObject`.
        needed: Whether a run is of no use without it.
        message: What to do about it; empty when it worked.
    """

    right: str
    ok: bool
    needed: bool = True
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    right: str
    attempt: Callable[[], None]
    needed: bool = True


class Diagnosis:
    """The probe object and the probe upload of one try.

    Probes of killed runs go too. One of a run that begins just now may be among them: it tries
    again.

    Args:
        token: Makes their names different from any other run's.
    """

    def __init__(self, place: Place, token: str) -> None:
        self._place = place
        self._documents = Documents(place)
        self._key = f"{PROBES}{token}"
        self._left: list[str] = []

    def require(self) -> None:
        """Raise the first fault that a run cannot live with."""
        self._list()
        try:
            self._write()
            self._read()
        except StoreError:
            with suppress(StoreError):  # the first fault is the one to report
                self._delete()
            raise
        self._delete()
        self._multipart()

    def trials(self) -> list[Trial]:
        """Try everything, whatever fails."""
        return [self._try(step) for step in self._steps()]

    def _try(self, step: _Step) -> Trial:
        try:
            step.attempt()
        except StoreError as fault:
            return Trial(right=step.right, ok=False, needed=step.needed, message=fault.message)
        return Trial(right=step.right, ok=True, needed=step.needed)

    def _steps(self) -> Iterator[_Step]:
        # Listing comes first: some servers make a missing bucket on the first write.
        yield _Step(right="s3:ListBucket", attempt=self._list)
        yield _Step(right="s3:PutObject", attempt=self._write)
        yield _Step(right="s3:GetObject", attempt=self._read)
        yield _Step(right="s3:DeleteObject", attempt=self._delete)
        yield _Step(right="s3:AbortMultipartUpload", attempt=self._multipart)
        yield _Step(right="s3:ListBucketMultipartUploads", attempt=self._list_uploads, needed=False)

    def _list(self) -> None:
        with self._place.faults("list"):
            answer = self._place.client.list_objects_v2(
                Bucket=self._place.bucket, Prefix=self._place.top + PROBES
            )
        self._left = [
            found["Key"].removeprefix(self._place.top) for found in answer.get("Contents", [])
        ]

    def _write(self) -> None:
        self._documents.write(self._key, _CONTENT, media_type="text/plain")

    def _read(self) -> None:
        for _ in range(_TRIES):
            found = self._documents.read(self._key, max_bytes=1024)
            if found == _CONTENT:
                return
            if found is None:
                self._write()
        raise StoreError(f"{self._place.label} does not give back what was written")

    def _delete(self) -> None:
        for key in (self._key, *self._left):
            self._place.remove(key)

    def _multipart(self) -> None:
        place = self._place
        full = place.full(self._key)
        with place.faults("begin and abort a multipart upload in"):
            begun = place.client.create_multipart_upload(
                # Begun as an asset's: whether its storage class is known is seen before any task.
                Bucket=place.bucket,
                Key=full,
                **place.of_asset,
                **place.checks.of_create(),
            )
        abort(place, full, begun["UploadId"])

    def _list_uploads(self) -> None:
        with self._place.faults("list the unfinished uploads of"):
            unfinished_uploads(self._place)
