"""What is sent along so that a server can check the bytes; nothing here is relied on.

AWS checks `x-amz-checksum-*`. Elsewhere those are ignored by most, refused by some (B2) and, as
trailers, fatal on many; `Content-MD5` is verified by every server that was tried. boto3's own
checksums are switched off (`when_required`), since over https they are such trailers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

Data = bytes | bytearray
Arguments = Mapping[str, Any]
"""Further keyword arguments of one boto3 call."""

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws")


class Checks(Protocol):
    """The arguments that each kind of write is given."""

    def of_put(self, data: Data, sha256: bytes) -> Arguments:
        """Return those of a single put; `sha256` is the digest of `data`."""
        ...

    def of_create(self) -> Arguments:
        """Return those that begin a multipart upload."""
        ...

    def of_part(self, data: Data) -> Mapping[str, str]:
        """Return those of one part."""
        ...

    def listed(self, sent: Mapping[str, str]) -> Mapping[str, str]:
        """Return which of a part's arguments the list of parts must repeat at the end."""
        ...

    def running(self, before: int, data: Data) -> int:
        """Return the checksum of all parts so far."""
        ...

    def of_complete(self, running: int, size_bytes: int) -> Arguments:
        """Return those that complete a multipart upload."""
        ...


class Md5Checks:
    """For every server but AWS."""

    def of_put(self, data: Data, sha256: bytes) -> Arguments:
        """Return the MD5 of the object."""
        return self.of_part(data)

    def of_create(self) -> Arguments:
        """Return nothing."""
        return {}

    def of_part(self, data: Data) -> Mapping[str, str]:
        """Return the MD5 of the part."""
        return {"ContentMD5": _base64(hashlib.md5(data, usedforsecurity=False).digest())}

    def listed(self, sent: Mapping[str, str]) -> Mapping[str, str]:
        """Return nothing."""
        return {}

    def running(self, before: int, data: Data) -> int:
        """Compute nothing."""
        return 0

    def of_complete(self, running: int, size_bytes: int) -> Arguments:
        """Return nothing."""
        return {}


class AwsChecks:
    """For AWS: SHA-256 of a single put, CRC-32 of each part and of the whole object."""

    def of_put(self, data: Data, sha256: bytes) -> Arguments:
        """Return the digest that the pipeline computed while the bytes arrived."""
        return {"ChecksumSHA256": _base64(sha256)}

    def of_create(self) -> Arguments:
        """Ask for one checksum over the whole object."""
        return {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}

    def of_part(self, data: Data) -> Mapping[str, str]:
        """Return the CRC-32 of the part."""
        return {"ChecksumCRC32": _crc(zlib.crc32(data))}

    def listed(self, sent: Mapping[str, str]) -> Mapping[str, str]:
        """Return the part's CRC-32."""
        return sent

    def running(self, before: int, data: Data) -> int:
        """Return the CRC-32 of all parts so far."""
        return zlib.crc32(data, before)

    def of_complete(self, running: int, size_bytes: int) -> Arguments:
        """Return CRC-32 and size of the whole object."""
        return {
            "ChecksumCRC32": _crc(running),
            "ChecksumType": "FULL_OBJECT",
            "MpuObjectSize": size_bytes,
        }


def checks_for(endpoint_url: str) -> Checks:
    """Choose by the endpoint that boto3 came to."""
    host = urlsplit(endpoint_url).hostname or ""
    return AwsChecks() if host.endswith(_AWS_HOSTS) else Md5Checks()


def _crc(value: int) -> str:
    return _base64(value.to_bytes(4, "big"))


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode("ascii")
