"""Asking for Kling's tasks: one, and the vendor's lists, one for each action."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from archiver.answers import Bodies, Body, TaskForm, bodies_of, body_of, encodable, first_with
from archiver.contracts import Api
from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError
from archiver.model import JsonValue, Progress, Rendition, Task
from archiver.providers.kling import codes, keys
from archiver.providers.kling.codes import raise_for_kling
from archiver.providers.kling.forms import ID_NAMES, is_kling, may_be_task, read_task
from archiver.providers.kling.routes import ACTIONS, THREE, Action, places, split_id

PAGE_SIZE = 500
MAX_PAGES = 1000
REMEMBERED = 10_000
"""Of how many tasks it is remembered which action made them."""

_KEY = "kling action of "
_LISTS = ("result", "items", "tasks")
_RETENTION = timedelta(days=30)


class Memory(Protocol):
    """What outlives a run, for one source."""

    def recall(self, key: str) -> str | None:
        """Return what was remembered."""
        ...

    def memorise(self, key: str, value: str) -> None:
        """Remember it."""
        ...


class KlingProvider:
    """Kling's tasks of one source.

    An id may carry its action (`text2video/ID`, `images/generations/ID`, `tasks/ID` for the 3.0
    models). A bare id is looked for in each action, the one that was right last first, and where it
    was is remembered, for a task that still runs beyond this run as well; a gateway that knows ids
    whatever their action is asked once.

    Args:
        source: The source's name in the configuration.
        api: Its API.
        memory: Where actions are remembered for later runs.
    """

    name = "kling"
    batch_size = 1
    link_lifetime: timedelta | None = _RETENTION
    remembers = True

    authorize: ClassVar[Callable[..., Callable[[], Mapping[str, str]]]] = staticmethod(
        keys.authorize
    )
    classify = staticmethod(codes.classify)

    def __init__(self, source: str, api: Api, *, memory: Memory | None = None) -> None:
        self._source = source
        self._api = api
        self._memory = memory
        self._places = places(api.base_url)
        self._prefixes = self._places.prefixes
        self._is_proven = len(self._prefixes) == 1
        self._latest: Action | None = None
        self._actions: dict[str, Action] = {}

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`."""
        action, ident = split_id(task_id)
        action = action or self._actions.get(ident) or self._recalled(ident)
        if action is not None:
            return self._ask(action, ident, task_id)
        return self._search(ident, task_id)

    def _search(self, ident: str, task_id: str) -> Task:
        """Look for a bare id in every action."""
        missing: TaskNotFoundError | None = None
        fault: SourceFaultError | None = None
        other: ProviderError | None = None
        for action in self._in_order():
            try:
                task = self._ask(action, ident, task_id)
            except TaskNotFoundError as error:
                missing = error
            except SourceFaultError as error:
                # One action that a gateway lacks says nothing of the others; but where nothing
                # works, one failure is enough.
                if not (self._is_proven and (missing or other or self._latest)):
                    raise
                fault = error
            except ProviderError as error:
                if error.fatal:
                    raise
                other = error
            else:
                self._remember(ident, action, task.progress)
                return task
        if missing is not None and other is None:
            words = f"no action of Kling's has this task: {missing.message}"
            raise TaskNotFoundError(words, may_be_fresh=True)
        raise other or fault or ProviderError("no action was asked")

    def _in_order(self) -> list[Action]:
        actions = [*ACTIONS, THREE] if self._places.is_official else list(ACTIONS)
        latest = self._latest
        if latest in actions:
            actions.sort(key=lambda action: action != latest)
        return actions

    def _recalled(self, ident: str) -> Action | None:
        """Return the action that an earlier run found for an id."""
        words = self._memory.recall(_KEY + ident) if self._memory else None
        return split_id(f"{words}/{ident}")[0] if words else None

    def _remember(self, ident: str, action: Action, progress: Progress) -> None:
        self._latest = action
        if self._memory and progress is Progress.RUNNING:
            self._memory.memorise(_KEY + ident, action.words)
        if len(self._actions) >= REMEMBERED:
            self._actions = {}
        self._actions[ident] = action

    def _ask(self, action: Action, ident: str, task_id: str) -> Task:
        """Ask at the one path that is known to work, or at each that may.

        What another path than the first says of a task that it does not know is not believed.
        """
        first, *others = self._prefixes
        try:
            task = self._ask_at(first, action, ident, task_id)
        except TaskNotFoundError:
            self._settle(first)
            raise
        except SourceFaultError as fault:
            for prefix in others:
                try:
                    task = self._ask_at(prefix, action, ident, task_id)
                except (TaskNotFoundError, SourceFaultError):
                    continue
                self._settle(prefix)
                return task
            raise fault from None
        self._settle(first)
        return task

    def _settle(self, prefix: str) -> None:
        self._prefixes, self._is_proven = (prefix,), True

    def _ask_at(self, prefix: str, action: Action, ident: str, task_id: str) -> Task:
        if encodable(ident) != ident:
            raise ProviderError("the id is no text that can be sent; it was not asked")
        if action == THREE:
            answer = self._api.request("GET", self._places.tasks, params={"task_ids": ident})
        else:
            answer = self._api.request("GET", action.path(prefix, ident))
        raise_for_kling(answer)
        page = bodies_of(answer.body, *_LISTS)
        if page.listed and not page.found:
            raise ProviderError("the answer is an empty list of tasks", code="no_such_task")
        body = self._one_of(page, ident) or body_of(answer.body, ident, *ID_NAMES)
        if not may_be_task(body):
            raise ProviderError("the answer is JSON, but no Kling task")
        return self._read(body, task_id)

    @staticmethod
    def _one_of(page: Bodies, ident: str) -> Body | None:
        return (
            page.found[0] if len(page.found) == 1 else first_with(page.found, (ident,), *ID_NAMES)
        )

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Return nothing: Kling documents no request for several tasks."""
        return {}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link of Kling's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the account's tasks, action by action: see `contracts.Provider.list_tasks`.

        The order of a list is not documented: all its pages are read, and tasks older than `since`
        left out. Tasks of the 3.0 models are in a list whose pages nobody documents: they come by
        an inbox.

        Source: providers.md row 16, `GET /v1/{kind}/{action}?pageNum&pageSize`.

        Raises:
            SourceFaultError: None of the lists is there: a gateway.
        """
        fault: ProviderError | None = None
        works = False
        for action in ACTIONS:
            try:
                for task in self._pages(action):
                    works = True
                    self._actions.setdefault(task.ref.task_id, action)
                    if not _is_before(task, since):
                        yield task
                works = True
            except (SourceFaultError, TaskNotFoundError) as error:
                fault = error
                if not works:
                    break
            except ProviderError as error:
                if error.fatal or error.code != "no_access":
                    raise
        if fault is not None and not works:
            raise SourceFaultError(
                f"the API has no list of Kling's tasks: {fault.message}; "
                'use `list = "gateway"` or an inbox'
            ) from fault

    def _pages(self, action: Action) -> Iterator[Task]:
        seen: set[str] = set()
        for number in range(1, MAX_PAGES + 1):
            params = {"pageNum": str(number), "pageSize": str(PAGE_SIZE)}
            answer = self._api.request("GET", action.listing(self._prefixes[0]), params=params)
            raise_for_kling(answer)
            page = bodies_of(answer.body, *_LISTS)
            if page.found and not page.listed:
                raise ProviderError("the API's answer is no list of tasks")
            tasks = self._form.all(page)
            # While pages are read, new tasks push the known ones down: they come twice.
            fresh = {t.ref.task_id: t for t in tasks if t.ref.task_id not in seen}
            yield from fresh.values()
            if not fresh or len(page.found) + page.unread < PAGE_SIZE:
                return
            seen.update(fresh)
        raise ProviderError(f"the API's list of tasks did not end after {MAX_PAGES:,} pages")

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, list or callback: see `contracts.Provider.read_body`."""
        called = None if task_id is None else split_id(task_id)[1]
        return self._form.tasks(bodies_of(body, *_LISTS), task_id, called=called)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="Kling task",
            is_task=is_kling,
            ids=lambda body: body.ids(*ID_NAMES),
            read=self._read,
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _is_before(task: Task, since: datetime | None) -> bool:
    return since is not None and task.created_at is not None and task.created_at < since
