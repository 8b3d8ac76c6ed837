"""Files that stand inside an answer, as `data:` URIs or base64: named by digest and length."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from urllib.parse import unquote, unquote_to_bytes

from archiver.model import JsonObject

_MIN_BLOB = 1024
_HEAD = r"data:(?:[\w.+-]{1,80}/[\w.+-]{1,80})?(?:;[^,;\s\"']{1,100}){0,5}"
_DATA_URI = re.compile(rf"({_HEAD}),", re.I | re.A)
_EMBEDDED = re.compile(
    rf"({_HEAD}(?<=;base64),)([A-Za-z0-9+/_=%-]+)"
    rf"|(?<![A-Za-z0-9+/_-])([A-Za-z0-9+/_-]{{{_MIN_BLOB},}}={{0,2}})",
    re.I | re.A,
)
_WORD = re.compile(r"\S+")
_MIN_LINE = 60
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def _digest(data: bytes) -> JsonObject:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _decoded(text: str) -> bytes:
    """Decode base64 of either alphabet; what is not quite base64 stands for itself."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "replace")


def digest_of_file(text: str) -> JsonObject | None:
    """Return digest and length of the file that a whole string is, or `None`."""
    uri = _DATA_URI.match(text)
    if uri:
        body = unquote_to_bytes(text[uri.end() :].encode("utf-8", "replace"))
        if uri[1].lower().endswith(";base64"):
            body = _decoded("".join(body.decode("latin-1").split()))
        return _digest(body)
    if len(text) < _MIN_BLOB:
        return None
    # Wrapped base64 has long lines of one length; words and verses do not. Only the first one is
    # looked at before all are taken apart: a long text has very many words.
    first = _WORD.search(text)
    if first is None or (len(first[0]) < _MIN_LINE and _WORD.search(text, first.end())):
        return None
    lines = text.split()
    if len(lines) > 1 and {len(line) for line in lines[:-1]} != {len(lines[0])}:
        return None
    joined = "".join(lines)
    if len(joined) < _MIN_BLOB or not _BASE64.fullmatch(joined):
        return None
    return _digest(_decoded(joined))


def without_embedded_files(text: str) -> str:
    """Return a text in which files in base64 are named by digest and length."""

    def named(match: re.Match[str]) -> str:
        data = _decoded(unquote(match[2] or "") or match[3])
        return f"{match[1] or ''}(sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes)"

    return _EMBEDDED.sub(named, text)
