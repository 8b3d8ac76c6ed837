"""Ideogram: sizes, seeds and prompts of each picture, and those that were held back."""

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
from archiver.model import JsonValue, Progress, Task
from archiver.providers.ideogram import IdeogramProvider
from tests.fakes import FakeApi

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "ideogram"
PNG = b"\x89PNG\r\n\x1a\n"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(body: JsonValue) -> tuple[Task, ...]:
    return IdeogramProvider("s", FakeApi()).read_body(body)


def one(body: JsonValue) -> Task:
    (task,) = read(body)
    return task


def test_what_a_picture_declares() -> None:
    """Size, prompt and seed stand beside each picture; the link says when it dies."""
    task = one(payload("generate"))
    assert [asset.index for asset in task.assets] == [0, 1]
    form = task.assets[0].renditions[0]
    assert (form.width_px, form.height_px) == (1024, 768)
    assert form.expires_at == datetime(2024, 12, 16, 17, 32, 5, tzinfo=UTC)
    assert (task.seed, task.prompt) == (12345, "a lighthouse drawn in chalk on slate")
    assert task.created_at == datetime(2024, 12, 15, 17, 32, 0, 965408, tzinfo=UTC)
    assert task.ref.task_id.startswith("sha256-")


def test_an_upscaled_picture() -> None:
    """The size after upscaling is the declared one."""
    form = one(payload("upscale")).assets[0].renditions[0]
    assert (form.width_px, form.height_px) == (2048, 1536)


def test_one_of_two_was_held_back() -> None:
    """The other one keeps its number, and the task tells what is missing."""
    task = one(payload("partly_unsafe"))
    assert [asset.index for asset in task.assets] == [1]
    assert "picture 1 of 2: held back as not safe" in task.warnings


@pytest.mark.parametrize("name", ["unsafe", "unsafe_empty"])
def test_all_were_held_back(name: str) -> None:
    """Then the task has failed, in words."""
    task = one(payload(name))
    assert (task.progress, task.assets) == (Progress.FAILED, ())
    assert task.failure is not None
    assert "not safe" in task.failure


def test_the_same_answer_with_renewed_links_is_the_same_task() -> None:
    """An answer without any id is known by its digest, in which signatures do not count."""
    body = payload("remix")
    first = one(body).ref
    body["data"][0]["url"] += "0"
    assert one(body).ref == first
    body["data"][0]["seed"] = 1
    assert one(body).ref != first


def test_a_refusal_is_no_picture() -> None:
    """A saved error is refused; there is nothing to archive."""
    with pytest.raises(ProviderError):
        read({"error": "Prompt or image failed safety check"})


def test_base64_is_not_looked_for_in_links() -> None:
    """A word in the place of a link is no file, though nearly any word is base64."""
    with pytest.raises(ProviderError):
        read({"data": [{"url": base64.b64encode(PNG).decode(), "is_image_safe": True}]})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
PICTURES = st.dictionaries(
    st.sampled_from(["url", "resolution", "seed", "is_image_safe", "prompt"]),
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
