"""Flux: polling URLs, ten-minute links, moderation, and what "Task not found" means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver.errors import ProviderError, SourceFaultError, TaskNotFoundError, UsageError
from archiver.model import Progress, Role, Task
from archiver.providers.flux import FluxProvider
from archiver.transport.clock import SystemClock
from tests.fakes import FakeApi, json_answer

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "flux"
EU = "https://api.eu.bfl.ai"
ID = "7d0e6a52-2b57-4c8a-9f0e-0d6f3c2b1a90"
POLLING = f"{EU}/v1/get_result?id={ID}"


def body(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(name: str, **changes: Any) -> Task:
    (task,) = FluxProvider("s", FakeApi()).read_body(body(name) | changes)
    return task


# --- reading --------------------------------------------------------------------------------------


def test_the_picture_and_its_facts() -> None:
    """One picture; the link's expiry is its signature's, the duration is nobody's length."""
    task = read("gateway")
    (asset,) = task.assets
    (form,) = asset.renditions
    assert (asset.role, form.name, form.duration_s) == (Role.IMAGE, "sample", None)
    assert form.expires_at == datetime(2024, 11, 13, 3, 26, 8, tzinfo=UTC)
    assert (task.prompt, task.seed) == ("A lighthouse in fog, oil on canvas", 42)
    assert task.created_at == datetime.fromtimestamp(1731467764.24, tz=UTC)
    assert FluxProvider.link_lifetime == timedelta(minutes=10)


def test_bodies_in_replicates_shape() -> None:
    """One gateway answers with them for its own Flux ids."""
    task = read("replicate_shaped")
    (asset,) = task.assets
    assert (asset.role, asset.renditions[0].name) == (Role.IMAGE, "output")
    assert (task.seed, task.prompt) == (123, "A lighthouse")
    gone = read("replicate_shaped", output=None, data_removed=True)
    assert gone.progress is Progress.GONE


def test_previews_are_not_taken() -> None:
    """What is shown while the picture comes into being is no output, nor is what was given."""
    links = [r.url or "" for a in read("official").assets for r in a.renditions]
    assert len(links) == 1
    assert "/results/" in links[0]
    assert read("generating").assets == ()


@pytest.mark.parametrize(
    ("word", "progress"),
    [
        ("Pending", Progress.RUNNING),
        ("Reasoning", Progress.RUNNING),
        ("Generating", Progress.RUNNING),
        ("Upscaling", Progress.RUNNING),
        ("Ready", Progress.FINISHED),
        ("READY", Progress.FINISHED),
        ("Request Moderated", Progress.FAILED),
        ("Content Moderated", Progress.FAILED),
        ("content_moderated", Progress.FAILED),
        ("Error", Progress.FAILED),
        ("Task not found", Progress.GONE),
    ],
)
def test_states(word: str, progress: Progress) -> None:
    """Every state; a new word is no end."""
    task = read("gateway", status=word)
    assert task.progress is progress
    assert bool(task.assets) is (progress is Progress.FINISHED)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("request_moderated", "Request Moderated: Derivative Works"),
        ("content_moderated", "Content Moderated"),
        ("error", "Error: the worker stopped"),
        ("not_found", "Task not found"),
    ],
)
def test_failures_are_told(name: str, words: str) -> None:
    """The state's own words, and the reasons if there are any; never a link to what was given."""
    assert read(name).failure == words


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.bfl.ai", "/v1/get_result"),
        (f"{EU}/v1", "/get_result"),
        ("https://gw.example/flux", "/v1/get_result"),
        ("https://gw.example", "/flux/v1/get_result"),
    ],
)
def test_base_urls(base_url: str, path: str) -> None:
    """A base URL may hold what the path begins with; the id is a parameter."""
    api = FakeApi(base_url).on("GET", path, json_answer(body("gateway")))
    assert FluxProvider("s", api).get_task(ID).assets
    assert [(asked.path, asked.params) for asked in api.requests] == [(path, {"id": ID})]


@pytest.mark.parametrize("base_url", [EU, f"{EU}/v1"])
def test_a_polling_url_is_asked_as_it_is(base_url: str) -> None:
    """The id stays the polling URL; the bare one is what the answer bears."""
    api = FakeApi(base_url).on("GET", POLLING, json_answer(body("gateway")))
    task = FluxProvider("s", api).get_task(POLLING)
    assert (task.ref.task_id, task.provider_task_id) == (POLLING, ID)
    assert api.requests[0].params == {}


@pytest.mark.parametrize(
    "task_id",
    [
        f"https://api.us.bfl.ai/v1/get_result?id={ID}",
        f"http://api.eu.bfl.ai/v1/get_result?id={ID}",
        f"https://api.eu.bfl.ai:444/v1/get_result?id={ID}",
        f"https://api.eu.bfl.ai@evil.example/v1/get_result?id={ID}",
        f"https://name:word@api.eu.bfl.ai/v1/get_result?id={ID}",
        f"https://evil.example/v1/get_result?id={ID}",
        f"{EU}/v1/delete?id={ID}",
        f"{EU}/v1/get_result",
        f"{EU}/v1/get_result?id={ID}#x",
        "https://[broken/v1/get_result?id=1",
        f"{EU}/v1/get_result?" + "&".join(f"a{n}=1" for n in range(50)),
    ],
)
def test_other_links_are_not_asked(task_id: str) -> None:
    """Neither another host nor another path sees the key, and the refusal holds no password."""
    api = FakeApi(EU, anything=json_answer(body("gateway")))
    with pytest.raises(ProviderError) as caught:
        FluxProvider("s", api).get_task(task_id)
    assert not isinstance(caught.value, TaskNotFoundError)
    assert api.requests == []
    assert "word@" not in caught.value.message


@pytest.mark.parametrize("status", [200, 404, 400])
def test_not_found_may_be_too_early(status: int) -> None:
    """The vendor's own word "Task not found" counts, whatever status it comes with."""
    api = FakeApi(EU, anything=json_answer(body("not_found"), status))
    with pytest.raises(TaskNotFoundError, match="expired") as caught:
        FluxProvider("s", api).get_task(ID)
    assert caught.value.may_be_fresh


def test_a_page_that_is_not_found_is_no_task() -> None:
    """A framework's own 404 says nothing about a task."""
    api = FakeApi(EU, anything=json_answer({"detail": "Not Found"}, 404))
    with pytest.raises(SourceFaultError):
        FluxProvider("s", api).get_task(ID)


def test_the_vendors_path_behind_a_proxy() -> None:
    """It is asked where a gateway's is nothing, and from then on alone."""
    api = FakeApi().on("GET", "/v1/get_result", json_answer(body("gateway")))
    provider = FluxProvider("s", api)
    assert provider.get_task("7").assets
    provider.get_task("7")
    assert [r.path for r in api.requests] == [
        "/flux/v1/get_result",
        "/v1/get_result",
        "/v1/get_result",
    ]


def test_what_the_second_path_does_not_know() -> None:
    """It is not believed: the first one may only be down. What the first says is."""
    unknown = json_answer(body("not_found"))
    with pytest.raises(SourceFaultError):
        FluxProvider("s", FakeApi().on("GET", "/v1/get_result", unknown)).get_task("7")
    api = FakeApi().on("GET", "/flux/v1/get_result", unknown)
    with pytest.raises(TaskNotFoundError):
        FluxProvider("s", api).get_task("7")
    assert len(api.requests) == 1


def test_there_is_no_list() -> None:
    """It says so."""
    with pytest.raises(UsageError, match="inbox"):
        FluxProvider("s", FakeApi()).list_tasks()


def test_the_vendors_header() -> None:
    """The vendor's own header, and the bearer token of gateways; without a key neither."""
    clock = SystemClock()
    headers = FluxProvider.authorize("k", None, clock)()
    assert headers == {"Authorization": "Bearer k", "x-key": "k"}
    assert FluxProvider.authorize(None, None, clock)() == {}


@pytest.mark.parametrize(
    "other",
    [
        {"id": "1", "status": "SUCCESS", "imageUrl": "https://h.example/a.png"},
        {"id": "1", "status": "succeeded", "output": ["https://h.example/a.png"], "model": "a/b"},
        {"id": "1", "status": "succeeded", "result": {"url": "https://h.example/a.png"}},
        {"task_id": "1", "task_status": "succeed", "task_result": {}},
    ],
)
def test_bodies_of_others_are_not_taken(other: Any) -> None:
    """What another provider posts is not Flux's."""
    with pytest.raises(ProviderError):
        FluxProvider("s", FakeApi()).read_body(other)
