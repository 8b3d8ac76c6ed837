"""Luma's endpoints, as gateways and as the vendor offer them.

Source: luma-fetch-task.txt, providers.md section 3, luma-openapi.yaml 1.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.lumatask import LumaTask, luma_date
from archiver.gateway.newapi import envelope, task_row, wrapped
from archiver.gateway.routing import Call, Route, Site
from archiver.gateway.tasks import GatewayStatus
from archiver.model import JsonObject, JsonValue

_OFFICIAL = "/dream-machine/v1"
_MAX_LIMIT = 100


class BatchShape(StrEnum):
    """What `POST /luma/tasks` answers."""

    ROWS = "rows"
    """An envelope around the gateway's own records."""
    ARRAY = "array"
    """The providers' answers, bare."""


class ListOrder(StrEnum):
    """The order of the official list, which nobody documents."""

    NEWEST_FIRST = "newest first"
    OLDEST_FIRST = "oldest first"
    SHUFFLED = "shuffled"


@dataclass(frozen=True, slots=True, kw_only=True)
class LumaService:
    """All of Luma's endpoints.

    Attributes:
        official: Whether the paths below `/dream-machine/v1` are there.
        own: Whether the gateway's own paths, below `/luma`, are there.
        batch: Its shape; `None`: there is no such endpoint.
        batch_null: An answer without any task is `null`, not an empty list.
        has_more: Whether the official list says it.
    """

    official: bool = True
    own: bool = True
    batch: BatchShape | None = BatchShape.ROWS
    batch_null: bool = False
    order: ListOrder = ListOrder.NEWEST_FIRST
    has_more: bool = True

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        gets: dict[str, Callable[[Call], Reply]] = {}
        if self.official:
            gets |= {
                f"{_OFFICIAL}/ping": _ping,
                f"{_OFFICIAL}/credits": _credits,
                f"{_OFFICIAL}/generations": self._list,
                f"{_OFFICIAL}/generations/{{id}}": self._get,
            }
        if self.own:
            gets |= {
                "/luma/generations/{id}": self._get,
                "/luma/generations/{id}/download_video_url": self._no_mark,
            }
        routes = [Route(method="GET", path=path, answer=answer) for path, answer in gets.items()]
        if self.own and self.batch is not None:
            routes.append(Route(method="POST", path="/luma/tasks", answer=self._batch))
        return routes

    def _get(self, call: Call) -> Reply:
        task = _find(call.site, call.values[0])
        if task is None:
            return call.site.dialect.unknown_task().about(call.values)
        return call.site.dialect.answer(wrapped(call.site, task)).about(call.values)

    def _no_mark(self, call: Call) -> Reply:
        task = _find(call.site, call.values[0])
        if task is None:
            return call.site.dialect.unknown_task().about(call.values)
        finished = task.status(call.site.now()) is GatewayStatus.SUCCESS
        if task.no_mark is None or not finished:
            text = "no video without a watermark"
            return call.site.dialect.bad_request(text).about(call.values)
        url = call.site.url(task, task.no_mark)
        return call.site.dialect.answer({"url": url}).about(call.values)

    def _batch(self, call: Call) -> Reply:
        """Answer for many ids: only those known, in the order of the table, not of the question."""
        ids = _asked_ids(call.request.body)
        if ids is None:
            return call.site.dialect.bad_request("ids must be a list of texts")
        tasks = [task for task in _all(call.site) if task.task_id in ids]
        items: list[JsonValue] = []
        for task in tasks:
            body = call.site.document(task)
            if self.batch is BatchShape.ROWS:
                row = task_row(call.site, task, body)
                # The published sample of this one endpoint has dates where others have seconds.
                date = luma_date(task.created_at)
                body = row | {"platform": "luma_free", "created_at": date, "updated_at": date}
            items.append(body)
        found: JsonValue = None if self.batch_null and not items else items
        answer = envelope(found) if self.batch is BatchShape.ROWS else found
        return json_reply(200, answer).about(sorted(ids))

    def _list(self, call: Call) -> Reply:
        """Answer one page. Source: luma-openapi.yaml, `ListGenerationResponse`."""
        params = call.request.params
        limit, offset = _count(params.get("limit", "100")), _count(params.get("offset", "0"))
        if limit is None or offset is None:
            return call.site.dialect.bad_request("limit and offset must be whole numbers")
        limit = min(limit, _MAX_LIMIT)
        tasks = [task for task in _all(call.site) if task.listed]
        tasks.sort(key=self._place, reverse=self.order is ListOrder.NEWEST_FIRST)
        shown = tasks[offset : offset + limit]
        generations: list[JsonValue] = [call.site.document(task) for task in shown]
        more: JsonObject = {"has_more": offset + limit < len(tasks)} if self.has_more else {}
        counts: JsonObject = {"count": len(shown), "limit": limit, "offset": offset}
        body: JsonObject = more | counts | {"generations": generations}
        return call.site.dialect.answer(body).about(task.task_id for task in shown)

    def _place(self, task: LumaTask) -> tuple[str, str]:
        if self.order is ListOrder.SHUFFLED:
            return sha256(task.task_id.encode()).hexdigest(), ""
        return (task.created_at.isoformat() if task.created_at else ""), task.task_id


def _ping(call: Call) -> Reply:
    return call.site.dialect.answer({"message": "pong"})


def _credits(call: Call) -> Reply:
    return call.site.dialect.answer({"credit_balance": 5000.0})


def _find(site: Site, task_id: str) -> LumaTask | None:
    task = site.task(task_id)
    return task if isinstance(task, LumaTask) else None


def _all(site: Site) -> list[LumaTask]:
    return [task for task in site.tasks() if isinstance(task, LumaTask)]


def _asked_ids(body: bytes) -> set[str] | None:
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    ids = asked.get("ids") if isinstance(asked, dict) else None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        return None
    return set(ids)


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
