"""The bucket and prefix as every part of this store sees them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from archiver.stores.s3.checks import Checks
from archiver.stores.s3.faults import is_missing, store_faults

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

TOKEN = "upload"  # noqa: S105
"""Name of the metadata by which a multipart upload is known again; no secret."""

OWN_FOLDER = ".archiver/"
"""Below it is what runs keep for themselves, in the class that can always be read."""

_STANDARD = "STANDARD"
_MAX_VALUE = 256
_MAX_METADATA = 1024
_PLAIN = "/:@+,="
"""Characters besides letters, digits and `_.-~` that stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a HEAD says of an object."""

    size_bytes: int
    modified_at: datetime | None
    token: str | None
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an object is called and says of itself.

    Attributes:
        name: File name, without the folder.
        metadata: Header values already (`header_values`).
    """

    name: str
    media_type: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A prefix of a bucket, and how objects are written there.

    Attributes:
        client: Safe to use from many threads.
        prefix: Without slashes at its ends; may be empty.
        endpoint: Scheme and host, for people.
    """

    client: S3Client = field(repr=False)
    bucket: str
    prefix: str
    endpoint: str
    checks: Checks = field(repr=False)
    storage_class: str = _STANDARD
    sse: str = ""
    sse_kms_key_id: str = ""

    @property
    def label(self) -> str:
        """The place for people."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    @property
    def top(self) -> str:
        """What all keys in the bucket begin with."""
        return f"{self.prefix}/" if self.prefix else ""

    def full(self, key: str) -> str:
        """Return a store's key as the bucket has it.

        Raises:
            ValueError: It could leave the prefix, or no file system could hold it.
        """
        if key.startswith("/") or "\0" in key or {"", ".", ".."}.intersection(key.split("/")):
            raise ValueError(f"not a key of a store: {key!r}")
        return self.top + key

    def faults(self, doing: str, key: str = "") -> AbstractContextManager[None]:
        """Map errors; the message says what was done with which key, and where."""
        target = f"{doing} {key} in {self.label}" if key else f"{doing} {self.label}"
        return store_faults(f"{target} at {self.endpoint}")

    @property
    def encryption(self) -> Mapping[str, Any]:
        """Arguments of every write."""
        if not self.sse:
            return {}
        key = {"SSEKMSKeyId": self.sse_kms_key_id} if self.sse_kms_key_id else {}
        return {"ServerSideEncryption": self.sse, **key}

    @property
    def of_asset(self) -> Mapping[str, Any]:
        """Arguments of an asset's write. STANDARD is left out, as not every server knows it."""
        if self.storage_class in ("", _STANDARD):
            return self.encryption
        return {"StorageClass": self.storage_class, **self.encryption}

    def of_upload(self, key: str) -> Mapping[str, Any]:
        """Arguments of an upload: an asset has a storage class, bookkeeping has none."""
        return self.encryption if key.startswith(OWN_FOLDER) else self.of_asset

    def head(self, key: str) -> Found | None:
        """Look at an object; `None` when it is not there."""
        full = self.full(key)
        with self.faults("look at", key):
            try:
                answer = self.client.head_object(Bucket=self.bucket, Key=full)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        # rclone capitalises the names of user metadata.
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return Found(
            size_bytes=answer["ContentLength"],
            modified_at=answer.get("LastModified"),
            token=metadata.get(TOKEN),
            etag=answer.get("ETag", ""),
        )

    def remove(self, key: str) -> None:
        """Delete one object; one that is not there is no error."""
        full = self.full(key)
        with self.faults("delete", key):
            try:
                self.client.delete_object(Bucket=self.bucket, Key=full)
            except ClientError as error:
                if not is_missing(error):
                    raise


def header_values(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata that every server takes: short, ASCII, percent-encoded.

    AWS takes 2 KB in all, rclone less; what does not fit is left out.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    values: dict[str, str] = {}
    room = _MAX_METADATA
    for name, value in metadata.items():
        clean = "".join(char if char.isascii() and char.isalnum() else "-" for char in name.lower())
        encoded = quote(value.encode("utf-8", "replace"), safe=_PLAIN)
        if len(encoded) > _MAX_VALUE:
            encoded = encoded[:_MAX_VALUE]
            cut = encoded.rfind("%", -2)
            encoded = encoded[:cut] if cut >= 0 else encoded
        room -= len(clean) + len(encoded)
        if not clean or room < 0:
            break
        values[clean] = encoded
    return values
