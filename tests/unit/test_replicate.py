"""Replicate: outputs of any shape, removed files, lists, seeds, and where the key goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archiver.answers import Notes, outputs_of, role_of
from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError
from archiver.model import Progress, Role, Task
from archiver.providers.replicate import ReplicateProvider
from tests.fakes import FakeApi, json_answer, unknown_route

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "replicate"
OFFICIAL = "https://api.replicate.com"
NOT_EXIST = json_answer({"code": "task_not_exist", "message": "task_not_exist", "data": None}, 400)


def body(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(name: str, **changes: Any) -> Task:
    (task,) = ReplicateProvider("s", FakeApi()).read_body(body(name) | changes)
    return task


def shown(task: Task) -> list[tuple[str, int, str, str]]:
    return [
        (
            a.role.value,
            a.index,
            a.renditions[0].name,
            (a.renditions[0].url or "").rpartition("/")[2],
        )
        for a in task.assets
    ]


# --- outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("list_output", [("image", 0, "output", "out-0.webp")]),
        ("several", [("image", 0, "output", "out-0.png"), ("image", 1, "output", "out-1.png")]),
        ("text_link", [("video", 0, "output", "tmp.mp4")]),
        ("object", [("audio", 0, "audio", "speech"), ("text", 0, "subtitles", "lines.srt")]),
        (
            "nested",
            [
                ("video", 0, "file", "one.mp4"),
                ("video", 1, "file", "two.webm"),
                ("image", 0, "cover", "cover.jpg"),
            ],
        ),
    ],
)
def test_links_anywhere_in_the_output(name: str, found: list[tuple[str, int, str, str]]) -> None:
    """Every link is an output, in order, told by its name's ending or its field."""
    assert shown(read(name)) == found


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (["A ", "red ", "kite."], "A red kite."),
        ("A red kite.\n", "A red kite.\n"),
        (7, "7"),
        (False, "false"),
        ({"safe": True}, '{\n "safe": true\n}'),
        ([[1, "x"]], '[\n [\n  1,\n  "x"\n ]\n]'),
        ("see https://h.example/a.png and more", "see https://h.example/a.png and more"),
    ],
)
def test_what_has_no_link_is_kept_as_text(output: Any, text: str) -> None:
    """Pieces of a text are one text, any other value is JSON; a link within words is no file."""
    (asset,) = read("words", output=output).assets
    assert asset.role is Role.TEXT
    assert asset.renditions[0].content == text.encode()


@pytest.mark.parametrize("output", [None, "", [], {}, ["", ""], " "])
def test_no_output(output: Any) -> None:
    """A finished prediction may have made nothing."""
    task = read("words", output=output)
    assert (task.progress, task.assets) == (Progress.FINISHED, ())


def test_files_within_the_answer() -> None:
    """A `data:` URI is an output with its content, of the kind that it says."""
    (asset,) = read("embedded").assets
    assert (asset.role, asset.renditions[0].url) == (Role.IMAGE, None)
    assert asset.renditions[0].content == b"\x89PNG\r\n\x1a\n"
    (sound,) = read("embedded", output={"x": "data:audio/wav;base64,UklGRg=="}).assets
    assert sound.role is Role.AUDIO


def test_one_link_is_one_output() -> None:
    """The same link in two fields is fetched once."""
    link = "https://delivery.replicate.example/a.png"
    assert len(read("words", output={"image": link, "images": [link]}).assets) == 1


def test_inputs_are_no_outputs() -> None:
    """Nothing below `input`, `urls` and `logs` is fetched."""
    task = read("words", output=None, logs="https://uploads.example/log.png")
    assert task.assets == ()


@pytest.mark.parametrize(
    ("url", "said", "role"),
    [
        ("https://h.example/a.MP4?x=1", "", Role.VIDEO),
        ("https://h.example/a", "video_out", Role.VIDEO),
        ("https://h.example/a.bin", "audio", Role.AUDIO),
        ("https://h.example/a.flac", "image", Role.AUDIO),
        ("https://h.example/v1.2/a", "", Role.IMAGE),
        ("https://h.example/a.tar", "", Role.IMAGE),
        ("https://h.example/a.vtt", "", Role.TEXT),
        ("https://[broken/a.mp4", "", Role.IMAGE),
    ],
)
def test_what_a_file_is_for(url: str, said: str, role: Role) -> None:
    """The ending counts, then the field's name; a file without either is taken for an image."""
    assert role_of(url, said=said) is role


def test_endless_outputs() -> None:
    """More outputs than anybody makes are cut, with a word about it; depth costs no stack."""
    notes = Notes()
    links: Any = [f"https://h.example/{n}.png" for n in range(1500)]
    assert len(outputs_of(links, notes)) == 1000
    assert notes.texts()
    deep: Any = "https://h.example/a.png"
    for _ in range(50_000):
        deep = [deep]
    assert len(outputs_of(deep, notes)) == 1
    wordless: Any = []
    for _ in range(50_000):
        wordless = [wordless]
    assert outputs_of(wordless, notes) == ()


# --- states ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "progress"),
    [
        ("starting", Progress.RUNNING),
        ("processing", Progress.RUNNING),
        ("succeeded", Progress.FINISHED),
        ("failed", Progress.FAILED),
        ("canceled", Progress.FAILED),
        ("aborted", Progress.FAILED),
        ("paused-somehow", Progress.RUNNING),
    ],
)
def test_states(word: str, progress: Progress) -> None:
    """Every state; a new word is no end."""
    task = read("list_output", status=word)
    assert task.progress is progress
    assert bool(task.assets) is (progress is Progress.FINISHED)


def test_removed_files_are_gone() -> None:
    """`data_removed` without an output is "gone", never "no files"; a failure stays a failure."""
    task = read("removed")
    assert task.progress is Progress.GONE
    assert "removed" in (task.failure or "")
    assert read("removed", status="failed", error="no").progress is Progress.FAILED
    assert read("list_output", data_removed=True).progress is Progress.FINISHED


def test_failures_are_told() -> None:
    """The error's words, and for a canceled one its state."""
    assert "NSFW" in (read("failed").failure or "")
    assert read("canceled").failure == "canceled"
    assert read("failed", error={"detail": "out of memory"}).failure == "out of memory"
    assert read("failed", error=["x"]).warnings


# --- what is known of it --------------------------------------------------------------------------


def test_seeds() -> None:
    """The seed that was given, else the one in the logs; a negative one means "any"."""
    assert read("words").seed == 7
    assert read("list_output").seed == 60392
    assert read("list_output", input={"seed": -1}).seed == 60392
    assert read("list_output", input={"seed": 0}).seed == 0
    assert read("list_output", logs="seed: 12 steps").seed == 12
    assert read("list_output", logs="Using seed=99").seed == 99
    assert read("list_output", logs="seedling 5, seed of doubt").seed is None
    assert read("list_output", logs="").seed is None


def test_nanoseconds() -> None:
    """Dates may have nine digits after the point."""
    assert read("text_link").created_at == datetime(2024, 11, 12, 9, 14, 2, 619316, tzinfo=UTC)


def test_prompt_and_model() -> None:
    """They are in the answer as long as the input is."""
    task = read("list_output")
    assert (task.prompt, task.model) == ("A red kite over a grey sea", "a-lab/fast-image")


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        (OFFICIAL, "/v1/predictions/a"),
        (f"{OFFICIAL}/v1", "/predictions/a"),
        ("https://gw.example/replicate", "/v1/predictions/a"),
        ("https://gw.example", "/replicate/v1/predictions/a"),
    ],
)
def test_base_urls(base_url: str, path: str) -> None:
    """A base URL may hold what every path begins with."""
    api = FakeApi(base_url).on("GET", path, json_answer(body("list_output")))
    assert ReplicateProvider("s", api).get_task("a").provider_task_id == "t2s7dx10rxrgg0cj7mvb"
    assert [asked.path for asked in api.requests] == [path]


def test_a_gateways_other_path() -> None:
    """It is asked once where the first is nothing, and from then on at once."""
    api = FakeApi(anything=unknown_route)
    api.on("GET", "/v1/predictions/a", json_answer(body("list_output")))
    provider = ReplicateProvider("s", api)
    provider.get_task("a")
    provider.get_task("a")
    assert len(api.requests) == 3


def test_what_the_second_path_does_not_know() -> None:
    """It is no proof that the prediction is gone."""
    api = FakeApi().on("GET", "/v1/predictions/a", NOT_EXIST)
    with pytest.raises(SourceFaultError):
        ReplicateProvider("s", api).get_task("a")
    api = FakeApi().on("GET", "/replicate/v1/predictions/a", NOT_EXIST)
    with pytest.raises(TaskNotFoundError):
        ReplicateProvider("s", api).get_task("a")


def listing(ids: list[str], next_page: str | None, date: str = "2024-11-12T09:14:02Z") -> Any:
    entry = body("list_output")
    found = [entry | {"id": id_, "created_at": date} for id_ in ids]
    return json_answer({"previous": None, "next": next_page, "results": found})


def test_pages_are_followed() -> None:
    """`next` is asked for as it came."""
    second = f"{OFFICIAL}/v1/predictions?cursor=cD0y"
    api = FakeApi(OFFICIAL)
    api.on("GET", "/v1/predictions", listing(["a", "b"], second))
    api.on("GET", second, listing(["b", "c"], None))
    since = datetime(2024, 11, 1, tzinfo=UTC)
    found = ReplicateProvider("s", api).list_tasks(since=since)
    assert [task.ref.task_id for task in found] == ["a", "b", "c"]
    assert api.requests[0].params == {"created_after": "2024-11-01T00:00:00Z"}
    assert api.requests[1].params == {}


@pytest.mark.parametrize(
    "next_page",
    [
        "https://evil.example/v1/predictions?cursor=x",
        "http://api.replicate.com/v1/predictions?cursor=x",
        "https://api.replicate.com:8443/v1/predictions?cursor=x",
        "https://api.replicate.com@evil.example/v1/predictions",
    ],
)
def test_the_key_goes_to_no_other_host(next_page: str) -> None:
    """A next page elsewhere is not asked for; what was read before it is kept."""
    api = FakeApi(OFFICIAL).on("GET", "/v1/predictions", listing(["a"], next_page))
    found = ReplicateProvider("s", api).list_tasks()
    assert next(found).ref.task_id == "a"
    with pytest.raises(ProviderError, match="not asked"):
        next(found)
    assert len(api.requests) == 1


def test_a_list_ends() -> None:
    """At a prediction that is older than asked for, and where a page says nothing new."""
    again = f"{OFFICIAL}/v1/predictions?cursor=x"
    api = FakeApi(OFFICIAL).on("GET", "/v1/predictions", listing(["a"], again))
    api.on("GET", again, listing(["a"], again))
    assert len(list(ReplicateProvider("s", api).list_tasks())) == 1
    assert len(api.requests) == 2
    old = listing(["a"], again, date="2020-01-01T00:00:00Z")
    api = FakeApi(OFFICIAL).on("GET", "/v1/predictions", old)
    since = datetime(2024, 1, 1, tzinfo=UTC)
    assert list(ReplicateProvider("s", api).list_tasks(since=since)) == []
    assert len(api.requests) == 1


def test_lists_are_read() -> None:
    """A saved page gives all of its predictions."""
    tasks = ReplicateProvider("s", FakeApi()).read_body(body("list"))
    states = [Progress.FINISHED, Progress.FAILED, Progress.GONE]
    assert [task.progress for task in tasks] == states


@pytest.mark.parametrize(
    "other",
    [
        {"id": "1", "status": "SUCCEEDED", "output": ["https://h.example/a.mp4"]},
        {"id": "1", "status": "Ready", "result": {"sample": "https://h.example/a.jpg"}},
        {"task_id": "1", "task_status": "succeed", "task_result": {}},
    ],
)
def test_bodies_of_others_are_not_taken(other: Any) -> None:
    """What another provider posts is not Replicate's."""
    with pytest.raises(ProviderError):
        ReplicateProvider("s", FakeApi()).read_body(other)
