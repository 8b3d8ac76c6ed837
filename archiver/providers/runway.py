"""Runway: videos and pictures, from the vendor, through a gateway, or by the reverse feed.

Source: providers.md section 9 and rows 14 and 15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from archiver.answers import (
    Body,
    Fields,
    Notes,
    TaskForm,
    bodies_of,
    body_of,
    encodable,
    identity_of,
    merge_equal_urls,
    numbered,
    path_segment,
    plain,
    raise_for_answer,
    rendition_of,
    result_in,
    role_of,
    settled,
)
from archiver.contracts import Api
from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError, UsageError
from archiver.model import Answer, Asset, JsonValue, Progress, Rendition, Role, Task, TaskRef

VERSION_HEADERS = {"X-Runway-Version": "2024-11-06"}
"""The vendor wants its version named in every request."""

_ID_NAMES = ("task_id", "id")
_LISTS = ("items", "tasks")
_LIFETIME = timedelta(hours=24)
_STATES = frozenset({"PENDING", "THROTTLED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """Where one task is asked for: a path before its id, or a feed that the id is sent to.

    Attributes:
        is_spare: Only for where no other route knows of tasks at all.
    """

    path: str
    is_feed: bool = False
    is_spare: bool = False


class RunwayProvider:
    """Runway's tasks of one source.

    A gateway may have a path of its own for the vendor's form, the reverse feed, or both: each is
    asked for a task that the other does not know, the one that was right last first. Where neither
    is there, the vendor's own path is tried: a proxy in front of it.

    Args:
        source: The source's name in the configuration.
        api: Its API.
    """

    name = "runway"
    batch_size = 1
    link_lifetime: timedelta | None = _LIFETIME

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        self._routes = _routes(api.base_url)
        self._works: frozenset[_Route] = frozenset(self._routes[:1])

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        What the others say of a task that they do not know is believed only after they have given
        one.
        """
        fault: SourceFaultError | None = None
        missing: TaskNotFoundError | None = None
        for route in self._routes:
            if route.is_spare and missing is not None:
                continue
            try:
                task = self._ask(route, task_id)
            except SourceFaultError as error:
                fault = fault or error
            except TaskNotFoundError as error:
                if route in self._works:
                    missing = error
            else:
                self._works |= {route}
                self._routes = tuple(sorted(self._routes, key=lambda one: one != route))
                return task
        raise missing or fault or ProviderError("no route was asked")

    def _ask(self, route: _Route, task_id: str) -> Task:
        answer = self._send(route, task_id)
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *_ID_NAMES)
        if not _may_be_task(body):
            raise ProviderError("the answer is JSON, but no Runway task")
        return self._read(body, task_id)

    def _send(self, route: _Route, task_id: str) -> Answer:
        if not route.is_feed:
            path = f"{route.path}/{path_segment(task_id)}"
            return self._api.request("GET", path, headers=VERSION_HEADERS)
        if encodable(task_id) != task_id:
            raise ProviderError("the id is no text that can be sent; it was not asked")
        return self._api.request("POST", route.path, json={"task_id": task_id})

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Return nothing: there is no request for several tasks."""
        return {}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link of Runway's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Refuse: see `contracts.Provider.list_tasks`."""
        raise UsageError("Runway has no list of tasks; name them in an inbox")

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer: see `contracts.Provider.read_body`."""
        return self._form.tasks(bodies_of(body, *_LISTS), task_id)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="Runway task",
            is_task=_is_runway,
            ids=lambda body: body.ids(*_ID_NAMES),
            read=self._read,
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return _read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _routes(base_url: str) -> tuple[_Route, ...]:
    parts = urlsplit(base_url)
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    if path.endswith("/v1"):
        return (_Route(path="/tasks"),)
    if host == "runwayml.com" or host.endswith(".runwayml.com") or path.endswith("/runwayml"):
        return (_Route(path="/v1/tasks"),)
    if path.endswith("/runway"):
        return (_Route(path="/feed", is_feed=True),)
    gateways = (_Route(path="/runwayml/v1/tasks"), _Route(path="/runway/feed", is_feed=True))
    return (*gateways, _Route(path="/v1/tasks", is_spare=True))


# --- reading --------------------------------------------------------------------------------------


def _may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one; a state alone is none."""
    value = body.object
    if isinstance(value.get("task"), dict):
        return _may_be_task_of(Fields(value["task"]))
    has_state = Fields(value).has("status", "state") or bool(body.envelope.status)
    return has_state and bool(body.ids(*_ID_NAMES))


def _may_be_task_of(inner: Fields) -> bool:
    return inner.has("status") and inner.has("id", "task_id", "artifacts")


def _is_runway(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Runway's, and no other provider's."""
    said = (body.envelope.platform, body.envelope.action)
    if any((word or "").lower().startswith("runway") for word in said):
        return True
    value = body.object
    if isinstance(value.get("task"), dict):
        return Fields(value["task"]).has("artifacts")
    status = value.get("status")
    if isinstance(status, str) and status in _STATES and "id" in value and "createdAt" in value:
        return True
    return "task_id" in value and "video_url" in value and "create_time" in value


def _read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    form = _Form(body)
    outputs = form.outputs()
    progress = settled(
        form.fields.value("status", "state"),
        body.envelope,
        has_output=bool(outputs),
        notes=form.notes,
    )
    if progress is Progress.FINISHED:
        outputs = outputs or result_in(body.envelope, default=Role.VIDEO)
    own = form.fields.ident(*_ID_NAMES)
    ids = tuple(dict.fromkeys(i for i in (*body.ids(*_ID_NAMES), own) if i))
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.fields.text("prompt", "prompt_en"),
        model=form.fields.text("model") or body.envelope.model,
        seed=form.fields.integer("seed"),
        created_at=form.fields.moment("createdAt", "create_time", "created_at")
        or body.envelope.submitted_at
        or body.envelope.created_at,
        failure=form.failure() if progress is Progress.FAILED else None,
        # What a task shows while it runs is a preview of the outputs to come.
        assets=(*outputs, *form.previews()) if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=form.notes.texts(),
    )


class _Form:
    """One body: the vendor's, the reverse feed's, or one with all of it below `task`."""

    def __init__(self, body: Body) -> None:
        self.notes = Notes()
        outer = Fields(body.object, self.notes)
        inner = outer.value("task")
        self.fields = outer.child("task") if isinstance(inner, dict) else outer
        self._envelope = body.envelope

    def outputs(self) -> tuple[Asset, ...]:
        """Return what was asked to be generated: there may be several."""
        found = []
        for name in ("output", "artifacts"):
            for entry in self.fields.links(name):
                url = entry.url("url")
                if url is not None:
                    role = role_of(url, default=Role.VIDEO)
                    found.append((role, rendition_of("output", url, entry)))
        single = self.fields.url("video_url")
        if single is not None:
            found.append((Role.VIDEO, rendition_of("video_url", single, self.fields)))
        kept = {form.url: role for role, form in reversed(found)}
        forms = merge_equal_urls(form for _, form in found)
        return numbered([(kept[form.url], form) for form in forms])

    def previews(self) -> tuple[Asset, ...]:
        """Return the reverse feed's poster and last frame."""
        assets = []
        for role, name in ((Role.THUMBNAIL, "poster"), (Role.LAST_FRAME, "last_frame")):
            url = self.fields.url(name)
            if url is not None:
                form = rendition_of(role.value, url)
                assets.append(Asset(role=role, renditions=(form,)))
        return tuple(assets)

    def failure(self) -> str | None:
        said = [self.fields.words("failureCode"), self.fields.words("failure", "msg", "error")]
        words = plain(": ".join(word for word in said if word))
        return words or plain(self._envelope.fail_reason or "") or None
