"""Links in answers: which can be fetched, which are marked, and files that came inside."""

from __future__ import annotations

import base64
import ipaddress
import re
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from archiver.model import JsonValue

MAX_URL_BYTES = 16 << 10
"""Longest link that is believed."""

MAX_EMBEDDED_BYTES = 256 << 20
"""Largest file that may come inside an answer."""

_UNFIT = re.compile(r"[\s\x00-\x20\x7f-\x9f\ud800-\udfff\\<>\"]")
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?|_[\w-]{0,62}")
_NO_NAME = frozenset({"none", "null", "undefined"})
_DATA_URI = re.compile(r"data:([^,]{0,200}),", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def clean_url(value: JsonValue) -> str | None:
    """Return a link verbatim if it can be fetched at all, else `None`.

    It must be absolute, http or https, with a host. Placeholders that APIs give for "no file" are
    no links: `…/None.mp3`, `…/api/forbidden`, `www.downloadurl.com`. Nothing is decoded, encoded or
    trimmed: a path with `%2520` in it is right as it is.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL_BYTES or _UNFIT.search(value):
        return None
    if len(value.encode()) > MAX_URL_BYTES:
        return None
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:  # brackets that do not match, a port of letters
        return None
    if parts.scheme not in ("http", "https") or not host or port == 0 or not _is_host(host):
        return None
    return None if _is_placeholder(parts.path) else value


def field_url(value: JsonValue) -> str | None:
    """Return the link that a field for one holds: as `clean_url`, mended as browsers do it.

    White space around it goes, spaces within its path or query are encoded; in free text, where
    either is the sign of a sentence, `clean_url` stays strict.
    """
    if not isinstance(value, str):
        return None
    text = value.strip(" \t\r\n")
    if " " in text:
        start = text.find("/", text.find("://") + 3)
        text = text if start < 0 else text[:start] + text[start:].replace(" ", "%20")
    return clean_url(text)


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            return False
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _is_placeholder(path: str) -> bool:
    stem = path.rpartition("/")[2].partition(".")[0].lower()
    return stem in _NO_NAME or path.rstrip("/").endswith("/api/forbidden")


def is_marked_name(url: str) -> bool:
    """Tell whether the file name in a link says that the file bears a watermark.

    Source: the marked copies of the API page are named `…_watermarked_video….mp4`.
    """
    try:
        path = urlsplit(url).path
    except ValueError:
        return False
    return "watermarked" in unquote(path.rpartition("/")[2]).lower()


def embedded(value: JsonValue) -> bytes | None:
    """Return the file that a `data:` URI or a base64 text holds; `None` if it holds none.

    Only for fields that hold files: nearly any short word is base64 as well.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 2 * MAX_EMBEDDED_BYTES:
        return None
    uri = _DATA_URI.match(value)
    if uri is None:
        content = _from_base64(value)
    else:
        content = unquote_to_bytes(value[uri.end() :].encode("utf-8", "replace"))
        if uri[1].lower().endswith(";base64"):
            content = _from_base64(content.decode("latin-1"))
    return content if content and len(content) <= MAX_EMBEDDED_BYTES else None


def _from_base64(text: str) -> bytes:
    compact = _SPACE.sub("", text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:
        return b""
