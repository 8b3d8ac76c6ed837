"""What a fault is, and how several are joined.

A fault stands between the request and whoever serves it: it may answer itself, change the request,
change the reply, or change how the reply is sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from archiver.gateway.exchange import Reply, Request, Serve


class Fault(ABC):
    """Something that goes wrong with one answer."""

    __slots__ = ()

    @abstractmethod
    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer the request; `serve` answers it as it should be answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Fault):
    """Nothing goes wrong: keeps a place in a script."""

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer as usual."""
        return serve(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Together(Fault):
    """Several faults at once; the first named is the outermost."""

    faults: tuple[Fault, ...]

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Answer through all of them."""
        for fault in reversed(self.faults):
            serve = _through(fault, serve)
        return serve(request)


def _through(fault: Fault, serve: Serve) -> Serve:
    return lambda request: fault.respond(request, serve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meanwhile(Fault):
    """Something else happens at this moment: a file changes, a task appears, a clock moves on."""

    action: Callable[[], object]

    def respond(self, request: Request, serve: Serve) -> Reply:
        """Do it, then answer as usual."""
        self.action()
        return serve(request)
