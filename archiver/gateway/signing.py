"""Signed links: AWS Signature Version 4 in the query, as S3, R2 and MinIO use it.

Source: Amazon S3 API Reference, "Authenticating requests: using query parameters".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from urllib.parse import quote, unquote

_ALGORITHM = "AWS4-HMAC-SHA256"
_STAMP = "%Y%m%dT%H%M%SZ"


class SignatureState(Enum):
    """What a link's query says of its right to be followed."""

    UNSIGNED = "unsigned"
    VALID = "valid"
    EXPIRED = "expired"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Signs links and checks them, with a key pair that it was given."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "auto"
    service: str = "s3"

    def sign(self, path: str, *, host: str, at: datetime, lifetime_s: int) -> str:
        """Return the query that makes a GET of this path valid from `at` on.

        Args:
            path: As it will stand in the request line.
            host: As it will stand in the Host header.
            at: When the signature is made; whole seconds are used.
            lifetime_s: How long it is good for.
        """
        stamp = at.astimezone(UTC).strftime(_STAMP)
        pairs = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{self._scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(lifetime_s),
            "X-Amz-SignedHeaders": "host",
        }
        query = _canonical(pairs)
        signature = self._signature("GET", path, query, host, stamp)
        return f"{query}&X-Amz-Signature={signature}"

    def check(
        self, path: str, query: str, *, method: str, host: str, now: datetime
    ) -> SignatureState:
        """Tell whether a request's query is a signature for it, and still good."""
        pairs = _pairs(query)
        given = pairs.pop("X-Amz-Signature", None)
        if given is None:
            return SignatureState.UNSIGNED
        stamp, lifetime = pairs.get("X-Amz-Date", ""), pairs.get("X-Amz-Expires", "")
        if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or not re.fullmatch(r"\d{1,6}", lifetime):
            return SignatureState.WRONG
        signed_at = _parsed(stamp)
        if signed_at is None:
            return SignatureState.WRONG
        if now >= signed_at + timedelta(seconds=int(lifetime)):
            return SignatureState.EXPIRED
        right = self._signature(method, path, _canonical(pairs), host, stamp)
        return SignatureState.VALID if hmac.compare_digest(right, given) else SignatureState.WRONG

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def _signature(self, method: str, path: str, query: str, host: str, stamp: str) -> str:
        canonical = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{stamp}\n{self._scope(stamp)}\n{digest}"
        key = f"AWS4{self.secret_key}".encode()
        for part in (stamp[:8], self.region, self.service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()


def _parsed(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _pairs(query: str) -> dict[str, str]:
    pairs = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        pairs[unquote(name)] = unquote(value)
    return pairs


def _canonical(pairs: dict[str, str]) -> str:
    encoded = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs.items()
    )
    return "&".join(f"{name}={value}" for name, value in encoded)
