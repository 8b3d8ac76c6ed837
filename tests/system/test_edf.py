"""Earliest deadline first: what dies next is fetched next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from archiver import State
from archiver.app import open_session
from archiver.bulk import archive
from archiver.gateway import Gateway
from archiver.gateway.exchange import Reply, Request
from archiver.gateway.faults import Fault
from archiver.gateway.tasks import Link
from archiver.model import TaskRef
from archiver.runner import Limits
from tests.bench import Bench, clip
from tests.gatewayfixture import key_env
from tests.nights import MovedClock, Nights

NUMBER = 24
FETCH_S = 300
LIFE_S = 3600 * 3


@dataclass(frozen=True)
class SlowFile(Fault):
    """Each file takes five minutes of everybody's clock."""

    clock: MovedClock

    def respond(self, request: Request, serve: object) -> Reply:
        if request.method == "GET":
            self.clock.advance(FETCH_S)
        return serve(request)  # type: ignore[operator, no-any-return]


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def bench(tmp_path: Path, clock: MovedClock) -> Iterator[Bench]:
    with Gateway(clock=clock) as gateway:
        yield Bench(
            tmp_path,
            gateway,
            source={"list": True},
            run={"verify_share": "0%"},
            download={"workers": 1},
        )


def dying(bench: Bench, clock: MovedClock) -> list[str]:
    """Tasks whose links were signed once, at creation, in an order that is not the queue's."""
    start = clock.now()
    # The last can be reached just in time, one after the other; a little more for each.
    left_s = [FETCH_S * (place + 1) + 120 for place in range(NUMBER)]
    ids = [f"t{number:02}" for number in range(NUMBER)]
    Random(5).shuffle(ids)
    for task_id, seconds in zip(ids, left_s, strict=True):
        signed = start + timedelta(seconds=seconds - LIFE_S)
        path = f"/{task_id}.mp4"
        bench.gateway.host(path, clip(1), media_type="video/mp4", signed_only=True)
        link = Link(path=path, lifetime_s=LIFE_S, signed_at=signed)
        bench.task(task_id, created_at=signed, download_url=link)
    bench.gateway.script("/t*.mp4", SlowFile(clock=clock), always=True)
    return sorted(ids)


def test_edf_saves_all(bench: Bench, clock: MovedClock) -> None:
    """A night takes what dies next first: all is archived, and the report says what that saved."""
    ids = dying(bench, clock)
    nights = Nights(bench, clock)
    said = nights.run()
    assert (said.code, said.text) == (0, "")
    assert {nights.state(task_id) for task_id in ids} == {State.ARCHIVED}
    saved = nights.last_report()["deadlines"]
    assert saved["expired"] == 0
    assert saved["lost_in_queue_order"] >= 5


def test_the_order_of_the_queue_loses_some(bench: Bench, clock: MovedClock) -> None:
    """The control: the same tasks, first come, first served."""
    ids = dying(bench, clock)
    config = Nights(bench, clock).config
    refs = [TaskRef(source="luma", task_id=task_id) for task_id in ids]
    with open_session(config, environ=key_env(bench.gateway), clock=clock) as session:
        result = archive(session, refs, workers=1, limits=Limits())
    assert result.tally.archived <= NUMBER - 5


def test_what_expired_before_its_turn_is_told(bench: Bench, clock: MovedClock) -> None:
    """As such, and with what to do about it."""
    ids = dying(bench, clock)
    clock.advance(2 * LIFE_S)
    nights = Nights(bench, clock)
    nights.run()
    row = nights.row(ids[0])
    assert row.fault is not None
    assert row.fault.code == "expired"
    assert "run more often" in row.fault.message
    assert nights.last_report()["deadlines"]["expired"] == NUMBER
    clock.advance(days=1.1)
    said = nights.run()
    assert said.code == 3
    assert "run more often" in said.text
    assert nights.state(ids[0]) is State.GONE
