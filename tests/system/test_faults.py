"""One case for each fault of HTTP, against the real command line: what becomes of the task.

Faults of files are tried in one run with a task for each; faults of the API have a run of their
own, since they may end the source's part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archiver.gateway import Gateway
from archiver.gateway.faults import (
    Chunked,
    Cut,
    Delay,
    Drop,
    EmptyBody,
    Endless,
    Fault,
    Gzip,
    HtmlPage,
    Redirect,
    RedirectChain,
    RedirectLoop,
    Stall,
    Status,
    Trickle,
    UntilClose,
    XmlError,
)
from tests.bench import Bench, clip

pytestmark = pytest.mark.slow

ONCE: dict[str, tuple[Fault, ...]] = {
    **{f"http {n}": (Status(status=n),) for n in (408, 425, 500, 502, 503, 504, 520)},
    "http 429 with seconds": (Status(status=429, headers={"Retry-After": "1"}),),
    "http 503 with seconds": (Status(status=503, headers={"Retry-After": "1"}),),
    "http 429 bare": (Status(status=429),),
    "closed without an answer": (Drop(),),
    "reset without an answer": (Drop(reset=True),),
    "cut": (Cut(after_bytes=3000),),
    "cut by a reset": (Cut(after_bytes=3000, reset=True),),
    "cut at once": (Cut(after_bytes=0),),
    "stalled": (Stall(after_bytes=3000),),
    "stalled before the first byte": (Stall(),),
    "late": (Delay(seconds=1.0),),
    "chunked": (Chunked(),),
    "until the connection closes": (UntilClose(),),
    "gzip": (Gzip(),),
    "ten redirects": (RedirectChain(hops=10),),
    "two faults in a row": (Status(status=500), Drop()),
    "refused once": (Status(status=403),),
}
"""Faults that pass: the task is archived in the same run."""

ALWAYS: dict[str, tuple[Fault, str, str]] = {
    "http 503 always": (Status(status=503), "retry", "http_503"),
    "dropped always": (Drop(), "retry", "reset"),
    "cut always": (Cut(after_bytes=0), "retry", "short_body"),
    "trickle": (Trickle(bytes_per_s=100), "retry", "too_slow"),
    "http 401": (Status(status=401), "retry", "gone"),
    "http 403": (Status(status=403), "retry", "gone"),
    "http 404": (Status(status=404), "retry", "gone"),
    "http 410": (Status(status=410), "retry", "gone"),
    "a page": (HtmlPage(), "retry", "not_media"),
    "an error document": (XmlError(), "retry", "not_media"),
    "nothing": (EmptyBody(), "retry", "empty"),
    "half with a true length": (Status(status=200, body=clip(1)[:4000]), "retry", "truncated"),
    "a body without end": (Endless(), "refused", "too_large"),
    "a loop": (RedirectLoop(), "retry", "redirect_loop"),
    "eleven redirects": (RedirectChain(hops=11), "retry", "redirect_loop"),
    "a redirect to ftp": (Redirect(location="ftp://127.0.0.1/x"), "refused", "forbidden_address"),
}
"""Faults that stay: what the task's state is, and why."""


class Night:
    """One run over a task for each fault of files."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.data = clip(1)
        for number, name in enumerate((*ONCE, *ALWAYS)):
            path = f"/{number}.mp4"
            bench.task(name, video_raw=bench.host(path, self.data))
            if name in ONCE:
                bench.gateway.script(path, *ONCE[name])
            else:
                bench.gateway.script(path, ALWAYS[name][0], always=True)
        self.done = bench.cli("archive", "--json", *ONCE, *ALWAYS)
        objects = self.done.objects()
        self.tasks = {str(o["task_id"]): o for o in objects if o["type"] == "task"}
        self.summary = objects[-1]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder: Path = tmp_path_factory.mktemp("night")
    download = {"max_attempts": 3, "timeout": "2s", "workers": 16, "max_size": "2MB"}
    with Gateway() as gateway:
        yield Night(Bench(folder, gateway, download=download))


@pytest.mark.parametrize("name", ONCE)
def test_a_fault_that_passes(night: Night, name: str) -> None:
    """Whole, verified and archived in the same run, with nothing stray beside it."""
    task = night.tasks[name]
    assert task["state"] == "archived", task
    folder = night.bench.store / str(task["path"])
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "video.mp4"]
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    data = (folder / "video.mp4").read_bytes()
    assert data == night.data
    assert manifest["assets"][0]["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ALWAYS)
def test_a_fault_that_stays(night: Night, name: str) -> None:
    """The state and the code that the contract gives it; no file, no manifest."""
    task = night.tasks[name]
    _, state, code = ALWAYS[name]
    error = task["error"]
    assert isinstance(error, dict)
    assert (task["state"], error["code"]) == (state, code), task
    assert (task["next_attempt_at"] is None) == (state == "refused")


def test_the_night_as_a_whole(night: Night) -> None:
    """Exit 3, numbers that add up, no traceback, no part but of what may go on."""
    states = ("archived", "already", "queued", "waiting", "retry", "failed", "gone", "refused")
    asked = night.summary["asked"]
    assert asked == len(ONCE) + len(ALWAYS)
    assert asked == sum(int(str(night.summary[s])) for s in (*states, "forgotten"))
    assert (night.done.code, night.summary["archived"]) == (3, len(ONCE))
    assert "Traceback" not in night.done.err
    assert night.bench.cli("verify", "--full").code == 0
