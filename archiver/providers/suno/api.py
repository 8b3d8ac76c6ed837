"""Asking for Suno tasks: one, several, and the library of a wrapper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from archiver.answers import (
    Body,
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
from archiver.model import JsonValue, Rendition, Task
from archiver.providers.suno.forms import ID_NAMES, ids_of, is_suno, may_be_task, read_task

BATCH_SIZE = 50
MAX_PAGES = 5000

_LISTS = ("items", "tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """Where one task is asked for: a path with the id in it, or a parameter that holds it."""

    before: str
    after: str = ""
    parameter: str = ""


class SunoProvider:
    """Suno tasks of one source: a gateway's, or clips of a wrapper around one's own account.

    Links of songs are not signed, and nobody says how long they live. A link that gives a stream,
    or stands for "no file", is never fetched. Lyrics are kept as texts.

    Args:
        source: The source's name in the configuration.
        api: Its API.

    Attributes:
        batch_size: Becomes 1 as soon as the API shows that it has no batch route; tasks are then
            asked for one by one, and nothing else follows from it.
    """

    name = "suno"
    link_lifetime: timedelta | None = None

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        path = urlsplit(api.base_url).path.rstrip("/")
        below = "" if path.endswith("/suno") else "/suno"
        self._batch = f"{below}/fetch"
        # Source: providers.md rows 6 and 7; `clips[]` comes from the second of these.
        self._routes: tuple[_Route, ...] = (
            _Route(before=f"{below}/fetch/"),
            _Route(before=f"{below}/task/", after="/fetch"),
            _Route(before="/api/get", parameter="ids"),
        )
        self._known: _Route | None = None
        self.batch_size = BATCH_SIZE

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        An API that does not know a gateway's first route is asked on the others. What those say of
        a task which they do not know is believed only after they have given one.
        """
        if self._known is not None:
            return self._ask(self._known, task_id)
        first, *others = self._routes
        try:
            task = self._ask(first, task_id)
            self._known = first
            return task
        except SourceFaultError as fault:
            for route in others:
                try:
                    task = self._ask(route, task_id)
                except (SourceFaultError, TaskNotFoundError):
                    continue
                self._known = route
                return task
            raise fault from None

    def _ask(self, route: _Route, task_id: str) -> Task:
        if route.parameter:
            if encodable(task_id) != task_id:
                raise ProviderError("the id is no text that can be sent; it was not asked")
            answer = self._api.request("GET", route.before, params={route.parameter: task_id})
        else:
            path = f"{route.before}{path_segment(task_id)}{route.after}"
            answer = self._api.request("GET", path)
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *ID_NAMES)
        if not may_be_task(body):
            raise ProviderError("the answer is JSON, but no Suno task")
        return self._read(body, task_id)

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Ask for several tasks with `POST /suno/fetch`: see `contracts.Provider.get_tasks`.

        Source: providers.md section 4; it answers with rows, and leaves out those that it does not
        know, among them perhaps tasks of another action: those are then asked for one by one.
        """
        wanted: dict[str, JsonValue] = {i: i for i in task_ids if encodable(i) == i}
        if self.batch_size == 1 or not wanted:
            return {}
        body: JsonValue = {"ids": list(wanted.values()), "action": "MUSIC"}
        try:
            answer = self._api.request("POST", self._batch, json=body)
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
        """Return the rendition: every link of Suno's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the clips of a wrapper's library: see `contracts.Provider.list_tasks`.

        Whether pages begin with 0 or 1, and their order, nobody says: the first is asked for
        without a number, all are read, and clips older than `since` are left out.

        Source: gcui-art/suno-api, `GET /api/get?page=` without ids.

        Raises:
            SourceFaultError: A gateway; it has no list of its own.
        """
        seen: set[str] = set()
        stale = 0
        for page in range(MAX_PAGES):
            params = {"page": str(page)} if page else {}
            answer = self._api.request("GET", "/api/get", params=params)
            try:
                raise_for_answer(answer)
            except (SourceFaultError, TaskNotFoundError) as error:
                raise SourceFaultError(
                    f"the API has no list of Suno tasks: {error.message}; "
                    'use `list = "gateway"` or an inbox'
                ) from error
            found = bodies_of(answer.body, *_LISTS)
            if found.found and not found.listed:
                raise ProviderError("the API's answer is no list of tasks")
            tasks = self._form.all(found)
            fresh = {t.ref.task_id: t for t in tasks if t.ref.task_id not in seen}
            yield from (t for t in fresh.values() if not _is_before(t, since))
            seen.update(fresh)
            # Page 1 may be the page without a number again; two that say nothing new are the end.
            stale = 0 if fresh else stale + 1
            if not found.found or stale == 2:
                return
        raise ProviderError(f"the API's list of tasks did not end after {MAX_PAGES:,} pages")

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, list, batch or callback: see `contracts.Provider.read_body`."""
        return self._form.tasks(bodies_of(body, *_LISTS), task_id)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(noun="Suno task", is_task=is_suno, ids=ids_of, read=self._read)

    def _read(self, body: Body, task_id: str | None) -> Task:
        return read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _is_before(task: Task, since: datetime | None) -> bool:
    return since is not None and task.created_at is not None and task.created_at < since
