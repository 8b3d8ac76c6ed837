"""What bytes look like that are no media: said in the error, so that a person knows at once."""

from __future__ import annotations

import codecs
import re

_XML_CODE = re.compile(rb"<Code>\s*([A-Za-z][A-Za-z0-9_.-]{0,63})\s*</Code>")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|script)[\s>]", re.IGNORECASE)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"(\xb5/\xfd", "Zstandard-compressed data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"glTF", "a glTF model"),
    (b"#EXTM3U", "an M3U8 playlist"),
    (b"ffconcat", "an ffconcat playlist"),
)
_LOOKED_AT_BYTES = 4096


def looks_like(head: bytes) -> str:
    """Say in a few words what the first bytes look like; nothing of their content but S3's code.

    Args:
        head: The first bytes of something that was not recognised as media.
    """
    start = head[:_LOOKED_AT_BYTES].removeprefix(codecs.BOM_UTF8).lstrip()
    for magic, words in _MAGIC:
        if start.startswith(magic):
            return words
    code = _XML_CODE.search(start)
    if start.startswith(b"<") and code is not None:
        return f"an XML error document: {code[1].decode('ascii')}"
    if start.startswith(b"<") and _HTML.search(start):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML document"
    if not start.strip(b"\0"):
        return "only zero bytes" if start else "only white space"
    if _is_text(head[:_LOOKED_AT_BYTES]):
        return "a JSON document" if start[:1] in (b"{", b"[") else "text"
    return "no format known here"


def _is_text(data: bytes) -> bool:
    """Return whether bytes are the beginning of UTF-8 text; its last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return not any(ord(mark) < 32 and mark not in "\t\n\r\f\b\x1b" for mark in set(text))
