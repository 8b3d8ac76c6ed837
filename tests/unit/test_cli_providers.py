"""`archiver providers`: what it says is what the providers do, and what follows for a timer."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from archiver.app import PROVIDERS, provider_class
from archiver.cli.providers import NIGHTLY, OFFERS, interval_of, timing_notes
from archiver.config import config_from_mapping
from archiver.errors import ArchiverError, UsageError
from tests.fakes import FakeApi

each = pytest.mark.parametrize("name", PROVIDERS)


def asked(api: FakeApi) -> list[str]:
    return [
        f"{one.method} {one.path}" + "".join(f"?{name}=" for name in list(one.params)[:1])
        for one in api.requests
    ]


def pattern(endpoint: str) -> str:
    """Return what matches an endpoint whose braces stand for something."""
    return re.sub(r"\\\{[a-z]+\\\}", r"[^/?]+", re.escape(endpoint))


def test_every_provider_is_described() -> None:
    """No built-in provider is missing, and none is invented."""
    assert list(OFFERS) == list(PROVIDERS)


@each
def test_one_task_is_asked_for_as_told(name: str) -> None:
    """The first request for a task, at a gateway, is the one in the table; or there is none."""
    api = FakeApi()
    with suppress(ArchiverError):
        provider_class(name)("s", api).get_task("text2video/7" if name == "kling" else "7")
    single = OFFERS[name].single
    if single is None:
        assert not api.requests
    else:
        assert re.fullmatch(pattern(single), asked(api)[0])


@each
def test_several_are_asked_for_as_told(name: str) -> None:
    """A batch endpoint is named where there is one, and it is the one that is asked."""
    api = FakeApi()
    provider = provider_class(name)("s", api)
    batch = OFFERS[name].batch
    assert (provider.batch_size > 1) is (batch is not None)
    if batch is not None:
        provider.get_tasks(["7", "8"])
        assert batch in asked(api)


@each
def test_the_list_is_the_one_told(name: str) -> None:
    """A list endpoint is named where there is one; elsewhere nothing is asked."""
    api = FakeApi()
    provider = provider_class(name)("s", api)
    listing = OFFERS[name].listing
    if listing is None:
        with pytest.raises(UsageError):
            next(provider.list_tasks())
        assert not api.requests
        return
    with suppress(ArchiverError):
        next(provider.list_tasks())
    assert re.fullmatch(pattern(listing), asked(api)[0].partition("?")[0])


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("flux", timedelta(minutes=5)),
        ("replicate", timedelta(minutes=30)),
        ("midjourney", timedelta(hours=12)),
        ("kling", NIGHTLY),
        ("runway", NIGHTLY),
        ("minimax", NIGHTLY),
        ("luma", NIGHTLY),
        ("suno", NIGHTLY),
        ("openai-images", None),
    ],
)
def test_intervals(name: str, interval: timedelta | None) -> None:
    """Twice within the life of links that cannot be had again, but at least every night."""
    assert interval_of(name) == interval


def test_notes_on_the_configuration(tmp_path: Path) -> None:
    """A source that a nightly run cannot save, or cannot ask at all, is told with what helps."""
    sources = [
        {"name": f"my-{name}", "provider": name, "base_url": "https://api.example.com"}
        for name in ("luma", "flux", "openai-images")
    ]
    config = config_from_mapping({"store": {"url": "a"}, "source": sources}, base_dir=tmp_path)
    flux, openai = timing_notes(config)
    assert flux.startswith("source my-flux: links live 10m")
    assert "archiver run --every 5m" in flux
    assert openai.startswith("source my-openai-images")
    assert "archiver ingest" in openai
