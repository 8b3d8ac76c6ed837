"""Asking for Udio tasks: by the id of a generation, or by the ids of its songs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from archiver.answers import (
    Bodies,
    Body,
    Fields,
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
    UsageError,
)
from archiver.model import JsonObject, JsonValue, Progress, Rendition, Task
from archiver.providers.udio.forms import (
    by_generation,
    ids_of,
    is_udio,
    may_be_task,
    read_task,
    songs_in,
    with_songs,
)

BATCH_SIZE = 20

_LISTS = ("items", "tasks")
_ID_NAMES = ("task_id", "id")


class UdioProvider:
    """Udio tasks of one source.

    A task is named by the id of its generation (`GET /udio/fetch/{id}`), or by the id of a song or
    of several with commas between (`GET /udio/query?ids=`), as the gateway gave it at submission.
    Links are not signed, and nobody says how long they live.

    Args:
        source: The source's name in the configuration.
        api: Its API.

    Attributes:
        batch_size: Becomes 1 as soon as the API shows that it has no query for several songs; tasks
            are then asked for one by one, and nothing else follows from it.
    """

    name = "udio"
    link_lifetime: timedelta | None = None

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        path = urlsplit(api.base_url).path.rstrip("/")
        below = "" if path.endswith("/udio") else "/udio"
        self._fetch_path = f"{below}/fetch"
        self._query_path = f"{below}/query"
        self._has_fetch = self._has_query = True
        self.batch_size = BATCH_SIZE

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        Gateways have one of the two routes, or both; an id that the one does not know may be the
        other's. What the first says is believed when the second does not have the task either.
        """
        first, second = self._ways(task_id)
        try:
            return first(task_id)
        except (SourceFaultError, TaskNotFoundError) as fault:
            if second is None:
                raise
            task = self._second_try(second, task_id, fault)
            if isinstance(fault, SourceFaultError):
                self._forget_route(first)
            return task

    def _ways(self, task_id: str) -> tuple[Callable[[str], Task], Callable[[str], Task] | None]:
        """Return how to ask for an id, the more likely way first."""
        if not self._has_fetch:
            return self._query, None
        if not self._has_query:
            return self._fetch, None
        return (self._query, self._fetch) if "," in task_id else (self._fetch, self._query)

    def _forget_route(self, way: Callable[[str], Task]) -> None:
        if way == self._fetch:
            self._has_fetch = False
        elif self._has_fetch:
            self._has_query, self.batch_size = False, 1

    def _second_try(
        self, ask: Callable[[str], Task], task_id: str, fault: SourceFaultError | TaskNotFoundError
    ) -> Task:
        try:
            return ask(task_id)
        except SourceFaultError:
            if isinstance(fault, TaskNotFoundError):
                self._forget_route(ask)
            raise fault from None
        except (KeyRefusedError, NoCreditError):
            raise
        except ProviderError as error:
            if isinstance(fault, TaskNotFoundError) or isinstance(error, TaskNotFoundError):
                raise fault from None
            raise

    def _fetch(self, task_id: str) -> Task:
        answer = self._api.request("GET", f"{self._fetch_path}/{path_segment(task_id)}")
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *_ID_NAMES)
        if not may_be_task(body):
            raise ProviderError("the answer is JSON, but no Udio task")
        return self._read(body, task_id)

    def _query(self, task_id: str) -> Task:
        if encodable(task_id) != task_id:
            raise ProviderError("the id is no text that can be sent; it was not asked")
        task = self._found(self._songs([task_id]), task_id)
        if task is None:
            raise ProviderError("the answer holds none of the songs asked for")
        return task

    def _songs(self, task_ids: Sequence[str]) -> Bodies:
        """Ask for songs by their ids. Source: providers.md section 5 (c)."""
        answer = self._api.request("GET", self._query_path, params={"ids": ",".join(task_ids)})
        raise_for_answer(answer)
        return bodies_of(answer.body, *_LISTS)

    def _found(self, answer: Bodies, task_id: str, *, is_alone: bool = True) -> Task | None:
        """Return the task with this id, or of the songs with these ids, in the order asked for.

        Args:
            is_alone: Nothing else was asked for: all songs of a generation are those of its task.
        """
        for body in answer.found:
            ids = ids_of(body) if is_alone else body.ids(*_ID_NAMES)
            if task_id in ids and may_be_task(body):
                return self._read(body, task_id)
        songs = [song for body in answer.found for song in songs_in(body)]
        by_id: dict[str | None, JsonObject] = {Fields(s).ident("id"): s for s in reversed(songs)}
        wanted = list(dict.fromkeys(filter(None, (i.strip() for i in task_id.split(",")))))
        found = [by_id[i] for i in wanted if i in by_id]
        if not found:
            return None
        whole = answer.found[0] if len(answer.found) == 1 and found == songs else None
        task = self._read(whole or with_songs(found), task_id)
        if len(found) == len(wanted) or task.progress is not Progress.FINISHED:
            return task
        words = f"the answer holds {len(found)} of {len(wanted)} songs; taken as still running"
        return replace(task, progress=Progress.RUNNING, assets=(), warnings=(*task.warnings, words))

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Ask for the songs of several tasks in one query: see `contracts.Provider.get_tasks`.

        It finds tasks that are named by their songs; others are then asked for one by one.
        """
        wanted = [i for i in dict.fromkeys(task_ids) if encodable(i) == i]
        if self.batch_size == 1 or not wanted:
            return {}
        try:
            answer = self._songs(wanted)
        except (KeyRefusedError, NoCreditError):
            raise
        except (ProviderError, PassingError):
            # No such query, or none that works: a convenience must cost no task anything.
            self.batch_size = 1
            return {}
        tasks = {task_id: self._found(answer, task_id, is_alone=False) for task_id in wanted}
        return {task_id: task for task_id, task in tasks.items() if task is not None}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link of Udio's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Refuse: Udio's gateways have no list of their own.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            'Udio has no list of tasks; use `list = "gateway"`, or name them in an inbox'
        )

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, batch or callback: see `contracts.Provider.read_body`."""
        page = bodies_of(body, *_LISTS)
        if task_id is not None:
            one = page.found[0] if len(page.found) == 1 and is_udio(page.found[0]) else None
            task = self._found(page, task_id) or (self._read(one, task_id) if one else None)
            if task is None:
                raise ProviderError("the body holds no Udio task with this id")
            return (task,)
        found = [part for whole in page.found for part in by_generation(whole)]
        tasks = [self._read(part, None) for part in found if is_udio(part)]
        if not tasks:
            raise ProviderError("the body holds no Udio task")
        left_out = page.unread + len(found) - len(tasks)
        if left_out:
            warning = f"other entries of the list that are no Udio tasks: {left_out}"
            tasks[0] = replace(tasks[0], warnings=(*tasks[0].warnings, warning))
        return tuple(tasks)

    def _read(self, body: Body, task_id: str | None) -> Task:
        return read_task(body, source=self._source, provider=self.name, task_id=task_id)
