"""Asking MiniMax for tasks, and for the links of their files.

Source: providers.md section 12, rows 19 and 20.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from archiver.answers import (
    Body,
    Fields,
    TaskForm,
    bodies_of,
    body_of,
    encodable,
    raise_for_answer,
    rendition_of,
)
from archiver.contracts import Api
from archiver.errors import (
    DeadLinkError,
    KeyRefusedError,
    NoCreditError,
    PassingError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
    UsageError,
)
from archiver.model import JsonValue, Rendition, Task
from archiver.providers.minimax.forms import (
    BY_FILE,
    ID_NAMES,
    LINKS,
    file_id_of,
    is_minimax,
    may_be_task,
    raise_for_code,
    read_task,
)

LINK_LIFETIME = timedelta(hours=9)

_TASK, _FILE = "/query/video_generation", "/files/retrieve"
_LISTS = ("items", "tasks")


class MinimaxProvider:
    """Video tasks of one source: the vendor's, or a gateway's.

    The link of a file lives nine hours from when it is asked for, so it is asked for only when the
    file is fetched. A gateway that gives links in its own record may give dead ones: after those,
    the file is asked for as well.

    Args:
        source: The source's name in the configuration.
        api: Its API.
    """

    name = "minimax"
    batch_size = 1
    link_lifetime: timedelta | None = LINK_LIFETIME

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        self._routes = _routes(api.base_url)

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        What a gateway's second path says of a task that it does not know is not believed.
        """
        if encodable(task_id) != task_id:
            raise ProviderError("the id is no text that can be sent; it was not asked")
        first, *others = self._routes
        try:
            task = self._ask(first, task_id)
        except SourceFaultError as fault:
            for route in others:
                try:
                    task = self._ask(route, task_id)
                except (TaskNotFoundError, SourceFaultError):
                    continue
                self._routes = (route,)
                return task
            raise fault from None
        self._routes = (first,)
        return task

    def _ask(self, route: str, task_id: str) -> Task:
        answer = self._api.request("GET", f"{route}{_TASK}", params={"task_id": task_id})
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *ID_NAMES)
        raise_for_code(answer, body)
        if not may_be_task(body):
            raise ProviderError("the answer is JSON, but no task of MiniMax's")
        return self._read(body, task_id)

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Return nothing: MiniMax has no request for several tasks."""
        return {}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Ask for the link of a task's file: see `contracts.Provider.resolve`.

        Raises:
            DeadLinkError: There is no such file, or no such link of it.
            PassingError: The answer is of no use; the next one may be.
        """
        if rendition.url is not None or rendition.content is not None:
            return rendition
        file_id = file_id_of(task.raw)
        if file_id is None:
            raise DeadLinkError("the answer names no file to ask for", code="unavailable")
        try:
            url = self._link(file_id, rendition.name)
        except (KeyRefusedError, NoCreditError):
            raise
        except TaskNotFoundError as error:
            raise DeadLinkError(f"the API no longer has the file: {error.message}") from error
        except ProviderError as error:
            if rendition.name == BY_FILE:  # a gateway that gave links need not have this route
                raise DeadLinkError(
                    f"the API gives no other link: {error.message}", code="unavailable"
                ) from error
            raise PassingError(
                f"its link could not be had: {error.message}", code=error.code
            ) from error
        found = rendition_of(rendition.name, url)
        return replace(
            rendition, url=url, watermarked=found.watermarked, expires_at=found.expires_at
        )

    def _link(self, file_id: str, name: str) -> str:
        route = f"{self._routes[0]}{_FILE}"
        answer = self._api.request("GET", route, params={"file_id": file_id})
        raise_for_answer(answer)
        body = body_of(answer.body, file_id)
        raise_for_code(answer, body)
        holder = Fields(body.object.get("file"))
        url = holder.url(*(LINKS if name == BY_FILE else (name,)))
        if url is None:
            raise DeadLinkError(f"the API's answer about the file has no `{name}`")
        return url

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Refuse: MiniMax lists no videos.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            'MiniMax has no list of videos; use an inbox or, at a gateway, `list = "gateway"`'
        )

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, list or callback: see `contracts.Provider.read_body`."""
        return self._form.tasks(bodies_of(body, *_LISTS), task_id)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="MiniMax task",
            is_task=is_minimax,
            ids=lambda body: body.ids(*ID_NAMES),
            read=self._read,
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _routes(base_url: str) -> tuple[str, ...]:
    parts = urlsplit(base_url)
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    if path.endswith("/v1"):
        return ("",)
    if "minimax" in host or path.endswith("/minimax"):
        return ("/v1",)
    return ("/v1", "/minimax/v1")
