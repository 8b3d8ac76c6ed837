"""Runway's tasks and endpoints: the vendor's path at a gateway, and the reverse feed.

Source: providers.md section 9 and rows 14 and 15.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from archiver.gateway.asking import find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

VERSION = "2024-11-06"
"""What the vendor wants in the header `X-Runway-Version`."""

_STATUS = {"SUCCEEDED": GatewayStatus.SUCCESS, "PENDING": GatewayStatus.QUEUED} | dict.fromkeys(
    ("FAILED", "CANCELLED"), GatewayStatus.FAILURE
)
_DIGITS = {"PENDING": "0", "SUCCEEDED": "3", "FAILED": "2", "CANCELLED": "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunwayTask(GatewayTask):
    """One task.

    Attributes:
        is_fed: It is known to the reverse feed, not to the vendor's path.
        state: In the vendor's words; the feed has a digit for it.
        failure_code: The vendor's code of why it failed.
        message: Why it failed.
        outputs: Of which the feed has one.
        given: The picture that was given; only the feed tells it.
    """

    platform: ClassVar[str] = "runway"
    action: ClassVar[str] = "runway"

    is_fed: bool = False
    state: str = "SUCCEEDED"
    failure_code: str = ""
    message: str = ""
    prompt: str = "A small cat walks over piano keys"
    outputs: tuple[Link, ...] = ()
    poster: Link | None = None
    last_frame: Link | None = None
    given: Link | None = None

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        return _STATUS.get(self.state, GatewayStatus.IN_PROGRESS)

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        return self.message

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the answer of its form."""
        if self.body is not None:
            return self.body(links)
        done = self.state == "SUCCEEDED"
        urls = [links.url(link) for link in self.outputs] if done else []
        return self._fed(links, urls) if self.is_fed else self._official(urls)

    def _official(self, urls: Sequence[str]) -> JsonObject:
        body: JsonObject = {"id": self.task_id, "status": self.state}
        if self.created_at is not None:
            date = self.created_at.astimezone(UTC)
            body["createdAt"] = f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"
        if self.state == "RUNNING":
            body["progress"] = 0.4
        if self.message:
            body |= {"failure": self.message, "failureCode": self.failure_code}
        return body | {"output": list(urls)} if urls else body

    def _fed(self, links: LinkWriter, urls: Sequence[str]) -> JsonObject:
        made_s = 0 if self.created_at is None else int(self.created_at.timestamp())
        pictures = (
            links.url(link) if link is not None and urls else None
            for link in (self.poster, self.last_frame)
        )
        poster, last_frame = pictures
        data: JsonObject = {
            "task_id": self.task_id,
            "status": _DIGITS.get(self.state, "1"),
            "prompt": self.prompt,
            "prompt_en": self.prompt,
            "image": "" if self.given is None else links.url(self.given),
            "video_url": urls[0] if urls else "",
            "poster": poster,
            "last_frame": last_frame,
            "msg": self.message or None,
            "point": "200",
            "refund": "200" if self.message else "0",
            "create_time": str(made_s),
            "update_time": str(made_s + 291),
        }
        return {"code": 200, "msg": "ok", "data": data, "exec_time": 0.031}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunwayService:
    """A gateway's endpoints.

    Attributes:
        prefix: What stands before `/tasks`: the vendor has `/v1`.
        feed: Whether the reverse feed is there.
    """

    prefix: str = "/runwayml/v1"
    feed: bool = True

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        single = Route(method="GET", path=f"{self.prefix}/tasks/{{id}}", answer=_get)
        feed = Route(method="POST", path="/runway/feed", answer=_feed)
        return (single, feed) if self.feed else (single,)


def _get(call: Call) -> Reply:
    if call.request.headers.get("x-runway-version") != VERSION:
        return json_reply(400, {"error": "X-Runway-Version is missing"}).about(call.values)
    task = find(call.site, call.values[0], RunwayTask)
    if task is None or task.is_fed:
        return call.site.dialect.unknown_task().about(call.values)
    return json_reply(200, call.site.document(task), like_go=False).about(call.values)


def _feed(call: Call) -> Reply:
    try:
        asked = json.loads(call.request.body)
    except ValueError:
        asked = None
    task_id = asked.get("task_id") if isinstance(asked, dict) else None
    if not isinstance(task_id, str):
        return call.site.dialect.bad_request("task_id must be a text")
    task = find(call.site, task_id, RunwayTask)
    if task is None or not task.is_fed:
        return call.site.dialect.unknown_task().about([task_id])
    return json_reply(200, call.site.document(task)).about([task_id])
