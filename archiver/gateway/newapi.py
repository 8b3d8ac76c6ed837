"""What a new-api gateway adds to every provider: the envelope, its own records, its task list.

Source: new-api, dto/task.go (`TaskDto`), controller/task.go (`GetUserTask`), model/task.go.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.routing import Call, Route, Site
from archiver.gateway.tasks import GatewayStatus, GatewayTask
from archiver.model import JsonObject, JsonValue

_PAGE_SIZE = 10
_MAX_PAGE_SIZE = 100


def envelope(data: JsonValue) -> JsonObject:
    """Wrap an answer once."""
    return {"code": "success", "message": "", "data": data}


def task_row(site: Site, task: GatewayTask, data: JsonValue) -> JsonObject:
    """Return the gateway's own record of a task, with the provider's answer as its `data`."""
    now = site.now()
    status = task.status(now)
    done = status in (GatewayStatus.SUCCESS, GatewayStatus.FAILURE)
    submitted = epoch_s(task.created_at)
    reason = task.failure(now) if task.fail_reason is None else task.fail_reason
    return {
        "id": 13_916 + site.number(task.task_id),
        "created_at": submitted,
        "updated_at": submitted + 90 if done and submitted else submitted,
        "task_id": task.task_id,
        "platform": task.platform,
        "user_id": 1,
        "quota": 500_000,
        "action": task.action,
        "status": status.value,
        "fail_reason": reason,
        "result_url": reason,
        "submit_time": submitted,
        "start_time": submitted,
        "finish_time": submitted + 90 if done and submitted else 0,
        "progress": "100%" if done else "30%",
        "properties": {"input": "", "origin_model_name": task.platform},
        "data": data,
    }


def wrapped(site: Site, task: GatewayTask) -> JsonValue:
    """Return a task's answer in as many envelopes as it is to have."""
    body = site.document(task)
    if task.row:
        body = task_row(site, task, body)
    for _ in range(task.envelopes):
        body = envelope(body)
    return body


def epoch_s(date: datetime | None) -> int:
    """Return seconds since 1970, or the gateway's "not yet"."""
    return 0 if date is None else int(date.timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskListService:
    """`GET /api/task/self`: all that a user bought through the gateway, whatever the provider.

    Attributes:
        user_token: Its own credential; the API key is none here.
        user_id: Must come in the header `New-Api-User`.
        refusal_status: Of the answer to a wrong credential: 200 in the documentation, 401 in
            newer versions.
    """

    user_token: str = field(repr=False)
    user_id: str
    refusal_status: int = 200

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return (Route(method="GET", path="/api/task/self", answer=self._list, open=True),)

    def _list(self, call: Call) -> Reply:
        if not self._admitted(call.request.headers):
            text = "无权进行此操作，access token 无效"  # noqa: RUF001 - as the gateway writes it
            return json_reply(self.refusal_status, {"success": False, "message": text})
        params = call.request.params
        page = max(1, _number(params.get("p")))
        size = min(_number(params.get("page_size")) or _PAGE_SIZE, _MAX_PAGE_SIZE)
        newest_first = reversed(call.site.tasks())
        found = [task for task in newest_first if _fits(call.site, task, params)]
        shown = found[(page - 1) * size : page * size]
        items: list[JsonValue] = [
            task_row(call.site, task, call.site.document(task)) for task in shown
        ]
        data: JsonObject = {
            "page": page,
            "page_size": size,
            "total": len(found),
            "items": items,
        }
        reply = json_reply(200, {"success": True, "message": "", "data": data})
        return reply.about(task.task_id for task in shown)

    def _admitted(self, headers: Mapping[str, str]) -> bool:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        user = headers.get("new-api-user", "").removeprefix("Bearer ")
        right = hmac.compare_digest(token.encode(), self.user_token.encode())
        return right and user == self.user_id


def _fits(site: Site, task: GatewayTask, params: Mapping[str, str]) -> bool:
    """Tell whether a task is within the query's filters; an empty one lets all pass."""
    submitted = epoch_s(task.created_at)
    since, until = _number(params.get("start_timestamp")), _number(params.get("end_timestamp"))
    wanted = {
        "platform": task.platform,
        "task_id": task.task_id,
        "action": task.action,
        "status": task.status(site.now()).value,
    }
    return (
        all(params.get(name, "") in ("", value) for name, value in wanted.items())
        and submitted >= since
        and (not until or submitted <= until)
    )


def _number(text: str | None) -> int:
    """Return a number from a query; what is none counts as 0, as in the gateway."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else 0
