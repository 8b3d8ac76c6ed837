"""From a path to whoever answers it: what an API module gives, and what it is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from urllib.parse import unquote

from archiver.gateway.dialect import Dialect
from archiver.gateway.exchange import Reply, Request
from archiver.gateway.tasks import GatewayTask, Link
from archiver.model import JsonValue


class Site(Protocol):
    """What an API module may use of the gateway that it is part of."""

    @property
    def dialect(self) -> Dialect:
        """How it says no."""
        ...

    def now(self) -> datetime:
        """Return the gateway's time."""
        ...

    def task(self, task_id: str) -> GatewayTask | None:
        """Return a task, if there is one and it is visible."""
        ...

    def tasks(self) -> tuple[GatewayTask, ...]:
        """Return all visible tasks in the order in which they came."""
        ...

    def number(self, task_id: str) -> int:
        """Return the task's number in the gateway's own table, from 1."""
        ...

    def document(self, task: GatewayTask) -> JsonValue:
        """Write a task's own answer, links and all; counts as one answer about it."""
        ...

    def url(self, task: GatewayTask, link: Link) -> str:
        """Write one link of a task; does not count as an answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a route.

    Attributes:
        values: What stands in the path where the route has `{…}`, decoded.
    """

    site: Site = field(repr=False)
    request: Request
    values: tuple[str, ...]


Answerer = Callable[[Call], Reply]
"""Answers calls of one route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One endpoint.

    Attributes:
        path: Parts in braces stand for any text without a slash: `/luma/generations/{id}`.
        open: Whether it asks for no API key (it may check another credential itself).
    """

    method: str
    path: str
    answer: Answerer
    open: bool = False

    def values(self, path: str) -> tuple[str, ...] | None:
        """Return what stands in the braces, decoded; `None` when the path is another."""
        pattern = re.sub(r"\\\{[a-z_]+\\\}", "([^/]+)", re.escape(self.path))
        match = re.fullmatch(pattern, path)
        return None if match is None else tuple(unquote(value) for value in match.groups())


class Service(Protocol):
    """One provider's endpoints."""

    def routes(self) -> Sequence[Route]:
        """Return them."""
        ...


def find_route(routes: Sequence[Route], request: Request) -> tuple[Route, tuple[str, ...]] | None:
    """Return the first route for a request, with what its path says."""
    for route in routes:
        if route.method == request.method:
            values = route.values(request.path)
            if values is not None:
                return route, values
    return None
