"""HTTP/1.1 messages as bytes: writing a request's head, reading an answer's.

The standard library's parser was measured and left: it takes 90 µs for an ordinary head where
this takes 10, takes any 1xx but 100 for the answer, and accepts negative chunk sizes.

Source: RFC 9112 (message syntax and framing), RFC 9110 section 5.6.2 (tokens).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from archiver.errors import ProviderError

HEAD_LIMIT_BYTES = 1 << 17
"""A longer head is no answer."""

HEAD_END = re.compile(rb"\r?\n\r?\n")

_STATUS = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_DIGITS = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


class BadHead(Exception):  # noqa: N818  (never leaves the transport)
    """What is wrong with a head, in plain words without any of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Status line and header fields of an answer.

    Attributes:
        headers: Names in lower case; repeated fields joined with a comma.
        length: How many bytes of body follow; `None`: until the end of the chunks or of the
            connection.
        chunked: Whether the body comes in chunks.
        persistent: Whether the connection can carry another request afterwards.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    chunked: bool
    persistent: bool


def parse_head(raw: bytes, *, method: str) -> Head:
    """Read a head.

    Args:
        raw: Without the empty line at its end.
        method: Of the request: it decides whether a body follows.

    Raises:
        BadHead: It is none, or leaves open where its body ends.
    """
    lines = raw.decode("latin-1").replace("\r\n", "\n").split("\n")
    status = _STATUS.fullmatch(lines[0].rstrip())
    if status is None:
        raise BadHead("no status line")
    headers = _fields(lines)
    code = int(status[2])
    bodiless = code < 200 or code in (204, 304) or method == "HEAD"
    if method == "CONNECT" and 200 <= code < 300:
        bodiless = True
    connection = {word.strip() for word in headers.get("connection", "").lower().split(",")}
    persistent = "close" not in connection and (status[1] == "1" or "keep-alive" in connection)
    length = _length(headers)
    codings = [word.strip() for word in headers.get("transfer-encoding", "").lower().split(",")]
    chunked = codings == ["chunked"]
    if not chunked and codings not in ([""], ["identity"]):
        raise BadHead("unknown transfer coding")
    if chunked and (length is not None or status[1] == "0"):
        persistent = False  # RFC 9112 section 6.1: it may be an attempt to smuggle an answer
    if bodiless:
        return Head(status=code, headers=headers, length=0, chunked=False, persistent=persistent)
    if chunked:
        length = None
    return Head(
        status=code,
        headers=headers,
        length=length,
        chunked=chunked,
        persistent=persistent and (chunked or length is not None),
    )


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse header fields that would not arrive as they are meant.

    Raises:
        ProviderError: The message names the header only.
    """
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ProviderError("the name of a request header has a character that cannot be sent")
        if _UNSENDABLE.search(value):
            raise ProviderError(f"request header {name} has a character that cannot be sent")


def write_head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """Write a request's head.

    Raises:
        ProviderError: A header that cannot be sent, see `check_headers`.
    """
    check_headers(headers)
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


def parse_chunk_size(line: bytes) -> int | None:
    """Read the line before a chunk, its line end included; `None` when it is none."""
    match = _CHUNK_SIZE.fullmatch(line)
    return int(match[1], 16) if match else None


def _fields(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):  # an old line folding continues the value
            if name:
                headers[name] += " " + _CONTROL.sub(" ", line).strip()
            continue
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not _TOKEN.fullmatch(name):
            if name.strip() in ("content-length", "transfer-encoding"):
                raise BadHead("a malformed field that says where the body ends")
            name = ""
            continue
        value = value.strip(" \t")
        if not value.isprintable():
            value = _CONTROL.sub(" ", value)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    values = {value.strip() for value in text.split(",")}
    value = values.pop()
    if values or not _DIGITS.fullmatch(value):
        raise BadHead("Content-Length is not one number")
    return int(value)
