"""Another answer than the usual one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from archiver.gateway.exchange import (
    HOP_PATH,
    LOOP_PATH,
    BytesContent,
    Reply,
    Request,
    Serve,
    html_page,
    xml_error,
)
from archiver.gateway.faults.base import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Fault):
    """An answer with this status instead."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    media_type: str = "text/plain"

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the status."""
        kind = (("Content-Type", self.media_type),) if self.body else ()
        return Reply(
            status=self.status,
            headers=(*kind, *self.headers.items()),
            content=BytesContent(self.body),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlPage(Fault):
    """A sign-in page instead, by default with status 200."""

    status: int = 200

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the page."""
        return html_page(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlError(Fault):
    """An object store's error document instead, by default with status 200."""

    status: int = 200
    code: str = "InternalError"
    message: str = "We encountered an internal error. Please try again."

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the document."""
        return xml_error(self.status, self.code, self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyBody(Fault):
    """The usual head with no bytes after it, and a length that says so."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with an empty body."""
        reply = serve(request.without("range", "if-range"))
        return replace(reply, content=BytesContent(b""), start=0, stop=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(Fault):
    """A redirect to another address: absolute, or a path of the same origin."""

    location: str = field(repr=False)
    status: int = 302

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the redirect."""
        return Reply(status=self.status, headers=(("Location", self.location),))


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectChain(Fault):
    """So many redirects, one after the other, and then the file (assets origin)."""

    hops: int
    status: int = 302

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the first redirect; the hops after it never meet a script."""
        target = f"{request.path}?{request.query}" if request.query else request.path
        location = f"{HOP_PATH}{self.hops - 1}/{self.status}?to={quote(target, safe='')}"
        return Reply(status=self.status, headers=(("Location", location),))


@dataclass(frozen=True, slots=True, kw_only=True)
class RedirectLoop(Fault):
    """A redirect to a path that redirects to itself (assets origin)."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with the redirect."""
        return Reply(status=302, headers=(("Location", LOOP_PATH),))
