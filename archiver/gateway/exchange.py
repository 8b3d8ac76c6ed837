"""One exchange with the gateway: the request as it came, the reply with how it is to be sent.

A reply is a value. Faults change it before the server sends it, so that each of them is a few lines
and any two of them can be joined.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

from archiver.model import JsonValue

_BLOCK_BYTES = 256 * 1024

API = "api"
"""The origin that answers about tasks, and the only one that may see a key."""

ASSETS = "assets"
"""The origin that serves files."""

HOP_PATH = "/.gateway/hop/"
"""Where the assets origin redirects from, hop by hop."""

LOOP_PATH = "/.gateway/loop"
"""A path of the assets origin that redirects to itself."""


class Content(Protocol):
    """Bytes to serve, readable from any offset and by many threads at once."""

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        ...

    def chunks(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` up to `stop`."""
        ...


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Bytes held in memory."""

    data: bytes = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        return len(self.data)

    def chunks(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` up to `stop`."""
        view = memoryview(self.data)
        for offset in range(start, stop, _BLOCK_BYTES):
            yield view[offset : min(stop, offset + _BLOCK_BYTES)]


@dataclass(frozen=True, slots=True)
class PathContent:
    """A file on disk, for bodies too large for memory. It must not change while it is served."""

    path: Path

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        return self.path.stat().st_size

    def chunks(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` up to `stop`."""
        with self.path.open("rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(_BLOCK_BYTES, stop - start))):
                start += len(block)
                yield block


@dataclass(frozen=True, slots=True)
class EndlessContent:
    """The bytes of another content, and then zeros without end."""

    head: Content

    @property
    def size_bytes(self) -> int:
        """What it pretends to have: one exbibyte, more than anybody stays for."""
        return 1 << 60

    def chunks(self, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` up to `stop`."""
        if start < self.head.size_bytes:
            yield from self.head.chunks(start, min(stop, self.head.size_bytes))
            start = min(stop, self.head.size_bytes)
        zeros = bytes(_BLOCK_BYTES)
        while start < stop:
            block = memoryview(zeros)[: stop - start]
            start += len(block)
            yield block


NOTHING = BytesContent(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedFile:
    """A file of the assets origin.

    Attributes:
        path: As it stands in the request line, percent-encoding and all; no query.
        etag: Quotes included; `None` sends none.
        modified_at: `None` sends no Last-Modified.
        signed_only: Whether a link without a signature is refused.
        task_id: Whose it is, for the request log.
    """

    path: str
    content: Content
    media_type: str
    etag: str | None = None
    modified_at: datetime | None = None
    signed_only: bool = False
    task_id: str | None = None


FileEdit = Callable[[HostedFile], HostedFile]
"""Changes how one request sees a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came.

    Attributes:
        origin: `API` or `ASSETS`.
        path: Raw, without query; on the API origin without the gateway's prefix.
        headers: Names in lower case; repeated ones joined by a comma.
        edits: What faults do to the file before it is looked at.
    """

    origin: str
    method: str
    path: str
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    edits: tuple[FileEdit, ...] = ()

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def without(self, *names: str) -> Request:
        """Return it with these headers taken away."""
        kept = {name: value for name, value in self.headers.items() if name not in names}
        return replace(self, headers=kept)


class Framing(Enum):
    """How the end of a body is told."""

    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "the connection's end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a reply is sent; the default is as it should be.

    Attributes:
        framing: How the end of the body is told.
        announced_bytes: The Content-Length to send instead of the true one.
        delay_s: Pause before the first byte.
        silent: Close the connection without a byte.
        cut_after_bytes: Close the connection after so many bytes of the body.
        reset: Closing is by RST, not FIN.
        stall_after_bytes: Stop sending after so many bytes of the body…
        stall_s: … for so long; `None`: until the client leaves.
        bytes_per_s: No faster than this.
    """

    framing: Framing = Framing.LENGTH
    announced_bytes: int | None = None
    delay_s: float = 0.0
    silent: bool = False
    cut_after_bytes: int | None = None
    reset: bool = False
    stall_after_bytes: int | None = None
    stall_s: float | None = None
    bytes_per_s: float | None = None


AS_USUAL = Delivery()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, not sent yet.

    Attributes:
        headers: Name and value, in the order in which they are sent; Date, Content-Length and the
            like are the server's to add.
        content: What the body is a part of.
        start: Where in `content` the body begins.
        stop: Where in `content` the body ends; `None`: at its end.
        task_ids: Which tasks it is about, for the request log.
        fault: Name of the fault that made it, for the request log.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    content: Content = NOTHING
    start: int = 0
    stop: int | None = None
    delivery: Delivery = AS_USUAL
    task_ids: tuple[str, ...] = ()
    fault: str = ""

    @property
    def end(self) -> int:
        """Where in `content` the body ends."""
        return self.content.size_bytes if self.stop is None else self.stop

    def header(self, name: str) -> str | None:
        """Return a header's value; names are told apart without regard to case."""
        for known, value in self.headers:
            if known.lower() == name.lower():
                return value
        return None

    def with_header(self, name: str, value: str | None) -> Reply:
        """Return it with this header set, or with `None` taken away."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def about(self, task_ids: Iterable[str]) -> Reply:
        """Return it with the tasks that it is about."""
        return replace(self, task_ids=tuple(task_ids))

    def sent(self, delivery: Delivery) -> Reply:
        """Return it with another way of sending."""
        return replace(self, delivery=delivery)


Serve = Callable[[Request], Reply]
"""Answers a request as it should be answered."""


def text_reply(status: int, text: str, media_type: str, **headers: str) -> Reply:
    """Return a reply with a text as its body; `_` in a header's name stands for `-`."""
    extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Reply(
        status=status,
        headers=(("Content-Type", media_type), *extra),
        content=BytesContent(text.encode()),
    )


def json_reply(status: int, body: JsonValue, *, like_go: bool = True) -> Reply:
    r"""Return a reply with a JSON body.

    Args:
        like_go: Write `&`, `<` and `>` as `\u0026` and so on, as gateways written in Go do.
            Source: Go's `encoding/json`, `HTMLEscape`.
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if like_go:
        text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return text_reply(status, text, "application/json; charset=utf-8")


def xml_error(status: int, code: str, message: str, **fields: str) -> Reply:
    """Return an object store's error document.

    Source: Amazon S3 API Reference, "Error responses".
    """
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>{inner}"
        "<RequestId>17A0B7C2D3E4F506</RequestId></Error>"
    )
    return text_reply(status, body, "application/xml")


LOGIN_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>"
    '<body><form action="/login" method="post"><h1>Sign in to continue</h1>'
    '<input name="user"><input name="password" type="password"></form></body></html>\n'
)


def html_page(status: int) -> Reply:
    """Return a sign-in page, as a wrong base URL, a proxy or a firewall answers."""
    return text_reply(status, LOGIN_PAGE, "text/html; charset=utf-8")
