"""Suno: every form of an answer, clips one by one, what is no file, and what is asked where."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import (
    KeyRefusedError,
    PassingError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
)
from archiver.model import JsonValue, Progress, Rendition, Role, Task
from archiver.providers.suno import SunoProvider
from archiver.providers.suno.api import MAX_PAGES
from tests.fakes import Asked, FakeApi, json_answer, text_answer, unknown_route

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "suno"
ROW_ID = "ba460000-0000-4000-8000-000000000001"
A, V, T = "audio", "video", "thumbnail"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def ask(body: JsonValue, task_id: str = "asked") -> Task:
    return SunoProvider("suno", FakeApi(anything=json_answer(body))).get_task(task_id)


def read(body: JsonValue) -> tuple[Task, ...]:
    return SunoProvider("suno", FakeApi()).read_body(body)


def row(*clips: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("row")
    one = body["data"]["data"][0]
    body["data"] |= {"data": [{**one, **clip} for clip in clips], **changes}
    return body


def shape(task: Task) -> list[tuple[str, int, int]]:
    return [(a.role.value, a.index, len(a.renditions)) for a in task.assets]


def form(task: Task, role: Role, index: int = 0) -> Rendition:
    asset = task.asset(role, index)
    assert asset
    return asset.renditions[0]


# --- every form ---------------------------------------------------------------------------------

BOTH = [(A, 0, 1), (V, 0, 1), (A, 1, 1), (V, 1, 1), (T, 0, 1), (T, 1, 1)]
BOTH_COVERS = [(A, 0, 1), (V, 0, 1), (A, 1, 1), (V, 1, 1), (T, 0, 2), (T, 1, 2)]
FORMS: list[tuple[str, list[tuple[str, int, int]], float | None, str | None, str | None]] = [
    # payload, outputs with the number of their forms, length of the first song, model, date
    ("row", BOTH, 201, "chirp-v4", "2024-12-09T04:12:47"),
    ("row_metadata", BOTH_COVERS, 181.5, "chirp-v3", "2024-12-09T04:13:02.118"),
    ("row_unknown", BOTH, 201, "chirp-v4", "2024-12-09T04:12:47"),
    ("clips", BOTH, 201, "chirp-v4", "2024-12-09T04:12:47"),
    ("piapi", BOTH_COVERS, 181.5, "chirp-v3", "2024-12-09T04:13:02.118"),
    ("ttapi", BOTH_COVERS, 8.12, "chirp-v4", "2025-06-27T09:19:35.025"),
    ("wrapper_clip", [(A, 0, 1), (V, 0, 1), (T, 0, 1)], 101.5, "chirp-v3-5", "2024-12-01T10:00:00"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "outputs", "length", "model", "date"), FORMS, ids=[f[0] for f in FORMS]
)
def test_every_form_is_read(
    name: str,
    outputs: list[tuple[str, int, int]],
    length: float,
    model: str,
    date: str,
) -> None:
    """Each form gives audio, video and cover of every clip, without a warning."""
    task = ask(payload(name))
    assert task.progress is Progress.FINISHED
    assert shape(task) == outputs
    assert form(task, Role.AUDIO).duration_s == length
    assert form(task, Role.VIDEO).duration_s is None
    assert (task.prompt or "").startswith("[Verse]\nA lamp")
    assert task.model == model
    assert task.created_at == datetime.fromisoformat(date).replace(tzinfo=UTC)
    assert task.warnings == ()


def test_the_large_cover_goes_first() -> None:
    """A cover is one preview with two forms, the large one best; one link twice is one form."""
    covers = ask(payload("row_metadata")).asset(Role.THUMBNAIL, 0)
    assert covers
    assert [r.name for r in covers.renditions] == ["image_large_url", "image_url"]
    same = row({"image_large_url": "https://h.example/i", "image_url": "https://h.example/i"})
    cover = ask(same).asset(Role.THUMBNAIL, 0)
    assert cover
    assert [r.name for r in cover.renditions] == ["image_large_url"]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("row", (ROW_ID, None)),
        ("clips", ("ba460000-0000-4000-8000-000000000003", None)),
        ("piapi", ("d39b0000-0000-4000-8000-000000000001", None)),
        ("ttapi", ("e40c0000-0000-4000-8000-000000000001", None)),
        ("wrapper_clip", ("c2810000-0000-4000-8000-000000000001", None)),
    ],
)
def test_ids(name: str, ids: tuple[str, None]) -> None:
    """A task is known by its own id, never by that of one of its clips."""
    (task,) = read(payload(name))
    assert (task.ref.task_id, task.provider_task_id) == ids
    assert ask(payload(name)).provider_task_id == ids[0]


def test_a_clip_may_call_its_id_otherwise() -> None:
    """A clip alone is known by its own id, whatever that is called."""
    body = payload("wrapper_clip")[0]
    (task,) = read([{**body, "id": None, "clip_id": "c-1"}])
    assert task.ref.task_id == "c-1"


# --- lyrics -------------------------------------------------------------------------------------


def test_lyrics_are_a_text() -> None:
    """Words without a song are kept as they are, and a bracket at their start is no JSON."""
    task = ask(payload("lyrics"))
    assert shape(task) == [("text", 0, 1)]
    text = form(task, Role.TEXT)
    assert (text.name, text.url) == ("text", None)
    assert (text.content or b"").decode().startswith("[Verse]\nA lamp goes on")


def test_long_lyrics_are_whole() -> None:
    """A text is kept whole, however long, and whatever characters it has."""
    body = payload("lyrics")
    body["data"]["data"]["text"] = "la \ud800 " * 30_000
    content = form(ask(body), Role.TEXT).content or b""
    assert content.decode() == "la \ufffd " * 30_000


@pytest.mark.parametrize("word", ["complete", None])
def test_lyrics_that_failed(word: str | None) -> None:
    """An empty text with a reason is a failure, whatever the gateway calls it."""
    body = payload("lyrics_failed")
    body["data"]["data"]["status"] = word
    task = ask(body)
    assert (task.progress, task.failure) == (Progress.FAILED, "the words were not let through")


def test_a_song_has_no_text_output() -> None:
    """The words of a song stay in its prompt: as outputs they could be archived without it."""
    assert not [a for a in ask(row({"text": "la la"})).assets if a.role is Role.TEXT]


# --- clips one by one ---------------------------------------------------------------------------


def test_partial_success() -> None:
    """A clip that failed costs the other nothing, not even its number, and is told."""
    task = ask(payload("row_partial"))
    assert shape(task) == [(A, 1, 1), (V, 1, 1), (T, 1, 1)]
    assert task.progress is Progress.FINISHED
    assert task.failure is None
    assert task.warnings == ("clip 1 of 2 failed: the lyrics were not let through",)


def test_all_clips_failed() -> None:
    """A success of which every clip failed is a failure, with the clips' reasons."""
    task = ask(payload("row_all_errors"))
    assert (task.progress, task.assets) == (Progress.FAILED, ())
    assert task.failure == "the lyrics were not let through"


def test_a_failure_with_a_whole_clip_is_archived() -> None:
    """What is there is kept, although the gateway calls the task a failure."""
    task = ask(row({}, {"status": "error", "state": "failed"}, status="FAILURE"))
    assert shape(task) == [(A, 0, 1), (V, 0, 1), (T, 0, 1)]
    assert "the task failed, but a clip" in task.warnings[0]


@pytest.mark.parametrize("word", ["submitted", "queued", "streaming", "Streaming", "new_word"])
def test_nothing_before_complete(word: str) -> None:
    """While one clip is at work nothing of the task is fetched, though the gateway says SUCCESS."""
    task = ask(row({}, {"status": word, "state": None}))
    assert (task.progress, task.assets) == (Progress.RUNNING, ())


@pytest.mark.parametrize("word", ["NOT_START", "SUBMITTED", "QUEUED", "IN_PROGRESS"])
def test_a_gateway_at_work_is_believed(word: str) -> None:
    """Another clip may come: complete ones do not end a task that its gateway is still at."""
    assert ask(row({}, {}, status=word)).progress is Progress.RUNNING


def test_a_gateway_that_knows_nothing_is_not_asked_for_more() -> None:
    """UNKNOWN is what some gateways say of every task: the clips decide."""
    assert ask(row({}, status="UNKNOWN")).progress is Progress.FINISHED
    assert ask(row({"status": "streaming"}, status="UNKNOWN")).progress is Progress.RUNNING
    assert ask(row(status="UNKNOWN")).progress is Progress.RUNNING
    assert ask(payload("clips") | {"status": "unknown"}).progress is Progress.FINISHED


@pytest.mark.parametrize(
    "url",
    [
        "https://audiopipe.suno.ai/?item_id=a061",
        "https://AudioPipe-2.suno.example/a061",
        "https://proxy.example/stream?x=1&item_id=a061",
        "https://proxy.example/stream?item_id=",
    ],
)
def test_a_stream_is_no_file(url: str) -> None:
    """A stream's link is never fetched, under whatever name it comes, and its song is missing."""
    task = ask(row({"audio_url": url, "video_url": url}))
    assert shape(task) == [(A, 0, 0), (T, 0, 1)]
    assert [w for w in task.warnings if "is a stream" in w]


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn1.suno.ai/None.mp3",
        "https://studio-api.prod.suno.com/api/forbidden",
        "https://studio-api.prod.suno.com/api/forbidden/",
        "www.downloadurl.com",
    ],
)
def test_no_file_is_no_link(url: str) -> None:
    """What stands for "no file" is not fetched; the song is missing, and the rest is kept."""
    task = ask(row({"audio_url": url}))
    assert shape(task) == [(A, 0, 0), (V, 0, 1), (T, 0, 1)]
    assert task.warnings


def test_a_video_still_to_come() -> None:
    """A video that is pending is an output without a link; one that nobody makes is none."""
    assert shape(ask(payload("row_video_pending")))[:2] == [(A, 0, 1), (V, 0, 0)]
    assert shape(ask(row({"video_url": "", "is_video_pending": False}))) == [(A, 0, 1), (T, 0, 1)]


@pytest.mark.parametrize("length", [219, "219", "219.0", 219.0])
def test_lengths(length: JsonValue) -> None:
    """A length comes as a number or a text, on top or in `metadata`; 0 is not declared."""
    assert form(ask(row({"duration": length})), Role.AUDIO).duration_s == 219
    in_more = ask(row({"duration": None, "metadata": {"duration": length}}))
    assert form(in_more, Role.AUDIO).duration_s == 219
    assert form(ask(row({"duration": 0})), Role.AUDIO).duration_s is None


def test_the_description_is_a_prompt_where_there_are_no_words() -> None:
    """An instrumental has no words; what was asked for is its description."""
    body = row({"prompt": "", "metadata": {"prompt": "", "gpt_description_prompt": "a slow waltz"}})
    assert ask(body).prompt == "a slow waltz"


def test_failure_of_the_row() -> None:
    """The gateway's reason is told without what may be secret in it."""
    body = row(status="FAILURE", fail_reason="no credit: https://h.example/x?key=abcdef")
    task = ask(body)
    assert task.progress is Progress.FAILED
    assert "no credit: https://h.example/x" in (task.failure or "")
    assert "abcdef" not in (task.failure or "")


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.example.com", "/suno/fetch/a"),
        ("https://api.example.com/v2", "/suno/fetch/a"),
        ("https://api.example.com/suno", "/fetch/a"),
    ],
)
def test_where_a_task_is_asked_for(base_url: str, path: str) -> None:
    """The path goes below the base URL, which may end where Suno's paths begin."""
    api = FakeApi(base_url, anything=json_answer(payload("row")))
    SunoProvider("suno", api).get_task("a")
    assert [(r.method, r.path) for r in api.requests] == [("GET", path)]


def test_other_routes() -> None:
    """An API without the first route is asked on the others, and from then on where it answers."""
    api = FakeApi().on("GET", "/api/get", json_answer(payload("wrapper_clip")))
    provider = SunoProvider("suno", api)
    for _ in range(2):
        assert provider.get_task("c281").progress is Progress.FINISHED
    paths = ["/suno/fetch/c281", "/suno/task/c281/fetch", "/api/get", "/api/get"]
    assert [r.path for r in api.requests] == paths
    assert api.requests[-1].params == {"ids": "c281"}


def test_a_clips_route() -> None:
    """The route that answers `clips[]` is found as well."""
    api = FakeApi().on("GET", "/suno/task/a/fetch", json_answer(payload("clips")))
    assert ask(payload("clips")).assets == SunoProvider("s", api).get_task("a").assets


def test_not_found_by_another_route_is_not_believed() -> None:
    """What a route says that has never given a task is no verdict; of one that has, it is."""
    gone = json_answer({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)
    found = json_answer(payload("clips"))
    api = FakeApi().on("GET", "/suno/task/a/fetch", gone, found, gone)
    provider = SunoProvider("suno", api)
    with pytest.raises(SourceFaultError):
        provider.get_task("a")
    provider.get_task("a")
    with pytest.raises(TaskNotFoundError):
        provider.get_task("a")


def test_an_empty_library_is_no_verdict() -> None:
    """A wrapper that answers an empty list says nothing about the clip."""
    api = FakeApi().on("GET", "/api/get", json_answer([]))
    with pytest.raises(ProviderError) as caught:
        SunoProvider("suno", api).get_task("a")
    assert not isinstance(caught.value, TaskNotFoundError)


def test_batch() -> None:
    """Several tasks are asked for at once; those left out are absent, and order says nothing."""
    body = payload("batch")
    body["data"].reverse()
    api = FakeApi().on("POST", "/suno/fetch", json_answer(body))
    second = "ba460000-0000-4000-8000-000000000002"
    tasks = SunoProvider("suno", api).get_tasks([ROW_ID, second, "unknown"])
    assert {i: t.progress for i, t in tasks.items()} == {
        ROW_ID: Progress.FINISHED,
        second: Progress.RUNNING,
    }
    assert api.requests[0].json == {"ids": [ROW_ID, second, "unknown"], "action": "MUSIC"}


@pytest.mark.parametrize(
    "body", [{"code": "success", "data": None}, {"code": "success", "data": []}]
)
def test_an_empty_batch(body: JsonValue) -> None:
    """Nobody known is no fault: the next batch is asked for as well."""
    provider = SunoProvider("suno", FakeApi(anything=json_answer(body)))
    assert provider.get_tasks(["a"]) == {}
    assert provider.batch_size > 1


@pytest.mark.parametrize("reply", [unknown_route, text_answer("<html>"), PassingError("x")])
def test_no_batch(reply: Any) -> None:
    """An API without a batch is asked for it once."""
    provider = SunoProvider("suno", FakeApi(anything=reply))
    assert provider.get_tasks(["a", "b"]) == {}
    assert provider.batch_size == 1
    assert provider.get_tasks(["a"]) == {}


def test_a_refused_key_in_a_batch_is_a_refused_key() -> None:
    """A batch swallows no fault that stops the source."""
    with pytest.raises(KeyRefusedError):
        SunoProvider("suno", FakeApi(anything=KeyRefusedError("x"))).get_tasks(["a"])


def test_an_id_that_cannot_be_a_parameter() -> None:
    """An id that does not encode is refused, not sent."""
    api = FakeApi().on("GET", "/api/get", json_answer(payload("wrapper_clip")))
    provider = SunoProvider("suno", api)
    provider.get_task("a")
    with pytest.raises(ProviderError):
        provider.get_task("a\udc80")


# --- the library --------------------------------------------------------------------------------


def library(pages: dict[str, JsonValue]) -> FakeApi:
    def answer(asked: Asked) -> Any:
        return json_answer(pages.get(asked.params.get("page", ""), []))

    return FakeApi().on("GET", "/api/get", answer)


def clip(number: int, day: int = 1) -> JsonValue:
    body: dict[str, Any] = payload("wrapper_clip")[0]
    return body | {"id": f"clip-{number}", "created_at": f"2024-12-{day:02d}T00:00:00Z"}


@pytest.mark.parametrize(
    "pages",
    [
        {"": [clip(1), clip(2)], "1": [clip(1), clip(2)], "2": [clip(3)]},
        {"": [clip(1), clip(2)], "1": [clip(3)]},
        {"": [clip(1)], "1": [clip(1), clip(2)], "2": [clip(2), clip(3)], "3": [clip(3)]},
    ],
)
def test_the_library_is_read_to_its_end(pages: dict[str, JsonValue]) -> None:
    """Every clip comes once, whether pages are counted from 0 or from 1."""
    tasks = list(SunoProvider("suno", library(pages)).list_tasks())
    assert [t.ref.task_id for t in tasks] == ["clip-1", "clip-2", "clip-3"]


def test_the_library_since() -> None:
    """Clips from before a date are left out; later ones behind them are not."""
    pages: dict[str, JsonValue] = {"": [clip(1, 3), clip(2, 1)], "1": [clip(3, 5)]}
    since = datetime(2024, 12, 2, tzinfo=UTC)
    tasks = SunoProvider("suno", library(pages)).list_tasks(since=since)
    assert [t.ref.task_id for t in tasks] == ["clip-1", "clip-3"]


def test_an_endless_library() -> None:
    """A library that never ends ends in a fault of the source."""
    numbers = iter(range(10**9))
    api = FakeApi(anything=lambda asked: json_answer([clip(next(numbers))]))
    with pytest.raises(ProviderError, match="did not end"):
        for _ in SunoProvider("suno", api).list_tasks():
            pass
    assert len(api.requests) == MAX_PAGES


@pytest.mark.parametrize("reply", [unknown_route, text_answer("<html>", 404)])
def test_a_gateway_has_no_library(reply: Any) -> None:
    """A gateway's refusal says what to do instead."""
    with pytest.raises(SourceFaultError, match="gateway"):
        list(SunoProvider("suno", FakeApi(anything=reply)).list_tasks())


# --- saved answers ------------------------------------------------------------------------------


def test_a_page_of_the_gateways_list() -> None:
    """A saved page of the gateway's list gives its tasks, words among them."""
    tasks = read(payload("task_list"))
    assert [(t.ref.task_id[-1], t.assets[0].role) for t in tasks] == [
        ("1", Role.AUDIO),
        ("4", Role.TEXT),
    ]


def test_entries_of_others_are_told() -> None:
    """What else is in a list is counted."""
    body = payload("library")
    body.append({"id": "x", "state": "completed", "video": {"url": "https://h.example/v.mp4"}})
    tasks = read(body)
    assert len(tasks) == 3
    assert "no Suno tasks: 1" in tasks[0].warnings[-1]


def test_of_several_the_one_with_the_id() -> None:
    """Of a batch the named task is read, and an id that is not there is refused."""
    provider = SunoProvider("suno", FakeApi())
    (task,) = provider.read_body(payload("batch"), task_id=ROW_ID)
    assert (task.ref.task_id, task.provider_task_id) == (ROW_ID, None)
    with pytest.raises(ProviderError):
        provider.read_body(payload("batch"), task_id="another")


def test_nothing_is_asked_to_resolve() -> None:
    """Every link is in the answer."""
    provider = SunoProvider("suno", FakeApi(anything=json_answer(payload("row"))))
    task = provider.get_task("a")
    rendition = form(task, Role.AUDIO)
    assert provider.resolve(task, rendition) is rendition
    assert provider.link_lifetime is None or provider.link_lifetime > timedelta(0)


# --- mangled clips ------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *("id", "status", "state", "audio_url", "audioUrl", "video_url", "metadata", "duration"),
        *("image_large_url", "image_url", "prompt", "created_at", "is_video_pending"),
        *("text", "error_message"),
    ]
)
VALUES = st.recursive(
    st.sampled_from(["complete", "error", "streaming", "https://h.example/a.mp3", None, True, ""])
    | st.text(max_size=9)
    | st.integers()
    | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(NAMES, VALUES, max_size=8) | VALUES, max_size=4) | VALUES,
    st.sampled_from(["SUCCESS", "FAILURE", "UNKNOWN", "IN_PROGRESS", None, "?"]),
)
def test_any_clips(clips: Any, status: str | None) -> None:
    """Whatever clips are, only a `ProviderError` comes of them, and nothing before the end."""
    body = row(status=status)
    body["data"]["data"] = clips
    for answer in (body, {"clips": clips, "status": status, "id": "x"}, clips):
        try:
            task = ask(answer)
        except ProviderError:
            continue
        assert task.progress is Progress.FINISHED or not task.assets
        places = [(a.role, a.index) for a in task.assets]
        assert len(set(places)) == len(places)
