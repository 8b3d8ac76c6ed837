"""Luma: every body form, told apart by its keys; what is asked for where; what may not happen."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

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
from archiver.model import Asset, JsonValue, Progress, Rendition, Role, Task
from archiver.providers.luma import LumaProvider
from archiver.providers.luma.api import MAX_PAGES
from tests.fakes import Asked, FakeApi, json_answer, text_answer

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "luma"
OFFICIAL = "/dream-machine/v1/generations"
OWN = "/luma/generations"

CDN = "https://storage.cdn-luma.example/lit_v1.6/5b10"
RAW, MARKED = f"{CDN}/0a11_video77e0.mp4", f"{CDN}/5f22_watermarked_video77e0.mp4"
SAME = "https://storage.cdn-luma.example/dream/f8ec/2025-05-16T02-38-11_generation.mp4"
CLEAN = "https://storage.cdn-luma.example/dream/d1d1/clean.mp4"
SIGNED_UNTIL = datetime(2024, 10, 15, 9, 56, 53, tzinfo=UTC)


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def ask(body: JsonValue, task_id: str = "asked", **api: Any) -> Task:
    fake = FakeApi(**api, anything=json_answer(body))
    return LumaProvider("luma", fake).get_task(task_id)


def read(body: JsonValue) -> tuple[Task, ...]:
    return LumaProvider("luma", FakeApi()).read_body(body)


def forms(task: Task, role: Role = Role.VIDEO, index: int = 0) -> list[tuple[str, bool]]:
    asset = task.asset(role, index)
    return [(r.name, r.watermarked) for r in asset.renditions] if asset else []


def form(task: Task, name: str, role: Role = Role.VIDEO) -> Rendition:
    asset = task.asset(role, 0)
    return next(r for r in (asset.renditions if asset else ()) if r.name == name)


def shape(task: Task) -> list[tuple[str, int, str | None]]:
    return [(a.role.value, a.index, a.renditions[0].url) for a in task.assets]


# --- every form ---------------------------------------------------------------------------------

WEB_VIDEO = [("video_raw", False), ("download_url", False), ("no_mark", False), ("url", True)]
ONE_LINK = [("video_raw", False), ("no_mark", False)]

FORMS: list[tuple[str, list[tuple[str, bool]], list[str], str | None, str | None]] = [
    # payload, forms of the video, roles, beginning of the prompt, date
    ("web", WEB_VIDEO, ["video", "thumbnail", "last_frame"], "Rain runs",
     "2024-10-15T08:56:19.325"),
    ("web_marked_only", [("no_mark", False), ("url", True)],
     ["video", "thumbnail", "last_frame"], "Rain runs", "2024-10-15T08:56:19.325"),
    ("web_no_links", [("no_mark", False)], ["video"], "a lake", "2024-10-15T08:56:19"),
    ("web_thumbnail_text", [("no_mark", False), ("url", True)], ["video", "thumbnail"], "a bell",
     "2024-08-01T00:00:00.500"),
    ("newer", ONE_LINK, ["video", "thumbnail", "last_frame"], None, None),
    ("own", ONE_LINK, ["video", "thumbnail", "last_frame"], "A fox", "2024-12-22T13:38:40.139"),
    ("own_artifact_only", ONE_LINK, ["video", "thumbnail", "last_frame"], "A fox",
     "2024-12-22T13:38:41"),
    ("hybrid", [("video_raw", False), ("no_mark", False), ("url", True)],
     ["video", "thumbnail", "last_frame"], "Two kites", "2025-02-03T04:05:06.789"),
    ("official_video", [("video", False)], ["video"], "A tiger", "2025-06-01T12:00:00"),
    ("official_image", [], ["image"], "A teddy bear", "2025-06-02T09:30:00.000001"),
    ("agents", [("output", False)], ["image", "image", "video"], None, "2026-01-10T10:14:20"),
    ("piapi", [("video_raw", False), ("no_mark", False), ("url", True)], ["video", "thumbnail"],
     "A lighthouse", None),
    ("row", WEB_VIDEO, ["video", "thumbnail", "last_frame"], "Rain runs", "2024-07-01T07:35:12"),
    ("nested", WEB_VIDEO, ["video", "thumbnail", "last_frame"], "Rain runs",
     "2024-10-15T08:56:19.325"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "video", "roles", "prompt", "date"), FORMS, ids=[f[0] for f in FORMS]
)
def test_every_form_is_read(
    name: str, video: list[tuple[str, bool]], roles: list[str], prompt: str | None, date: str | None
) -> None:
    """Each form gives its outputs, best form first, its prompt and its date, without a warning."""
    body = payload(name)
    task = ask(body)
    assert task.progress is Progress.FINISHED
    assert [a.role.value for a in task.assets] == roles
    assert forms(task) == video
    assert (task.prompt or "").startswith(prompt or "")
    assert (task.prompt is None) is (prompt is None)
    expected = None if date is None else datetime.fromisoformat(date).replace(tzinfo=UTC)
    assert task.created_at == expected
    assert task.warnings == ()
    assert task.failure is None
    assert task.raw is body
    assert (task.ref.source, task.ref.task_id, task.provider) == ("luma", "asked", "luma")


@pytest.mark.parametrize("name", [f[0] for f in FORMS])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_every_form_inside_envelopes(name: str, depth: int) -> None:
    """Envelopes change nothing but what they add."""
    plain = ask(payload(name))
    body = payload(name)
    for level in range(depth):
        body = {"code": ["success", 0, 200, "0"][level], "message": "", "data": body}
    wrapped = ask(body)
    assert wrapped.assets == plain.assets
    assert (wrapped.prompt, wrapped.created_at) == (plain.prompt, plain.created_at)


def test_the_api_page_example() -> None:
    """The web form's four links, sizes and marks are those that the page documents."""
    task = ask(payload("web"), "4b3c464e-94f6-4e54-bc21-12f0e6da5791")
    assert task.provider_task_id == "32ec5549-0000-4000-8000-00000000000a"
    raw, download, no_mark, marked = task.assets[0].renditions
    assert (raw.url, marked.url, no_mark.url) == (RAW, MARKED, None)
    assert (download.url or "").startswith("https://acct0.r2.cloudflarestorage.example/")
    assert download.expires_at == SIGNED_UNTIL == task.expires_at
    assert raw.expires_at is None
    for rendition in task.assets[0].renditions:
        assert (rendition.width_px, rendition.height_px, rendition.duration_s) == (752, 1360, None)
    for role in (Role.THUMBNAIL, Role.LAST_FRAME):
        picture = form(task, role.value, role)
        assert (picture.width_px, picture.height_px) == (752, 1360)
        assert (picture.url or "").endswith(".jpg")


def test_one_link_given_three_times_is_clean() -> None:
    """A link that is also `video_raw` or `download_url` bears no mark, and is one rendition."""
    video = ask(payload("newer")).assets[0].renditions[0]
    assert (video.name, video.url, video.watermarked) == ("video_raw", SAME, False)
    assert (video.width_px, video.height_px, video.duration_s) == (1360, 752, 5.041667)


def test_hybrid_link_is_the_clean_copy() -> None:
    """`assets.video` of the hybrid is the very link of `video_raw`."""
    task = ask(payload("hybrid"))
    assert task.assets[0].renditions[0].url == CLEAN


def test_a_vendors_link_of_its_own_is_clean() -> None:
    """A link that only `assets.video` has is a clean form, and needs no asking for another."""
    body = payload("hybrid")
    body["video_raw"] = None
    assert forms(ask(body)) == [("video", False), ("url", True)]


def test_a_vendors_link_that_is_marked_leaves_the_endpoint_to_ask() -> None:
    """Where even the vendor's link is marked by its name, the unmarked copy is asked for."""
    body = payload("official_video") | {"assets": {"video": MARKED}}
    assert forms(ask(body)) == [("video", True), ("no_mark", False)]


def test_a_marked_link_is_not_cleaned_by_assets() -> None:
    """Only `video_raw` and `download_url` say that a link has no mark."""
    body = payload("hybrid")
    body |= {"video_raw": None, "assets": {"video": "https://h.example/x.mp4"}}
    body["video"]["url"] = "https://h.example/x.mp4"
    assert forms(ask(body)) == [("no_mark", False), ("url", True)]


@pytest.mark.parametrize("place", ["video_raw", "download_url", "assets"])
def test_a_marked_file_name_is_marked_whatever_the_key(place: str) -> None:
    """A file whose name says that it is marked is marked in every field."""
    bodies: dict[str, JsonValue] = {
        "video_raw": {"id": "1", "state": "completed", "video_raw": {"url": MARKED}},
        "download_url": {"id": "1", "state": "completed", "video": {"download_url": MARKED}},
        "assets": {"id": "1", "state": "completed", "assets": {"video": MARKED}},
    }
    task = ask(bodies[place])
    assert [r.watermarked for r in task.assets[0].renditions if r.url] == [True]


def test_a_lone_url_is_marked() -> None:
    """`video.url` bears the mark by its place, even where its name does not say so."""
    body = payload("newer")
    body |= {"video_raw": None}
    body["video"]["download_url"] = None
    assert forms(ask(body)) == [("no_mark", False), ("url", True)]


def test_the_artifact_only_fills_in() -> None:
    """What stands on top counts; the artifact is asked for what is missing there."""
    body = payload("own")
    body["artifact"]["video_raw"] = {"url": "https://h.example/other.mp4"}
    body["artifact"]["created_at"] = "2001-01-01T00:00:00Z"
    body["thumbnail"] = {"url": ""}
    task = ask(body)
    assert task.assets[0].renditions[0].url == SAME
    assert task.created_at == datetime(2024, 12, 22, 13, 38, 40, 139_000, tzinfo=UTC)
    thumbnail = form(task, "thumbnail", Role.THUMBNAIL)
    assert thumbnail.url == "https://imagedelivery.example/h4sh/thumb-id/public"


def test_agents_outputs() -> None:
    """Outputs of the Agents API are numbered by kind, signed, and have no other forms."""
    task = ask(payload("agents"), base_url="https://agents.lumalabs.ai")
    assert [(a.role.value, a.index) for a in task.assets] == [
        ("image", 0), ("image", 1), ("video", 0),
    ]  # fmt: skip
    assert all([r.name for r in a.renditions] == ["output"] for a in task.assets)
    assert task.expires_at == datetime(2026, 1, 10, 11, 15, tzinfo=UTC)
    assert task.model == "uni-1"


@pytest.mark.parametrize(
    ("entry", "body_type", "role"),
    [
        ({"type": "image/png"}, None, Role.IMAGE),
        ({"type": "video"}, "image", Role.VIDEO),
        ({}, "image_edit", Role.IMAGE),
        ({}, None, Role.IMAGE),
        ({"type": "audio"}, None, Role.AUDIO),
        ({"type": 5}, "odd", Role.IMAGE),
        ({"url": "https://h.example/x"}, "odd", Role.VIDEO),
        ({"url": "https://h.example/x.MP4?y=1.png"}, None, Role.VIDEO),
    ],
)
def test_kinds_of_agents_outputs(
    entry: dict[str, JsonValue], body_type: str | None, role: Role
) -> None:
    """An output is what its type says, else the body's type, else its file name."""
    output: JsonValue = {"url": "https://h.example/x.png", **entry}
    task = ask({"id": "1", "state": "completed", "type": body_type, "output": [output]})
    assert [a.role for a in task.assets] == [role]


def test_a_finished_image_without_links_is_no_video() -> None:
    """Nobody looks for the video of an image."""
    body = payload("official_image") | {"assets": None}
    assert ask(body).assets == ()


def test_vendors_have_no_endpoint_for_unmarked_copies() -> None:
    """Only a gateway is asked for a link without watermark."""
    for base in ("https://api.lumalabs.ai", "https://agents.lumalabs.ai/v1"):
        assert ask(payload("web_no_links"), base_url=base).assets == ()
        assert ("no_mark", False) not in forms(ask(payload("web"), base_url=base))


# --- states -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("web_failed", "Advanced prompt moderation failed"),
        ("official_failed", "Contains blacklisted words"),
        ("agents_failed", "content_moderated: The request was moderated"),
        ("piapi_failed", "400: failed to moderate image"),
        ("row_failed", "task timed out"),
    ],
)
def test_failures_say_why(name: str, failure: str) -> None:
    """A failed generation has the API's reason and nothing to fetch."""
    task = ask(payload(name))
    assert (task.progress, task.failure, task.assets) == (Progress.FAILED, failure, ())


def test_failure_texts_are_made_safe() -> None:
    """A reason is foreign text: one line, bounded, without queries and control characters."""
    reason = f"cannot read {RAW}?sig=s3cr3t\x1b[31m\n" + "x" * 9999
    failure = ask(payload("web_failed") | {"failure_reason": reason}).failure or ""
    assert failure.startswith(f"cannot read {RAW}\\x1b[31m x")
    assert len(failure) == 500


@pytest.mark.parametrize(
    "name", ["web_pending", "official_dreaming", "agents_queued", "row_waiting"]
)
def test_running_tasks_have_nothing_to_fetch(name: str) -> None:
    """What a running task shows is a preview: nothing is fetched before completion."""
    task = ask(payload(name))
    assert (task.progress, task.assets, task.failure) == (Progress.RUNNING, (), None)
    assert task.warnings == ()


STATES = [
    *((w, Progress.FINISHED) for w in ("completed", "COMPLETED", "Success", "succeed")),
    *((w, Progress.FAILED) for w in ("failed", "FAILURE", "error", "Cancelled", "aborted")),
    *((w, Progress.RUNNING) for w in ("pending", "processing", "queued", "dreaming", "IN_PROGRESS",
                                      "something new")),
]  # fmt: skip


@pytest.mark.parametrize(("word", "progress"), STATES)
@pytest.mark.parametrize("name", ["web", "newer", "own", "hybrid", "official_video", "agents"])
def test_states_in_every_form(name: str, word: str, progress: Progress) -> None:
    """Any spelling of a state is read in any form; links are taken of finished tasks only."""
    text = (PAYLOADS / f"{name}.json").read_text()
    task = ask(json.loads(text.replace('"state": "completed"', f'"state": "{word}"')))
    assert task.progress is progress
    assert bool(task.assets) is (progress is Progress.FINISHED)
    assert bool(task.warnings) is (word == "something new")


def test_without_a_state_files_speak() -> None:
    """A body without a state is finished if its files are there, else still running."""
    with_files = {k: v for k, v in payload("web").items() if k != "state"}
    assert ask(with_files).progress is Progress.FINISHED
    assert ask({**payload("web_pending"), "state": None}).progress is Progress.RUNNING
    assert "names no state" in ask(with_files).warnings[0]


def test_fail_reason_on_success_is_no_failure() -> None:
    """Some gateways keep the link of the result where the reason of a failure belongs."""
    task = ask(payload("row"))
    assert (task.progress, task.failure) == (Progress.FINISHED, None)
    assert task.model == "luma_video_api"


# --- nothing that was given is an output --------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("[a-z]*.json")), ids=lambda p: p.stem)
def test_inputs_are_never_outputs(path: Path) -> None:
    """No link below `request`, `media_request` or `input` is ever taken for an output."""
    for task in read(json.loads(path.read_text())):
        urls = [r.url or "" for a in task.assets for r in a.renditions]
        assert not [url for url in urls if "uploads.example" in url]
        assert not [url for url in urls if "progress" in url]


def test_every_payload_names_its_source() -> None:
    """The examples are documented shapes: each says where its shape comes from."""
    sources = json.loads((PAYLOADS / "_sources.json").read_text())
    assert set(sources) == {path.name for path in PAYLOADS.glob("[a-z]*.json")}


# --- asking for one -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.example.com", f"{OFFICIAL}/t1"),
        ("https://api.example.com/vip/v2", f"{OFFICIAL}/t1"),
        ("https://api.lumalabs.ai", f"{OFFICIAL}/t1"),
        ("https://api.lumalabs.ai/dream-machine/v1", "/generations/t1"),
        ("https://agents.lumalabs.ai", "/v1/generations/t1"),
        ("https://agents.lumalabs.ai/v1", "/generations/t1"),
        ("https://AGENTS.lumalabs.ai:443", "/v1/generations/t1"),
        ("https://agents.lumalabs.ai.example.com", f"{OFFICIAL}/t1"),
    ],
)
def test_where_a_task_is_asked_for(base_url: str, path: str) -> None:
    """Gateway, vendor and Agents API have the task at their own paths."""
    api = FakeApi(base_url).on("GET", path, json_answer(payload("official_video")))
    task = LumaProvider("s", api).get_task("t1")
    assert task.progress is Progress.FINISHED
    assert [(r.method, r.path) for r in api.requests] == [("GET", path)]


@pytest.mark.parametrize(
    ("task_id", "segment"),
    [("../../admin", "..%2F..%2Fadmin"), ("..", "%2E%2E"), ("a?b=c#d", "a%3Fb%3Dc%23d"),
     ("%2e%2e%2f", "%252e%252e%252f"), ("x" * 3000, "x" * 3000), ("\udcff\n", "%ED%B3%BF%0A")],
    ids=["up", "dots", "query", "encoded", "long", "bytes"],
)  # fmt: skip
def test_hostile_ids_stay_in_their_segment(task_id: str, segment: str) -> None:
    """Whatever an id holds, it is one segment of the path."""
    api = FakeApi(anything=json_answer(payload("web")))
    provider = LumaProvider("s", api)
    task = provider.get_task(task_id)
    assert api.requests[0].path == f"{OFFICIAL}/{segment}"
    assert task.ref.task_id == task_id
    provider.resolve(task, Rendition(name="no_mark", url=RAW))
    with pytest.raises(DeadLinkError):
        provider.resolve(task, Rendition(name="no_mark"))
    assert api.requests[1].path == f"{OWN}/{segment}/download_video_url"


def test_a_gateway_with_the_own_format_only() -> None:
    """Where the official route is unknown the own format's is asked, and from then on alone."""
    api = FakeApi().on("GET", f"{OWN}/a", json_answer(payload("own")))
    api.on("GET", f"{OWN}/b", json_answer(payload("own")))
    api.on("GET", f"{OWN}/c", json_answer({"code": "task_not_exist", "message": ""}, 400))
    provider = LumaProvider("s", api)
    assert provider.get_task("a").progress is Progress.FINISHED
    assert provider.get_task("b").progress is Progress.FINISHED
    with pytest.raises(TaskNotFoundError):
        provider.get_task("c")
    assert [r.path for r in api.requests] == [f"{OFFICIAL}/a", *(f"{OWN}/{i}" for i in "abc")]


def test_a_second_route_that_knows_nothing_empties_no_queue() -> None:
    """While the official route is broken, "no such task" on the other one proves nothing."""
    gone = json_answer({"code": "task_not_exist", "message": "task_not_exist"}, 400)
    api = FakeApi(anything=text_answer("<html>maintenance</html>")).on("GET", f"{OWN}/a", gone)
    with pytest.raises(SourceFaultError):
        LumaProvider("s", api).get_task("a")


def test_a_wrong_base_url_costs_one_request_a_task() -> None:
    """All routes unknown: the source is at fault, and the others are not asked again."""
    api = FakeApi()
    provider = LumaProvider("s", api)
    for task_id in ("a", "b", "c"):
        with pytest.raises(SourceFaultError, match="base_url"):
            provider.get_task(task_id)
    assert len(api.requests) == 5


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://proxy.example", "/v1/generations/a"),
        ("https://proxy.example/v1", "/generations/a"),
    ],
)
def test_the_agents_api_behind_a_proxy(base_url: str, path: str) -> None:
    """Its path is found where no host name tells, and is the only one asked from then on."""
    api = FakeApi(base_url).on("GET", path, json_answer(payload("agents")))
    provider = LumaProvider("s", api)
    assert provider.get_task("a").assets
    provider.get_task("a")
    assert [r.path for r in api.requests][-2:] == [path, path]
    assert len(api.requests) == 4


def test_a_known_route_that_breaks_stays_the_route() -> None:
    """A login page in the midst of a run sends nobody to other paths."""
    api = FakeApi().on("GET", f"{OFFICIAL}/a", json_answer(payload("web")), text_answer("<p>"))
    provider = LumaProvider("s", api)
    provider.get_task("a")
    with pytest.raises(SourceFaultError):
        provider.get_task("a")
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"detail": "Generation not found"}),
        (400, {"code": "task_not_exist", "message": "task_not_exist", "data": None}),
        (200, {"code": "task_not_exist", "message": "task_not_exist", "data": None}),
    ],
)
def test_unknown_tasks(status: int, body: JsonValue) -> None:
    """The provider's own words that there is no such task."""
    api = FakeApi(anything=json_answer(body, status))
    with pytest.raises(TaskNotFoundError):
        LumaProvider("s", api).get_task("a")


@pytest.mark.parametrize(
    "body",
    [
        {}, [], "text", 7, {"status": "success"}, {"status": "ok", "message": "pong"},
        {"state": "completed"}, {"id": "1"}, {"generations": [{"id": "1", "state": "completed"}]},
        {"generations": [], "id": "1", "state": "completed"}, {"hello": "world"},
        {"code": "success", "data": None}, {"code": "success", "data": {}},
        {"success": True, "data": {}},
        [{"id": "1", "state": "completed"}, {"id": "2", "state": "completed"}],
        {"data": {"items": [], "total": 0}},
    ],
)  # fmt: skip
def test_json_that_is_no_task(body: JsonValue) -> None:
    """JSON of anybody else's is no task, and says nothing about one."""
    with pytest.raises(ProviderError) as caught:
        ask(body)
    assert not isinstance(caught.value, TaskNotFoundError)
    assert caught.value.retryable


def test_an_answer_with_several_gives_the_one_asked_for() -> None:
    """In a list the task with the id asked for is meant."""
    task = ask(payload("batch_array"), "f8ec0000-0000-4000-8000-00000000000b")
    assert task.assets[0].renditions[0].url == SAME
    assert task.provider_task_id is None


def test_ids_of_gateway_and_vendor_are_both_kept() -> None:
    """The id asked for is the identity; the other one that the answer bears is kept beside it."""
    row = payload("row")
    theirs, ours = "32ec5549-0000-4000-8000-00000000000a", row["data"]["task_id"]
    assert ask(row, ours).provider_task_id == theirs
    assert ask(row, theirs).provider_task_id == ours
    assert [(t.ref.task_id, t.provider_task_id) for t in read(row)] == [(ours, theirs)]


# --- asking for several -------------------------------------------------------------------------

IDS = ["c0de0000-0000-4000-8000-00000000000c", "f8ec0000-0000-4000-8000-00000000000b"]


def test_batches_as_an_array() -> None:
    """The bare array is matched by id; ids that are left out are absent."""
    api = FakeApi().on("POST", "/luma/tasks", json_answer(payload("batch_array")))
    provider = LumaProvider("s", api)
    tasks = provider.get_tasks([*IDS, "unknown"])
    assert sorted(tasks) == IDS
    assert all(task.ref.task_id == task_id for task_id, task in tasks.items())
    assert api.requests[0].json == {"ids": [*IDS, "unknown"]}
    assert provider.batch_size > 1


def test_batches_as_rows() -> None:
    """Rows are matched by the gateway's id or the body's, and each is one task's raw answer."""
    api = FakeApi().on("POST", "/luma/tasks", json_answer(payload("batch_rows")))
    asked = ["task_b2", "32ec5549-0000-4000-8000-00000000000a"]
    tasks = LumaProvider("s", api).get_tasks(asked)
    assert [tasks[i].progress for i in asked] == [Progress.RUNNING, Progress.FINISHED]
    assert tasks["task_b2"].provider_task_id == "beef0000-0000-4000-8000-000000000022"
    assert tasks["task_b2"].raw == payload("batch_rows")["data"][1]


def test_entries_of_a_batch_that_say_nothing_are_absent() -> None:
    """An id alone is no task; of an id given twice the first counts."""
    twice: JsonValue = [{"id": "a"}, {"id": "b", "state": "failed"}, {"id": "b", "state": "queued"}]
    tasks = LumaProvider("s", FakeApi(anything=json_answer(twice))).get_tasks(["a", "b"])
    assert {i: t.progress for i, t in tasks.items()} == {"b": Progress.FAILED}


@pytest.mark.parametrize(
    "body", [[], None, {"code": "success", "data": None}, {"code": 0, "data": []}]
)
def test_empty_batches(body: JsonValue) -> None:
    """A batch that knows none of the ids is an answer like any other."""
    answer = json_answer({"code": "success", "data": []} if body is None else body)
    provider = LumaProvider("s", FakeApi().on("POST", "/luma/tasks", answer))
    assert provider.get_tasks(["a"]) == {}
    assert provider.batch_size > 1


@pytest.mark.parametrize(
    "reply",
    [
        json_answer({"error": {"message": "Invalid URL (POST /luma/tasks)"}}, 404),
        json_answer({"code": "task_not_exist", "message": "task_not_exist"}, 400),
        json_answer({"detail": "Method Not Allowed"}, 405),
        text_answer("<html>"), text_answer("", 404), json_answer("odd"), json_answer(3),
        PassingError("500"), RateLimitedError("429"), ProviderError("too large"),
    ],
)  # fmt: skip
def test_a_gateway_without_batches_costs_nothing(reply: Any) -> None:
    """Whatever is wrong with the batch route, tasks are asked for one by one from then on."""
    api = FakeApi().on("POST", "/luma/tasks", reply)
    api.on("GET", f"{OFFICIAL}/a", json_answer(payload("web")))
    provider = LumaProvider("s", api)
    assert provider.get_tasks(["a", "b"]) == {}
    assert provider.batch_size == 1
    assert provider.get_tasks(["a", "b"]) == {}
    assert len(api.requests) == 1
    assert provider.get_task("a").progress is Progress.FINISHED


@pytest.mark.parametrize("error", [KeyRefusedError("401"), NoCreditError("402")])
def test_a_refused_key_ends_a_batch(error: ProviderError) -> None:
    """What stops the source is not hidden by falling back."""
    provider = LumaProvider("s", FakeApi().on("POST", "/luma/tasks", error))
    with pytest.raises(type(error)):
        provider.get_tasks(["a"])


def test_vendors_have_no_batches() -> None:
    """The vendor's own APIs are never asked for a batch, nor anybody for none."""
    for base in ("https://api.lumalabs.ai", "https://agents.lumalabs.ai"):
        api = FakeApi(base)
        assert LumaProvider("s", api).batch_size == 1
        assert LumaProvider("s", api).get_tasks(["a"]) == {}
        assert api.requests == []
    assert LumaProvider("s", FakeApi("https://api.lumalabs.ai.example.com")).batch_size > 1
    api = FakeApi()
    assert LumaProvider("s", api).get_tasks([]) == {}
    assert LumaProvider("s", api).get_tasks(["\udc80"]) == {}
    assert api.requests == []


# --- the link without watermark -----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"url": "U"},
        {"download_url": "U"},
        {"video_url": "U"},
        {"code": "success", "data": {"url": "U"}},
        {"code": 0, "data": {"code": 200, "data": {"video_url": "U"}}},
        {"code": "success", "message": "", "data": "U"},
    ],
)
def test_the_link_without_watermark(body: JsonValue) -> None:
    """The link is found in every form of the answer, with the date at which it dies."""
    url = f"{RAW}?X-Amz-Date=20241015T085653Z&X-Amz-Expires=3600&X-Amz-Signature=00"
    api = FakeApi().on("GET", f"{OFFICIAL}/a", json_answer(payload("web_marked_only")))
    answer = json_answer(json.loads(json.dumps(body).replace('"U"', json.dumps(url))))
    api.on("GET", f"{OWN}/a/download_video_url", answer)
    provider = LumaProvider("s", api)
    task = provider.get_task("a")
    found = provider.resolve(task, form(task, "no_mark"))
    assert (found.name, found.url, found.watermarked) == ("no_mark", url, False)
    assert found.expires_at == SIGNED_UNTIL
    assert (found.width_px, found.height_px) == (752, 1360)


def test_a_marked_file_behind_the_endpoint_is_marked() -> None:
    """The endpoint's promise is not believed over the file's name."""
    api = FakeApi(anything=json_answer({"url": MARKED}))
    found = LumaProvider("s", api).resolve(ask(payload("web")), Rendition(name="no_mark"))
    assert found.watermarked


@pytest.mark.parametrize(
    "reply",
    [
        json_answer({"message": "the video is not completed"}, 400),
        json_answer({"code": "task_not_exist", "message": ""}, 400),
        json_answer({"detail": "Not Found"}, 404), text_answer("<html>", 404), text_answer("", 404),
        json_answer({}), json_answer({"url": ""}), json_answer({"url": None}), json_answer([]),
        json_answer({"url": "www.downloadurl.com"}), json_answer({"code": "success", "data": None}),
        ProviderError("too large"),
    ],
)  # fmt: skip
def test_no_link_without_watermark(reply: Any) -> None:
    """A gateway that gives none has none: the next form's turn, not the source's fault."""
    provider = LumaProvider("s", FakeApi(anything=reply))
    with pytest.raises(DeadLinkError) as caught:
        provider.resolve(ask(payload("web")), Rendition(name="no_mark"))
    assert caught.value.code == "unavailable"


@pytest.mark.parametrize(
    "error",
    [PassingError("500"), RateLimitedError("429"), KeyRefusedError("401"), NoCreditError("")],
)
def test_a_passing_fault_is_no_answer_about_the_link(error: Exception) -> None:
    """What time or a person mends does not cost the unmarked copy."""
    provider = LumaProvider("s", FakeApi(anything=error))  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        provider.resolve(ask(payload("web")), Rendition(name="no_mark"))


def test_a_rendition_with_a_link_needs_no_asking() -> None:
    """Only what has neither link nor content is asked for."""
    api = FakeApi()
    for rendition in (Rendition(name="url", url=RAW), Rendition(name="x", content=b"x")):
        assert LumaProvider("s", api).resolve(ask(payload("web")), rendition) is rendition
    assert api.requests == []


# --- the list -----------------------------------------------------------------------------------


def generation(number: int) -> JsonValue:
    return payload("official_video") | {
        "id": f"g{number}",
        "created_at": f"2025-01-{number % 28 + 1:02d}T00:00:00Z",
    }


class Pages:
    """A list endpoint over so many generations, with a server's whims."""

    def __init__(self, total: int, *, has_more: bool | None = None, cap: int = 100) -> None:
        self.total, self.has_more, self.cap = total, has_more, cap
        self.shift = 0

    def __call__(self, asked: Asked) -> Any:
        assert (asked.method, asked.path) == ("GET", OFFICIAL)
        offset, limit = int(asked.params["offset"]), min(int(asked.params["limit"]), self.cap)
        numbers = range(-self.shift, self.total)[offset : offset + limit]
        body: dict[str, JsonValue] = {"generations": [generation(n) for n in numbers]}
        if self.has_more is not None:
            body["has_more"] = offset + limit < self.total + self.shift
        return json_answer(body)


def listed(pages: Any, **since: Any) -> tuple[list[str], int]:
    api = FakeApi(anything=pages)
    ids = [task.ref.task_id for task in LumaProvider("s", api).list_tasks(**since)]
    return ids, len(api.requests)


@pytest.mark.parametrize(
    ("total", "has_more", "cap", "requests"),
    [(250, True, 100, 3), (250, None, 100, 4), (250, None, 30, 10), (0, None, 100, 1),
     (0, True, 100, 1), (100, True, 100, 1), (100, None, 100, 2), (3, True, 100, 1)],
)  # fmt: skip
def test_all_pages_are_read(total: int, has_more: bool | None, cap: int, requests: int) -> None:
    """Every generation comes once, with `has_more` or without, whatever the page's size."""
    ids, asked = listed(Pages(total, has_more=has_more, cap=cap))
    assert ids == [f"g{n}" for n in range(total)]
    assert asked == requests


def test_new_tasks_while_paging_repeat_none() -> None:
    """Tasks that push others to the next page make none come twice, and lose none of the old."""
    pages = Pages(250)

    def growing(asked: Asked) -> Any:
        answer = pages(asked)
        pages.shift += 5
        return answer

    ids, _ = listed(growing)
    assert len(ids) == len(set(ids))
    assert {f"g{n}" for n in range(250)} <= set(ids)


def test_a_list_that_ignores_the_offset_ends() -> None:
    """A page that brings nothing new is the last one."""
    body: JsonValue = {"generations": [generation(1), generation(2)], "has_more": True}
    assert listed(json_answer(body)) == (["g1", "g2"], 2)


def test_a_list_without_end_is_ended() -> None:
    """A server that invents tasks for ever is stopped, and what came until then was given."""
    counter = iter(range(10**9))

    def endless(asked: Asked) -> Any:
        return json_answer([{"id": f"n{next(counter)}", "state": "queued", "assets": None}])

    tasks = LumaProvider("s", FakeApi(anything=endless)).list_tasks()
    assert sum(1 for _ in islice(tasks, MAX_PAGES)) == MAX_PAGES
    with pytest.raises(ProviderError, match="did not end"):
        next(tasks)


def test_only_tasks_since_a_date() -> None:
    """Older tasks are left out wherever they stand; those without a date are not."""
    since = datetime(2025, 1, 20, tzinfo=UTC)
    undated = payload("official_video") | {"id": "u", "created_at": None}
    body: JsonValue = {"generations": [generation(3), generation(25), undated], "has_more": False}
    assert listed(json_answer(body), since=since) == (["g25", "u"], 1)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda g: g,
        lambda g: {"code": 0, "data": {"generations": g}},
        lambda g: {"items": g},
        lambda g: {"code": "success", "data": g},
    ],
)
def test_lists_in_other_wrappings(wrap: Any) -> None:
    """A bare array, a page in an envelope or under another name are lists as well."""
    assert listed(json_answer(wrap([generation(1), generation(2)])))[0] == ["g1", "g2"]


def test_entries_that_are_no_tasks_are_told() -> None:
    """What stands in the list besides is counted in a warning, and costs no task."""
    entries: JsonValue = [5, generation(1), {"hello": 1}, None]
    api = FakeApi(anything=json_answer({"generations": entries, "has_more": False}))
    tasks = list(LumaProvider("s", api).list_tasks())
    assert [t.ref.task_id for t in tasks] == ["g1"]
    assert tasks[0].warnings == ("other entries of the list that are no Luma tasks: 3",)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            json_answer({"code": "task_not_exist", "message": "task_not_exist"}, 400),
            SourceFaultError,
        ),
        (json_answer({"detail": "Generation not found"}, 404), SourceFaultError),
        (json_answer({"error": {"message": "Invalid URL (GET /x)"}}, 404), SourceFaultError),
        (text_answer("<html>"), SourceFaultError),
        (json_answer(payload("web")), ProviderError),
        (json_answer({}), ProviderError),
        (json_answer("x"), ProviderError),
        (KeyRefusedError("401"), KeyRefusedError),
    ],
)
def test_a_gateway_without_a_list(reply: Any, error: type[Exception]) -> None:
    """That there is no list is said of the source, and of none of its tasks."""
    with pytest.raises(error) as caught:
        listed(reply)
    assert not isinstance(caught.value, TaskNotFoundError)


def test_the_agents_api_has_no_list() -> None:
    """It is said at once, and before anything is asked."""
    api = FakeApi("https://agents.lumalabs.ai")
    with pytest.raises(UsageError, match="no list"):
        LumaProvider("s", api).list_tasks()
    assert api.requests == []


# --- saved and posted bodies --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("web", ["32ec5549-0000-4000-8000-00000000000a"]),
        ("official_dreaming", ["0ff10000-0000-4000-8000-00000000000e"]),
        ("official_list", ["0ff10000-0000-4000-8000-00000000000e",
                           "1mg00000-0000-4000-8000-00000000000f"]),
        ("batch_array", IDS),
        ("batch_rows", ["32ec5549-0000-4000-8000-00000000000a", "task_b2"]),
        ("task_list", ["task_7aXq0000000000000000000000000001", "task_w2"]),
        ("row_waiting", ["task_7aXq0000000000000000000000000001"]),
    ],
)  # fmt: skip
def test_bodies_of_every_kind_are_taken(name: str, ids: list[str]) -> None:
    """A callback, an answer, a list and a batch are read without asking."""
    api = FakeApi()
    tasks = LumaProvider("s", api).read_body(payload(name))
    assert [t.ref.task_id for t in tasks] == ids
    assert api.requests == []


def test_a_body_for_a_given_id() -> None:
    """The id given counts for one body, and chooses among several."""
    provider = LumaProvider("s", FakeApi())
    (task,) = provider.read_body(payload("web"), task_id="mine")
    assert (task.ref.task_id, task.provider_task_id) == (
        "mine",
        "32ec5549-0000-4000-8000-00000000000a",
    )
    (task,) = provider.read_body(payload("batch_array"), task_id=IDS[1])
    assert task.ref.task_id == IDS[1]
    with pytest.raises(ProviderError):
        provider.read_body(payload("batch_array"), task_id="other")
    with pytest.raises(ProviderError):
        provider.read_body({"hello": 1}, task_id="other")


def test_a_body_without_any_id() -> None:
    """A body without an id is known by its digest, which renewed signatures do not change."""
    body = {k: v for k, v in payload("web").items() if k != "id"}
    (first,) = read(body)
    body["video"]["download_url"] = body["video"]["download_url"].replace("00aa", "77aa")
    (again,) = read(body)
    assert first.ref == again.ref
    assert first.ref.task_id.startswith("sha256-")
    assert first.provider_task_id is None


FOREIGN: dict[str, JsonValue] = {
    "suno": {"code": "success", "data": {"task_id": "s", "action": "MUSIC", "status": "SUCCESS",
             "data": [{"id": "1", "state": "succeeded", "audio_url": RAW, "video_url": RAW}]}},
    "midjourney": {"id": "1", "action": "VIDEO", "status": "SUCCESS", "state": "", "videoUrl": RAW},
    "runway": {"id": "1", "status": "SUCCEEDED", "output": [RAW]},
    "runway reverse": {"code": 200, "data": {"task_id": "1", "status": "3", "state": "succeeded",
                                             "video_url": RAW, "last_frame": RAW}},
    "replicate": {"id": "1", "model": "luma/ray", "status": "succeeded", "output": RAW},
    "kling": {"code": 0, "data": {"task_id": "1", "task_status": "succeed", "task_result": {}}},
    "kling, gateway": {"task_id": "1", "status": "completed", "url": RAW, "metadata": {}},
    "flux": {"id": "1", "status": "Ready", "result": {"sample": RAW}},
    "minimax": {"task_id": "1", "status": "Success", "file_id": "2", "base_resp": {}},
    "openai": {"created": 1, "data": [{"url": RAW}]},
    "udio": {"songs": [{"id": "1", "song_path": RAW, "finished": True}]},
    "words": "completed", "number": 7, "nothing": None, "empty": {}, "none": [],
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_other_providers_bodies_are_refused(name: str) -> None:
    """A body of another system is not taken for Luma's."""
    with pytest.raises(ProviderError):
        read(FOREIGN[name])


# --- size ---------------------------------------------------------------------------------------


def test_ten_thousand_outputs_are_read_in_bounded_time() -> None:
    """Time grows with the answer and no faster, and its warnings do not grow at all."""
    entries: list[JsonValue] = [
        {"type": "image", "url": f"https://h.example/{n}.png?exp=1733097600", "width": "x"}
        for n in range(10_000)
    ]
    started = time.process_time()
    task = ask({"id": "1", "state": "completed", "output": entries})
    assert time.process_time() - started < 5
    assert [a.index for a in task.assets] == list(range(10_000))
    assert len(task.warnings) <= 21


def test_prompts_are_bounded_and_safe() -> None:
    """A prompt keeps its line ends; halves of characters and megabytes do not leave the answer."""
    task = ask(payload("web") | {"prompt": "line\n\x07two \ud83d" + "x" * 10**6})
    assert (task.prompt or "").startswith("line\n\x07two \ufffdx")
    assert len(task.prompt or "") == 64 << 10
    assert "is cut" in task.warnings[0]


def test_no_link_shows_in_a_repr() -> None:
    """A task that is logged by mistake shows no link at all."""
    task = ask(payload("web"))
    assert "http" not in repr(task)
    assert isinstance(task.assets[0], Asset)
