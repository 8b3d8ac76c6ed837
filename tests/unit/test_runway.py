"""Runway: the vendor's form, the reverse feed with its digits, and which of them is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError, UsageError
from archiver.model import Progress, Role, Task
from archiver.providers.runway import RunwayProvider
from tests.fakes import FakeApi, json_answer

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "runway"
VENDOR, FEED = "/runwayml/v1/tasks/7", "/runway/feed"
NOT_EXIST = json_answer({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)


def body(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(name: str) -> Task:
    (task,) = RunwayProvider("s", FakeApi()).read_body(body(name))
    return task


def paths(api: FakeApi) -> list[str]:
    return [asked.path for asked in api.requests]


# --- reading --------------------------------------------------------------------------------------


def test_several_outputs() -> None:
    """Every link of `output` is an output, of the kind that its name says."""
    task = read("several")
    assert [(a.role, a.index) for a in task.assets] == [
        (Role.VIDEO, 0),
        (Role.VIDEO, 1),
        (Role.IMAGE, 0),
    ]
    assert task.expires_at == datetime(2024, 12, 2, tzinfo=UTC)


def test_a_name_that_says_nothing() -> None:
    """Runway makes videos first of all."""
    bare = body("official") | {"output": ["https://cdn.example/0f6f/clip?_jwt=x"]}
    (task,) = RunwayProvider("s", FakeApi()).read_body(bare)
    assert [a.role for a in task.assets] == [Role.VIDEO]


def test_a_row_that_alone_names_the_result() -> None:
    """On success the gateway's row can be all that names the video."""
    row = body("feed_envelope")
    row["data"] |= {"data": None, "fail_reason": "http://cdn.example/cat.mp4"}
    (task,) = RunwayProvider("s", FakeApi()).read_body(row)
    assert [(a.role, a.renditions[0].name) for a in task.assets] == [(Role.VIDEO, "result_url")]


def test_the_reverse_feed() -> None:
    """Digits and dates are texts, links are plain http; poster and last frame are previews."""
    task = read("feed")
    forms = {a.role: a.renditions[0] for a in task.assets}
    assert {role: form.name for role, form in forms.items()} == {
        Role.VIDEO: "video_url",
        Role.THUMBNAIL: "thumbnail",
        Role.LAST_FRAME: "last_frame",
    }
    assert (forms[Role.VIDEO].url or "").startswith("http://")
    assert task.created_at == datetime.fromtimestamp(1724313052, tz=UTC)
    assert task.prompt == "A small cat"


def test_artifacts() -> None:
    """One gateway has all of it below `task`; what it shows meanwhile is no output."""
    task = read("artifacts")
    assert task.ref.task_id == "11aa-22bb"
    (asset,) = task.assets
    assert (asset.role, asset.renditions[0].name) == (Role.VIDEO, "output")


def test_the_gateways_row() -> None:
    """The row's id is the task's, the feed's own one is kept beside it."""
    task = read("feed_envelope")
    assert (task.ref.task_id, task.provider_task_id) == ("task_rw1", "c1a5b1a2-6f0e-4a0e-9c44")


@pytest.mark.parametrize(
    ("name", "word", "progress"),
    [
        ("feed", "0", Progress.RUNNING),
        ("feed", "1", Progress.RUNNING),
        ("feed", 1, Progress.RUNNING),
        ("feed", "2", Progress.FAILED),
        ("feed", "3", Progress.FINISHED),
        ("feed", 3, Progress.FINISHED),
        ("feed", "4", Progress.RUNNING),
        ("feed", "succeeded", Progress.FINISHED),
        ("official", "PENDING", Progress.RUNNING),
        ("official", "THROTTLED", Progress.RUNNING),
        ("official", "RUNNING", Progress.RUNNING),
        ("official", "SUCCEEDED", Progress.FINISHED),
        ("official", "FAILED", Progress.FAILED),
        ("official", "CANCELLED", Progress.FAILED),
        ("official", "CANCELED", Progress.FAILED),
    ],
)
def test_states(name: str, word: Any, progress: Progress) -> None:
    """Words and digits, as numbers and texts; a new one is no end."""
    changed = body(name)
    (changed["data"] if name == "feed" else changed)["status"] = word
    api = FakeApi(anything=json_answer(changed))
    task = RunwayProvider("s", api).get_task("7")
    assert task.progress is progress
    assert bool(task.assets) is (progress is Progress.FINISHED)


def test_a_state_without_a_digit() -> None:
    """`state` counts where there is no `status`."""
    changed = body("feed_state")
    del changed["data"]["status"]
    (task,) = RunwayProvider("s", FakeApi()).read_body(changed)
    assert task.progress is Progress.FINISHED
    assert task.warnings == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("failed", "SAFETY.INPUT.TEXT: The text did not pass our moderation."),
        ("cancelled", "Canceled by its owner."),
        ("feed_2", "content policy"),
    ],
)
def test_failures_are_told(name: str, words: str) -> None:
    """In the provider's words, with its code."""
    assert read(name).failure == words


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.dev.runwayml.com", "/v1/tasks/7"),
        ("https://api.dev.runwayml.com/v1", "/tasks/7"),
        ("https://gw.example/runwayml", "/v1/tasks/7"),
        ("https://gw.example", VENDOR),
    ],
)
def test_the_vendors_path_and_version(base_url: str, path: str) -> None:
    """The version is named in every request; a base URL may hold what the path begins with."""
    api = FakeApi(base_url).on("GET", path, json_answer(body("official")))
    assert RunwayProvider("s", api).get_task("7").assets
    assert [(asked.path, asked.headers) for asked in api.requests] == [
        (path, {"X-Runway-Version": "2024-11-06"})
    ]


def test_the_feed_is_asked_by_post() -> None:
    """Its id is in the body."""
    api = FakeApi("https://gw.example/runway").on("POST", "/feed", json_answer(body("feed")))
    assert RunwayProvider("s", api).get_task("7").assets
    (asked,) = api.requests
    assert (asked.method, asked.json) == ("POST", {"task_id": "7"})


def test_a_gateway_with_the_feed_only() -> None:
    """It is asked where the vendor's path is nothing, and from then on first."""
    api = FakeApi().on("POST", FEED, json_answer(body("feed")))
    provider = RunwayProvider("s", api)
    provider.get_task("7")
    provider.get_task("7")
    assert paths(api) == [VENDOR, FEED, FEED]


def test_a_gateway_with_both() -> None:
    """A task that one route does not know is asked for on the other."""
    api = FakeApi().on("GET", VENDOR, NOT_EXIST).on("POST", FEED, json_answer(body("feed")))
    assert RunwayProvider("s", api).get_task("7").assets
    api = FakeApi().on("GET", VENDOR, NOT_EXIST)
    with pytest.raises(TaskNotFoundError):
        RunwayProvider("s", api).get_task("7")
    assert paths(api) == [VENDOR, FEED]


def test_the_vendors_path_behind_a_proxy() -> None:
    """It is asked where a gateway's routes are nothing, and from then on first."""
    path = "/v1/tasks/7"
    api = FakeApi().on("GET", path, json_answer(body("official")))
    provider = RunwayProvider("s", api)
    assert provider.get_task("7").assets
    provider.get_task("7")
    assert paths(api) == [VENDOR, FEED, path, path]
    assert api.requests[-1].headers == {"X-Runway-Version": "2024-11-06"}


def test_what_the_feed_does_not_know() -> None:
    """It is believed only once the feed has given a task."""
    api = FakeApi().on("POST", FEED, NOT_EXIST)
    with pytest.raises(SourceFaultError):
        RunwayProvider("s", api).get_task("7")
    api = FakeApi().on("POST", FEED, json_answer(body("feed")), NOT_EXIST)
    provider = RunwayProvider("s", api)
    provider.get_task("8")
    with pytest.raises(TaskNotFoundError):
        provider.get_task("7")


def test_there_is_no_list() -> None:
    """It says so."""
    with pytest.raises(UsageError, match="inbox"):
        RunwayProvider("s", FakeApi()).list_tasks()


@pytest.mark.parametrize(
    "other",
    [
        {"id": "1", "status": "succeeded", "output": ["https://h.example/a.png"]},
        {"id": "1", "status": "SUCCESS", "imageUrl": "https://h.example/a.png"},
        {"id": "1", "status": "Ready", "result": {"sample": "https://h.example/a.jpg"}},
        {"task_id": "1", "task_status": "succeed", "task_result": {}},
    ],
)
def test_bodies_of_others_are_not_taken(other: Any) -> None:
    """What another provider posts is not Runway's."""
    with pytest.raises(ProviderError):
        RunwayProvider("s", FakeApi()).read_body(other)
