"""Udio: every form of an answer, songs one by one, verbatim links, and what is asked where."""

from __future__ import annotations

import json
from datetime import UTC, datetime
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
    UsageError,
)
from archiver.model import JsonValue, Progress, Role, Task
from archiver.providers.udio import UdioProvider
from tests.fakes import Asked, FakeApi, json_answer, text_answer, unknown_route

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "udio"
GENERATION = "8a3b0000-0000-4000-8000-000000000001"
ONE, TWO = "410e0001-0000-4000-8000-000000000001", "410e0002-0000-4000-8000-000000000001"
THREE = "410e0003-0000-4000-8000-000000000001"
NOT_EXIST: JsonValue = {"code": "task_not_exist", "message": "task_not_exist", "data": None}
FETCH, QUERY = f"/udio/fetch/{GENERATION}", "/udio/query"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def ask(body: JsonValue, task_id: str = "asked") -> Task:
    return UdioProvider("udio", FakeApi(anything=json_answer(body))).get_task(task_id)


def row(*songs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("row_songs")
    one = body["data"]["songs"][0]
    body["data"] |= {"songs": [{**one, **song} for song in songs], **changes}
    return body


def shape(task: Task) -> list[tuple[str, int]]:
    return [(a.role.value, a.index) for a in task.assets]


def query_api(*songs: JsonValue) -> FakeApi:
    """Make an API that has the query alone, and gives the songs asked for."""

    def answer(asked: Asked) -> Any:
        wanted = asked.params["ids"].split(",")
        return json_answer(
            {"songs": [s for s in songs if isinstance(s, dict) and s["id"] in wanted]}
        )

    return FakeApi().on("GET", QUERY, answer)


def song(song_id: str, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("query")["songs"][0]
    return body | {"id": song_id, **changes}


# --- every form ---------------------------------------------------------------------------------

TWO_SONGS = [("audio", 0), ("audio", 1), ("thumbnail", 0), ("thumbnail", 1)]
WITH_VIDEO = [("audio", 0), ("audio", 1), ("video", 1), ("thumbnail", 0), ("thumbnail", 1)]


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("row_songs", TWO_SONGS), ("row_data_songs", WITH_VIDEO), ("query", TWO_SONGS)],
)
def test_every_form_is_read(name: str, outputs: list[tuple[str, int]]) -> None:
    """Each form gives audio, video and cover of every song, without a warning."""
    task = ask(payload(name))
    assert task.progress is Progress.FINISHED
    assert shape(task) == outputs
    assert task.prompt == "saxophone, lyrical, night, town"
    assert task.created_at == datetime(2024, 11, 25, 15, 22, 39, 439606, UTC)
    assert task.warnings == ()
    audio = task.asset(Role.AUDIO, 0)
    assert audio
    assert audio.renditions[0].duration_s == pytest.approx(32.81, abs=0.01)


@pytest.mark.parametrize("name", ["row_songs", "row_data_songs", "query"])
def test_links_are_verbatim(name: str) -> None:
    """A path that is encoded twice stays so: decoded or encoded again it is another file."""
    task = ask(payload(name))
    links = [a.renditions[0].url or "" for a in task.assets if a.role is Role.AUDIO]
    assert [link.rpartition("/")[2] for link in links] == ["The%2520Untitled.mp3"] * 2


def test_the_artist_is_no_output() -> None:
    """The picture of the account, and what a song was made from, are never fetched."""
    given_song = "https://uploads.example/hum.mp3"
    body = row({"original_song_path": given_song, "artist_image": "https://uploads.example/a.png"})
    assert "uploads" not in str([r.url for a in ask(body).assets for r in a.renditions])


@pytest.mark.parametrize(
    ("name", "task_id"),
    [("row_songs", GENERATION), ("row_data_songs", GENERATION), ("query", GENERATION)],
)
def test_ids(name: str, task_id: str) -> None:
    """A saved answer is known by its generation, never by one of its songs."""
    (task,) = UdioProvider("udio", FakeApi()).read_body(payload(name))
    assert (task.ref.task_id, task.provider_task_id) == (task_id, None)


def test_songs_of_several_generations() -> None:
    """Songs of two generations in one saved answer are two tasks, each with its own answer."""
    tasks = UdioProvider("udio", FakeApi()).read_body(payload("query_two_tasks"))
    assert [(t.ref.task_id[-1], len(t.assets)) for t in tasks] == [("1", 4), ("2", 2)]
    assert [len(t.raw["songs"]) for t in tasks if isinstance(t.raw, dict)] == [2, 1]  # type: ignore[arg-type]


# --- songs one by one ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["row_one_finished", "query_one_finished"])
def test_finished_only_when_every_song_is(name: str) -> None:
    """One song that is not finished keeps all of them waiting, whatever the gateway says."""
    task = ask(payload(name))
    assert (task.progress, task.assets) == (Progress.RUNNING, ())


@pytest.mark.parametrize("word", ["NOT_START", "SUBMITTED", "QUEUED", "IN_PROGRESS"])
def test_a_gateway_at_work_is_believed(word: str) -> None:
    """Another song may come: finished ones do not end a task that its gateway is still at."""
    assert ask(row({}, {}, status=word)).progress is Progress.RUNNING
    assert ask(row({}, {}, status="UNKNOWN")).progress is Progress.FINISHED


@pytest.mark.parametrize(("flag", "finished"), [("true", True), ("false", False), (1, None)])
def test_flags(flag: JsonValue, finished: bool | None) -> None:
    """`finished` may be a text; what is no yes or no leaves the word to the gateway, told."""
    task = ask(row({"finished": flag}))
    assert (task.progress is Progress.FINISHED) is (finished is not False)
    assert bool(task.warnings) is (finished is None)


def test_songs_without_any_word() -> None:
    """Songs that nobody says are finished are not, and that is told."""
    task = ask({"songs": [song(ONE, finished=None)]})
    assert task.progress is Progress.RUNNING
    assert "does not say" in task.warnings[0]


def test_partial_success() -> None:
    """A song that failed costs the other nothing, not even its number, and is told."""
    task = ask(payload("row_partial"))
    assert shape(task) == [("audio", 1), ("thumbnail", 1)]
    why = "MODERATION: 4001: the words were not let through"
    assert task.warnings == (f"song 1 of 2 failed: {why}",)


def test_all_songs_failed() -> None:
    """A task of which every song failed is a failure, with the songs' reasons, each once."""
    task = ask(payload("query_failed"))
    assert task.failure == "MODERATION: 4001: the words were not let through"


def test_a_failure_with_a_whole_song_is_archived() -> None:
    """What is there is kept, although the gateway calls the task a failure."""
    task = ask(row({}, {"finished": False}, status="FAILURE"))
    assert shape(task) == [("audio", 0), ("thumbnail", 0)]
    assert "the task failed, but a song" in task.warnings[0]


def test_numbers_as_error_codes() -> None:
    """An error code may be a number."""
    task = ask(row({"finished": False, "error_code": 4001}, status="FAILURE"))
    assert (task.progress, task.failure) == (Progress.FAILED, "4001")


def test_a_finished_song_is_finished() -> None:
    """What else is said of a song that is finished is no failure."""
    assert ask(row({"error_code": "0"})).progress is Progress.FINISHED


def test_a_finished_song_without_a_link() -> None:
    """Its audio is an output still to be had; its cover is there."""
    task = ask(row({"song_path": None}))
    assert shape(task) == [("audio", 0), ("thumbnail", 0)]
    assert task.assets[0].renditions == ()


# --- asking -------------------------------------------------------------------------------------


def test_by_generation() -> None:
    """A generation is asked for by its id, in one request."""
    api = FakeApi().on("GET", FETCH, json_answer(payload("row_songs")))
    assert UdioProvider("udio", api).get_task(GENERATION).progress is Progress.FINISHED
    assert len(api.requests) == 1


def test_below_a_base_url_of_its_own() -> None:
    """A base URL may end where Udio's paths begin."""
    api = FakeApi("https://api.example.com/udio", anything=json_answer(payload("row_songs")))
    UdioProvider("udio", api).get_task("a")
    assert [r.path for r in api.requests] == ["/fetch/a"]


def test_by_songs() -> None:
    """Songs are asked for with their ids between commas, and numbered in the order asked for."""
    api = query_api(song(TWO, song_path="https://h.example/2.mp3"), song(ONE))
    provider = UdioProvider("udio", api)
    task = provider.get_task(f"{ONE},{TWO}")
    assert api.requests[0].params == {"ids": f"{ONE},{TWO}"}
    second = task.asset(Role.AUDIO, 1)
    assert second
    assert second.renditions[0].url == "https://h.example/2.mp3"
    assert task.ref.task_id == f"{ONE},{TWO}"
    turned = provider.get_task(f"{TWO},{ONE}").asset(Role.AUDIO, 0)
    assert turned
    assert turned.renditions == second.renditions


def test_a_song_that_is_not_there_yet() -> None:
    """Of two songs asked for, one alone is not the whole task."""
    task = UdioProvider("udio", query_api(song(ONE))).get_task(f"{ONE},{TWO}")
    assert (task.progress, task.assets) == (Progress.RUNNING, ())
    assert "1 of 2 songs" in task.warnings[-1]


def test_a_gateway_with_the_query_alone() -> None:
    """A gateway without the first route is asked on the second, and from then on there only."""
    api = query_api(song(ONE))
    provider = UdioProvider("udio", api)
    for _ in range(2):
        assert provider.get_task(ONE).progress is Progress.FINISHED
    assert [r.path for r in api.requests] == [f"/udio/fetch/{ONE}", QUERY, QUERY]


def test_a_song_that_the_first_route_does_not_know() -> None:
    """The id of a song is unknown as a generation, and is found as a song."""
    api = query_api(song(ONE)).on("GET", f"/udio/fetch/{ONE}", json_answer(NOT_EXIST, 400))
    assert UdioProvider("udio", api).get_task(ONE).progress is Progress.FINISHED


@pytest.mark.parametrize(
    "second",
    [json_answer({"songs": []}), json_answer(NOT_EXIST, 400), unknown_route, text_answer("<html>")],
)
def test_not_found_anywhere(second: Any) -> None:
    """What neither route has is not found, in the words of the first."""
    api = FakeApi().on("GET", FETCH, json_answer(NOT_EXIST, 400)).on("GET", QUERY, second)
    with pytest.raises(TaskNotFoundError):
        UdioProvider("udio", api).get_task(GENERATION)


def test_not_found_by_the_second_route_alone_is_not_believed() -> None:
    """A query that does not know a task says nothing while the first route is at fault."""
    api = FakeApi().on("GET", QUERY, json_answer(NOT_EXIST, 400))
    with pytest.raises(SourceFaultError):
        UdioProvider("udio", api).get_task(GENERATION)


def test_no_songs_are_no_verdict() -> None:
    """An empty answer to a query says nothing about the songs."""
    with pytest.raises(ProviderError) as caught:
        UdioProvider("udio", query_api()).get_task(f"{ONE},{TWO}")
    assert not isinstance(caught.value, TaskNotFoundError)


def test_a_route_that_is_not_there_is_asked_once() -> None:
    """A gateway without the query is not asked for it with every id that it does not know."""
    api = FakeApi().on("GET", FETCH, json_answer(NOT_EXIST, 400))
    provider = UdioProvider("udio", api)
    for _ in range(3):
        with pytest.raises(TaskNotFoundError):
            provider.get_task(GENERATION)
    assert [r.path for r in api.requests] == [FETCH, QUERY, FETCH, FETCH]
    assert provider.batch_size == 1


@pytest.mark.parametrize("fault", [KeyRefusedError("x"), PassingError("x")])
def test_faults_of_the_second_route_pass_through(fault: Exception) -> None:
    """A refused key is one on either route; nothing is hidden behind "not found"."""
    api = FakeApi().on("GET", FETCH, json_answer(NOT_EXIST, 400)).on("GET", QUERY, fault)  # type: ignore[arg-type]
    with pytest.raises(type(fault)):
        UdioProvider("udio", api).get_task(GENERATION)


def test_batch() -> None:
    """Tasks named by their songs are found in one query; others are absent."""
    api = query_api(song(TWO), song(THREE), song(ONE))
    tasks = UdioProvider("udio", api).get_tasks([f"{ONE},{TWO}", THREE, GENERATION])
    assert {i: len(t.assets) for i, t in tasks.items()} == {f"{ONE},{TWO}": 4, THREE: 2}
    assert len(api.requests) == 1


@pytest.mark.parametrize("reply", [unknown_route, text_answer("<html>"), PassingError("x")])
def test_no_batch(reply: Any) -> None:
    """An API without a query is asked for it once."""
    provider = UdioProvider("udio", FakeApi(anything=reply))
    assert provider.get_tasks(["a", "b"]) == {}
    assert provider.batch_size == 1


def test_an_id_that_cannot_be_a_parameter() -> None:
    """An id that does not encode is refused, not sent."""
    provider = UdioProvider("udio", query_api(song(ONE)))
    provider.get_task(ONE)
    with pytest.raises(ProviderError):
        provider.get_task("a\udc80")
    assert provider.get_tasks(["a\udc80"]) == {}


def test_there_is_no_list() -> None:
    """What has no list says what to do instead."""
    with pytest.raises(UsageError, match="inbox"):
        UdioProvider("udio", FakeApi()).list_tasks()


def test_entries_of_others_are_told() -> None:
    """What else is in a list of rows is counted; a named task is found among them."""
    rows: list[JsonValue] = [payload("row_songs")["data"], {"id": "x", "state": "completed"}]
    provider = UdioProvider("udio", FakeApi())
    (task,) = provider.read_body(rows)
    assert "no Udio tasks: 1" in task.warnings[-1]
    (named,) = provider.read_body(rows, task_id=GENERATION)
    assert named.assets == task.assets
    with pytest.raises(ProviderError):
        provider.read_body(rows, task_id="another")


# --- mangled songs ------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *("id", "finished", "song_path", "image_path", "video_path", "duration", "prompt"),
        *("error_type", "error_code", "error_detail", "generation_id", "created_at", "songs"),
    ]
)
VALUES = st.recursive(
    st.sampled_from([ONE, TWO, "https://h.example/a.mp3", "SUCCESS", None, True, False, ""])
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
def test_any_songs(songs: Any, status: str | None) -> None:
    """Whatever songs are, only a `ProviderError` comes of them, and nothing before the end."""
    body = row(status=status)
    body["data"]["songs"] = songs
    for answer in (body, {"songs": songs}, {"code": 0, "data": songs}, songs):
        for task_id in ("asked", f"{ONE},{TWO}"):
            try:
                task = ask(answer, task_id)
                UdioProvider("udio", FakeApi()).read_body(answer)
            except ProviderError:
                continue
            assert task.progress is Progress.FINISHED or not task.assets
            places = [(a.role, a.index) for a in task.assets]
            assert len(set(places)) == len(places)
