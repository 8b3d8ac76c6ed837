"""Small objects that are rewritten: manifests, and the store's own bookkeeping.

A manifest that was read is written on condition that it is still the one that was read (or still
absent). Servers that ignore conditions, or refuse them, are served without: correctness does not
depend on it, only a second machine's mistake is found sooner.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from botocore.exceptions import ClientError

from archiver.errors import DamageError, PassingError, StoreError
from archiver.layout import STORE_KEY
from archiver.stores.s3.faults import code_of, status_of
from archiver.stores.s3.place import OWN_FOLDER, Place
from archiver.stores.s3.reader import ObjectReader

REMEMBERED = 1024
"""How many documents that were read are remembered until they are written."""

CONFLICT = "store_conflict"
"""Code of the error that another machine wrote meanwhile."""

_UNSUPPORTED = frozenset({400, 501})
_REFUSED = frozenset({404, 409, 412})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A document as it was read; `etag` is `None` when it was not there."""

    data: bytes | None
    etag: str | None

    @property
    def condition(self) -> dict[str, str]:
        """Arguments of a put that must not go through once somebody else wrote."""
        return {"IfNoneMatch": "*"} if self.etag is None else {"IfMatch": self.etag}


class Documents:
    """Reads and writes documents. Safe to use from many threads."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, str | None] = OrderedDict()
        self._conditions = True

    def read(self, key: str, *, max_bytes: int) -> bytes | None:
        """Return a document, and remember which version it was; `None` when it is not there.

        Raises:
            DamageError: It is larger than `max_bytes`.
        """
        version = self._read(key, max_bytes)
        # Any run may rewrite the bookkeeping at any time, but for the identity, written once.
        if (key == STORE_KEY or not key.startswith(OWN_FOLDER)) and version.etag != "":
            with self._lock:
                self._seen[key] = version.etag
                self._seen.move_to_end(key)
                if len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
        return version.data

    def _read(self, key: str, max_bytes: int) -> _Version:
        try:
            reader = ObjectReader(self._place, key)
        except DamageError:
            return _Version(data=None, etag=None)
        with reader:
            if reader.size_bytes > max_bytes:
                raise DamageError(
                    f"{key} in {self._place.label} is larger than any document of ours"
                    f" ({max_bytes} bytes)"
                )
            return _Version(data=reader.readall() or b"", etag=reader.etag)

    def require_unchanged(self, key: str) -> None:
        """Look whether a document that was read is still that version, before objects change.

        Raises:
            PassingError: It is not (`store_conflict`); where it was never read, nothing.
        """
        with self._lock:
            if key not in self._seen:
                return
            seen = self._seen[key]
        found = self._place.head(key)
        if (None if found is None else _strong(found.etag)) != (seen and _strong(seen)):
            raise PassingError(
                f"{key} in {self._place.label} was changed by another writer meanwhile; nothing"
                " was replaced: one prefix has one writer",
                code=CONFLICT,
            )

    def write(self, key: str, data: bytes, *, media_type: str) -> None:
        """Replace a document, unless it is known that somebody else did.

        Raises:
            StoreError: It is not the one that was read (`store_conflict`).
        """
        with self._lock:
            known = self._conditions and key in self._seen
            seen = _Version(data=None, etag=self._seen.pop(key, None))
        if not known:
            self._put(key, data, media_type, {})
            return
        with self._place.faults("write", key):
            try:
                self._send(key, data, media_type, seen.condition)
                return
            except ClientError as error:
                status = status_of(error)
                if status not in _UNSUPPORTED | _REFUSED or code_of(error) == "NoSuchBucket":
                    raise
        if status in _REFUSED:
            there = self._read(key, max(len(data), 64 << 20))
            if there.data == data:
                return  # an earlier try got through, and its answer was lost
            if there.etag != seen.etag:
                raise StoreError(
                    f"{key} in {self._place.label} was changed by another writer meanwhile; that"
                    " version was kept: one prefix has one writer",
                    code=CONFLICT,
                )
        self._put(key, data, media_type, {})
        self._conditions = False

    def _put(self, key: str, data: bytes, media_type: str, condition: dict[str, str]) -> None:
        with self._place.faults("write", key):
            self._send(key, data, media_type, condition)

    def _send(self, key: str, data: bytes, media_type: str, condition: dict[str, str]) -> None:
        place = self._place
        place.client.put_object(
            Bucket=place.bucket,
            Key=place.full(key),
            # Bytes would be sent as a file: in small pieces, after a wait for "100 Continue".
            Body=bytearray(data),  # type: ignore[arg-type]
            ContentType=media_type,
            **condition,  # type: ignore[arg-type]
            **place.encryption,
            **place.checks.of_put(data, hashlib.sha256(data).digest()),
        )


def _strong(etag: str) -> str:
    """Return an entity tag without the mark that something between put before it."""
    return etag.removeprefix("W/")
