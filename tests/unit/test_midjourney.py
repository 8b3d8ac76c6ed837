"""Midjourney: every form of an answer, what is given and what is made, seeds, and what is asked."""

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
from archiver.model import Answer, JsonValue, Progress, Rendition, Role, Task
from archiver.providers.midjourney import MidjourneyProvider
from archiver.providers.midjourney.api import SLOW_SEED
from tests.fakes import NOW, FakeApi, json_answer, text_answer, unknown_route

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "midjourney"
ID = "1730621826053455"
FETCH, SEED = f"/mj/task/{ID}/fetch", f"/mj/task/{ID}/image-seed"
CDN = "https://cdn.mj.example/3785aa00/0_"
GRID = "https://cdn.discordapp.com/attachments/11/22/reader_a_pig_3785aa.png"
EMPTY = Answer(status=200)


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def ask(body: JsonValue, task_id: str = ID) -> Task:
    path = f"/mj/task/{task_id}/fetch"
    return MidjourneyProvider("mj", FakeApi().on("GET", path, json_answer(body))).get_task(task_id)


def job(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = payload("imagine")
    return body | changes


def links(task: Task) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """Return role, number, and the name and bare link of each form."""
    return [
        (a.role.value, a.index, [(r.name, (r.url or "").partition("?")[0]) for r in a.renditions])
        for a in task.assets
    ]


def form(task: Task, role: Role, index: int = 0) -> Rendition:
    asset = task.asset(role, index)
    assert asset
    return asset.renditions[0]


# --- every form ---------------------------------------------------------------------------------

SINGLES = [("image", n + 1, [("imageUrls", f"{CDN}{n}.png")]) for n in range(4)]
PROXIED = "https://api.gateway.example/mj/image/1730621826053455"
MART = "https://files.mart.example"
FORMS: list[tuple[str, list[tuple[str, int, list[tuple[str, str]]]]]] = [
    ("imagine", [("image", 0, [("imageUrl", GRID)])]),
    ("imagine_split", [("image", 0, [("imageUrl", GRID)]), *SINGLES]),
    ("imagine_strings", [(role, n - 1, names) for role, n, names in SINGLES]),
    ("imagine_proxied", [("image", 0, [("imageUrl", PROXIED)])]),
    ("upscale", [("image", 0, [("imageUrl", GRID), ("imageUrls", f"{CDN}1.png")])]),
    ("video", [
        ("video", 0, [("videoUrl", f"{CDN}0.mp4")]),
        *(("video", n, [("videoUrls", f"{CDN}{n}.mp4")]) for n in range(1, 4)),
        *(("thumbnail", n, [("thumbnail", f"{CDN}{n}_640_N.webp")]) for n in range(4)),
    ]),
    ("video_in_images",
     [("video", n, [("videoUrls", f"{CDN}{n}.mp4")]) for n in range(2)]),
    ("own_list_row", [
        ("image", 0, [("imageUrl", PROXIED)]),
        ("video", 0, [("videoUrls", f"{CDN}0.mp4")]),
    ]),
    ("apimart", [
        ("image", 0, [("imageUrl", f"{MART}/grid.png")]),
        *(("image", n + 1, [("imageUrls", f"{MART}/{n}.png")]) for n in range(4)),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "outputs"), FORMS, ids=[f[0] for f in FORMS])
def test_every_form_is_read(
    name: str, outputs: list[tuple[str, int, list[tuple[str, str]]]]
) -> None:
    """Each form gives its outputs, each once, without a warning."""
    task = ask(payload(name))
    assert task.progress is Progress.FINISHED
    assert links(task) == outputs
    assert task.warnings == ()
    assert (task.prompt or "").startswith("a pig in a library")


def test_dates_are_in_milliseconds() -> None:
    """The date is that of submission, in whatever unit it comes."""
    at = datetime(2024, 11, 3, 8, 17, 6, 53000, UTC)
    assert ask(payload("imagine")).created_at == at
    assert ask(job(submitTime=1730621826)).created_at == at.replace(microsecond=0)
    assert ask(job(submitTime=0)).created_at == at + timedelta(milliseconds=1971)


def test_links_say_when_they_die() -> None:
    """A link that Discord signed is good for a day."""
    until = datetime(2024, 11, 4, 8, 17, 35, tzinfo=UTC)
    assert form(ask(payload("imagine")), Role.IMAGE).expires_at == until


def test_declared_sizes_are_those_of_the_picture() -> None:
    """Width and height stand beside the link that they are of; a seed may be a text."""
    task = ask(payload("upscale"))
    picture = form(task, Role.IMAGE)
    assert (picture.width_px, picture.height_px) == (1024, 2048)
    assert task.seed == 2871634417


def test_an_upscale_has_one_picture() -> None:
    """Two links of an upscale are two forms of one picture; of a grid, two pictures."""
    one = {"imageUrls": [{"url": f"{CDN}1.png"}]}
    assert len(ask(job(action="UPSCALE", **one)).assets) == 1
    assert len(ask(job(**one)).assets) == 2
    assert len(ask(job(imageUrls=[{"url": job()["imageUrl"]}])).assets) == 1


def test_ids_of_a_gateways_list() -> None:
    """In the gateway's list the number of a row is no id."""
    (task,) = MidjourneyProvider("mj", FakeApi()).read_body(payload("gateway_list"))
    assert (task.ref.task_id, task.provider_task_id) == (ID, None)


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rendition"), [("describe", "finalPrompt"), ("shorten", "promptEn")]
)
def test_words_are_a_text(name: str, rendition: str) -> None:
    """What a picture or a prompt was turned into is kept; the picture was given, not made."""
    task = ask(payload(name))
    assert [a.role for a in task.assets] == [Role.TEXT]
    text = form(task, Role.TEXT)
    assert (text.name, text.url) == (rendition, None)
    assert (text.content or b"").startswith(b"1. ")


def test_nothing_shortened_is_nothing() -> None:
    """The prompt that was to be shortened is no output."""
    assert ask(job(action="SHORTEN", promptEn="", properties=None)).assets == ()
    words = ask(job(action="describe", promptEn="", properties=None))
    assert form(words, Role.TEXT).content == b"a pig in a library --v 6.1"


# --- videos -------------------------------------------------------------------------------------


def test_one_video_under_two_names() -> None:
    """One link of each kind is one video in two forms."""
    other = "https://api.gateway.example/mj/video/1"
    task = ask(job(action="VIDEO", videoUrl=other, videoUrls=[f"{CDN}0.mp4"], imageUrls=None))
    assert links(task) == [("video", 0, [("videoUrl", other), ("videoUrls", f"{CDN}0.mp4")])]


def test_a_video_behind_the_link_of_an_image() -> None:
    """A task of videos with one link without an ending: the bytes will tell what it is."""
    task = ask(job(action="VIDEO", imageUrl=PROXIED))
    assert links(task) == [("video", 0, [("imageUrl", PROXIED)])]
    picture = ask(job(action="VIDEO"))
    assert picture.assets == ()
    assert "no link to a video" in picture.warnings[0]


def test_a_video_is_one_by_its_name() -> None:
    """Where a link says that it is a video, no other word of the answer makes it a picture."""
    listed = ask(job(imageUrls=[f"{CDN}0.mp4"]))
    assert [(a.role, a.index) for a in listed.assets] == [(Role.IMAGE, 0), (Role.VIDEO, 0)]
    alone = ask(job(imageUrl=f"{CDN}0.mp4"))
    assert links(alone) == [("video", 0, [("imageUrl", f"{CDN}0.mp4")])]


def test_the_first_frame_is_no_output() -> None:
    """The picture that a video was made of is never fetched."""
    urls = str(links(ask(payload("video"))))
    assert "uploads" not in urls


def test_a_cover_of_its_own() -> None:
    """A thumbnail of the whole task is the first video's; a picture's is not fetched."""
    cover = "https://h.example/cover.webp"
    task = ask(job(action="VIDEO", videoUrl=f"{CDN}0.mp4", thumbnailUrl=cover))
    assert links(task)[1:] == [("thumbnail", 0, [("thumbnail", cover)])]
    assert [a.role for a in ask(job(thumbnailUrl=cover)).assets] == [Role.IMAGE]


# --- states -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["NOT_START", "SUBMITTED", "MODAL", "IN_PROGRESS", "in_progress", "NEW_WORD", "", None]
)
def test_nothing_before_success(word: str | None) -> None:
    """A link alone is a blurry preview: nothing is fetched before the word for the end."""
    task = ask(job(status=word))
    assert (task.progress, task.assets) == (Progress.RUNNING, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "FAILURE", "failReason": "banned prompt"}, "banned prompt"),
        ({"status": "FAILURE", "fail_reason": "banned prompt"}, "banned prompt"),
        ({"status": "failed", "error": {"message": "banned prompt"}}, "banned prompt"),
        ({"status": "CANCEL"}, "the task was cancelled"),
        ({"status": "FAILURE"}, None),
    ],
)
def test_failures(changes: dict[str, Any], words: str | None) -> None:
    """A failure is told in the provider's words; what it submitted well is no reason."""
    task = ask(job(**changes))
    assert (task.progress, task.failure, task.assets) == (Progress.FAILED, words, ())


# --- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.example.com", "/mj/task/a/fetch"),
        ("https://api.example.com/mj-fast", "/mj/task/a/fetch"),
        ("https://api.example.com/mj-fast/mj", "/task/a/fetch"),
        ("https://mj.example.com/mj", "/task/a/fetch"),
    ],
)
def test_where_a_task_is_asked_for(base_url: str, path: str) -> None:
    """Speed modes are part of the base URL, which may end where Midjourney's paths begin."""
    api = FakeApi(base_url, anything=json_answer(payload("upscale")))
    MidjourneyProvider("mj", api).get_task("a")
    assert [(r.method, r.path) for r in api.requests] == [("GET", path)]


@pytest.mark.parametrize("answer", [EMPTY, Answer(status=204), Answer(status=200, text=" \n")])
def test_an_empty_answer_is_no_verdict(answer: Answer) -> None:
    """Proxies answer nothing for an id that they do not know; they do not say so."""
    with pytest.raises(SourceFaultError) as caught:
        MidjourneyProvider("mj", FakeApi(anything=answer)).get_task("a")
    assert caught.value.code == "no_answer"


@pytest.mark.parametrize(
    "body",
    [
        {"description": "task_no_found ", "type": "upstream_error", "code": 4},
        {"code": "task_not_exist", "message": "task_not_exist", "data": None},
    ],
)
def test_not_found_in_the_gateways_words(body: JsonValue) -> None:
    """The gateway's own words are believed; a task may be too fresh for them."""
    with pytest.raises(TaskNotFoundError) as caught:
        MidjourneyProvider("mj", FakeApi(anything=json_answer(body, 400))).get_task("a")
    assert caught.value.may_be_fresh


def test_batch() -> None:
    """Several tasks are asked for at once; those left out are absent, and order says nothing."""
    answer = json_answer(payload("batch"))
    api = FakeApi().on("POST", "/mj/task/list-by-condition", answer)
    other = "1730621900000001"
    tasks = MidjourneyProvider("mj", api).get_tasks([ID, other, "unknown"])
    assert {i: t.ref.task_id for i, t in tasks.items()} == {ID: ID, other: other}
    assert api.requests[0].json == {"ids": [ID, other, "unknown"]}
    assert len(api.requests) == 1


@pytest.mark.parametrize("answer", [EMPTY, json_answer([])])
def test_an_empty_batch(answer: Answer) -> None:
    """Nobody known is no fault: the next batch is asked for as well."""
    provider = MidjourneyProvider("mj", FakeApi(anything=answer))
    assert provider.get_tasks(["a"]) == {}
    assert provider.batch_size > 1


@pytest.mark.parametrize("reply", [unknown_route, text_answer("<html>"), PassingError("x")])
def test_no_batch(reply: Any) -> None:
    """An API without a batch is asked for it once."""
    provider = MidjourneyProvider("mj", FakeApi(anything=reply))
    assert provider.get_tasks(["a", "b"]) == {}
    assert provider.batch_size == 1
    assert provider.get_tasks(["a"]) == {}


def test_a_refused_key_in_a_batch_is_a_refused_key() -> None:
    """A batch swallows no fault that stops the source."""
    with pytest.raises(KeyRefusedError):
        MidjourneyProvider("mj", FakeApi(anything=KeyRefusedError("x"))).get_tasks(["a"])


def test_the_list_of_a_proxy() -> None:
    """A proxy of one's own gives all of its tasks at once; old ones can be left out."""
    api = FakeApi(anything=json_answer(payload("task_list")))
    provider = MidjourneyProvider("mj", api)
    states = {t.ref.task_id: t.progress for t in provider.list_tasks()}
    assert states == {ID: Progress.FINISHED, "1730621900000006": Progress.RUNNING}
    assert [r.path for r in api.requests] == ["/mj/task/list"]
    assert list(provider.list_tasks(since=datetime(2024, 12, 1, tzinfo=UTC))) == []


@pytest.mark.parametrize("answer", [EMPTY, json_answer([])])
def test_an_empty_list(answer: Answer) -> None:
    """A new proxy has no tasks."""
    assert list(MidjourneyProvider("mj", FakeApi(anything=answer)).list_tasks()) == []


@pytest.mark.parametrize("reply", [unknown_route, text_answer("<html>", 404)])
def test_a_gateway_has_no_list(reply: Any) -> None:
    """A gateway's refusal says what to do instead."""
    with pytest.raises(SourceFaultError, match="gateway"):
        list(MidjourneyProvider("mj", FakeApi(anything=reply)).list_tasks())


def test_a_single_task_is_no_list() -> None:
    """An answer that is one task where a list should be is not taken for one."""
    api = FakeApi(anything=json_answer(payload("imagine")))
    with pytest.raises(ProviderError, match="no list"):
        list(MidjourneyProvider("mj", api).list_tasks())


def test_entries_of_others_are_told() -> None:
    """What else is in a list is counted; a named task is found among them."""
    body = [*payload("task_list"), {"id": "x", "state": "completed"}]
    provider = MidjourneyProvider("mj", FakeApi())
    tasks = provider.read_body(body)
    assert "no Midjourney tasks: 1" in tasks[0].warnings[-1]
    (named,) = provider.read_body(body, task_id=ID)
    assert named.assets == tasks[0].assets
    with pytest.raises(ProviderError):
        provider.read_body(body, task_id="another")


# --- seeds --------------------------------------------------------------------------------------


def seed_api(*replies: Any, body: JsonValue = None) -> FakeApi:
    found = json_answer(payload("imagine") if body is None else body)
    return FakeApi().on("GET", FETCH, found).on("GET", SEED, *replies)


@pytest.mark.parametrize(
    ("answer", "seed"),
    [
        ({"code": 1, "description": "ok", "result": "2871634417"}, 2871634417),
        ({"code": 1, "description": "ok", "result": 7}, 7),
        ({"code": 4, "description": "no seed", "result": "9"}, None),
        ({"code": 1, "description": "ok", "result": ""}, None),
        ({"code": 1, "description": "ok", "result": ["x"]}, None),
        ([], None),
        ({"description": "task_no_found ", "type": "upstream_error", "code": 4}, None),
    ],
)
def test_the_seed_is_asked_for(answer: JsonValue, seed: int | None) -> None:
    """A finished picture without a seed in its answer is asked for it; no seed is no fault."""
    provider = MidjourneyProvider("mj", seed_api(json_answer(answer)))
    task = provider.get_task(ID)
    assert (task.seed, task.progress) == (seed, Progress.FINISHED)
    assert task.raw == payload("imagine")


@pytest.mark.parametrize("name", ["upscale", "in_progress", "failure", "describe", "video"])
def test_the_seed_is_asked_for_only_where_it_may_be(name: str) -> None:
    """Not where the answer has it, and not of what is no finished picture."""
    api = seed_api(json_answer({"code": 1, "result": "5"}), body=payload(name))
    assert MidjourneyProvider("mj", api).get_task(ID).seed in (None, 2871634417)
    assert [r.path for r in api.requests] == [FETCH]


@pytest.mark.parametrize(
    "fault", [unknown_route, PassingError("x"), KeyRefusedError("x"), text_answer("<html>")]
)
def test_seeds_cost_nothing(fault: Any) -> None:
    """The first useless answer about a seed ends that; the tasks are archived all the same."""
    api = seed_api(fault)
    provider = MidjourneyProvider("mj", api)
    for _ in range(3):
        assert provider.get_task(ID).progress is Progress.FINISHED
    assert [r.path for r in api.requests] == [FETCH, SEED, FETCH, FETCH]


def test_one_task_without_a_seed_does_not_end_it() -> None:
    """That one task is not known to the seeds says nothing about the next."""
    unknown: JsonValue = {"description": "task_no_found ", "type": "upstream_error", "code": 4}
    api = seed_api(json_answer(unknown, 400), json_answer({"code": 1, "result": "5"}))
    provider = MidjourneyProvider("mj", api)
    assert [provider.get_task(ID).seed for _ in range(2)] == [None, 5]


class SlowApi(FakeApi):
    """An API by whose clock every request takes a while."""

    def __init__(self, pause: timedelta) -> None:
        super().__init__()
        self._pause = pause

    def now(self) -> datetime:
        return NOW + self._pause * len(self.requests)


@pytest.mark.parametrize(("pause", "asked"), [(SLOW_SEED, 2), (SLOW_SEED * 1.1, 1)])
def test_slow_seeds_are_not_waited_for_twice(pause: timedelta, asked: int) -> None:
    """A seed that took long is kept, and no other is asked for."""
    api = SlowApi(pause)
    api.on("GET", FETCH, json_answer(payload("imagine")))
    api.on("GET", SEED, json_answer({"code": 1, "result": "5"}))
    provider = MidjourneyProvider("mj", api)
    seeds = [provider.get_task(ID).seed for _ in range(2)]
    assert seeds[0] == 5
    assert [r.path for r in api.requests].count(SEED) == asked


# --- mangled jobs -------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *("id", "mj_id", "action", "status", "imageUrl", "imageUrls", "videoUrl", "videoUrls"),
        *("video_urls", "url", "thumbnail", "thumbnailUrl", "prompt", "promptEn", "properties"),
        *("finalPrompt", "submitTime", "failReason", "width", "height", "seed"),
    ]
)
VALUES = st.recursive(
    st.sampled_from(["VIDEO", "DESCRIBE", "SUCCESS", f"{CDN}0.mp4", f"{CDN}0.png", "", None])
    | st.sampled_from(['[{"url":"https://h.example/a.mp4"}]', '{"finalPrompt":"x"}', True])
    | st.text(max_size=9)
    | st.integers()
    | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=8), st.sampled_from(["IMAGINE", "VIDEO", "SHORTEN"]))
def test_any_job(changes: dict[str, Any], action: str) -> None:
    """Whatever a job is, only a `ProviderError` comes of it, and nothing before the end."""
    try:
        task = ask({**job(action=action), **changes})
    except ProviderError:
        return
    assert task.progress is Progress.FINISHED or not task.assets
    places = [(a.role, a.index) for a in task.assets]
    assert len(set(places)) == len(places)
    assert all(a.renditions for a in task.assets)
