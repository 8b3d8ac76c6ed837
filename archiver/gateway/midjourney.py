"""Midjourney's tasks and endpoints: the proxy protocol, at a gateway and at a proxy of one's own.

Source: providers.md section 6 and rows 9 to 11.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from archiver.gateway.asking import asked_ids, every, find
from archiver.gateway.exchange import Reply, json_reply, text_reply
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

SPEEDS = ("", "/mj-fast", "/mj-relax", "/mj-turbo")
"""What may stand before `/mj` at a gateway."""

SECRET_HEADER = "mj-api-secret"  # noqa: S105 - the name of a header
"""What some proxies of one's own want in place of a bearer token."""

_LISTED = 100
_STATUS = {
    "NOT_START": GatewayStatus.NOT_START,
    "SUBMITTED": GatewayStatus.SUBMITTED,
    "MODAL": GatewayStatus.IN_PROGRESS,
    "FAILURE": GatewayStatus.FAILURE,
    "CANCEL": GatewayStatus.FAILURE,
    "SUCCESS": GatewayStatus.SUCCESS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MidjourneyTask(GatewayTask):
    """One job.

    Attributes:
        kind: What was asked for: `IMAGINE`, `UPSCALE`, `VIDEO`, `DESCRIBE` …
        state: In Midjourney's words.
        image: The grid, the one picture, or (`DESCRIBE`) what was given.
        preview: What stands in its place while it runs.
        images: The single pictures, or (`VIDEO`) the clips once more.
        texts_only: `images` are bare texts, not objects.
        width: As declared, in pixels; only some proxies do.
        height: As declared, in pixels; only some proxies do.
        seed: What the seed's endpoint says; `None`: that there is none.
        seed_in_answer: Whether the answer itself has the seed as well.
    """

    platform: ClassVar[str] = "midjourney"
    action: ClassVar[str] = "MIDJOURNEY"

    kind: str = "IMAGINE"
    state: str = "SUCCESS"
    prompt: str | None = "a pig in a library --v 6.1"
    prompt_en: str | None = None
    final_prompt: str = ""
    fail_text: str = ""
    image: Link | None = None
    preview: Link | None = None
    images: tuple[Link, ...] = ()
    thumbnails: tuple[Link, ...] = ()
    texts_only: bool = False
    video: Link | None = None
    videos: tuple[Link, ...] = ()
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    seed_in_answer: bool = False

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        return _STATUS.get(self.state, GatewayStatus.IN_PROGRESS)

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        return self.fail_text

    def document(self, links: LinkWriter) -> JsonValue:
        """Return it as the protocol has it: one flat object, times in milliseconds."""
        if self.body is not None:
            return self.body(links)
        done = self.state == "SUCCESS"
        submitted = 0 if self.created_at is None else int(self.created_at.timestamp() * 1000)
        image = self.image if done else self.preview
        body: JsonObject = {
            "id": self.task_id,
            "action": self.kind,
            "prompt": self.prompt,
            "promptEn": self.prompt_en if self.prompt_en is not None else self.prompt,
            "description": "Submit success",
            "state": "",
            "submitTime": submitted,
            "startTime": submitted + 2_000,
            "finishTime": submitted + 30_000 if done else 0,
            "status": self.state,
            "progress": "100%" if done else "46%",
            "failReason": self.fail_text,
            "imageUrl": "" if image is None else links.url(image),
            "buttons": [],
            "maskBase64": "",
            "properties": {"finalPrompt": self.final_prompt, "finalZhPrompt": ""},
            "videoUrl": links.url(self.video) if self.video and done else "",
        }
        return body | self._listed(links, done=done) | self._declared()

    def _listed(self, links: LinkWriter, *, done: bool) -> JsonObject:
        if not done:
            return {"imageUrls": None, "videoUrls": None}
        images: list[JsonValue] = [links.url(link) for link in self.images]
        if not self.texts_only:
            images = [{"url": url} for url in images]
            for entry, link in zip(images, self.thumbnails, strict=False):
                if isinstance(entry, dict):
                    entry["thumbnail"] = links.url(link)
        videos: list[JsonValue] = [{"url": links.url(link)} for link in self.videos]
        return {"imageUrls": images or None, "videoUrls": videos or None}

    def _declared(self) -> JsonObject:
        found: JsonObject = {"width": self.width, "height": self.height}
        if self.seed_in_answer and self.seed is not None:
            found["seed"] = str(self.seed)
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class MidjourneyService:
    """The protocol's endpoints, in all speed modes.

    Attributes:
        is_own: A proxy of one's own: it has a list, and knows no other answer to an unknown id
            than an empty one.
        secret: What it wants in the header `mj-api-secret`; `None`: the gateway's own key.
        seeds: Whether there is the endpoint for seeds.
    """

    is_own: bool = False
    secret: str | None = field(default=None, repr=False)
    seeds: bool = True

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        routes = [
            self._route("GET", "/task/{id}/fetch", self._get),
            self._route("POST", "/task/list-by-condition", _batch),
        ]
        if self.seeds:
            routes.append(self._route("GET", "/task/{id}/image-seed", _seed))
        if self.is_own:
            routes.append(self._route("GET", "/task/list", _list))
        return [route for found in routes for route in found]

    def _route(self, method: str, path: str, answer: Callable[[Call], Reply]) -> list[Route]:
        speeds = ("",) if self.is_own else SPEEDS
        secret = self.secret

        def guarded(call: Call) -> Reply:
            given = call.request.headers.get(SECRET_HEADER, "")
            if secret is None or hmac.compare_digest(given.encode(), secret.encode()):
                return answer(call)
            return json_reply(401, {"code": 401, "description": "unauthorized"})

        return [
            Route(method=method, path=f"{s}/mj{path}", answer=guarded, open=secret is not None)
            for s in speeds
        ]

    def _get(self, call: Call) -> Reply:
        task = find(call.site, call.values[0], MidjourneyTask)
        if task is not None:
            return json_reply(200, call.site.document(task)).about(call.values)
        if self.is_own:
            return text_reply(200, "", "application/json").about(call.values)
        return _unknown().about(call.values)


def _unknown() -> Reply:
    """Say that there is no such task. Source: new-api, relay/mjproxy_handler.go."""
    error: JsonObject = {"description": "task_no_found ", "type": "upstream_error", "code": 4}
    return json_reply(400, error)


def _batch(call: Call) -> Reply:
    """Answer a bare array of the tasks that are known."""
    ids = asked_ids(call.request.body)
    if ids is None:
        return call.site.dialect.bad_request("ids must be a list of texts")
    tasks = [task for task in every(call.site, MidjourneyTask) if task.task_id in ids]
    found: list[JsonValue] = [call.site.document(task) for task in tasks]
    return json_reply(200, found).about(sorted(ids))


def _list(call: Call) -> Reply:
    """Answer a bare array of the newest tasks."""
    tasks = list(reversed(every(call.site, MidjourneyTask)))[:_LISTED]
    found: list[JsonValue] = [call.site.document(task) for task in tasks]
    return json_reply(200, found).about(task.task_id for task in tasks)


def _seed(call: Call) -> Reply:
    task = find(call.site, call.values[0], MidjourneyTask)
    if task is None:
        return _unknown().about(call.values)
    if task.seed is None:
        answer: JsonObject = {"code": 4, "description": "no seed", "result": ""}
    else:
        answer = {"code": 1, "description": "ok", "result": str(task.seed)}
    return json_reply(200, answer).about(call.values)
