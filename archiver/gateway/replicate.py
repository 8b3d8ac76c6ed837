"""Replicate's predictions and endpoints, as the vendor and as gateways offer them.

Source: providers.md section 11 and row 18.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from archiver.gateway.asking import every, find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import wrapped
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

PAGE_SIZE = 100
"""How many predictions a page of the list has."""

_STATUS = {"succeeded": GatewayStatus.SUCCESS, "starting": GatewayStatus.QUEUED} | dict.fromkeys(
    ("failed", "canceled", "aborted"), GatewayStatus.FAILURE
)

OutputMaker = Callable[[Callable[[Link], str]], JsonValue]
"""Makes an output of any shape, given what writes its links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateTask(GatewayTask):
    """One prediction.

    Attributes:
        state: In the vendor's words.
        output: Makes the output.
        given: The file that was given.
        removed: Input, output and logs were removed, as they are after an hour.
        logs: What the model said of its work.
        error: Why it failed.
    """

    platform: ClassVar[str] = "replicate"
    action: ClassVar[str] = "replicate"

    state: str = "succeeded"
    prompt: str = "A red kite over a grey sea"
    output: OutputMaker | None = None
    given: Link | None = None
    removed: bool = False
    logs: str = "Using seed: 60392\n"
    error: str | None = None

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        return _STATUS.get(self.state, GatewayStatus.IN_PROGRESS)

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        return self.error or ""

    def document(self, links: LinkWriter) -> JsonValue:
        """Return it as the vendor reports it."""
        if self.body is not None:
            return self.body(links)
        given: JsonObject = {}
        if not self.removed:
            given["prompt"] = self.prompt
            if self.given is not None:
                given["image"] = links.url(self.given)
        output: JsonValue = None
        if self.output is not None and self.state == "succeeded" and not self.removed:
            output = self.output(links.url)
        return {
            "id": self.task_id,
            "model": "a-lab/anything",
            "version": "hidden",
            "input": given,
            "logs": "" if self.removed else self.logs,
            "output": output,
            "data_removed": self.removed,
            "error": self.error,
            "status": self.state,
            "source": "api",
            "created_at": _date(self.created_at),
            "metrics": {"predict_time": 0.606},
            "urls": {"get": f"https://api.replicate.com/v1/predictions/{self.task_id}"},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateService:
    """The endpoints.

    Attributes:
        prefix: What stands before `/predictions`: the vendor has `/v1`.
        listed: Whether there is the list.
        next_origin: Where `next` leads, in place of the server's own address.
        page_size: Of the list.
    """

    prefix: str = "/replicate/v1"
    listed: bool = True
    next_origin: str | None = None
    page_size: int = PAGE_SIZE

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        path = f"{self.prefix}/predictions"
        single = Route(method="GET", path=f"{path}/{{id}}", answer=_get)
        listing = Route(method="GET", path=path, answer=self._list)
        return (single, listing) if self.listed else (single,)

    def _list(self, call: Call) -> Reply:
        """Answer one page, newest first."""
        params = call.request.params
        after = params.get("created_after", "")
        tasks = [
            task
            for task in every(call.site, ReplicateTask)
            if not after or (task.created_at and task.created_at >= datetime.fromisoformat(after))
        ]
        tasks.sort(key=lambda task: (_date(task.created_at) or "", task.task_id), reverse=True)
        cursor = params.get("cursor", "0")
        start = int(cursor) if cursor.isdecimal() and len(cursor) < 9 else 0
        shown = tasks[start : start + self.page_size]
        following: str | None = None
        if start + self.page_size < len(tasks):
            origin = self.next_origin or f"http://{call.request.headers.get('host', '')}"
            following = f"{origin}{self.prefix}/predictions?cursor={start + self.page_size}"
        found: list[JsonValue] = [call.site.document(task) for task in shown]
        body: JsonObject = {"previous": None, "next": following, "results": found}
        return json_reply(200, body, like_go=False).about(task.task_id for task in shown)


def _get(call: Call) -> Reply:
    task = find(call.site, call.values[0], ReplicateTask)
    if task is None:
        return call.site.dialect.unknown_task().about(call.values)
    return json_reply(200, wrapped(call.site, task), like_go=False).about(call.values)


def _date(date: datetime | None) -> str | None:
    """Return a date as Replicate writes it: UTC, nine digits after the point."""
    if date is None:
        return None
    date = date.astimezone(UTC)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond:06d}416Z"
