"""MiniMax: every form of an answer, errors that come with HTTP 200, and links asked for late."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import (
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
from archiver.model import JsonValue, Progress, Task
from archiver.providers.minimax import MinimaxProvider
from tests.fakes import FakeApi, json_answer, unknown_route

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "minimax"
QUERY, FILE = "/v1/query/video_generation", "/v1/files/retrieve"
OLD = datetime(2025, 8, 18, 16, 12, 19, tzinfo=UTC)


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def ask(body: JsonValue, task_id: str = "asked") -> Task:
    return MinimaxProvider("m", FakeApi(anything=json_answer(body))).get_task(task_id)


def refused(code: int, words: str = "no") -> dict[str, JsonValue]:
    return {"base_resp": {"status_code": code, "status_msg": words}}


def names(task: Task) -> list[tuple[str, bool]]:
    return [(r.name, r.url is not None) for asset in task.assets for r in asset.renditions]


# --- reading ------------------------------------------------------------------------------------


def test_a_task_names_its_file_only() -> None:
    """The vendor's answer has no link: it is asked for when it is needed; the size is declared."""
    task = ask(payload("success"))
    assert names(task) == [("download_url", False), ("backup_download_url", False)]
    assert {(r.width_px, r.height_px) for r in task.assets[0].renditions} == {(1366, 768)}


def test_a_gateways_record_has_both() -> None:
    """Task and file in one: links first, then the file, for when they are dead; row's ids, date."""
    task = ask(payload("row"))
    assert names(task) == [
        ("download_url", True),
        ("backup_download_url", True),
        ("file_id", False),
    ]
    assert task.assets[0].renditions[0].expires_at == OLD
    assert task.created_at == datetime(2025, 11, 23, 1, 40, tzinfo=UTC)
    assert (task.model, task.provider_task_id) == ("MiniMax-Hailuo-02", "176843862716480")


def test_a_reason_that_is_a_file_id() -> None:
    """On success some gateways keep the file's id where others say why a task failed."""
    api = FakeApi(anything=json_answer(payload("row_file_id")))
    api.on("GET", FILE, json_answer(payload("file")))
    provider = MinimaxProvider("m", api)
    task = provider.get_task("t")
    assert task.failure is None
    provider.resolve(task, task.assets[0].renditions[0])
    assert api.requests[-1].params == {"file_id": "306793063383292"}


@pytest.mark.parametrize("reason", ["moderated", "https://h.example/v.mp4", "", None, "١٢"])
def test_a_reason_that_is_none(reason: JsonValue) -> None:
    """Only digits are an id of a file; a finished task without file and link has no output."""
    body = payload("row_file_id")
    body["data"]["fail_reason"] = reason
    task = ask(body)
    assert (task.progress, task.assets) == (Progress.FINISHED, ())
    assert "neither a file nor a link" in " ".join(task.warnings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fail", "output new_sensitive"),
        ("moderated", "input new_sensitive"),
        ("row_failed", "output new_sensitive"),
    ],
)
def test_why_it_failed(name: str, words: str) -> None:
    """What the API says about the content is why the task failed, with or without a state."""
    task = ask(payload(name))
    assert (task.progress, task.failure) == (Progress.FAILED, words)


@pytest.mark.parametrize("code", [1026, 1027, "1027"])
@pytest.mark.parametrize("state", [{}, {"status": "Success"}])
def test_content_that_was_refused(code: JsonValue, state: dict[str, JsonValue]) -> None:
    """A code about the content is a failure, whatever the state says or if there is none."""
    body: JsonValue = {
        "task_id": "7", **state, "base_resp": {"status_code": code, "status_msg": "held back"}
    }  # fmt: skip
    task = ask(body)
    assert (task.progress, task.failure) == (Progress.FAILED, "held back")


@pytest.mark.parametrize("word", ["Preparing", "Queueing", "Processing", "processing", "Resting"])
def test_states_on_the_way(word: str) -> None:
    """Every state on the way, known or new, is running."""
    assert ask(payload("processing") | {"status": word}).progress is Progress.RUNNING


def test_a_saved_file_is_a_task() -> None:
    """What the file's endpoint answers can be archived too, under the file's id."""
    (task,) = MinimaxProvider("m", FakeApi()).read_body(payload("file"))
    assert (task.ref.task_id, task.progress) == ("302892389810432", Progress.FINISHED)
    assert names(task)[0] == ("download_url", True)


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (1002, RateLimitedError),
        (1004, KeyRefusedError),
        (2049, KeyRefusedError),
        (1008, NoCreditError),
        (2013, ProviderError),
        (1000, ProviderError),
    ],
)
def test_errors_with_status_200(code: int, error: type[Exception]) -> None:
    """A refusal is told by its code, whatever the status of the answer."""
    with pytest.raises(error) as caught:
        ask(refused(code))
    assert not isinstance(caught.value, TaskNotFoundError)


def test_no_such_task() -> None:
    """Only words about a task mean that there is none."""
    with pytest.raises(TaskNotFoundError):
        ask(refused(2013, "task 17 not found"))


@pytest.mark.parametrize(
    ("base", "paths"),
    [
        ("https://api.minimax.io", [QUERY]),
        ("https://api.minimaxi.com/v1", ["/query/video_generation"]),
        ("https://gw.example/minimax", [QUERY]),
        ("https://gw.example", [QUERY, f"/minimax{QUERY}"]),
    ],
)
def test_routes(base: str, paths: list[str]) -> None:
    """The vendor has one path; at a gateway the second is tried where the first is unknown."""
    api = FakeApi(base)
    with pytest.raises(SourceFaultError):
        MinimaxProvider("m", api).get_task("7")
    assert [asked.path for asked in api.requests] == paths
    assert {asked.params["task_id"] for asked in api.requests} == {"7"}


def test_the_route_that_answered_is_kept() -> None:
    """After an answer on the second path, the file is asked for there as well."""
    api = FakeApi("https://gw.example").on("GET", QUERY, unknown_route)
    api.on("GET", f"/minimax{QUERY}", json_answer(payload("success")))
    api.on("GET", f"/minimax{FILE}", json_answer(payload("file")))
    provider = MinimaxProvider("m", api)
    task = provider.get_task("7")
    assert provider.resolve(task, task.assets[0].renditions[0]).url is not None
    provider.get_task("7")
    assert [asked.path for asked in api.requests].count(QUERY) == 1


def test_what_cannot_be_sent_is_not_asked() -> None:
    """An id that is no text is refused before any request."""
    api = FakeApi()
    with pytest.raises(ProviderError, match="not asked"):
        MinimaxProvider("m", api).get_task("\udc80")
    assert not api.requests


def test_there_is_no_list() -> None:
    """No list is asked for; the refusal says what helps."""
    with pytest.raises(UsageError, match="inbox"):
        next(MinimaxProvider("m", FakeApi()).list_tasks())


# --- the file -----------------------------------------------------------------------------------


def resolve(name: str, reply: Any, *, rendition: int = 0) -> Any:
    api = FakeApi(anything=json_answer(payload(name))).on("GET", FILE, reply)
    provider = MinimaxProvider("m", api)
    task = provider.get_task("7")
    return provider.resolve(task, task.assets[0].renditions[rendition])


def test_links_of_a_file() -> None:
    """Each form has its own link, its end, and the size that the task declared."""
    for number, host in enumerate(["video-out.oss-cn.example", "backup.example"]):
        found = resolve("success", json_answer(payload("file")), rendition=number)
        assert host in found.url
        assert (found.expires_at, found.width_px) == (OLD, 1366)
    fresh = resolve("row", json_answer(payload("file")), rendition=2)
    assert fresh.name == "file_id"
    assert "video-out" in fresh.url


def test_a_file_without_a_link() -> None:
    """An answer without this link means that there is none."""
    body = payload("file")
    del body["file"]["backup_download_url"]
    with pytest.raises(DeadLinkError):
        resolve("success", json_answer(body), rendition=1)


def test_a_file_that_is_gone() -> None:
    """What the API says of a file that it does not know is believed."""
    with pytest.raises(DeadLinkError):
        resolve("success", json_answer({"error": {"message": "video not found"}}, 404))


@pytest.mark.parametrize(
    "reply", [unknown_route, json_answer(refused(2013)), RateLimitedError("x")]
)
def test_a_file_that_cannot_be_had_now(reply: Any) -> None:
    """Any other fault passes: the task is tried again; but a gateway's links need no such route."""
    with pytest.raises(PassingError):
        resolve("success", reply)
    if not isinstance(reply, RateLimitedError):
        with pytest.raises(DeadLinkError):
            resolve("row", reply, rendition=2)


@pytest.mark.parametrize("code", [1004, 1008])
def test_a_refused_key_stops_the_source(code: int) -> None:
    """A key or account that is refused here too is no fault of the file."""
    with pytest.raises((KeyRefusedError, NoCreditError)):
        resolve("success", json_answer(refused(code)))


def test_a_form_with_a_link_is_not_asked_for() -> None:
    """A rendition that has its link is returned as it is."""
    api = FakeApi(anything=json_answer(payload("row")))
    provider = MinimaxProvider("m", api)
    task = provider.get_task("7")
    form = task.assets[0].renditions[0]
    assert provider.resolve(task, form) is form
    assert len(api.requests) == 1


# --- fuzzing ------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
FIELDS = ["task_id", "status", "file_id", "video_width", "video_height", "base_resp", "file"]
BODIES = st.dictionaries(
    st.sampled_from([*FIELDS, "data", "code"]),
    VALUES
    | st.fixed_dictionaries({"status_code": VALUES, "status_msg": VALUES})
    | st.fixed_dictionaries({"download_url": VALUES, "file_id": VALUES, "bytes": VALUES})
    | st.sampled_from(["Success", "Fail", "1027", 1027]),
)


@given(BODIES)
def test_only_provider_errors_and_passing_ones_leave_it(body: JsonValue) -> None:
    """Whatever comes instead of an answer, reading it ends in a task or in an error of the tree."""
    provider = MinimaxProvider("m", FakeApi(anything=json_answer(body)))
    for read in (lambda: [provider.get_task("7")], lambda: provider.read_body(body)):
        try:
            tasks = read()
        except (ProviderError, RateLimitedError):
            continue
        for task in tasks:
            for asset in task.assets:
                for form in asset.renditions:
                    try:
                        provider.resolve(task, form)
                    except (DeadLinkError, ProviderError, PassingError):
                        continue
