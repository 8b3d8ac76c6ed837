"""When a link dies, read from the link alone.

Signed links say when their signature runs out: as a date and a number of seconds, as an epoch, or
inside a token. Whatever does not plainly say so is `None`: a date that is wrongly taken for an
expiry would cost a request for each task, one that is missed costs a failed download that is
renewed anyway.

Source: S3 and R2 (`X-Amz-Date` + `X-Amz-Expires`; signature version 2: `Expires`), Google Cloud
Storage (`X-Goog-*`), Azure SAS (`se`), Aliyun OSS (`x-oss-*`, `Expires`), CloudFront (`Expires`,
`Policy`), Discord (`ex`, hexadecimal), Ideogram (`exp`), Runway (`_jwt`), Tencent COS
(`q-sign-time`), Qiniu (`e` beside `token`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

MAX_LINK = 16 << 10
"""Longest link that is read, in characters."""

_MAX_PARAMETERS = 200
_MAX_LIFETIME_S = 10 * 366 * 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S = 946_684_800  # 2000-01-01: no signed link is older
_LAST_S = 4_102_444_800  # 2100-01-01

_DIGITS = re.compile(r"\d{1,16}(?:\.\d{1,9})?", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)
_BASIC_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_ISO_DATE = re.compile(
    r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)?)?"
)
_TOKEN = re.compile(r"[\w-]{1,4096}\.([\w-]{1,8192})\.[\w-]{0,4096}", re.ASCII)
_SIGNED_PAIR = re.compile(r"x-([a-z0-9]{1,20})-expires")
_DISCORD = re.compile(r"(?:^|\.)discord(?:app)?\.(?:com|net)\Z")

_EPOCH_NAMES = ("expires", "exp", "expire", "expiry", "expires_at", "expiration", "x-expires")
_TOKEN_NAMES = ("_jwt", "jwt", "token", "access_token", "sig_token")


def expires_at(url: str) -> datetime | None:
    """Tell when a link's signature runs out.

    Args:
        url: Anything; never raises.

    Returns:
        The date, aware, in UTC: the earliest if the link names several. `None` if it names none.
    """
    if len(url) > MAX_LINK or "?" not in url:
        return None
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, max_num_fields=_MAX_PARAMETERS)
        host = (parts.hostname or "").lower()
    except ValueError:  # brackets in the host, more parameters than any signature has
        return None
    named: dict[str, str] = {}
    for name, value in pairs:
        named.setdefault(name.lower(), value.strip())
    return min(_dates(named, host), default=None)


def _dates(named: Mapping[str, str], host: str) -> Iterator[datetime]:
    found = [
        *(_signed_pair(named, name) for name in named),
        *(_epoch(named.get(name)) or _iso(named.get(name)) for name in _EPOCH_NAMES),
        *(_token(named.get(name)) for name in _TOKEN_NAMES),
        _azure(named),
        _discord(named, host),
        _policy(named.get("policy")),
        _sign_time(named.get("q-sign-time")),
        _epoch(named.get("e")) if "token" in named else None,
    ]
    yield from (date for date in found if date is not None)


def _signed_pair(named: Mapping[str, str], name: str) -> datetime | None:
    """Read `X-<vendor>-Date` and `X-<vendor>-Expires`, the form that S3 began."""
    match = _SIGNED_PAIR.fullmatch(name)
    if match is None:
        return None
    signed, lifetime = named.get(f"x-{match[1]}-date", ""), named[name]
    if not _BASIC_DATE.fullmatch(signed) or not _DIGITS.fullmatch(lifetime):
        return None
    seconds = float(lifetime)
    if not 0 < seconds <= _MAX_LIFETIME_S:
        return None
    try:
        start = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return _plausible(start + timedelta(seconds=seconds)) if start.year < 2100 else None


def _azure(named: Mapping[str, str]) -> datetime | None:
    signed = "sig" in named or "sv" in named or "sp" in named
    return _iso(named.get("se")) if signed else None


def _discord(named: Mapping[str, str], host: str) -> datetime | None:
    value = named.get("ex", "")
    if not _HEX.fullmatch(value):
        return None
    if not (_DISCORD.search(host) or "is" in named or "hm" in named):
        return None
    return _from_seconds(int(value, 16))


def _policy(value: str | None) -> datetime | None:
    """Read a CloudFront policy, whose base64 has `-_~` for `+=/`."""
    if not value:
        return None
    policy = _json(value.translate(str.maketrans("-_~", "+=/")))
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    dates = []
    for statement in statements if isinstance(statements, list) else [statements]:
        condition = statement.get("Condition") if isinstance(statement, dict) else None
        before = condition.get("DateLessThan") if isinstance(condition, dict) else None
        seconds = before.get("AWS:EpochTime") if isinstance(before, dict) else None
        dates.append(_from_seconds(seconds))
    return min((date for date in dates if date), default=None)


def _sign_time(value: str | None) -> datetime | None:
    start, separator, end = (value or "").partition(";")
    return _epoch(end) if separator and _epoch(start) else None


def _token(value: str | None) -> datetime | None:
    match = _TOKEN.fullmatch(value or "")
    payload = _json(match[1].translate(str.maketrans("-_", "+/"))) if match else None
    return _from_seconds(payload.get("exp")) if isinstance(payload, dict) else None


def _json(encoded: str) -> object:
    plain = encoded.rstrip("=")
    try:
        raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        value: object = json.loads(raw)
    except (ValueError, RecursionError):  # not base64, not text, not JSON, or a bomb
        return None
    return value


def _epoch(value: str | None) -> datetime | None:
    if not value or not _DIGITS.fullmatch(value):
        return None
    seconds = float(value)
    return _from_seconds(seconds) or _from_seconds(seconds / 1000)


def _iso(value: str | None) -> datetime | None:
    if not value or not _ISO_DATE.fullmatch(value):
        return None
    try:
        date = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not 2000 <= date.year < 2100:
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _from_seconds(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not _FIRST_S <= value < _LAST_S:
        return None
    return _EPOCH + timedelta(seconds=value)


def _plausible(date: datetime) -> datetime | None:
    return date if 2000 <= date.year < 2100 else None
