"""The usual answer, sent in another way."""

from __future__ import annotations

from dataclasses import dataclass, replace

from archiver.gateway.exchange import Content, EndlessContent, Framing, Reply, Request, Serve
from archiver.gateway.faults.base import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Fault):
    """The connection ends without an answer."""

    reset: bool = False

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer nothing."""
        reply = Reply(status=0)
        return reply.sent(replace(reply.delivery, silent=True, reset=self.reset))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Fault):
    """Real seconds pass before the first byte."""

    seconds: float

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer later."""
        reply = serve(request)
        return reply.sent(replace(reply.delivery, delay_s=self.seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Fault):
    """The connection ends after so many bytes of the body; the head is as usual."""

    after_bytes: int
    reset: bool = False

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer in part."""
        reply = serve(request)
        delivery = replace(reply.delivery, cut_after_bytes=self.after_bytes, reset=self.reset)
        return reply.sent(delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Fault):
    """Nothing more comes after so many bytes of the body.

    Attributes:
        seconds: After these it goes on; `None`: never, until the client leaves.
    """

    after_bytes: int = 0
    seconds: float | None = None

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer with a pause in the middle."""
        reply = serve(request)
        delivery = replace(reply.delivery, stall_after_bytes=self.after_bytes, stall_s=self.seconds)
        return reply.sent(delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trickle(Fault):
    """The body comes no faster than this."""

    bytes_per_s: float

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer slowly."""
        reply = serve(request)
        return reply.sent(replace(reply.delivery, bytes_per_s=self.bytes_per_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunked(Fault):
    """`Transfer-Encoding: chunked`, and so no length."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer in chunks."""
        reply = serve(request)
        return reply.sent(replace(reply.delivery, framing=Framing.CHUNKED))


@dataclass(frozen=True, slots=True, kw_only=True)
class UntilClose(Fault):
    """Neither a length nor chunks: the body ends where the connection ends."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer until the end of the connection."""
        reply = serve(request)
        return reply.sent(replace(reply.delivery, framing=Framing.CLOSE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endless(Fault):
    """The body never ends: after its own bytes come zeros, in chunks, until the client leaves."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer for ever."""
        reply = serve(request.without("range", "if-range"))
        content: Content = EndlessContent(reply.content)
        reply = replace(reply, content=content, stop=None)
        return reply.sent(replace(reply.delivery, framing=Framing.CHUNKED))
