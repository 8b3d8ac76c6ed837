"""Flux's tasks and endpoint, as gateways and as the vendor offer it.

Source: providers.md section 7 and rows 12 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from archiver.gateway.asking import find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import wrapped
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

LINK_LIFETIME_S = 600
"""How long the vendor's links are good for."""

_STATUS = {"Ready": GatewayStatus.SUCCESS, "Pending": GatewayStatus.QUEUED} | dict.fromkeys(
    ("Error", "Request Moderated", "Content Moderated", "Task not found"), GatewayStatus.FAILURE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxTask(GatewayTask):
    """One picture.

    Attributes:
        state: In the vendor's words.
        sample: The picture.
        preview: What is shown while it comes into being.
        reasons: Why it was moderated.
        given: The picture that was given.
        in_replicates_shape: The answer is as Replicate's.
    """

    platform: ClassVar[str] = "flux"
    action: ClassVar[str] = "flux"

    state: str = "Ready"
    prompt: str = "A lighthouse in fog, oil on canvas"
    seed: int | None = 42
    sample: Link | None = None
    preview: Link | None = None
    reasons: tuple[str, ...] = ()
    given: Link | None = None
    in_replicates_shape: bool = False

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        return _STATUS.get(self.state, GatewayStatus.IN_PROGRESS)

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        return self.state if self.status(now) is GatewayStatus.FAILURE else ""

    def document(self, links: LinkWriter) -> JsonValue:
        """Return it as the vendor reports it."""
        if self.body is not None:
            return self.body(links)
        ready = self.state == "Ready" and self.sample is not None
        sample = links.url(self.sample) if self.sample is not None and ready else None
        if self.in_replicates_shape:
            return self._as_replicates(links, sample)
        began_s = 0.0 if self.created_at is None else self.created_at.timestamp()
        result: JsonObject = {
            "sample": sample,
            "prompt": self.prompt,
            "seed": self.seed,
            "start_time": began_s,
            "end_time": began_s + 5.06,
            "duration": 5.06,
        }
        details: JsonObject = {}
        if self.reasons:
            details["Moderation Reasons"] = list(self.reasons)
        if self.given is not None:
            details["input_image"] = links.url(self.given)
        preview: JsonObject | None = None
        if self.preview is not None:
            preview = {"sample": links.url(self.preview)}
        return {
            "id": self.task_id,
            "status": self.state,
            "result": result if ready else None,
            "progress": 1.0 if ready else 0.4,
            "details": details or None,
            "preview": preview,
        }

    def _as_replicates(self, links: LinkWriter, sample: str | None) -> JsonObject:
        given: JsonObject = {"prompt": self.prompt, "seed": self.seed}
        if self.given is not None:
            given["image"] = links.url(self.given)
        date = None if self.created_at is None else self.created_at.isoformat()
        return {
            "id": self.task_id,
            "model": "black-forest-labs/flux-schnell",
            "version": "hidden",
            "input": given,
            "logs": "",
            "output": None if sample is None else [sample],
            "data_removed": False,
            "error": None,
            "status": "succeeded" if sample else "processing",
            "created_at": date,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxService:
    """The one endpoint.

    Attributes:
        prefix: What stands before `/get_result`: the vendor has `/v1`.
        is_official: It asks for no key, and says "Task not found" itself.
    """

    prefix: str = "/flux/v1"
    is_official: bool = False

    def routes(self) -> Sequence[Route]:
        """Return the endpoint."""
        path = f"{self.prefix}/get_result"
        return (Route(method="GET", path=path, answer=self._get, open=self.is_official),)

    def _get(self, call: Call) -> Reply:
        asked = call.request.params.get("id", "")
        task = find(call.site, asked, FluxTask)
        if task is not None:
            return json_reply(200, wrapped(call.site, task)).about([asked])
        if self.is_official:
            body: JsonObject = {"id": asked, "status": "Task not found", "result": None}
            return json_reply(404, body, like_go=False).about([asked])
        return call.site.dialect.unknown_task().about([asked])
