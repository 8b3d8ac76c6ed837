"""Small real classes that stand in for the outside: scripted, recording, no patching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from archiver.errors import ArchiverError
from archiver.model import Answer, JsonValue

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


# --- a source's API -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that a provider made."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: JsonValue = None
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = Answer | ArchiverError | Callable[[Asked], Answer]
"""What a scripted route gives: an answer, an error to raise, or an answer made of the request."""


def json_answer(body: JsonValue, status: int = 200) -> Answer:
    """Return an answer whose body is JSON."""
    return Answer(status=status, body=body, media_type="application/json")


def text_answer(text: str, status: int = 200, media_type: str = "text/html") -> Answer:
    """Return an answer whose body is no JSON."""
    return Answer(status=status, text=text, media_type=media_type)


def unknown_route(asked: Asked) -> Answer:
    """Answer as a new-api gateway does where it has nothing."""
    message = f"Invalid URL ({asked.method} {asked.path})"
    return json_answer({"error": {"message": message, "type": "invalid_request_error"}}, 404)


class FakeApi:
    """A `contracts.Api` that gives scripted answers and records what it was asked.

    Each route gives its replies in turn, the last one again and again; what is not scripted is an
    unknown route. `anything` replies to every request that has no route of its own.
    """

    def __init__(
        self, base_url: str = "https://api.example.com", *, anything: Reply = unknown_route
    ) -> None:
        self._base_url = base_url
        self._anything = anything
        self._routes: dict[tuple[str, str], list[Reply]] = {}
        self.requests: list[Asked] = []

    @property
    def base_url(self) -> str:
        return self._base_url

    def on(self, method: str, path: str, *replies: Reply) -> FakeApi:
        """Script a route; returns itself."""
        self._routes[method, path] = list(replies)
        return self

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        asked = Asked(
            method=method, path=path, params=params or {}, json=json, headers=headers or {}
        )
        self.requests.append(asked)
        replies = self._routes.get((method, path), [self._anything])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, ArchiverError):
            raise reply
        return reply if isinstance(reply, Answer) else reply(asked)

    def now(self) -> datetime:
        return NOW
