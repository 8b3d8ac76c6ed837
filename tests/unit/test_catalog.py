"""The catalog: rows, queue, journal, migrations, faults."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.catalog import Catalog, JournalEntry, TaskRow
from archiver.catalog.database import MIGRATIONS
from archiver.catalog.rows import COLUMNS
from archiver.errors import CatalogError
from archiver.model import Fault, State, TaskRef

NOW = datetime(2026, 11, 23, 3, 0, 0, 123456, tzinfo=UTC)


def ref(task_id: str, source: str = "luma") -> TaskRef:
    return TaskRef(source=source, task_id=task_id)


def archived(task_id: str, path: str) -> TaskRow:
    return TaskRow(
        ref=ref(task_id),
        state=State.ARCHIVED,
        first_seen_at=NOW,
        path=path,
        archived_at=NOW,
        updated_at=NOW,
        stored_bytes=10,
    )


def test_a_row_comes_back_as_it_was_put(tmp_path: Path) -> None:
    """Every field survives the file."""
    row = TaskRow(
        ref=ref("a\u0000b\U0001f3ac"),
        state=State.RETRY,
        first_seen_at=NOW,
        provider_task_id="other",
        path="luma/2024/10/15/a",
        prompt="waves",
        created_at=datetime(1, 1, 2, tzinfo=UTC),
        archived_at=NOW,
        updated_at=NOW,
        watermarked=True,
        incomplete=True,
        stored_bytes=2**40,
        attempts=3,
        next_attempt_at=NOW + timedelta(hours=1),
        fault=Fault(code="timeout", message="no byte for 30 s"),
        verdict_code="gone",
        verdict_at=NOW,
        verified_at=NOW,
    )
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.put(row, what="retry", at=NOW)
    with Catalog(tmp_path / "catalog.db") as catalog:
        assert catalog.row(row.ref) == row
        assert catalog.history(row.ref) == [(NOW, "retry")]


def test_rows_come_in_pages_without_loss() -> None:
    """Paging neither skips nor repeats, sorted by time or not."""
    with Catalog(None) as catalog:
        for number in range(2500):
            moment = NOW - timedelta(seconds=number % 7)
            row = archived(f"t{number:05}", f"luma/{number}")
            catalog.put(replace(row, verified_at=moment if number % 3 else None))
        assert len({row.ref for row in catalog.rows()}) == 2500
        ordered = [row.verified_at for row in catalog.rows(order="verified_at")]
        assert len(ordered) == 2500
        assert ordered[0] is None
        known = [moment for moment in ordered if moment]
        assert known == sorted(known)


def test_asked_tasks_are_counted_once_and_kept_in_order() -> None:
    """Duplicates count once; states are skipped on demand."""
    with Catalog(None) as catalog:
        catalog.put(archived("b", "luma/b"))
        assert catalog.ask([ref("c"), ref("b"), ref("a"), ref("c")]) == 3
        catalog.queue_asked(now=NOW)
        assert catalog.asked_counts() == {State.QUEUED: 2, State.ARCHIVED: 1}
        assert [one.task_id for one in catalog.asked(skip=[State.ARCHIVED])] == ["c", "a"]
        assert catalog.asked_sources() == ["luma"]


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    """A task keeps its first folder; another task is told what is taken, case aside."""
    with Catalog(tmp_path / "catalog.db") as catalog:
        catalog.add([ref("abc"), ref("ABC")], now=NOW)
        assert catalog.claim_folder(ref("abc"), lambda taken: "luma/abc") == "luma/abc"
        assert catalog.claim_folder(ref("abc"), lambda taken: "elsewhere") == "luma/abc"
        assert (
            catalog.claim_folder(
                ref("ABC"), lambda taken: "luma/ABC~1" if taken("luma/ABC") else "luma/ABC"
            )
            == "luma/ABC~1"
        )


def test_the_journal_goes_with_the_row() -> None:
    """What was begun is forgotten once the task is archived."""
    with Catalog(None) as catalog:
        catalog.add([ref("a")], now=NOW)
        catalog.write_journal(JournalEntry(ref=ref("a"), path="luma/a", draft=b"{}"))
        assert [entry.ref for entry in catalog.journal()] == [ref("a")]
        catalog.put(archived("a", "luma/a"))
        assert catalog.journal() == []


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
@pytest.mark.parametrize("how", ["write", "read", "untouched"])
def test_a_catalog_of_an_older_version(tmp_path: Path, version: int, how: str) -> None:
    """Every command can use it, also those that only read; a dry run leaves it as it is."""
    path = tmp_path / "catalog.db"
    old = sqlite3.connect(path, isolation_level=None)
    for script in MIGRATIONS[:version]:
        old.executescript(script)
    old.execute(f"PRAGMA user_version={version}")
    columns = [column for column in COLUMNS.split(", ") if column != "manifest_bytes"]
    values = archived("t", "luma/t").values()[: len(columns)]
    marks = ", ".join("?" * len(columns))
    old.execute(f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({marks})", values)
    old.close()
    before = path.read_bytes()
    with Catalog(path, read_only=how != "write", untouched=how == "untouched") as catalog:
        found = catalog.row(ref("t"))
        assert found == archived("t", "luma/t")
        assert catalog.counts()[State.ARCHIVED] == 1
    assert (path.read_bytes() == before) == (how == "untouched")


def test_rebuild_keeps_what_the_store_cannot_tell() -> None:
    """Queued rows stay, archived ones are the store's, the time of the last check survives."""
    with Catalog(None) as catalog:
        catalog.add([ref("queued")], now=NOW)
        catalog.put(replace(archived("kept", "luma/kept"), verified_at=NOW))
        catalog.put(archived("vanished", "luma/vanished"))
        found = [archived("kept", "luma/kept"), archived("new", "luma/new")]
        catalog.put(replace(archived("broken", "luma/broken"), prompt="kept"))
        unreadable = {"luma/broken": Fault(code="bad_manifest", message="not JSON")}
        assert catalog.rebuild(found, store_id="s", unreadable=unreadable) == 2
        states = {row.ref.task_id: row.state for row in catalog.rows()}
        assert states == {
            "queued": State.QUEUED,
            "kept": State.ARCHIVED,
            "new": State.ARCHIVED,
            "broken": State.ARCHIVED,
        }
        broken = catalog.row(ref("broken"))
        assert broken is not None
        assert (broken.prompt, broken.fault) == ("kept", unreadable["luma/broken"])
        kept = catalog.row(ref("kept"))
        assert kept is not None
        assert kept.verified_at == NOW
        assert catalog.fact("store_id") == "s"


def test_folders_that_differ_from_a_listing() -> None:
    """Missing manifests, missing files and other sizes are found by one listing."""
    with Catalog(None) as catalog:
        for name in ("whole", "short", "bare", "gone", "cut"):
            catalog.put(replace(archived(name, f"luma/{name}"), manifest_bytes=500))
        catalog.put(archived("old", "luma/old"))
        sizes = {"whole": (10, 500), "short": (9, 500), "bare": (10, None), "cut": (10, 499)}
        sizes["old"] = (10, 300)
        listed = [(f"luma/{name}", *both) for name, both in sizes.items()]
        found = {row.ref.task_id for row in catalog.compare_folders(listed)}
        assert found == {"short", "bare", "gone", "cut"}


def test_a_check_does_not_touch_a_row_that_changed_meanwhile() -> None:
    """`verify` takes no lock: a run may have replaced the files since."""
    with Catalog(None) as catalog:
        old = archived("a", "luma/a")
        catalog.put(replace(old, updated_at=NOW + timedelta(hours=1)))
        catalog.mark_verified(old, now=NOW, fault=Fault(code="lost", message="x"))
        row = catalog.row(old.ref)
        assert row is not None
        assert row.fault is None
        assert row.verified_at is None


def test_many_threads_write_at_once(tmp_path: Path) -> None:
    """No write is lost and none fails."""
    with Catalog(tmp_path / "catalog.db") as catalog:

        def write(worker: int) -> None:
            for number in range(25):
                catalog.put(archived(f"{worker}-{number}", f"luma/{worker}-{number}"))

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert catalog.counts()[State.ARCHIVED] == 200


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough" * 40, b"\x00" * 4096]
)
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    """The message says what to do; nothing is overwritten."""
    path = tmp_path / "catalog.db"
    path.write_bytes(content)
    with pytest.raises(CatalogError, match="reindex"):
        Catalog(path).close()
    assert path.read_bytes() == content


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    """An older archiver must not write into a newer one's file."""
    path = tmp_path / "catalog.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(CatalogError, match="newer"):
        Catalog(path)


def test_runs_are_logged() -> None:
    """The newest run comes first, with its summary."""
    with Catalog(None) as catalog:
        first = catalog.begin_run("archive", now=NOW)
        second = catalog.begin_run("run", now=NOW)
        catalog.end_run(second, now=NOW, exit_code=3, summary={"asked": 2})
        runs = catalog.runs()
        assert [run.id for run in runs] == [second, first]
        assert (runs[0].exit_code, runs[0].summary) == (3, {"asked": 2})
        assert runs[1].exit_code is None
