"""Asking for Midjourney tasks: one, several, the list of a proxy of one's own, and seeds."""

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
    path_segment,
    raise_for_answer,
)
from archiver.contracts import Api
from archiver.errors import (
    KeyRefusedError,
    NoCreditError,
    PassingError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
)
from archiver.model import Answer, JsonValue, Rendition, Role, Task
from archiver.providers.midjourney.forms import ID_NAMES, is_midjourney, may_be_task, read_task

BATCH_SIZE = 50
SLOW_SEED = timedelta(seconds=5)
"""A seed that takes longer costs more than it is worth: no other one is asked for."""

_LISTS = ("items", "tasks")
_DISCORD_LIFETIME = timedelta(hours=24)


class MidjourneyProvider:
    """Midjourney tasks of one source.

    Speed modes are part of the base URL (`https://api.example.com/mj-fast`). A proxy of one's own
    may want its key in a header: `headers = {"mj-api-secret" = "env:NAME"}`, and no `api_key_env`.

    The seed is taken from the answer. Where a finished picture's answer has none, it is asked for
    once, after the task; the first answer that is slow, or of no use, ends that for this run, since
    some proxies must ask Discord first.

    Args:
        source: The source's name in the configuration.
        api: Its API.

    Attributes:
        batch_size: Becomes 1 as soon as the API shows that it has no batch route; tasks are then
            asked for one by one, and nothing else follows from it.
    """

    name = "midjourney"
    link_lifetime: timedelta | None = _DISCORD_LIFETIME

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        path = urlsplit(api.base_url).path.rstrip("/")
        self._tasks = "/task" if path.endswith("/mj") else "/mj/task"
        self._asks_seeds = True
        self.batch_size = BATCH_SIZE

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        Raises:
            SourceFaultError: Also, with the code `no_answer`, for an answer without any body: what
                proxies give for an id that they do not know, but nobody says so.
        """
        answer = self._api.request("GET", f"{self._tasks}/{path_segment(task_id)}/fetch")
        if _is_empty(answer):
            raise SourceFaultError(
                f"HTTP {answer.status} with an empty body: the API may not know this task; it is "
                "asked for again",
                code="no_answer",
            )
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *ID_NAMES)
        if not may_be_task(body):
            raise ProviderError("the answer is JSON, but no Midjourney task")
        return self._with_seed(self._read(body, task_id))

    def _with_seed(self, task: Task) -> Task:
        """Return a task with its seed, if that is to be had without waiting."""
        is_picture = task.asset(Role.IMAGE, 0) is not None
        if task.seed is not None or not self._asks_seeds or not is_picture:
            return task
        asked_at = self._api.now()
        path = f"{self._tasks}/{path_segment(task.ref.task_id)}/image-seed"
        try:
            answer = self._api.request("GET", path)
            raise_for_answer(answer)
        except TaskNotFoundError:
            return task
        except (ProviderError, PassingError):
            # A key that may not ask for seeds is no refused key, either.
            self._asks_seeds = False
            return task
        if self._api.now() - asked_at > SLOW_SEED:
            self._asks_seeds = False
        fields = Fields(answer.body if isinstance(answer.body, dict) else None)
        seed = fields.integer("result") if fields.integer("code") == 1 else None
        return replace(task, seed=seed)

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Ask for several tasks by their ids: see `contracts.Provider.get_tasks`.

        Source: providers.md section 6, `POST /mj/task/list-by-condition`: a bare array in any
        order, without the tasks that it does not know.
        """
        wanted: dict[str, JsonValue] = {i: i for i in task_ids if encodable(i) == i}
        if self.batch_size == 1 or not wanted:
            return {}
        path = f"{self._tasks}/list-by-condition"
        try:
            answer = self._api.request("POST", path, json={"ids": list(wanted.values())})
            if _is_empty(answer):
                return {}
            raise_for_answer(answer)
            bodies = bodies_of(answer.body, *_LISTS)
        except (KeyRefusedError, NoCreditError):
            raise
        except (ProviderError, PassingError):
            # No batch, or none that works: a convenience must cost no task anything.
            self.batch_size = 1
            return {}
        return self._form.asked(bodies, wanted, may_be=may_be_task)

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link of Midjourney's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the tasks of a proxy of one's own: see `contracts.Provider.list_tasks`.

        There are no pages: one kind of proxy gives all tasks, another the newest hundred.

        Source: providers.md row 11, `GET /mj/task/list`.

        Raises:
            SourceFaultError: A gateway; it has no list of its own.
        """
        answer = self._api.request("GET", f"{self._tasks}/list")
        if _is_empty(answer):
            return
        try:
            raise_for_answer(answer)
        except (SourceFaultError, TaskNotFoundError) as error:
            raise SourceFaultError(
                f"the API has no list of Midjourney tasks: {error.message}; "
                'use `list = "gateway"` or an inbox'
            ) from error
        page = bodies_of(answer.body, *_LISTS)
        if page.found and not page.listed:
            raise ProviderError("the API's answer is no list of tasks")
        yield from (t for t in self._form.all(page) if not _is_before(t, since))

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, list, batch or callback: see `contracts.Provider.read_body`."""
        return self._form.tasks(bodies_of(body, *_LISTS), task_id)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="Midjourney task",
            is_task=is_midjourney,
            ids=lambda body: body.ids(*ID_NAMES),
            read=self._read,
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _is_empty(answer: Answer) -> bool:
    return answer.body is None and answer.status in (200, 204) and not answer.text.strip()


def _is_before(task: Task, since: datetime | None) -> bool:
    return since is not None and task.created_at is not None and task.created_at < since
