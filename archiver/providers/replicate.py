"""Replicate: predictions of any model, from the vendor or through a gateway.

Source: providers.md section 11 and row 18.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from archiver.answers import (
    Body,
    Fields,
    Notes,
    TaskForm,
    bodies_of,
    body_of,
    identity_of,
    outputs_of,
    path_segment,
    plain,
    raise_for_answer,
    seed_in,
    settled,
)
from archiver.contracts import Api
from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError
from archiver.model import JsonValue, Progress, Rendition, Task, TaskRef

MAX_PAGES = 5000

_ID_NAMES = ("id", "task_id")
_LISTS = ("results", "items", "tasks")
_OWN = frozenset({"data_removed", "urls", "metrics", "logs", "version", "predict_time"})
_RETENTION = timedelta(hours=1)
_REMOVED = "Replicate removed the files: those of predictions made by API go after one hour"


class ReplicateProvider:
    """Predictions of one source.

    An output may be a link, a list, an object, nested, a text, or a number. What a file is for is
    told by its name's ending, else by its field's name (`audio`, `mask_image`); a file about which
    neither says anything is taken for an image. A text, or a value without any link, is kept as
    text.

    The key goes to the source's own origin only: files are fetched without it, and a next page on
    another host is not asked for.

    Args:
        source: The source's name in the configuration.
        api: Its API.
    """

    name = "replicate"
    batch_size = 1
    link_lifetime: timedelta | None = _RETENTION

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        self._routes = _routes(api.base_url)

    def get_task(self, task_id: str) -> Task:
        """Ask for one prediction: see `contracts.Provider.get_task`.

        What a gateway's second path says of a prediction that it does not know is not believed.
        """
        first, *others = self._routes
        try:
            task = self._ask(first, task_id)
        except TaskNotFoundError:
            self._routes = (first,)
            raise
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
        answer = self._api.request("GET", f"{route}/{path_segment(task_id)}")
        raise_for_answer(answer)
        body = body_of(answer.body, task_id, *_ID_NAMES)
        if not _may_be_task(body):
            raise ProviderError("the answer is JSON, but no prediction of Replicate's")
        return self._read(body, task_id)

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Return nothing: Replicate has no request for several predictions."""
        return {}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link of Replicate's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the account's predictions, newest first: see `contracts.Provider.list_tasks`.

        Source: `GET /v1/predictions?created_after=`, 100 a page; `next` is a full URL.

        Raises:
            SourceFaultError: There is no such list: a gateway.
            ProviderError: The next page is on another host, where the key is not sent.
        """
        path = self._routes[0]
        params = {} if since is None else {"created_after": _stamp(since)}
        seen: set[str] = set()
        for number in range(MAX_PAGES):
            answer = self._api.request("GET", path, params=params)
            try:
                raise_for_answer(answer)
            except (SourceFaultError, TaskNotFoundError) as error:
                if number:
                    raise
                raise SourceFaultError(
                    f"the API has no list of predictions: {error.message}; "
                    'use `list = "gateway"` or an inbox'
                ) from error
            page = bodies_of(answer.body, *_LISTS)
            if page.found and not page.listed:
                raise ProviderError("the API's answer is no list of predictions")
            tasks = self._form.all(page)
            fresh = {t.ref.task_id: t for t in tasks if t.ref.task_id not in seen}
            yield from (t for t in fresh.values() if not _is_before(t, since))
            next_page = Fields(page.around).url("next")
            if next_page is None or not fresh or any(_is_before(t, since) for t in tasks):
                return
            if _origin(next_page) != _origin(self._api.base_url):
                raise ProviderError(
                    f"the next page of the list is at {_origin(next_page)}, not at the source's "
                    "own address; it was not asked for"
                )
            seen.update(fresh)
            path, params = next_page, {}
        raise ProviderError(f"the API's list of predictions did not end after {MAX_PAGES:,} pages")

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, list or webhook's body: see `contracts.Provider.read_body`."""
        return self._form.tasks(bodies_of(body, *_LISTS), task_id)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="Replicate prediction",
            is_task=_is_replicate,
            ids=lambda body: body.ids(*_ID_NAMES),
            read=self._read,
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return _read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _routes(base_url: str) -> tuple[str, ...]:
    parts = urlsplit(base_url)
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    if path.endswith("/v1"):
        return ("/predictions",)
    if host == "replicate.com" or host.endswith(".replicate.com") or path.endswith("/replicate"):
        return ("/v1/predictions",)
    return ("/replicate/v1/predictions", "/v1/predictions")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


def _stamp(date: datetime) -> str:
    return f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _is_before(task: Task, since: datetime | None) -> bool:
    return since is not None and task.created_at is not None and task.created_at < since


# --- reading --------------------------------------------------------------------------------------


def _may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this prediction" is one; a state alone is none."""
    has_state = bool(body.object.get("status") or body.envelope.status)
    return has_state and bool(body.ids(*_ID_NAMES))


def _is_replicate(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Replicate's, and no other provider's."""
    if (body.envelope.platform or "").lower().startswith("replicate"):
        return True
    value = body.object
    return "id" in value and "status" in value and len(_OWN & value.keys()) >= 2


def _read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    notes = Notes()
    fields = Fields(body.object, notes)
    given = fields.child("input")
    output = fields.value("output")
    assets = outputs_of(output, notes)
    state = fields.value("status")
    progress = settled(state, body.envelope, has_output=bool(assets), notes=notes)
    if progress is Progress.FINISHED and not assets and fields.flag("data_removed"):
        progress = Progress.GONE
    ids = body.ids(*_ID_NAMES)
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=given.text("prompt"),
        model=fields.text("model") or body.envelope.model,
        seed=_seed(given, fields),
        created_at=fields.moment("created_at")
        or body.envelope.submitted_at
        or body.envelope.created_at,
        failure=_failure(progress, fields, body),
        assets=assets if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=notes.texts(),
    )


def _seed(given: Fields, fields: Fields) -> int | None:
    """Return the seed that was given, else the one that the model says it took.

    A negative one means "any".
    """
    seed = given.integer("seed")
    if seed is not None and seed >= 0:
        return seed
    return seed_in(fields.text("logs"))


def _failure(progress: Progress, fields: Fields, body: Body) -> str | None:
    if progress is Progress.GONE:
        return _REMOVED
    if progress is not Progress.FAILED:
        return None
    error = fields.value("error")
    if isinstance(error, dict):
        said = fields.child("error").words("detail", "message", "title")
    else:
        said = fields.words("error")
    state = fields.words("status")
    return said or plain(body.envelope.fail_reason or "") or state
