"""Asking for Luma tasks: one, several, the list, and the link without watermark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
    rendition_of,
    unwrap,
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
from archiver.providers.luma.forms import ID_NAMES, is_luma, may_be_task, read_task, unlike

BATCH_SIZE = 50
PAGE_SIZE = 100
MAX_PAGES = 5000

_OFFICIAL = "/dream-machine/v1/generations"
_OWN_FORMAT = "/luma/generations"
_AGENTS = "/v1/generations"
_LISTS = ("generations", "items", "tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Routes:
    """What stands where below a base URL: paths before the id, best first."""

    tasks: tuple[str, ...]
    listing: str | None
    is_gateway: bool = False


def _routes(base_url: str) -> _Routes:
    parts = urlsplit(base_url)
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    if host.startswith("agents.") and host.endswith(".lumalabs.ai"):
        return _Routes(tasks=(_agents(path),), listing=None)
    if path.endswith("/dream-machine/v1"):  # the server's URL in Luma's own OpenAPI
        return _Routes(tasks=("/generations",), listing="/generations")
    if host.endswith(".lumalabs.ai"):
        return _Routes(tasks=(_OFFICIAL,), listing=_OFFICIAL)
    tasks = (_OFFICIAL, _OWN_FORMAT, _agents(path))
    return _Routes(tasks=tasks, listing=_OFFICIAL, is_gateway=True)


def _agents(path: str) -> str:
    """Return where the Agents API's tasks are, also when a proxy of one's own is in front of it."""
    return _AGENTS.removeprefix("/v1") if path.endswith("/v1") else _AGENTS


class LumaProvider:
    """Luma tasks of one source.

    Args:
        source: The source's name in the configuration.
        api: Its API.

    Attributes:
        batch_size: Becomes 1 as soon as the gateway shows that it has no batch route; tasks are
            then asked for one by one, and nothing else follows from it.
    """

    name = "luma"
    link_lifetime: timedelta | None = timedelta(hours=1)

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        self._routes = _routes(api.base_url)
        # The route that is known to work; the only one where there is no choice.
        self._route = None if len(self._routes.tasks) > 1 else self._routes.tasks[0]
        self.batch_size = BATCH_SIZE if self._routes.is_gateway else 1

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        A gateway that does not know the official route is asked once on the others. What those say
        of a task which they do not know is believed only after they have given one.
        """
        if self._route is not None:
            return self._ask(self._route, task_id)
        official, *others = self._routes.tasks
        try:
            task = self._ask(official, task_id)
            self._route = official
            return task
        except SourceFaultError as fault:
            is_unknown_everywhere = True
            for route in others:
                try:
                    task = self._ask(route, task_id)
                except TaskNotFoundError:
                    is_unknown_everywhere = False
                except SourceFaultError:
                    continue
                else:
                    self._route = route
                    return task
            if is_unknown_everywhere:
                self._route = official
            raise fault from None

    def _ask(self, route: str, task_id: str) -> Task:
        answer = self._api.request("GET", f"{route}/{path_segment(task_id)}")
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *ID_NAMES)
        if not may_be_task(body):
            raise ProviderError(unlike(body))
        return self._read(body, task_id)

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Ask for several tasks with `POST /luma/tasks`: see `contracts.Provider.get_tasks`.

        Source: the gateways' own format; they answer with rows in an envelope or a bare array.
        """
        wanted: dict[str, JsonValue] = {i: i for i in task_ids if encodable(i) == i}
        if self.batch_size == 1 or not wanted:
            return {}
        try:
            answer = self._api.request("POST", "/luma/tasks", json={"ids": list(wanted.values())})
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
        """Ask for the link without watermark: see `contracts.Provider.resolve`.

        Source: the gateways' "Get video of no mark": HTTP 400 before completion, and later when
        the account that made the video is no longer at hand.
        """
        if rendition.url is not None or rendition.content is not None:
            return rendition
        path = f"{_OWN_FORMAT}/{path_segment(task.ref.task_id)}/download_video_url"
        try:
            answer = self._api.request("GET", path)
            raise_for_answer(answer)
            inner = unwrap(answer.body).value
        except (KeyRefusedError, NoCreditError) as error:
            # Some keys may ask for tasks, and not for this.
            if not (isinstance(error, KeyRefusedError) and error.forbidden):
                raise
            raise DeadLinkError(
                f"the API gives no link without watermark: {error.message}", code="unavailable"
            ) from error
        except ProviderError as error:
            raise DeadLinkError(
                f"the API gives no link without watermark: {error.message}", code="unavailable"
            ) from error
        holder = Fields({"url": inner} if isinstance(inner, str) else inner)
        url = holder.url("url", "download_url", "video_url")
        if url is None:
            raise DeadLinkError(
                "the API's answer holds no link without watermark", code="unavailable"
            )
        found = rendition_of(rendition.name, url)
        return replace(
            rendition, url=url, watermarked=found.watermarked, expires_at=found.expires_at
        )

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the account's tasks: see `contracts.Provider.list_tasks`.

        The order is not documented: all pages are read, and tasks older than `since` left out.

        Source: Luma's OpenAPI 1.1.0, `GET /generations?limit&offset`; only `generations` is
        required in the answer.
        """
        if self._routes.listing is None:
            raise UsageError("Luma's Agents API has no list of tasks; name them in an inbox")
        return self._pages(self._routes.listing, since)

    def _pages(self, path: str, since: datetime | None) -> Iterator[Task]:
        seen: set[str] = set()
        offset = 0
        for _ in range(MAX_PAGES):
            params = {"limit": str(PAGE_SIZE), "offset": str(offset)}
            answer = self._api.request("GET", path, params=params)
            try:
                raise_for_answer(answer)
            except TaskNotFoundError as error:
                raise SourceFaultError(f"the API has no list of tasks: {error.message}") from error
            page = bodies_of(answer.body, *_LISTS)
            if page.found and not page.listed:
                raise ProviderError("the API's answer is no list of tasks")
            # While pages are read, new tasks push the known ones down: they come twice.
            tasks = self._form.all(page)
            fresh = {t.ref.task_id: t for t in tasks if t.ref.task_id not in seen}
            yield from (t for t in fresh.values() if not _is_before(t, since))
            if not fresh or Fields(page.around).flag("has_more") is False:
                return
            seen.update(fresh)
            offset += len(page.found) + page.unread
        raise ProviderError(f"the API's list of tasks did not end after {MAX_PAGES:,} pages")

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, list, batch or callback: see `contracts.Provider.read_body`."""
        return self._form.tasks(bodies_of(body, *_LISTS), task_id)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="Luma task", is_task=is_luma, ids=lambda body: body.ids(*ID_NAMES), read=self._read
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return read_task(
            body,
            source=self._source,
            provider=self.name,
            task_id=task_id,
            has_no_mark=self._routes.is_gateway,
        )


def _is_before(task: Task, since: datetime | None) -> bool:
    return since is not None and task.created_at is not None and task.created_at < since
