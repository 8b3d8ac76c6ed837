"""What the nightly run asks of the catalog: the right tasks, and no more work than there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from archiver.catalog import Catalog, TaskRow
from archiver.model import Fault, State, TaskRef
from tests.fakes import NOW


def row(task_id: str, state: State = State.ARCHIVED, **more: object) -> TaskRow:
    base = TaskRow(
        ref=TaskRef(source="luma", task_id=task_id), state=state, first_seen_at=NOW, path=task_id
    )
    return replace(base, **more)  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog.db")


def due(catalog: Catalog, now: datetime = NOW, lifetime_s: float = 0.0) -> list[str]:
    catalog.ask_due(["luma"], {"luma": lifetime_s} if lifetime_s else {}, now=now)
    return [ref.task_id for ref in catalog.asked()]


@pytest.mark.parametrize("state", State)
def test_which_states_are_due(catalog: Catalog, state: State) -> None:
    """Those that the contract names, when their moment has come; others never."""
    catalog.put(row("t", state, next_attempt_at=NOW))
    is_tried = state in (State.QUEUED, State.WAITING, State.RETRY, State.ARCHIVED)
    assert due(catalog) == (["t"] if is_tried else [])
    assert due(catalog, NOW - timedelta(seconds=1)) == []


def test_no_other_sources_task_is_due(catalog: Catalog) -> None:
    """`--source` is a border."""
    catalog.put(row("t", State.QUEUED, next_attempt_at=NOW, ref=TaskRef(source="x", task_id="t")))
    assert due(catalog) == []


def test_polls_may_come_a_little_early_but_pauses_are_kept(catalog: Catalog) -> None:
    """A nightly run half a minute earlier than the last one finds its polls due; a back-off, or
    the poll of a young task, is never cut short.
    """
    soon = NOW + timedelta(minutes=5)
    old = NOW - timedelta(days=5)
    catalog.put(row("poll", State.WAITING, first_seen_at=old, next_attempt_at=soon))
    catalog.put(row("verdict", State.RETRY, first_seen_at=old, next_attempt_at=soon))
    catalog.put(replace(row("look", State.RETRY, first_seen_at=old), next_attempt_at=soon))
    second = row("second", State.RETRY, first_seen_at=old, next_attempt_at=soon)
    catalog.put(replace(second, verdict_code="gone", verdict_at=old))
    catalog.put(row("young", State.WAITING, next_attempt_at=soon))
    assert due(catalog) == ["poll", "second"]


def test_links_that_die_next_go_first(catalog: Catalog) -> None:
    """Then those whose links should be dead by now, oldest first."""
    for name, age_h, turn_h in (("dead", 30, 2), ("long", 1, 1), ("short", 20, 3), ("old", 40, 9)):
        catalog.put(
            row(
                name,
                State.QUEUED,
                created_at=NOW - timedelta(hours=age_h),
                next_attempt_at=NOW - timedelta(hours=turn_h),
            )
        )
    assert due(catalog, lifetime_s=24 * 3600.0) == ["short", "long", "old", "dead"]


def test_what_is_checked_first(catalog: Catalog) -> None:
    """Known damage, then never checked, then longest ago; a share is rounded up."""
    for number in range(10):
        at = NOW - timedelta(days=number) if number < 8 else None
        catalog.put(row(f"t{number}", verified_at=at))
    catalog.put(row("damaged", verified_at=NOW, fault=Fault(code="lost", message="")))
    catalog.put(row("waiting", State.WAITING))
    found = [ref.task_id for ref in catalog.to_check(["luma"], 0.3)]
    assert found == ["damaged", "t8", "t9", "t7", "t6"]
    assert [ref.task_id for ref in catalog.to_check(["luma"], 0.0)] == ["damaged"]


def test_numbers(catalog: Catalog) -> None:
    """They are what the rows say."""
    catalog.put(row("a", stored_bytes=5, watermarked=True, verified_at=NOW))
    catalog.put(row("b", stored_bytes=7, incomplete=True))
    catalog.put(row("c", State.WAITING, first_seen_at=NOW - timedelta(days=3)))
    catalog.put(row("d", State.WAITING))
    catalog.put(row("e", fault=Fault(code="lost", message="")))
    numbers = catalog.numbers()
    assert numbers.states[State.ARCHIVED] == 3
    assert numbers.states[State.WAITING] == 2
    assert (numbers.stored_bytes, numbers.watermarked, numbers.incomplete) == (12, 1, 1)
    assert numbers.damaged == 1
    assert numbers.oldest_waiting_at == NOW - timedelta(days=3)
    assert numbers.oldest_verified_at == NOW
    assert catalog.never_checked() == 2


def test_a_night_without_news_reads_no_archived_row(catalog: Catalog) -> None:
    """The work of what is asked each night does not grow with the archive."""

    def steps(work: Callable[[], object]) -> int:
        count = 0

        def tick() -> int:
            nonlocal count
            count += 1
            return 0

        catalog._db.set_progress_handler(tick, 10)
        work()
        catalog._db.set_progress_handler(None, 0)
        return count

    asks: dict[str, Callable[[], object]] = {
        "due": lambda: catalog.ask_due(["luma"], {"luma": 3600.0}, now=NOW),
        "queue": lambda: list(catalog.queue_text()),
        "check": lambda: list(catalog.to_check(["luma"], 0.0)),
    }
    few = {name: steps(work) for name, work in asks.items()}
    catalog.rebuild((row(f"t{number:05}") for number in range(5000)), store_id="s", unreadable={})
    many = {name: steps(work) for name, work in asks.items()}
    # A row read costs some ten steps: fifty thousand for all.
    assert all(many[name] <= few[name] + 50 for name in asks), (few, many)
