"""Single values of untrusted JSON: texts, numbers, dates. Nothing here raises on wrong types."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta

from archiver.model import JsonValue
from archiver.redaction import printable, redact_text

MAX_TEXT = 64 << 10
"""Longest text that leaves an answer, in characters; the answer itself is kept whole."""

MAX_WORDS = 500
"""Longest quotation in a message, in characters."""

MAX_PIXELS = 100_000
"""Largest width or height that is believed."""

MAX_DURATION_S = 7 * 86_400
"""Longest duration that is believed, in seconds."""

_MAX_INTEGER = 1 << 64
_MAX_JSON_TEXT = 16 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S = 946_684_800  # 2000-01-01
_LAST_S = 4_102_444_800  # 2100-01-01

_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{0,20})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_SIZE = re.compile(r"\s*(\d{1,6})\s*[xX\u00d7*]\s*(\d{1,6})\s*", re.ASCII)
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?)?"
    r"\s?([Zz]|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_KEY = re.compile(r"\b(?:sk|pk|rk|r8|ak|key|luma)[-_](?=[\w-]*\d)[\w-]{8,}", re.ASCII)
_SPACE = re.compile(r"\s+")


def encodable(text: str) -> str:
    """Return a text that encodes as UTF-8: each lone surrogate becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def plain(text: str, limit: int = MAX_WORDS) -> str:
    """Return foreign words fit for a message: one line, bounded, without secrets.

    Links lose their queries, what looks like an API key is masked (some APIs quote the key that
    they refuse), control characters are shown escaped.
    """
    line = _SPACE.sub(" ", text[: 8 * limit]).strip()
    line = printable(redact_text(_KEY.sub("***", line)))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def text_of(value: JsonValue) -> str | None:
    """Read a text: not empty, at most `MAX_TEXT` characters of it, encodable."""
    if not isinstance(value, str) or not value.strip():
        return None
    return encodable(value[:MAX_TEXT])


def ident_of(value: JsonValue) -> str | None:
    """Read an id: a text or a whole number (some APIs give both for the same id).

    A link is none: an id is written down as it is, and a link's query must not be.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if 0 <= value < _MAX_INTEGER else None
    text = text_of(value)
    return text.strip() if text and len(text) <= 3000 and "://" not in text else None


def flag_of(value: JsonValue) -> bool | None:
    """Read a yes or no; `"true"` and `"false"` count."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def number_of(value: JsonValue) -> float | None:
    """Read a finite number, or a text that is one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        return None
    return float(value) if math.isfinite(value) else None


def integer_of(value: JsonValue) -> int | None:
    """Read a whole number of at most 64 bits, or a text that is one; `5.0` counts."""
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < _MAX_INTEGER else None
    number = number_of(value)
    return int(number) if number is not None and number.is_integer() else None


def pixels_of(value: JsonValue) -> int | None:
    """Read a width or height: from 1 to `MAX_PIXELS`."""
    number = integer_of(value)
    return number if number is not None and 0 < number <= MAX_PIXELS else None


def seconds_of(value: JsonValue) -> float | None:
    """Read a duration in seconds: over 0, at most `MAX_DURATION_S`."""
    number = number_of(value)
    return number if number is not None and 0 < number <= MAX_DURATION_S else None


def size_of(value: JsonValue) -> tuple[int, int] | None:
    """Read width and height from one text such as `1024x768`."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    if match is None:
        return None
    width, height = pixels_of(int(match[1])), pixels_of(int(match[2]))
    return (width, height) if width and height else None


def moment_of(value: JsonValue) -> datetime | None:
    """Read a date: ISO 8601 with any fraction, or an epoch in s, ms, µs or ns, as number or text.

    A date without an offset is UTC. Zero, `0001-01-01T00:00:00Z` and whatever else is before 2000
    or after 2099 is "not known": `None`.
    """
    number = number_of(value)
    if number is not None:
        return _from_epoch(number)
    if not isinstance(value, str) or len(value) > 60:
        return None
    match = _DATE.fullmatch(value.strip())
    if match is None or not 2000 <= int(match[1][:4]) < 2100:
        return None
    day, clock, second, fraction, offset = match.groups()
    # Three-digit to nanosecond fractions occur; a datetime holds microseconds.
    stamp = f"{day}T{clock or '00:00'}:{second or '00'}.{(fraction or '')[:6]:0<6}"
    zone = "+00:00" if not offset or offset[0] in "ZzU" else offset
    try:
        return datetime.fromisoformat(stamp + zone).astimezone(UTC)
    except ValueError:  # the 31st of February, an hour of 25
        return None


def _from_epoch(number: float) -> datetime | None:
    for divisor in (1, 1_000, 1_000_000, 1_000_000_000):
        seconds = number / divisor
        if _FIRST_S <= seconds < _LAST_S:
            return _EPOCH + timedelta(seconds=seconds)
    return None


def json_of(value: JsonValue) -> JsonValue:
    """Return what a text holds if that is a JSON object or list; any other value as it is.

    Some gateways keep the body that they relay as a text inside their own.
    """
    if not isinstance(value, str) or len(value) > _MAX_JSON_TEXT:
        return value
    if value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        inner: JsonValue = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return inner
