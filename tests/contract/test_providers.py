"""What every provider must do, whatever its API looks like.

A new provider adds one `Subject` and its payload files (`tests/payloads/<name>/`, with the source
of each shape in `_sources.json`); all tests below run on it.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.answers import clean_url
from archiver.contracts import Api, Provider
from archiver.errors import (
    ArchiverError,
    DeadLinkError,
    KeyRefusedError,
    NoCreditError,
    PassingError,
    ProviderError,
    RateLimitedError,
    SourceFaultError,
    TaskNotFoundError,
    UsageError,
)
from archiver.model import Answer, JsonValue, Progress, Task
from archiver.providers.flux import FluxProvider
from archiver.providers.ideogram import IdeogramProvider
from archiver.providers.kling import KlingProvider
from archiver.providers.luma import LumaProvider
from archiver.providers.midjourney import MidjourneyProvider
from archiver.providers.minimax import MinimaxProvider
from archiver.providers.openai_images import OpenAiImagesProvider
from archiver.providers.recraft import RecraftProvider
from archiver.providers.replicate import ReplicateProvider
from archiver.providers.runway import RunwayProvider
from archiver.providers.suno import SunoProvider
from archiver.providers.udio import UdioProvider
from tests.fakes import FakeApi, json_answer, text_answer

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
INPUT_HOST = "uploads.example"
"""Where the payload files keep whatever was given to a generation."""

PREVIEW = "progress"
"""What stands in the payload files' links to previews of outputs to come."""


def same_answer_to_everything(body: JsonValue) -> FakeApi:
    return FakeApi(anything=json_answer(body))


def minimax_api(body: JsonValue) -> FakeApi:
    """Give a task, and the file that it names."""
    file = json.loads((PAYLOADS / "minimax" / "file.json").read_text())
    return same_answer_to_everything(body).on("GET", "/v1/files/retrieve", json_answer(file))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the suite must know of one provider.

    Attributes:
        finished, running, failed: Names of payload files with one task each, in that state.
        lists: Those with several tasks, or with none of the other states.
        dated: Payload and name of a field that holds the date of creation, if any.
        numbers: What its declared numbers are called.
        free: Names of fields below which everything is an output, whatever it is called.
        serve: Makes an API that gives this body for a task.
        task_id: An id as this provider's users write it.
        asked: Whether it can be asked for tasks at all; its answers are only handed over otherwise.
    """

    name: str
    make: Callable[[str, Api], Provider]
    finished: tuple[str, ...]
    running: tuple[str, ...]
    failed: tuple[str, ...]
    lists: tuple[str, ...] = ()
    dated: tuple[str, str] | None = None
    numbers: tuple[str, ...] = ("width", "height", "duration", "seed")
    free: tuple[str, ...] = ()
    serve: Callable[[JsonValue], FakeApi] = field(default=same_answer_to_everything)
    task_id: str = "4b3c464e-94f6-4e54-bc21-12f0e6da5791"
    asked: bool = True

    def body(self, name: str) -> Any:
        return json.loads((PAYLOADS / self.name / f"{name}.json").read_text())

    @property
    def single(self) -> tuple[str, ...]:
        return (*self.finished, *self.running, *self.failed)

    def ask(self, body: JsonValue, task_id: str | None = None) -> Task:
        if not self.asked:
            (task,) = self.make("s", FakeApi()).read_body(body, task_id=task_id or self.task_id)
            return task
        return self.make("s", self.serve(body)).get_task(task_id or self.task_id)

    def provider(self, answer: Any = None) -> Provider:
        return self.make("s", FakeApi() if answer is None else FakeApi(anything=answer))


SUBJECTS = [
    Subject(
        name="luma",
        make=LumaProvider,
        finished=(
            *("web", "web_marked_only", "web_thumbnail_text", "newer", "own", "own_artifact_only"),
            *("hybrid", "official_video", "official_image", "agents", "piapi", "row", "nested"),
        ),
        running=("web_pending", "official_dreaming", "agents_queued", "row_waiting"),
        failed=("web_failed", "official_failed", "agents_failed", "piapi_failed", "row_failed"),
        lists=("official_list", "batch_rows", "batch_array", "task_list", "web_no_links"),
        dated=("web", "created_at"),
    ),
    Subject(
        name="suno",
        make=SunoProvider,
        finished=(
            *("row", "row_metadata", "row_partial", "row_video_pending", "row_forbidden"),
            *("row_unknown", "lyrics", "clips", "piapi", "ttapi", "wrapper_clip"),
        ),
        running=("row_waiting", "row_streaming", "row_one_streaming"),
        failed=("row_failed", "row_all_errors", "lyrics_failed", "wrapper_failed"),
        lists=("batch", "library", "task_list"),
        dated=("clips", "created_at"),
    ),
    Subject(
        name="udio",
        make=UdioProvider,
        finished=("row_songs", "row_data_songs", "query", "row_partial"),
        running=("row_waiting", "row_one_finished", "query_one_finished"),
        failed=("row_failed", "query_failed"),
        lists=("query_two_tasks",),
    ),
    Subject(
        name="midjourney",
        make=MidjourneyProvider,
        finished=(
            *("imagine_split", "imagine", "imagine_strings", "imagine_proxied", "upscale"),
            *("video", "video_in_images", "describe", "shorten", "own_list_row", "apimart"),
            "own_list_short",
        ),
        running=("in_progress", "not_start", "modal"),
        failed=("failure", "cancel"),
        lists=("batch", "task_list", "gateway_list"),
        dated=("modal", "submitTime"),
    ),
    Subject(
        name="kling",
        make=KlingProvider,
        finished=(
            *("text2video", "marked_and_clean", "marked_only", "extend", "lip_sync", "images"),
            *("try_on", "sounds", "callback", "three", "gateway_docs", "row", "row_result"),
        ),
        running=("submitted", "processing", "three_processing", "row_waiting"),
        failed=("failed", "three_failed", "gateway_docs_failed", "row_failed"),
        lists=("list", "three_list"),
        dated=("callback", "created_at"),
        task_id="image2video/867283741759111202",
    ),
    Subject(
        name="replicate",
        make=ReplicateProvider,
        finished=(
            *("list_output", "several", "text_link", "object", "nested", "words", "numbers"),
            *("embedded", "row"),
        ),
        running=("starting", "processing"),
        failed=("failed", "canceled", "aborted"),
        lists=("removed", "list"),
        dated=("list_output", "created_at"),
        numbers=("seed",),
        free=("output",),
    ),
    Subject(
        name="flux",
        make=FluxProvider,
        finished=("gateway", "official", "replicate_shaped", "row"),
        running=("pending", "reasoning", "generating"),
        failed=("request_moderated", "content_moderated", "error"),
        lists=("not_found",),
        dated=("replicate_shaped", "created_at"),
        numbers=("seed",),
        free=("output",),
    ),
    Subject(
        name="runway",
        make=RunwayProvider,
        finished=("official", "several", "feed", "feed_state", "feed_envelope", "artifacts"),
        running=("pending", "throttled", "running", "feed_0", "feed_1"),
        failed=("failed", "cancelled", "feed_2"),
        dated=("official", "createdAt"),
    ),
    Subject(
        name="minimax",
        make=MinimaxProvider,
        finished=("success", "success_no_size", "callback", "row", "row_file_id"),
        running=("preparing", "queueing", "processing", "row_waiting"),
        failed=("fail", "moderated", "row_failed"),
        lists=("file", "task_list"),
        numbers=("video_width", "video_height"),
        serve=minimax_api,
        task_id="176843862716480",
    ),
    Subject(
        name="recraft",
        make=RecraftProvider,
        finished=("generations", "edit", "b64", "gateway", "both_lists"),
        running=(),
        failed=(),
        dated=("generations", "created"),
        asked=False,
    ),
    Subject(
        name="ideogram",
        make=IdeogramProvider,
        finished=("generate", "upscale", "partly_unsafe", "remix"),
        running=(),
        failed=("unsafe", "unsafe_empty"),
        dated=("generate", "created"),
        asked=False,
    ),
    Subject(
        name="openai-images",
        make=OpenAiImagesProvider,
        finished=("dalle", "b64", "flux", "recraft", "data_uri"),
        running=(),
        failed=(),
        dated=("dalle", "created"),
        asked=False,
    ),
]

PROMISING = {"suno", "udio"}
"""Providers whose tasks may have an output without a link yet: a clip's video, a dead link."""

each_provider = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.name)
each_asked = pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS if s.asked], ids=lambda s: s.name
)
each_payload = pytest.mark.parametrize(
    ("subject", "name"),
    [pytest.param(s, n, id=f"{s.name}-{n}") for s in SUBJECTS for n in s.single],
)
each_finished = pytest.mark.parametrize(
    ("subject", "name"),
    [pytest.param(s, n, id=f"{s.name}-{n}") for s in SUBJECTS for n in s.finished],
)


# --- walking through JSON -----------------------------------------------------------------------

Path_ = tuple[str | int, ...]

ODD: list[JsonValue] = [
    None, True, False, 0, -1, 7, 10**25, 1e308, 0.5, "", " ", "x", "\ud800\x00\x1b[2J", "None",
    "completed", "https://h.example/a.mp4", "http://", "data:image/png;base64,AAAA",
    '{"data":{}}',
    "[[[[", [], {}, [None], [[]], {"a": 1}, {"url": 5}, {"data": {"data": None}}, ["x"] * 50,
    {"code": "task_not_exist", "data": None}, "1" * 5000,
]  # fmt: skip


def paths_in(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield where something stands, the whole first."""
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from paths_in(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from paths_in(item, (*path, number))


def at(value: Any, path: Path_) -> Any:
    for step in path:
        value = value[step]
    return value


def with_item(value: Any, path: Path_, new: JsonValue) -> Any:
    """Return a copy in which something else stands at one place."""
    if not path:
        return new
    result = copy.deepcopy(value)
    at(result, path[:-1])[path[-1]] = new
    return result


def without_item(value: Any, path: Path_) -> Any:
    result = copy.deepcopy(value)
    del at(result, path[:-1])[path[-1]]
    return result


def wrapped(body: JsonValue, times: int) -> JsonValue:
    codes: list[JsonValue] = ["success", 0, 200, "0"]
    for number in range(times):
        body = {"code": codes[number % 4], "message": "", "data": body}
    return body


def urls_of(task: Task) -> list[str]:
    return [r.url for asset in task.assets for r in asset.renditions if r.url is not None]


def check(task: Task) -> None:
    """Assert what is true of every task, however mangled the answer was."""
    assert task.provider_task_id != task.ref.task_id
    assert task.progress is Progress.FINISHED or not task.assets
    assert task.created_at is None or task.created_at.utcoffset() == timedelta(0)
    assert "://" not in repr(replace(task, prompt=None, failure=None, warnings=(), model=None))
    seen: dict[str, int] = {}
    for asset in task.assets:
        # A clip that failed leaves its number free.
        assert asset.index >= seen.get(asset.role, 0)
        seen[asset.role] = asset.index + 1
        names = [rendition.name for rendition in asset.renditions]
        assert names or task.provider in PROMISING
        assert len(set(names)) == len(names)
        for rendition in asset.renditions:
            assert rendition.url is None or clean_url(rendition.url) == rendition.url
            for number in (rendition.width_px, rendition.height_px, rendition.duration_s):
                assert number is None or 0 < number < 1e6
    for text in (task.prompt, task.failure, task.model, task.provider_task_id, *task.warnings):
        assert text is None or len(text.encode()) <= 300_000


# --- the socket ---------------------------------------------------------------------------------


@each_provider
def test_says_who_it_is(subject: Subject) -> None:
    """A provider has its name, a batch size and the lifetime of its links."""
    provider = subject.provider()
    assert provider.name == subject.name
    assert provider.batch_size >= 1
    assert provider.link_lifetime is None or provider.link_lifetime > timedelta(0)


@each_provider
def test_payloads_name_their_sources(subject: Subject) -> None:
    """Every example says where its shape is documented, and every one is used here."""
    sources = json.loads((PAYLOADS / subject.name / "_sources.json").read_text())
    names = {path.stem for path in (PAYLOADS / subject.name).glob("[a-z]*.json")}
    assert {name.removesuffix(".json") for name in sources} == names
    assert names == {*subject.single, *subject.lists}


@each_payload
def test_states(subject: Subject, name: str) -> None:
    """Finished tasks have something to fetch; running and failed ones have nothing."""
    task = subject.ask(subject.body(name))
    check(task)
    expected = {
        name in subject.finished: Progress.FINISHED,
        name in subject.running: Progress.RUNNING,
        name in subject.failed: Progress.FAILED,
    }[True]
    assert task.progress is expected
    assert bool(task.assets) is (expected is Progress.FINISHED)
    assert bool(task.failure) is (expected is Progress.FAILED)
    assert (task.ref.source, task.ref.task_id) == ("s", subject.task_id)
    assert task.provider == subject.name


@each_payload
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 20])
def test_envelopes(subject: Subject, name: str, depth: int) -> None:
    """Any number of envelopes around an answer changes nothing but the answer that is kept."""
    plain, inside = subject.ask(subject.body(name)), subject.ask(wrapped(subject.body(name), depth))
    assert replace(inside, raw=None) == replace(plain, raw=None)


@each_payload
def test_the_whole_answer_is_kept(subject: Subject, name: str) -> None:
    """What the provider said goes to the manifest as it came, and reading changes none of it."""
    body = subject.body(name)
    task = subject.ask(body)
    assert task.raw == body == subject.body(name)


@each_payload
def test_unknown_fields_change_nothing(subject: Subject, name: str) -> None:
    """An API that says more tomorrow is read as today."""
    body = subject.body(name)
    for path in list(paths_in(body)):
        if isinstance(at(body, path), dict) and not set(subject.free) & set(path):
            at(body, path)["zz_new_field"] = {"url": "https://h.example/new.mp4", "id": "new"}
    assert replace(subject.ask(body), raw=None) == replace(
        subject.ask(subject.body(name)), raw=None
    )


@each_payload
def test_numbers_as_texts(subject: Subject, name: str) -> None:
    """A size or duration that comes as a text is the same size or duration."""
    body = subject.body(name)
    for path in list(paths_in(body)):
        value = at(body, path)
        if path and path[-1] in subject.numbers and isinstance(value, (int, float)):
            at(body, path[:-1])[path[-1]] = str(value)
    assert subject.ask(body).assets == subject.ask(subject.body(name)).assets


SECONDS = 1_733_097_600


@each_provider
@pytest.mark.parametrize(
    "date",
    [
        SECONDS, str(SECONDS), SECONDS * 1000, str(SECONDS * 1000), SECONDS * 10**6, float(SECONDS),
        "2024-12-02T00:00:00Z", "2024-12-02T00:00:00.000000000Z", "2024-12-02T01:00:00+01:00",
        "2024-12-02 00:00:00",
    ],
)  # fmt: skip
def test_dates(subject: Subject, date: JsonValue) -> None:
    """Epochs in seconds and milliseconds, as numbers and texts, and every ISO form are dates."""
    if subject.dated is None:
        return  # an API whose answers have no date
    name, key = subject.dated
    task = subject.ask(subject.body(name) | {key: date})
    assert task.created_at == datetime(2024, 12, 2, tzinfo=UTC)
    assert subject.ask(subject.body(name) | {key: "0001-01-01T00:00:00Z"}).created_at is None


@each_provider
def test_inputs_and_previews_are_no_outputs(subject: Subject) -> None:
    """What was given to a generation, and what it shows while it runs, is never fetched."""
    provider = subject.provider()
    given_links = 0
    for name in (*subject.single, *subject.lists):
        body = subject.body(name)
        given_links += json.dumps(body).count(INPUT_HOST)
        for task in provider.read_body(body):
            assert not [u for u in urls_of(task) if INPUT_HOST in u or PREVIEW in u]
    # The answers of an API that is not asked tell nothing of what was given.
    assert given_links or not subject.asked, "the payload files show no input at all"


# --- asking -------------------------------------------------------------------------------------


@each_finished
def test_the_key_stays_at_home(subject: Subject, name: str) -> None:
    """Requests go below the base URL, whatever links the answer holds."""
    if not subject.asked:
        return  # it asks nothing: below
    api = subject.serve(subject.body(name))
    provider = subject.make("s", api)
    task = provider.get_task(subject.task_id)
    for asset in task.assets:
        for rendition in asset.renditions:
            try:
                provider.resolve(task, rendition)
            except DeadLinkError:
                continue  # that a form cannot be had is no matter here
    assert api.requests
    assert all(asked.path.startswith(("/", f"{api.base_url}/")) for asked in api.requests)
    assert not [h for asked in api.requests for h in asked.headers if h.lower() == "authorization"]


@each_asked
@pytest.mark.parametrize(
    "task_id",
    ["../../admin", "..", ".", "a/b?c=d#e", "%2e%2e%2f", "a\r\nX: y", "\u00e9\udc80", "a b"],
)
def test_hostile_ids(subject: Subject, task_id: str) -> None:
    """No id leaves its segment of the path, and none raises anything but a refusal."""
    api = subject.serve(subject.body(subject.finished[0]))
    with suppress(ProviderError):
        subject.make("s", api).get_task(task_id)
    depth = None
    for asked in api.requests:
        assert re.fullmatch(r"[/\w.~%:@!$&'()*+,;=-]+", asked.path, re.ASCII)
        assert not {".", ".."} & set(asked.path.split("/"))
        depth = depth or asked.path.count("/")
    plain = subject.serve(subject.body(subject.finished[0]))
    subject.make("s", plain).get_task("plain")
    assert depth in (None, plain.requests[0].path.count("/"))


SOURCE_FAULTS = {
    "gateway, unknown route": json_answer(
        {"error": {"message": "Invalid URL (GET /x)", "type": "invalid_request_error"}}, 404
    ),
    "framework's 404": json_answer({"detail": "Not Found"}, 404),
    "another framework's 404": json_answer({"message": "Not Found"}, 404),
    "router's 404": json_answer({"message": "Cannot GET /task/1", "statusCode": 404}, 404),
    "go's 404": text_answer("404 page not found", 404, "text/plain"),
    "empty 404": text_answer("", 404, "text/plain"),
    "html 404": text_answer("<html><h1>Task not found</h1></html>", 404),
    "login page": text_answer("<html><title>Sign in</title></html>"),
    "empty 200": text_answer("", 200, ""),
    "text": text_answer("ok", 200, "text/plain"),
    "redirect": json_answer({"location": "/login"}, 302),
}


@each_asked
@pytest.mark.parametrize("fault", SOURCE_FAULTS)
def test_a_broken_source_empties_no_queue(subject: Subject, fault: str) -> None:
    """A wrong base URL, a login page or a firewall says nothing about any task."""
    with pytest.raises(SourceFaultError):
        subject.provider(SOURCE_FAULTS[fault]).get_task(subject.task_id)


@each_provider
@pytest.mark.parametrize("body", [{}, [], 7, "text", True, {"status": "success"}, {"hello": [1]}])
def test_json_of_somebody_else(subject: Subject, body: JsonValue) -> None:
    """JSON that is no task of this API says nothing about any task either."""
    with pytest.raises(ProviderError) as caught:
        subject.ask(body)
    assert not isinstance(caught.value, TaskNotFoundError)
    with pytest.raises(ProviderError):
        subject.provider().read_body(body)


@each_asked
@pytest.mark.parametrize("status", [400, 200])
def test_a_gateway_that_has_no_such_task(subject: Subject, status: int) -> None:
    """`task_not_exist` is believed, but a task may be too fresh for it."""
    body: JsonValue = {"code": "task_not_exist", "message": "task_not_exist", "data": None}
    with pytest.raises(TaskNotFoundError) as caught:
        subject.provider(json_answer(body, status)).get_task(subject.task_id)
    assert caught.value.may_be_fresh


FAULTS = [PassingError("x"), RateLimitedError("x"), KeyRefusedError("x"), NoCreditError("x")]


@each_asked
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: type(f).__name__)
def test_faults_of_the_way_pass_through(subject: Subject, fault: ArchiverError) -> None:
    """What the transport raises is for the pipeline to judge."""
    with pytest.raises(type(fault)):
        subject.provider(fault).get_task(subject.task_id)


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.asked], ids=lambda s: s.name)
def test_what_cannot_be_asked_says_so(subject: Subject) -> None:
    """An API that keeps nothing is never asked; a refusal names the command that helps."""
    api = FakeApi()
    provider = subject.make("s", api)
    with pytest.raises(TaskNotFoundError, match="archiver ingest") as caught:
        provider.get_task(subject.task_id)
    assert not caught.value.may_be_fresh
    with pytest.raises(UsageError, match="archiver ingest"):
        next(provider.list_tasks())
    (task,) = provider.read_body(subject.body(subject.finished[0]))
    for asset in task.assets:
        for rendition in asset.renditions:
            assert provider.resolve(task, rendition) is rendition
    assert api.requests == []


@each_provider
def test_batches_only_ever_help(subject: Subject) -> None:
    """Without a batch route nothing is missing but the batch."""
    for answer in (None, *SOURCE_FAULTS.values(), PassingError("x")):
        provider = subject.provider(answer)
        found: Mapping[str, Task] = provider.get_tasks(["a", "b"][: provider.batch_size])
        assert found == {}
    assert subject.provider().get_tasks([]) == {}


@each_payload
def test_saved_answers(subject: Subject, name: str) -> None:
    """A body that is posted or saved gives what asking for it gives, and asks nothing."""
    api = FakeApi()
    (task,) = subject.make("s", api).read_body(subject.body(name), task_id=subject.task_id)
    asked = subject.ask(subject.body(name))
    assert (task.ref, task.progress, task.prompt) == (asked.ref, asked.progress, asked.prompt)
    assert [(a.role, a.index) for a in task.assets] == [(a.role, a.index) for a in asked.assets]
    assert api.requests == []


# --- mangled answers ----------------------------------------------------------------------------


def survive(subject: Subject, body: JsonValue) -> None:
    """Read a body in every way; only a `ProviderError` may come of it."""
    with suppress(ProviderError):
        check(subject.ask(body))
    with suppress(ProviderError):
        for task in subject.provider().read_body(body):
            check(task)


@each_payload
def test_missing_and_null(subject: Subject, name: str) -> None:
    """Anything may be missing, and anything may be `null`."""
    body = subject.body(name)
    for path in paths_in(body):
        survive(subject, with_item(body, path, None))
        if path:
            survive(subject, without_item(body, path))


IN_CI = os.environ.get("CI") == "true"


@each_payload
def test_wrong_types(subject: Subject, name: str) -> None:
    """Anything may be of any type; CI tries all types everywhere, the gate a quarter of them."""
    body = subject.body(name)
    for number, path in enumerate(list(paths_in(body))):
        if not path:
            continue  # every status with every body: below
        *way, last = path
        holder, kept = at(body, tuple(way)), at(body, path)
        for odd in ODD if IN_CI else ODD[number % 4 :: 4]:
            holder[last] = odd  # in place: thousands of copies would cost more than the reading
            survive(subject, body)
        holder[last] = kept


@each_provider
def test_wrong_types_leave_a_warning(subject: Subject) -> None:
    """A value that cannot be read is not passed over in silence."""
    body = subject.body(subject.finished[0])
    silent = []
    for path in paths_in(body):
        if path and path[-1] in (*subject.numbers, "url", "prompt"):
            task = subject.ask(with_item(body, path, [["odd"]]))
            silent += [] if task.warnings else [path]
    assert not silent


@each_provider
def test_nesting_exhausts_no_stack(subject: Subject) -> None:
    """Depth beyond any stack, at any place, ends in a task or a `ProviderError`."""
    deep: JsonValue = "x"
    for number in range(20_000):
        deep = [deep] if number % 2 else {"data": deep, "code": 0}
    body = subject.body(subject.finished[0])
    survive(subject, deep)
    for name in body:
        with suppress(ProviderError):
            check(subject.ask({**body, name: deep}))


@st.composite
def mangled(draw: st.DrawFn) -> tuple[Subject, JsonValue]:
    """Draw an answer with several things wrong with it at once."""
    subject = draw(st.sampled_from(SUBJECTS))
    body = subject.body(draw(st.sampled_from((*subject.single, *subject.lists))))
    for _ in range(draw(st.integers(1, 6))):
        places = list(paths_in(body))
        path = draw(st.sampled_from(places))
        old = at(body, path)
        how = draw(st.sampled_from(["odd", "other", "list", "wrap", "text", "drop", "twice"]))
        if how == "odd":
            body = with_item(body, path, draw(st.sampled_from(ODD) | odd_values))
        elif how == "other":
            body = with_item(body, path, copy.deepcopy(at(body, draw(st.sampled_from(places)))))
        elif how == "list":
            body = with_item(body, path, [old])
        elif how == "wrap":
            body = with_item(body, path, wrapped(old, draw(st.integers(1, 70))))
        elif how == "text":
            body = with_item(body, path, json.dumps(old))
        elif how == "twice":
            body = with_item(body, path, [old, copy.deepcopy(old)])
        elif path:
            body = without_item(body, path)
    return subject, body


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(mangled())
def test_mangled_answers(drawn: tuple[Subject, JsonValue]) -> None:
    """Whatever is wrong with an answer, only a `ProviderError` leaves its reading."""
    survive(*drawn)


@each_provider
@pytest.mark.parametrize("status", [200, 201, 302, 400, 404, 409, 410, 422])
@pytest.mark.parametrize("body", ODD, ids=lambda b: json.dumps(b)[:20])
def test_any_status_with_any_body(subject: Subject, status: int, body: JsonValue) -> None:
    """An answer of any status with any body ends in a task or in a `ProviderError`."""
    answer = Answer(status=status, body=body, media_type="application/json")
    with suppress(ProviderError):
        check(subject.provider(answer).get_task(subject.task_id))
    with suppress(ProviderError):
        for task in subject.provider(answer).get_tasks([subject.task_id]).values():
            check(task)
    with suppress(ProviderError, UsageError):  # there may be no list endpoint
        for task in subject.provider(answer).list_tasks():
            check(task)
