"""Whose body is it: every payload of every provider, read by every provider."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archiver.app import PROVIDERS, provider_class
from archiver.errors import ProviderError
from tests.fakes import FakeApi

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
FILES = sorted(path for path in PAYLOADS.glob("*/[a-z]*.json"))

AMBIGUOUS: dict[str, set[str]] = {
    # One gateway answers for Flux in Replicate's own shape.
    "flux/replicate_shaped": {"replicate"},
    # A gateway's list of tasks, with rows of both.
    "luma/task_list": {"suno"},
}
"""Bodies that others claim as well, which `ingest` cannot tell apart, and who claims them."""


def claims(path: Path) -> set[str]:
    """Return who takes a body for one of their own."""
    body = json.loads(path.read_text())
    found = set()
    for name in PROVIDERS:
        try:
            tasks = provider_class(name)("s", FakeApi()).read_body(body)
        except ProviderError:
            continue
        assert tasks
        found.add(name)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_body_tells_whose_it_is(path: Path) -> None:
    """A posted body finds its one source by its shape, but for those listed above."""
    owner = path.parent.name
    assert claims(path) == {owner} | AMBIGUOUS.get(f"{owner}/{path.stem}", set())


def test_what_is_ambiguous_is_there() -> None:
    """The list above names no body that is gone."""
    assert AMBIGUOUS.keys() <= {f"{path.parent.name}/{path.stem}" for path in FILES}
