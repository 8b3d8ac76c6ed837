"""Kling: actions, forms, marks, error numbers, lists and tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import (
    ConfigError,
    KeyRefusedError,
    NoCreditError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
)
from archiver.model import Answer, Progress, Role, Task
from archiver.providers.kling import KlingProvider
from archiver.providers.kling.keys import RENEWED_AFTER_S, TOKEN_LIFETIME_S
from tests.fakes import NOW, Asked, FakeApi, json_answer, unknown_route

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "kling"
OFFICIAL = "https://api-singapore.klingai.com"
NOT_EXIST = json_answer({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)
GONE = json_answer({"code": 1203, "message": "The resource does not exist", "data": None}, 404)
ID = "867283741759111202"


def body(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(name: str) -> Task:
    (task,) = KlingProvider("s", FakeApi()).read_body(body(name))
    return task


def at(
    path: str, name: str = "text2video", *, base_url: str = OFFICIAL, other: Any = GONE
) -> FakeApi:
    return FakeApi(base_url, anything=other).on("GET", path, json_answer(body(name)))


def paths(api: FakeApi) -> list[str]:
    return [asked.path for asked in api.requests]


# --- what is taken --------------------------------------------------------------------------------


def forms(task: Task, role: Role, index: int = 0) -> list[tuple[str, bool]]:
    asset = task.asset(role, index)
    return [(r.name, r.watermarked) for r in asset.renditions] if asset else []


def test_the_clean_copy_goes_first() -> None:
    """`url` is clean; `watermark_url` is marked and only a last resort."""
    assert forms(read("marked_and_clean"), Role.VIDEO) == [("url", False), ("watermark_url", True)]
    assert forms(read("marked_only"), Role.VIDEO) == [("watermark_url", True)]
    assert forms(read("text2video"), Role.VIDEO) == [("url", False)]
    assert forms(read("three"), Role.VIDEO) == [("url", False), ("watermark_url", True)]


@pytest.mark.parametrize("name", ["extend", "lip_sync", "callback", "sounds", "try_on"])
def test_what_was_given_is_no_output(name: str) -> None:
    """The video that is prolonged, or the person who tries on, is not archived."""
    urls = [r.url for asset in read(name).assets for r in asset.renditions]
    assert urls
    assert not [url for url in urls if "uploads.example" in (url or "")]


def test_every_picture_is_an_output() -> None:
    """Pictures keep their positions."""
    task = read("images")
    assert [(a.role, a.index) for a in task.assets] == [(Role.IMAGE, 0), (Role.IMAGE, 1)]


def test_sounds_without_loss_go_first() -> None:
    """A sound is offered as WAV and as MP3, each with its own duration."""
    (asset,) = read("sounds").assets
    assert asset.role is Role.AUDIO
    assert [(r.name, r.duration_s) for r in asset.renditions] == [
        ("url_wav", 5.04),
        ("url_mp3", 5.06),
    ]


def test_declared_numbers() -> None:
    """A duration is a text; sizes and a seed come from the gateway's form only."""
    (asset,) = read("text2video").assets
    assert asset.renditions[0].duration_s == 5.042
    task = read("gateway_docs")
    (form,) = task.assets[0].renditions
    assert (form.width_px, form.height_px, form.duration_s) == (1280, 720, 5.0)
    assert task.seed == 20231234


def test_dates_in_seconds_and_milliseconds() -> None:
    """The vendor gives milliseconds, one gateway seconds; both are the same second."""
    whole = datetime(2024, 11, 10, 10, 6, 22, tzinfo=UTC)
    assert read("text2video").created_at == whole + timedelta(milliseconds=965)
    assert read("lip_sync").created_at == whole
    assert read("three").created_at is not None


def test_the_gateways_row_is_opened() -> None:
    """Three envelopes deep; the row's id is the task's, its `fail_reason` no failure."""
    task = read("row")
    assert (task.ref.task_id, task.provider_task_id) == ("task_5yH2", ID)
    assert (task.progress, task.failure, task.model) == (Progress.FINISHED, None, "kling-v1-6")


def test_a_row_that_alone_names_the_result() -> None:
    """On success the row's `result_url`, or its `fail_reason`, can be all that there is."""
    assert forms(read("row_result"), Role.VIDEO) == [("result_url", False)]
    changed = body("row_result")
    changed["data"] |= {"result_url": "", "fail_reason": "data:image/png;base64,iVBORw0KGgo="}
    (task,) = KlingProvider("s", FakeApi()).read_body(changed)
    (asset,) = task.assets
    assert (asset.role, asset.renditions[0].content) == (Role.IMAGE, b"\x89PNG\r\n\x1a\n")
    changed["data"]["fail_reason"] = "306793063383292"
    (task,) = KlingProvider("s", FakeApi()).read_body(changed)
    assert (task.progress, task.assets) == (Progress.FINISHED, ())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("failed", "risk control"),
        ("three_failed", "please try again"),
        ("gateway_docs_failed", "task_failed: content moderation failed"),
        ("row_failed", "was not accepted"),
    ],
)
def test_failures_are_told_in_kling_words(name: str, words: str) -> None:
    """What failed is told as the provider tells it."""
    task = read(name)
    assert task.progress is Progress.FAILED
    assert words in (task.failure or "")


@pytest.mark.parametrize(
    ("word", "progress"),
    [
        *((w, Progress.FINISHED) for w in ("succeed", "succeeded", "SUCCEED", "completed")),
        *((w, Progress.RUNNING) for w in ("submitted", "processing", "queued", "brand-new-word")),
        *((w, Progress.FAILED) for w in ("failed", "FAILED", "canceled")),
    ],
)
def test_states(word: str, progress: Progress) -> None:
    """Every spelling of a state; a new word is no end."""
    changed = body("text2video")
    changed["data"]["task_status"] = word
    (task,) = KlingProvider("s", FakeApi()).read_body(changed)
    assert task.progress is progress
    assert bool(task.warnings) is (word == "brand-new-word")


# --- where it is asked for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_id", "path"),
    [
        ("text2video/7", "/v1/videos/text2video/7"),
        ("image2video/7", "/v1/videos/image2video/7"),
        ("extend/7", "/v1/videos/video-extend/7"),
        ("lip-sync/7", "/v1/videos/lip-sync/7"),
        ("effects/7", "/v1/videos/effects/7"),
        ("generations/7", "/v1/images/generations/7"),
        ("kolors-virtual-try-on/7", "/v1/images/kolors-virtual-try-on/7"),
        ("videos/avatar/image2video", "/v1/videos/avatar/image2video"),
        ("images/generations/a%2Fb", "/v1/images/generations/a%252Fb"),
    ],
)
def test_an_id_may_carry_its_action(task_id: str, path: str) -> None:
    """One request, at the action's own path; the task keeps the id that was asked for."""
    api = at(path)
    task = KlingProvider("s", api).get_task(task_id)
    assert paths(api) == [path]
    assert task.ref.task_id == task_id
    assert task.provider_task_id == ID


def test_the_newer_models_are_asked_for_by_their_own_path() -> None:
    """`tasks/ID` is the 3.0 form."""
    api = at("/tasks", "three")
    task = KlingProvider("s", api).get_task("tasks/901930004609634393")
    assert api.requests[0].params == {"task_ids": "901930004609634393"}
    assert task.progress is Progress.FINISHED


def test_a_bare_id_is_looked_for_and_remembered() -> None:
    """Each action is asked in turn; the second time only the right one is."""
    api = at("/v1/images/generations/7", "images")
    provider = KlingProvider("s", api)
    provider.get_task("7")
    assert paths(api)[-1] == "/v1/images/generations/7"
    assert len(paths(api)) == 6
    provider.get_task("7")
    assert len(paths(api)) == 7


def test_the_action_that_was_right_is_asked_first() -> None:
    """Another id of the same kind costs one request."""
    api = at("/v1/videos/effects/7").on("GET", "/v1/videos/effects/8", json_answer(body("failed")))
    provider = KlingProvider("s", api)
    provider.get_task("7")
    before = len(api.requests)
    provider.get_task("8")
    assert paths(api)[before:] == ["/v1/videos/effects/8"]


def test_a_bare_id_of_a_newer_model_is_found() -> None:
    """On the vendor's host the 3.0 form is asked last."""
    api = at("/tasks", "three")
    assert KlingProvider("s", api).get_task("901930004609634393").assets


class DictMemory:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def recall(self, key: str) -> str | None:
        return self.kept.get(key)

    def memorise(self, key: str, value: str) -> None:
        self.kept[key] = value


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/images/generations/7", "processing"), ("/tasks", "three_processing")],
)
def test_a_task_that_still_runs_is_remembered_for_later_runs(path: str, name: str) -> None:
    """Another run asks at once where an earlier one found it; what is done needs no memory."""
    memory = DictMemory()
    KlingProvider("s", at(path, name), memory=memory).get_task("7")
    api = at(path, name)
    KlingProvider("s", api, memory=memory).get_task("7")
    assert paths(api) == [path]
    done = DictMemory()
    KlingProvider("s", at("/v1/images/generations/7", "images"), memory=done).get_task("7")
    assert done.kept == {}


def test_an_id_that_no_action_has() -> None:
    """Every action's own "no such task" is a "no such task"; it may be too fresh."""
    api = FakeApi(OFFICIAL, anything=NOT_EXIST)
    with pytest.raises(TaskNotFoundError) as caught:
        KlingProvider("s", api).get_task("7")
    assert caught.value.may_be_fresh
    assert len(api.requests) == 10


@pytest.mark.parametrize("task_id", ["7", "text2video/7"])
def test_a_number_alone_makes_no_task_gone(task_id: str) -> None:
    """What Kling says of an unknown id is not documented: 1203 is asked again, not believed."""
    with pytest.raises(ProviderError) as caught:
        KlingProvider("s", FakeApi(OFFICIAL, anything=GONE)).get_task(task_id)
    assert not isinstance(caught.value, (TaskNotFoundError, SourceFaultError))
    assert caught.value.code == "no_such_task"


def test_an_empty_list_makes_no_task_gone() -> None:
    """The 3.0 form gives a list; what an empty one means is not documented."""
    api = FakeApi(OFFICIAL, anything=json_answer({"code": 0, "data": []}))
    with pytest.raises(ProviderError) as caught:
        KlingProvider("s", api).get_task("tasks/7")
    assert not isinstance(caught.value, TaskNotFoundError)


def test_a_wrong_address_costs_few_requests() -> None:
    """Where nothing is, not every action is tried."""
    api = FakeApi()
    with pytest.raises(SourceFaultError):
        KlingProvider("s", api).get_task("7")
    assert paths(api) == ["/kling/v1/videos/text2video/7", "/v1/videos/text2video/7"]


def test_an_action_that_a_gateway_lacks() -> None:
    """An unknown route of one action hides no task of another."""

    def anything(asked: Asked) -> Answer:
        return NOT_EXIST if "videos/text2video" in asked.path else unknown_route(asked)

    api = FakeApi(anything=anything).on(
        "GET", "/kling/v1/images/generations/7", json_answer(body("images"))
    )
    assert KlingProvider("s", api).get_task("7").assets


def test_gateways_without_their_own_prefix() -> None:
    """`/v1/videos/…` is asked where `/kling/v1/…` is nothing, and from then on at once."""
    api = at("/v1/videos/text2video/7", base_url="https://gw.example", other=unknown_route)
    api.on("GET", "/v1/videos/text2video/8", json_answer(body("failed")))
    provider = KlingProvider("s", api)
    provider.get_task("7")
    provider.get_task("8")
    assert paths(api) == [
        "/kling/v1/videos/text2video/7",
        "/v1/videos/text2video/7",
        "/v1/videos/text2video/8",
    ]


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://gw.example/kling", "/v1/videos/effects/7"),
        ("https://gw.example/kling/v1", "/videos/effects/7"),
        ("https://gw.example", "/kling/v1/videos/effects/7"),
        ("https://api-beijing.klingai.com", "/v1/videos/effects/7"),
    ],
)
def test_base_urls(base_url: str, path: str) -> None:
    """A base URL may hold what every path begins with."""
    api = at(path, base_url=base_url)
    KlingProvider("s", api).get_task("effects/7")
    assert paths(api) == [path]


# --- error numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "status", "error"),
    [
        (1000, 401, KeyRefusedError),
        (1004, 401, KeyRefusedError),
        (1100, 429, NoCreditError),
        (1101, 429, NoCreditError),
        (1102, 429, NoCreditError),
        (1103, 403, ProviderError),
        (1304, 429, KeyRefusedError),
        (1302, 429, type(None)),
        (1303, 429, type(None)),
        (5000, 500, type(None)),
    ],
)
def test_statuses_that_mean_something_else(number: int, status: int, error: type) -> None:
    """429 with 1100 to 1102 is an empty account; too many requests is the transport's to pause."""
    answer = json_answer({"code": number, "message": "no", "request_id": "r"}, status)
    assert type(KlingProvider.classify(answer)) is error


@pytest.mark.parametrize(("number", "error"), [(1101, NoCreditError), (1002, KeyRefusedError)])
def test_errors_with_status_200(number: int, error: type[ProviderError]) -> None:
    """An error number counts whatever the status is, and ends the search."""
    api = FakeApi(OFFICIAL, anything=json_answer({"code": number, "message": "m", "data": {}}))
    with pytest.raises(error):
        KlingProvider("s", api).get_task("7")
    assert len(api.requests) == 1


def test_an_action_that_the_account_may_not_use() -> None:
    """The others are looked at nevertheless."""
    closed = json_answer({"code": 1103, "message": "no access"}, 403)
    api = at("/v1/videos/effects/7", other=closed)
    assert KlingProvider("s", api).get_task("7").assets


# --- lists ----------------------------------------------------------------------------------------


def page(start: int, count: int, *, at_s: int = 1_731_233_182) -> Answer:
    entry = body("text2video")["data"]
    entries = [entry | {"task_id": str(start + n), "created_at": at_s * 1000} for n in range(count)]
    return json_answer({"code": 0, "message": "SUCCEED", "data": entries})


def test_each_action_has_its_list() -> None:
    """All lists are read, page by page; what they say of an id's action is remembered."""
    api = FakeApi(OFFICIAL, anything=page(0, 0))
    api.on("GET", "/v1/videos/text2video", page(1, 500), page(501, 3))
    api.on("GET", "/v1/images/generations", page(9000, 2))
    provider = KlingProvider("s", api)
    ids = [task.ref.task_id for task in provider.list_tasks()]
    assert ids == [*map(str, range(1, 504)), "9000", "9001"]
    assert [asked.params["pageNum"] for asked in api.requests[:2]] == ["1", "2"]
    assert {asked.params["pageSize"] for asked in api.requests} == {"500"}
    api.on("GET", "/v1/images/generations/9001", json_answer(body("images")))
    before = len(api.requests)
    provider.get_task("9001")
    assert paths(api)[before:] == ["/v1/images/generations/9001"]


def test_old_tasks_are_left_out() -> None:
    """`since` keeps what is new; the order of the list is not relied on."""
    api = FakeApi(OFFICIAL, anything=page(0, 0))
    api.on("GET", "/v1/videos/text2video", page(1, 2))
    api.on("GET", "/v1/videos/image2video", page(5, 2, at_s=1_600_000_000))
    since = datetime(2024, 1, 1, tzinfo=UTC)
    found = KlingProvider("s", api).list_tasks(since=since)
    assert [task.ref.task_id for task in found] == ["1", "2"]


def test_a_list_that_repeats_itself_ends() -> None:
    """A server that ignores the page's number is asked no thousand times."""
    api = FakeApi(OFFICIAL, anything=page(0, 0)).on("GET", "/v1/videos/effects", page(1, 500))
    assert len(list(KlingProvider("s", api).list_tasks())) == 500
    assert paths(api).count("/v1/videos/effects") == 2


def test_gateways_have_no_list() -> None:
    """The message says what to use instead."""
    with pytest.raises(SourceFaultError, match="gateway"):
        list(KlingProvider("s", FakeApi()).list_tasks())


# --- keys -----------------------------------------------------------------------------------------


class HandClock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError

    def check_stop(self) -> None:
        return


def part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_tokens_are_signed() -> None:
    """A token is a JWT (RFC 7519) by the pair, good from five seconds ago for half an hour."""
    make = KlingProvider.authorize("the-access-key", "the-secret", HandClock())
    kind, _, token = make()["Authorization"].partition(" ")
    head, claims, signature = token.split(".")
    now_s = int(NOW.timestamp())
    assert kind == "Bearer"
    assert part(head) == {"alg": "HS256", "typ": "JWT"}
    assert part(claims) == {
        "iss": "the-access-key",
        "exp": now_s + TOKEN_LIFETIME_S,
        "nbf": now_s - 5,
    }
    right = hmac.new(b"the-secret", f"{head}.{claims}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(right).rstrip(b"=").decode() == signature
    assert "the-secret" not in token


def test_tokens_are_renewed_before_they_run_out() -> None:
    """One token serves many requests, but none that could outlive it; a clock set back counts."""
    clock = HandClock()
    make = KlingProvider.authorize("a", "b", clock)
    first = make()
    clock.time += timedelta(seconds=RENEWED_AFTER_S - 1)
    assert make() == first
    clock.time += timedelta(seconds=1)
    second = make()
    assert second != first
    clock.time -= timedelta(hours=2)
    assert make() != second


def test_a_plain_key_is_sent_as_it_is() -> None:
    """Without a second secret the key is a bearer token; without any there is no header."""
    assert KlingProvider.authorize("k", None, HandClock())() == {"Authorization": "Bearer k"}
    assert KlingProvider.authorize(None, None, HandClock())() == {}
    with pytest.raises(ConfigError):
        KlingProvider.authorize(None, "secret", HandClock())


# --- bodies that nobody asked for -----------------------------------------------------------------


def test_lists_are_read() -> None:
    """A saved page gives all of its tasks, in any state."""
    provider = KlingProvider("s", FakeApi())
    states = [Progress.FINISHED, Progress.RUNNING, Progress.FAILED]
    assert [task.progress for task in provider.read_body(body("list"))] == states
    assert [task.progress for task in provider.read_body(body("three_list"))] == states[:2]


@pytest.mark.parametrize(
    "other",
    [
        {"id": "1", "state": "completed", "video_raw": {"url": "https://h.example/a.mp4"}},
        {"id": "1", "status": "Ready", "result": {"sample": "https://h.example/a.jpg"}},
        {"id": "1", "status": "succeeded", "output": ["https://h.example/a.png"]},
        {"code": 200, "data": {"task_id": "1", "status": "3", "video_url": "http://h.example/a"}},
    ],
)
def test_bodies_of_others_are_not_taken(other: Any) -> None:
    """What another provider posts is not Kling's."""
    with pytest.raises(ProviderError):
        KlingProvider("s", FakeApi()).read_body(other)
