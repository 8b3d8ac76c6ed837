"""OpenAI's image form: links that live an hour, files inside, and other makers' pictures in it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ProviderError
from archiver.model import JsonValue, Progress, Role, Task
from archiver.providers.openai_images import OpenAiImagesProvider
from tests.fakes import FakeApi

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "openai-images"
PNG = b"\x89PNG\r\n\x1a\n"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(body: JsonValue) -> tuple[Task, ...]:
    return OpenAiImagesProvider("s", FakeApi()).read_body(body)


def one(body: JsonValue) -> Task:
    (task,) = read(body)
    return task


def test_links_that_live_an_hour() -> None:
    """Each picture is an output; its link says when it dies; the prompt is the revised one."""
    task = one(payload("dalle"))
    assert [(a.role, a.index) for a in task.assets] == [(Role.IMAGE, 0), (Role.IMAGE, 1)]
    assert task.expires_at == datetime(2025, 12, 7, 10, 33, 20, tzinfo=UTC)
    assert task.prompt == "A hand-drawn map of an island shaped like a violin"
    assert task.created_at == datetime(2025, 12, 7, 9, 33, 20, tzinfo=UTC)


def test_a_file_inside() -> None:
    """A file as base64 is the output; the size beside the list is that of all pictures."""
    (asset,) = one(payload("b64")).assets
    (form,) = asset.renditions
    assert form.content is not None
    assert form.content.startswith(PNG)
    assert (form.width_px, form.height_px) == (1536, 1024)


def test_a_file_in_place_of_a_link() -> None:
    """A `data:` link holds the file itself."""
    (form,) = one(payload("data_uri")).assets[0].renditions
    assert form.url is None
    assert form.content is not None
    assert form.content.startswith(PNG)


@pytest.mark.parametrize("name", ["flux", "recraft"])
def test_pictures_of_other_makers(name: str) -> None:
    """Flux and Recraft come in the same form through some gateways."""
    (asset,) = one(payload(name)).assets
    assert asset.renditions[0].url


@pytest.mark.parametrize(
    "more",
    [{"task_id": "7"}, {"status": "succeeded"}, {"credits": 3}, {"generations": []}],
)
def test_what_is_of_somebody_else(more: dict[str, JsonValue]) -> None:
    """A task's answer, or one with fields that only others have, is not taken."""
    with pytest.raises(ProviderError):
        read(payload("dalle") | more)


def test_inside_envelopes() -> None:
    """A gateway's envelope around it changes nothing, around the list alone neither."""
    body = payload("dalle")
    assert len(one({"code": "success", "data": body}).assets) == 2
    assert len(one({"data": body["data"], "message": ""}).assets) == 2


@pytest.mark.parametrize("text", ["", "!", "====", base64.b64encode(b"").decode()])
def test_a_file_that_cannot_be_decoded(text: str) -> None:
    """What is no base64 is no file."""
    with pytest.raises(ProviderError):
        read({"created": 1765100000, "data": [{"b64_json": text}]})


def test_very_many_pictures() -> None:
    """No answer makes more outputs than there is any use for."""
    many: list[JsonValue] = [{"url": f"https://h.example/{n}.png"} for n in range(3000)]
    task = one({"created": 1765100000, "data": many})
    assert (len(task.assets), task.progress) == (1000, Progress.FINISHED)
    assert "2,000 more" in task.warnings[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
PICTURES = st.dictionaries(
    st.sampled_from(["url", "b64_json", "revised_prompt"]),
    VALUES | st.sampled_from(["https://h.example/a.png", "data:image/png;base64,AAAA", "AAAA"]),
)


@given(
    st.dictionaries(
        st.sampled_from(["created", "data", "image", "credits", "size", "metadata", "code"]),
        VALUES | st.lists(PICTURES | VALUES, max_size=4) | PICTURES,
    )
)
def test_only_provider_errors_leave_it(body: JsonValue) -> None:
    """Whatever is posted, it is read to the end or refused as a `ProviderError`."""
    try:
        tasks = read(body)
    except ProviderError:
        return
    for task in tasks:
        assert bool(task.assets) is (task.progress is Progress.FINISHED)
        assert all(form.url or form.content for a in task.assets for form in a.renditions)
