"""A finished object as a file: one streamed GET, continued by range where it breaks.

Source: RFC 9110 section 14 (ranges), section 13.1.1 (If-Match).
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from archiver.errors import DamageError, StoreError
from archiver.stores.s3.faults import LIBRARY_ERRORS, is_missing, of_library, status_of
from archiver.stores.s3.place import Place

if TYPE_CHECKING:
    from botocore.response import StreamingBody

READ_AHEAD_BYTES = 1 << 20
"""Size of the buffer in front of a reader."""

SKIP_BYTES = 256 << 10
"""A jump forward up to this far is read through instead of asking anew."""

_TRIES = 5
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_CHANGED = 412


class ObjectReader(io.RawIOBase):
    """The raw, seekable side; wrap it in `io.BufferedReader`.

    Every answer must carry the ETag of the first: rclone, for one, ignores `If-Match` on a GET. It
    also answers a range with 200, so that `Content-Range` alone says where an answer begins.

    Attributes:
        etag: As the server sends it, quotes included; may be empty.

    Raises:
        DamageError: The object is not there (`lost`), or was replaced while it was read.
        StoreError: The server's fault.
    """

    def __init__(self, place: Place, key: str) -> None:
        super().__init__()
        self._place = place
        self._key = key
        self._full = place.full(key)
        self._body: StreamingBody | None = None
        self._body_at = 0
        self._position = 0
        answer = self._get({})
        self.etag = answer.get("ETag", "")
        self.size_bytes = int(answer["ContentLength"])
        self._body = answer["Body"]

    def readable(self) -> bool:
        """Return true."""
        return True

    def seekable(self) -> bool:
        """Return true."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is asked of the server before the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"negative position {start + offset}")
        self._position = start + offset
        return self._position

    def readinto(self, target: Any, /) -> int:
        """Read some bytes, asking again where the connection broke."""
        view = memoryview(target).cast("B")
        wanted = min(len(view), self.size_bytes - self._position)
        if wanted <= 0:
            return 0
        last: StoreError | None = None
        for _ in range(_TRIES):
            try:
                count = self._body_here().readinto(view[:wanted])  # type: ignore[arg-type]
            except LIBRARY_ERRORS as error:
                last = of_library(error, f"read {self._key} in {self._place.label}")
                count = 0
            if count:
                self._position += count
                self._body_at += count
                return count
            self._drop_body()
        raise last or StoreError(
            f"cannot read {self._key} in {self._place.label}: it ends before its announced size"
        )

    def _body_here(self) -> StreamingBody:
        """Return a body that goes on at the position."""
        gap = self._position - self._body_at
        if self._body is not None and 0 <= gap <= SKIP_BYTES:
            self._skip(self._body, gap)
            return self._body
        self._drop_body()
        answer = self._get({"Range": f"bytes={self._position}-", "IfMatch": self.etag})
        if answer.get("ETag", "") != self.etag:
            raise self._changed()
        match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
        self._body = answer["Body"]
        self._body_at = int(match[1]) if match else 0
        if self._body_at > self._position:
            raise StoreError(
                f"{self._place.label} gave another range of {self._key} than asked for"
            )
        self._skip(self._body, self._position - self._body_at)
        return self._body

    def _skip(self, body: StreamingBody, count: int) -> None:
        while count > 0:
            passed = len(body.read(min(count, READ_AHEAD_BYTES)))
            if not passed:
                return
            count -= passed
            self._body_at += passed

    def _get(self, conditions: dict[str, str]) -> Any:
        if not conditions.get("IfMatch", "x"):
            del conditions["IfMatch"]
        with self._place.faults("read", self._key):
            try:
                return self._place.client.get_object(
                    Bucket=self._place.bucket,
                    Key=self._full,
                    **conditions,  # type: ignore[arg-type]
                )
            except ClientError as error:
                if is_missing(error):
                    raise DamageError(
                        f"{self._key} is not there in {self._place.label}", code="lost"
                    ) from None
                if status_of(error) == _CHANGED:
                    raise self._changed() from None
                raise

    def _changed(self) -> DamageError:
        return DamageError(f"{self._key} in {self._place.label} was replaced while it was read")

    def _drop_body(self) -> None:
        body, self._body = self._body, None
        self._body_at = self._position
        if body is not None:
            body.close()

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._drop_body()
        super().close()
