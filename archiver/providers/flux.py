"""Flux: pictures of Black Forest Labs, through a gateway or from the vendor.

Source: providers.md section 7 and rows 12 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from archiver.answers import (
    Body,
    Fields,
    Notes,
    TaskForm,
    bodies_of,
    body_of,
    encodable,
    identity_of,
    outputs_of,
    plain,
    progress_of,
    raise_for_answer,
    rendition_of,
    role_of,
    seed_in,
    settled,
    unwrap,
)
from archiver.contracts import Api, Clock
from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError, UsageError
from archiver.model import (
    Answer,
    Asset,
    JsonObject,
    JsonValue,
    Progress,
    Rendition,
    Task,
    TaskRef,
)

_ID_NAMES = ("id", "task_id")
_LISTS = ("items", "tasks")
_RESULT = "get_result"
_LIFETIME = timedelta(minutes=10)
_STATES = frozenset(
    {"Pending", "Reasoning", "Generating", "Ready", "Error"}
    | {"Request Moderated", "Content Moderated", "Task not found"}
)
_MAX_REASONS = 10


def authorize(key: str | None, secret: str | None, clock: Clock) -> Callable[[], Mapping[str, str]]:
    """Return what makes the headers of a request: the vendor wants `x-key`, gateways a bearer."""
    headers = {"Authorization": f"Bearer {key}", "x-key": key} if key else {}
    return lambda: headers


class FluxProvider:
    """Flux tasks of one source.

    An id may be the whole `polling_url` that the vendor gave at creation: it is asked for as it is,
    if it is at the source's own address. Links die ten minutes after the picture is made.

    Args:
        source: The source's name in the configuration.
        api: Its API.
    """

    name = "flux"
    batch_size = 1
    link_lifetime: timedelta | None = _LIFETIME
    yields_to = ("replicate",)
    """Whose a posted body is that both could have given: Replicate's shape is Replicate's."""

    authorize: ClassVar[Callable[..., Callable[[], Mapping[str, str]]]] = staticmethod(authorize)

    def __init__(self, source: str, api: Api) -> None:
        self._source = source
        self._api = api
        self._paths = _paths(api.base_url)

    def get_task(self, task_id: str) -> Task:
        """Ask for one task: see `contracts.Provider.get_task`.

        An API without a gateway's path is asked on the vendor's. What that says of a task which it
        does not know is believed only after it has given one.

        Raises:
            ProviderError: Also for a polling URL of another host: it is not asked.
            TaskNotFoundError: "Task not found", which the vendor says of expired ones as well.
        """
        if "://" in task_id:
            return self._checked(self._api.request("GET", self._polling_url(task_id)), task_id)
        if encodable(task_id) != task_id:
            raise ProviderError("the id is no text that can be sent; it was not asked")
        first, *others = self._paths
        try:
            task = self._ask(first, task_id)
        except TaskNotFoundError:
            self._paths = (first,)
            raise
        except SourceFaultError as fault:
            for path in others:
                try:
                    task = self._ask(path, task_id)
                except (TaskNotFoundError, SourceFaultError):
                    continue
                self._paths = (path,)
                return task
            raise fault from None
        self._paths = (first,)
        return task

    def _ask(self, path: str, task_id: str) -> Task:
        return self._checked(self._api.request("GET", path, params={"id": task_id}), task_id)

    def _checked(self, answer: Answer, task_id: str) -> Task:
        _raise_if_not_found(answer)
        raise_for_answer(answer)
        body = body_of(answer.body, _bare(task_id), *_ID_NAMES)
        if not _may_be_task(body):
            raise ProviderError("the answer is JSON, but no Flux task")
        return self._read(body, task_id)

    def _polling_url(self, url: str) -> str:
        """Return a polling URL if it is one, and of the source's own address."""
        try:
            asked, own = urlsplit(url), urlsplit(self._api.base_url)
        except ValueError:  # brackets in the host that do not match
            raise ProviderError("the id is a broken link; it was not asked") from None
        if (asked.scheme, asked.netloc.lower()) != (own.scheme, own.netloc.lower()):
            host = plain(asked.netloc.rpartition("@")[2], 100)
            raise ProviderError(
                f"the id is a polling URL at {host}, this source is at {own.netloc}: the key is "
                "not sent there; name a source with that base_url",
                code="other_host",
            )
        if not asked.path.endswith(f"/{_RESULT}") or not _bare(url) or asked.fragment:
            raise ProviderError("the id is a link, but no polling URL; it was not asked")
        return url

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Return nothing: there is no request for several tasks."""
        return {}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link of Flux's is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Refuse: see `contracts.Provider.list_tasks`."""
        raise UsageError("Flux has no list of tasks; name them in an inbox")

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer or a callback: see `contracts.Provider.read_body`."""
        called = None if task_id is None else _bare(task_id)
        return self._form.tasks(bodies_of(body, *_LISTS), task_id, called=called)

    @property
    def _form(self) -> TaskForm:
        return TaskForm(
            noun="Flux task",
            is_task=_is_flux,
            ids=lambda body: body.ids(*_ID_NAMES),
            read=self._read,
        )

    def _read(self, body: Body, task_id: str | None) -> Task:
        return _read_task(body, source=self._source, provider=self.name, task_id=task_id)


def _paths(base_url: str) -> tuple[str, ...]:
    parts = urlsplit(base_url)
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    if path.endswith("/v1"):
        return (f"/{_RESULT}",)
    if host.endswith(".bfl.ai") or path.endswith("/flux"):
        return (f"/v1/{_RESULT}",)
    return (f"/flux/v1/{_RESULT}", f"/v1/{_RESULT}")


def _bare(task_id: str) -> str:
    """Return the id within a polling URL; any other id as it is."""
    if "://" not in task_id:
        return task_id
    query = task_id.partition("?")[2].partition("#")[0]
    try:
        return parse_qs(query, max_num_fields=20).get("id", [""])[0]
    except ValueError:  # more parameters than any polling URL has
        return ""


def _raise_if_not_found(answer: Answer) -> None:
    """Tell "Task not found", whatever HTTP status it comes with."""
    value = unwrap(answer.body).value
    if not isinstance(value, dict) or "result" not in value:
        return
    if progress_of(value.get("status"), Notes()) is Progress.GONE:
        raise TaskNotFoundError(
            "the API says: Task not found; it does not exist, or has expired", may_be_fresh=True
        )


# --- reading --------------------------------------------------------------------------------------


def _may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one; a state alone is none."""
    has_state = bool(body.object.get("status") or body.envelope.status)
    return has_state and bool(body.ids(*_ID_NAMES))


def _is_flux(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Flux's.

    Replicate's bodies about Flux models are: one gateway gives them for Flux ids.
    """
    if any(
        (word or "").lower().startswith(("flux", "bfl"))
        for word in (body.envelope.platform, body.envelope.action)
    ):
        return True
    value = body.object
    result, status, model = value.get("result"), value.get("status"), value.get("model")
    if isinstance(result, dict) and "sample" in result:
        return True
    if "output" in value and isinstance(model, str):
        return model.lower().startswith("black-forest-labs/")
    return "id" in value and "result" in value and isinstance(status, str) and status in _STATES


def _read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    notes = Notes()
    fields = Fields(body.object, notes)
    result, given = fields.child("result"), fields.child("input")
    assets = _outputs(fields, result)
    state = fields.value("status")
    progress = settled(state, body.envelope, has_output=bool(assets), notes=notes)
    if progress is Progress.FINISHED and not assets and fields.flag("data_removed"):
        progress = Progress.GONE
    ids = body.ids(*_ID_NAMES)
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    ended = progress in (Progress.FAILED, Progress.GONE)
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=result.text("prompt") or given.text("prompt"),
        model=fields.text("model") or body.envelope.model,
        seed=_seed(fields, result, given),
        created_at=result.moment("start_time")
        or fields.moment("created_at")
        or body.envelope.submitted_at
        or body.envelope.created_at,
        failure=_failure(fields, body) if ended else None,
        assets=assets if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=notes.texts(),
    )


def _seed(fields: Fields, result: Fields, given: Fields) -> int | None:
    own = result.integer("seed")
    seed = given.integer("seed") if own is None else own
    return seed_in(fields.text("logs")) if seed is None else seed


def _outputs(fields: Fields, result: Fields) -> tuple[Asset, ...]:
    """Return the picture; `duration` beside it is how long the work took, and no declaration."""
    url = result.url("sample")
    if url is not None:
        return (Asset(role=role_of(url), renditions=(rendition_of("sample", url),)),)
    output = fields.value("output")
    return outputs_of(output, fields.notes) if output is not None else ()


def _failure(fields: Fields, body: Body) -> str | None:
    """Return the words: the state itself says that something was moderated, `details` why."""
    state, details, error = (fields.value(name) for name in ("status", "details", "error"))
    said = [state] if isinstance(state, str) else []
    if isinstance(error, str):
        said.append(error)
    if isinstance(details, dict):
        said += _reasons(details)
    elif isinstance(details, str):
        said.append(details)
    return plain(": ".join(said)) or plain(body.envelope.fail_reason or "") or None


def _reasons(details: JsonObject) -> list[str]:
    """Return the texts in `details`, a list's entries one by one; no links to what was given."""
    texts: list[str] = []
    for value in details.values():
        entries = value if isinstance(value, list) else [value]
        texts += [one for one in entries if isinstance(one, str) and "://" not in one]
    return texts[:_MAX_REASONS]
