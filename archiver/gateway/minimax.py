"""MiniMax's tasks and endpoints: a task that names a file, and the file that has the links.

Source: providers.md section 12, rows 19 and 20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from archiver.gateway.asking import every, find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import epoch_s, wrapped
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

_OK: JsonObject = {"status_code": 0, "status_msg": "success"}
_STATES = {"Success": GatewayStatus.SUCCESS, "Fail": GatewayStatus.FAILURE}


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimaxTask(GatewayTask):
    """One video.

    Attributes:
        state: `Preparing`, `Queueing`, `Processing`, `Success` or `Fail`.
        code, words: Of its failure.
        width, height: As declared; 0: not yet.
        merged: Whether the answer has the file as well, as a gateway's record does.
    """

    platform: ClassVar[str] = "minimax"
    action: ClassVar[str] = "generate"

    state: str = "Success"
    code: int = 0
    words: str = ""
    file_id: str = ""
    width: int = 0
    height: int = 0
    download: Link | None = None
    backup: Link | None = None
    merged: bool = False

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        return _STATES.get(self.state, GatewayStatus.IN_PROGRESS)

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        return self.words if self.state == "Fail" else ""

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the task; its file is asked for by another request."""
        if self.body is not None:
            return self.body(links)
        done = self.state == "Success"
        answer: JsonObject = {
            "task_id": self.task_id,
            "status": self.state,
            "file_id": self.file_id if done else "",
            "video_width": self.width if done else 0,
            "video_height": self.height if done else 0,
            "base_resp": {"status_code": self.code, "status_msg": self.words or "success"},
        }
        return answer | {"file": self.file(links.url)} if done and self.merged else answer

    def file(self, write: Callable[[Link], str]) -> JsonObject:
        """Return the file as its own endpoint reports it: without its size, always."""
        return {
            "file_id": int(self.file_id),
            "bytes": 0,
            "created_at": epoch_s(self.created_at),
            "filename": "output.mp4",
            "purpose": "video_generation",
            "download_url": "" if self.download is None else write(self.download),
            "backup_download_url": "" if self.backup is None else write(self.backup),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimaxService:
    """Both endpoints.

    Attributes:
        prefix: What a gateway has before the vendor's own paths.
    """

    prefix: str = ""

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        query = Route(method="GET", path=f"{self.prefix}/v1/query/video_generation", answer=_query)
        file = Route(method="GET", path=f"{self.prefix}/v1/files/retrieve", answer=_file)
        return (query, file)


def _query(call: Call) -> Reply:
    task_id = call.request.params.get("task_id", "")
    task = find(call.site, task_id, MinimaxTask)
    if task is None:
        return call.site.dialect.unknown_task().about((task_id,))
    return json_reply(200, wrapped(call.site, task)).about((task_id,))


def _file(call: Call) -> Reply:
    """Answer the file with this id; an error comes with status 200 as well."""
    file_id = call.request.params.get("file_id", "")
    for task in every(call.site, MinimaxTask):
        if task.file_id == file_id and task.state == "Success":
            file = task.file(partial(call.site.url, task))
            return json_reply(200, {"file": file, "base_resp": _OK}).about((task.task_id,))
    error: JsonObject = {"status_code": 2013, "status_msg": "invalid params, file not found"}
    return json_reply(200, {"file": {}, "base_resp": error})
