"""The usual answer about another file, or with another head."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from archiver.gateway.exchange import BytesContent, FileEdit, HostedFile, Reply, Request, Serve
from archiver.gateway.faults.base import Fault


def _edited(request: Request, edit: FileEdit) -> Request:
    return replace(request, edits=(*request.edits, edit))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoETag(Fault):
    """The file has no entity tag."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Serve it without."""
        return serve(_edited(request, lambda file: replace(file, etag=None)))


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakETag(Fault):
    """The file's entity tag is a weak one, which proves nothing about its bytes."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Serve it with `W/`."""
        return serve(_edited(request, lambda file: replace(file, etag=f"W/{file.etag}")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile(Fault):
    """Other bytes under the same address: another entity tag and date, the same length.

    Attributes:
        content: The other bytes; `None`: the usual ones, each inverted.
    """

    content: bytes | None = field(default=None, repr=False)

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Serve the other bytes."""
        return serve(_edited(request, self._change))

    def _change(self, file: HostedFile) -> HostedFile:
        data = self.content
        if data is None:
            whole = b"".join(file.content.chunks(0, file.content.size_bytes))
            data = whole.translate(bytes(255 - value for value in range(256)))
        later = file.modified_at + timedelta(seconds=61) if file.modified_at else None
        tag = f'"changed-{file.etag.strip(chr(34))}"' if file.etag else None
        return replace(file, content=BytesContent(data), etag=tag, modified_at=later)


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreRange(Fault):
    """The whole file with status 200, whatever range was asked for."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Serve the whole."""
        return serve(request.without("range", "if-range")).with_header("Accept-Ranges", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers(Fault):
    """Other headers: each is set, or with `None` left out."""

    headers: Mapping[str, str | None]

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with them."""
        reply = serve(request)
        for name, value in self.headers.items():
            reply = reply.with_header(name, value)
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Gzip(Fault):
    """The body compressed, although nobody asked for that; ranges are not served then."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the compressed body."""
        reply = serve(request.without("range", "if-range"))
        packed = gzip.compress(b"".join(reply.content.chunks(reply.start, reply.end)), mtime=0)
        reply = replace(reply, content=BytesContent(packed), start=0, stop=None)
        return reply.with_header("Content-Encoding", "gzip").with_header("Accept-Ranges", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongLength(Fault):
    """A Content-Length that is off by so many bytes; the connection ends after the body."""

    by: int

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the wrong length."""
        reply = serve(request)
        wrong = max(0, reply.end - reply.start + self.by)
        return reply.sent(replace(reply.delivery, announced_bytes=wrong))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongStart(Fault):
    """A 206 that begins so many bytes later (or earlier) than asked, and says so."""

    by: int

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Serve the wrong part."""
        reply = serve(request)
        if reply.status != 206:
            return reply
        start = min(max(0, reply.start + self.by), reply.end - 1)
        span = f"bytes {start}-{reply.end - 1}/{reply.content.size_bytes}"
        return replace(reply, start=start).with_header("Content-Range", span)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongTotal(Fault):
    """A 206 whose total is off by so many bytes."""

    by: int

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Serve the right part under the wrong total."""
        reply = serve(request)
        if reply.status != 206:
            return reply
        total = reply.content.size_bytes + self.by
        return reply.with_header("Content-Range", f"bytes {reply.start}-{reply.end - 1}/{total}")
