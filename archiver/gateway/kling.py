"""Kling's tasks and endpoints, as gateways and as the vendor offer them.

Source: providers.md section 10 and rows 16 and 17.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from archiver.gateway.asking import every, find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import wrapped
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

THREE = "tasks"
"""What stands before the ids of 3.0 models' tasks."""

_STATUS = {
    "submitted": GatewayStatus.SUBMITTED,
    "succeed": GatewayStatus.SUCCESS,
    "failed": GatewayStatus.FAILURE,
}
_PAGE_SIZE = 30
_UNKNOWN, _NO_TOKEN, _OLD_TOKEN = 1203, 1002, 1004


class KlingForm(StrEnum):
    """Which of the bodies an answer has."""

    OFFICIAL = "official"
    """The vendor's: `task_result`."""
    THREE = "3.0"
    """The vendor's for its 3.0 models: `outputs`."""
    DOCS = "docs"
    """A gateway's own: one `url`, and `metadata`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KlingOutput:
    """One output of a task.

    Attributes:
        kind: `videos`, `images` or `audios`.
        link: The copy without the mark.
        marked: The copy with it, if that was ordered.
        duration_s: As declared; the answer has it as a text.
    """

    kind: str = "videos"
    link: Link | None = None
    marked: Link | None = None
    duration_s: float | None = None

    def document(self, links: LinkWriter, number: int) -> JsonObject:
        """Return it as the vendor reports it."""
        url = "" if self.link is None else links.url(self.link)
        if self.kind == "images":
            return {"index": number, "url": url}
        marked = "" if self.marked is None else links.url(self.marked)
        length = None if self.duration_s is None else f"{self.duration_s:.3f}"
        return {"id": f"f{number}", "url": url, "watermark_url": marked, "duration": length}


@dataclass(frozen=True, slots=True, kw_only=True)
class KlingTask(GatewayTask):
    """One task.

    Attributes:
        made_by: Kind and name of its action, as they stand in the path.
        state: `submitted`, `processing`, `succeed` or `failed`.
        message: Why it failed.
        parent: The video that was given.
        width: As declared (gateway's form only), in pixels.
        height: As declared (gateway's form only), in pixels.
    """

    platform: ClassVar[str] = "kling"
    action: ClassVar[str] = "kling"

    form: KlingForm = KlingForm.OFFICIAL
    made_by: str = "videos/text2video"
    state: str = "succeed"
    message: str = ""
    parent: Link | None = None
    outputs: tuple[KlingOutput, ...] = ()
    width: int | None = None
    height: int | None = None
    seed: int | None = None

    @property
    def bare_id(self) -> str:
        """The vendor's id, without an action before it."""
        return self.task_id.rpartition("/")[2]

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
        made_ms = 0 if self.created_at is None else int(self.created_at.timestamp() * 1000)
        outputs = self.outputs if self.state == "succeed" else ()
        if self.form is KlingForm.DOCS:
            return self._docs(links, outputs)
        if self.form is KlingForm.THREE:
            return _answer([self._three(links, outputs, made_ms)])
        return _answer(self._official(links, outputs, made_ms))

    def _official(
        self, links: LinkWriter, outputs: Sequence[KlingOutput], made_ms: int
    ) -> JsonObject:
        info: JsonObject = {"external_task_id": ""}
        if self.parent is not None:
            info["parent_video"] = {"id": "p0", "url": links.url(self.parent), "duration": "5.1"}
        body: JsonObject = {
            "task_id": self.bare_id,
            "task_status": self.state,
            "task_status_msg": self.message,
            "task_info": info,
            "created_at": made_ms,
            "updated_at": made_ms + 12_072,
        }
        result: dict[str, list[JsonValue]] = {}
        for output in outputs:
            entries = result.setdefault(output.kind, [])
            entries.append(output.document(links, len(entries)))
        return body | {"task_result": {**result}} if result else body

    def _three(self, links: LinkWriter, outputs: Sequence[KlingOutput], made_ms: int) -> JsonObject:
        state = "succeeded" if self.state == "succeed" else self.state
        entries: list[JsonValue] = [
            {**output.document(links, number), "type": output.kind.removesuffix("s")}
            for number, output in enumerate(outputs)
        ]
        body: JsonObject = {"id": self.bare_id, "status": state, "message": self.message}
        return body | {
            "create_time": made_ms,
            "update_time": made_ms + 12_072,
            "outputs": entries,
        }

    def _docs(self, links: LinkWriter, outputs: Sequence[KlingOutput]) -> JsonObject:
        only = outputs[0] if outputs else KlingOutput()
        metadata: JsonObject = {
            "duration": only.duration_s,
            "fps": 24,
            "width": self.width,
            "height": self.height,
            "seed": self.seed,
        }
        error: JsonObject = {"code": "task_failed", "message": self.message}
        return {
            "task_id": self.bare_id,
            "status": {"succeed": "completed"}.get(self.state, self.state),
            "url": "" if only.link is None else links.url(only.link),
            "format": "mp4",
            "metadata": metadata if outputs else None,
            "error": error if self.message else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KlingService:
    """All of Kling's endpoints.

    Attributes:
        prefix: What stands before `/videos/…`: the vendor has `/v1`.
        is_official: Error numbers are the vendor's, and there are lists.
        pair: Access key and secret key; tokens by them are asked for in place of the gateway's key.
    """

    prefix: str = "/kling/v1"
    is_official: bool = False
    pair: tuple[str, str] | None = field(default=None, repr=False)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        paths: list[tuple[str, Callable[[Call], Reply]]] = [
            (f"/{THREE}", self._three),
            *(
                (f"{self.prefix}/{kind}/{{action}}/{{id}}", self._get_of(kind))
                for kind in ("videos", "images", "audio")
            ),
        ]
        if self.is_official:
            paths += [
                (f"{self.prefix}/{kind}/{{action}}", self._list_of(kind))
                for kind in ("videos", "images", "audio")
            ]
        return [
            Route(method="GET", path=path, answer=self._guarded(answer), open=self.pair is not None)
            for path, answer in paths
        ]

    def _guarded(self, answer: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
        def guarded(call: Call) -> Reply:
            number = 0 if self.pair is None else _refusal(self.pair, call)
            return _error(401, number, "Auth failed") if number else answer(call)

        return guarded

    def _unknown(self, call: Call, asked: str) -> Reply:
        if self.is_official:
            return _error(404, _UNKNOWN, "The requested resource does not exist").about([asked])
        return call.site.dialect.unknown_task().about([asked])

    def _get_of(self, kind: str) -> Callable[[Call], Reply]:
        def get(call: Call) -> Reply:
            action, ident = call.values
            named = find(call.site, f"{action}/{ident}", KlingTask)
            task = named or find(call.site, ident, KlingTask)
            if task is None or task.made_by != f"{kind}/{action}" or task.form is KlingForm.THREE:
                return self._unknown(call, ident)
            return json_reply(200, wrapped(call.site, task)).about([task.task_id])

        return get

    def _three(self, call: Call) -> Reply:
        ident = call.request.params.get("task_ids", "")
        named = find(call.site, f"{THREE}/{ident}", KlingTask)
        task = named or find(call.site, ident, KlingTask)
        if task is None or task.form is not KlingForm.THREE:
            return self._unknown(call, ident)
        return json_reply(200, call.site.document(task)).about([task.task_id])

    def _list_of(self, kind: str) -> Callable[[Call], Reply]:
        def listed(call: Call) -> Reply:
            params = call.request.params
            number, size = (
                int(text) if text.isdecimal() and len(text) < 6 else 0
                for text in (params.get("pageNum", "1"), params.get("pageSize", str(_PAGE_SIZE)))
            )
            if not (1 <= number <= 1000 and 1 <= size <= 500):
                return _error(400, 1201, "pageNum or pageSize is out of range")
            tasks = [
                replace(task, form=KlingForm.OFFICIAL)
                for task in every(call.site, KlingTask)
                if task.made_by == f"{kind}/{call.values[0]}" and task.form is KlingForm.OFFICIAL
            ]
            shown = tasks[(number - 1) * size : number * size]
            found: list[JsonValue] = []
            for task in shown:
                document = call.site.document(task)
                found.append(document.get("data") if isinstance(document, dict) else None)
            return json_reply(200, _answer(found)).about(task.task_id for task in shown)

        return listed


def _answer(data: JsonValue) -> JsonObject:
    return {"code": 0, "message": "SUCCEED", "request_id": "CjMkWmc-demo", "data": data}


def _error(status: int, number: int, message: str) -> Reply:
    body: JsonObject = {"code": number, "message": message, "request_id": "CjMkWmc-demo"}
    return json_reply(status, body)


def _refusal(pair: tuple[str, str], call: Call) -> int:
    """Return the error number for a token that is not good; 0 for one that is."""
    access_key, secret_key = pair
    kind, _, token = call.request.headers.get("authorization", "").partition(" ")
    signed, _, signature = token.rpartition(".")
    right = hmac.digest(secret_key.encode(), signed.encode(), "sha256")
    try:
        given = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        payload = signed.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return _NO_TOKEN
    if kind != "Bearer" or not hmac.compare_digest(right, given) or claims["iss"] != access_key:
        return _NO_TOKEN
    now_s = call.site.now().timestamp()
    return 0 if claims["nbf"] <= now_s < claims["exp"] else _OLD_TOKEN
