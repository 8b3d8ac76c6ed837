"""Recraft: lists and single pictures, ids, and what a gateway adds."""

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
from archiver.providers.recraft import RecraftProvider
from tests.fakes import FakeApi

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads" / "recraft"
PNG = b"\x89PNG\r\n\x1a\n"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text())


def read(body: JsonValue) -> tuple[Task, ...]:
    return RecraftProvider("s", FakeApi()).read_body(body)


def one(body: JsonValue) -> Task:
    (task,) = read(body)
    return task


def test_a_list_of_pictures() -> None:
    """Each picture is an output in its place; the task is known by its first picture."""
    task = one(payload("generations"))
    assert [(a.role, a.index) for a in task.assets] == [(Role.IMAGE, 0), (Role.IMAGE, 1)]
    assert task.ref.task_id == "5c2f1a90-7e0b-4c2e-9f66-3b1d2f6a0c11"
    assert task.prompt == "A brass owl on a stack of maps"
    assert task.created_at == datetime(2025, 5, 25, 2, 40, tzinfo=UTC)
    form = task.assets[0].renditions[0]
    assert (form.name, form.expires_at) == ("url", datetime(2025, 5, 26, 2, 40, tzinfo=UTC))


def test_an_edited_picture() -> None:
    """An edit endpoint gives one picture as `image`, a vector graphic as well."""
    (asset,) = one(payload("edit")).assets
    assert str(asset.renditions[0].url).endswith(".svg")


def test_a_file_inside() -> None:
    """A file as base64 is the output itself, and needs no link."""
    (asset,) = one(payload("b64")).assets
    (form,) = asset.renditions
    assert (form.name, form.url) == ("b64_json", None)
    assert form.content is not None
    assert form.content.startswith(PNG)


def test_what_a_gateway_adds() -> None:
    """Size and seed stand in its metadata; its request's id is the task's."""
    task = one(payload("gateway"))
    form = task.assets[0].renditions[0]
    assert (form.width_px, form.height_px, task.seed) == (1280, 1024, 1862540937)
    assert task.ref.task_id == "req-77aa"


def test_several_answers_in_one_file() -> None:
    """A list of saved answers is as many tasks."""
    tasks = read([payload("generations"), payload("edit"), {"hello": 1}])
    assert [len(task.assets) for task in tasks] == [2, 1]
    with pytest.raises(ProviderError):
        RecraftProvider("s", FakeApi()).read_body([payload("edit")] * 2, task_id="x")


def test_a_link_and_a_file() -> None:
    """Of two forms of one picture the file is first, since its bytes are at hand."""
    body = payload("generations")
    body["data"][0]["b64_json"] = base64.b64encode(PNG).decode()
    forms = one(body).assets[0].renditions
    assert [form.name for form in forms] == ["b64_json", "url"]


@pytest.mark.parametrize(
    "entry", [None, 7, {}, {"image_id": "x"}, {"image_id": "x", "url": "ftp://h/a"}]
)
def test_a_picture_that_is_none(entry: JsonValue) -> None:
    """A place without a picture is told, and the others keep their numbers."""
    body = payload("generations")
    body["data"].insert(0, entry)
    task = one(body)
    assert [asset.index for asset in task.assets] == [1, 2]
    assert "picture 1 of 3" in " ".join(task.warnings)


def test_no_picture_at_all() -> None:
    """An answer without any picture says nothing that could be kept."""
    with pytest.raises(ProviderError, match="no picture"):
        read({"created": 1748140800, "credits": 1, "data": [{"image_id": "x", "url": ""}]})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
PICTURES = st.dictionaries(
    st.sampled_from(["url", "b64_json", "image_id", "revised_prompt"]),
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
