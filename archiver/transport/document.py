"""The body of an API's answer as JSON, with bounds that no real answer comes near."""

from __future__ import annotations

import json
import math
import re

from archiver.errors import ProviderError
from archiver.model import Answer, JsonValue
from archiver.transport.message import Head

BODY_LIMIT_BYTES = 64 << 20
LARGE_BODY_BYTES = 256 << 10
DEPTH_LIMIT = 100
_PARTS_LIMIT = 1_000_000
_TEXT_CHARS = 2000

# Escaped halves of characters, and numbers that may be infinite: rare, and looked for in the
# parsed value only when the text has something like them.
_ODD = re.compile(rb"\\u[dD][89a-fA-F]|[eE]\+?[0-9]{3}|[0-9]{300}")
_HALVES = re.compile("[\ud800-\udfff]")


def read_answer(raw: bytes | bytearray, head: Head) -> Answer:
    """Read a whole body, whatever its Content-Type says.

    NaN and infinite numbers become `None` and unpaired surrogates U+FFFD, since neither can be
    written to a manifest.

    Raises:
        ProviderError: Nested deeper than 100 levels, of more than a million parts, or with a
            number of thousands of digits.
    """
    media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    body: JsonValue = None
    text = ""
    try:
        body = _parse(raw)
    except (json.JSONDecodeError, UnicodeDecodeError):
        text = raw[: 4 * _TEXT_CHARS].decode("utf-8", "replace")[:_TEXT_CHARS]
    except (ValueError, RecursionError):
        raise ProviderError("the answer holds a number or a nesting beyond any real one") from None
    return Answer(
        status=head.status, body=body, text=text, media_type=media_type, headers=head.headers
    )


def _parse(raw: bytes | bytearray) -> JsonValue:
    opened = raw.count(b"[") + raw.count(b"{")
    if opened + raw.count(b",") > _PARTS_LIMIT:
        raise ValueError("too many parts")
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    value: JsonValue = json.loads(text, parse_constant=lambda _: None)
    if opened > DEPTH_LIMIT or _ODD.search(raw):
        value = _cleaned(value, 1)
    return value


def _cleaned(value: JsonValue, depth: int) -> JsonValue:
    if depth > DEPTH_LIMIT and isinstance(value, dict | list):
        raise RecursionError("nested too deep")
    if isinstance(value, dict):
        return {_whole(key): _cleaned(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _whole(text: str) -> str:
    return _HALVES.sub("\ufffd", text)
