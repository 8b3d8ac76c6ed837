"""Kling's keys: one that is sent as it is, or a pair from which short-lived tokens are made.

Source: providers.md section 10: JWT, HS256, `iss` the access key, `exp` in 1800 s, `nbf` 5 s ago;
newer accounts have one API key instead.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from threading import Lock

from archiver.contracts import Clock
from archiver.errors import ConfigError

TOKEN_LIFETIME_S = 1800
"""How long a token is good for."""

RENEWED_AFTER_S = 1200
"""A token older than this is used no more: an answer may take minutes, clocks may differ."""

_NOT_BEFORE_S = 5


def authorize(key: str | None, secret: str | None, clock: Clock) -> Callable[[], Mapping[str, str]]:
    """Return what makes the headers of a request.

    Args:
        key: The access key of a pair, or an API key.
        secret: The secret key of a pair; without it `key` is sent as it is.

    Raises:
        ConfigError: A secret key without an access key.
    """
    if secret and not key:
        raise ConfigError("Kling's secret_key is of no use without the access key as api_key")
    if not key:
        return dict
    if not secret:
        headers = {"Authorization": f"Bearer {key}"}
        return lambda: headers
    return _Tokens(key, secret, clock)


def token(access_key: str, secret_key: str, now_s: int) -> str:
    """Return a token that is good from now on.

    Args:
        now_s: Seconds since 1970.
    """
    head = {"alg": "HS256", "typ": "JWT"}
    claims = {"iss": access_key, "exp": now_s + TOKEN_LIFETIME_S, "nbf": now_s - _NOT_BEFORE_S}
    signed = b".".join(
        _encoded(json.dumps(p, separators=(",", ":")).encode()) for p in (head, claims)
    )
    signature = hmac.digest(secret_key.encode(), signed, "sha256")
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class _Tokens:
    """Makes headers; signs a new token when the last is old, or when the clock was set back."""

    def __init__(self, access_key: str, secret_key: str, clock: Clock) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._clock = clock
        self._lock = Lock()
        self._made_s: int | None = None
        self._headers: Mapping[str, str] = {}

    def __call__(self) -> Mapping[str, str]:
        now_s = int(self._clock.now().timestamp())
        with self._lock:
            if self._made_s is None or not 0 <= now_s - self._made_s < RENEWED_AFTER_S:
                made = token(self._access_key, self._secret_key, now_s)
                self._headers = {"Authorization": f"Bearer {made}"}
                self._made_s = now_s
            return self._headers
