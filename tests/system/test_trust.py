"""What must never happen: lost tasks, wrong stores, mixed folders, secrets on disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver import ExitCode, State, TaskRef
from archiver.catalog import Catalog, TaskRow
from archiver.gateway.faults import Status
from archiver.gateway.modes import Mode
from tests.bench import FOLDER, Bench, clip, picture

HOSTILE = [
    "../../../etc/passwd",
    ".archiver",
    "%2e%2e%2f%2e%2e%2fetc",
    "a/b\\c",
    "x" * 3000,
    "tab\there\x1b[2J",
    "\U0001f3ac film",
    "con.part",
    "manifest.json",
]


def rows(bench: Bench) -> list[TaskRow]:
    with Catalog(bench.folder / "state" / "catalog.db", read_only=True) as catalog:
        return list(catalog.rows())


@pytest.mark.parametrize("task_id", HOSTILE)
def test_hostile_ids_stay_in_the_archive(bench: Bench, task_id: str) -> None:
    """Whatever an id holds, its folder lies below the store, and the id comes back."""
    bench.clean_task(task_id)
    report = bench.archive(TaskRef(source="luma", task_id=task_id))  # type: ignore[arg-type]
    assert report.exit_code is ExitCode.DONE
    outside = {path.name for path in bench.folder.iterdir()}
    assert outside == {"archive", "archiver.toml", "state"}
    (manifest,) = (p for p in bench.store.glob("luma/**/manifest.json") if p.is_file())
    assert json.loads(manifest.read_bytes())["task_id"] == task_id
    assert all(len(part.encode()) <= 120 for part in manifest.relative_to(bench.store).parts)


@pytest.mark.parametrize("task_id", [".", ".."])
def test_ids_that_no_request_can_carry(bench: Bench, task_id: str) -> None:
    """Dots alone would name another route: the task stays due, nothing is written elsewhere."""
    report = bench.archive(TaskRef(source="luma", task_id=task_id))  # type: ignore[arg-type]
    assert report.outcomes[0].state is State.RETRY
    assert {path.name for path in bench.folder.iterdir()} == {"archive", "archiver.toml", "state"}


def test_ids_that_differ_only_in_case(bench: Bench) -> None:
    """Two folders, on any file system, and the same again after a rebuild."""
    for task_id in ("abc", "ABC"):
        bench.clean_task(task_id)
    assert bench.archive("abc", "ABC").tally.archived == 2
    folders = [path.parent.name for path in bench.store.glob("luma/**/manifest.json")]
    assert len({name.lower() for name in folders}) == 2


def test_the_asked_id_is_the_identity(bench: Bench) -> None:
    """Another id in the answer is noted, and changes nothing else."""
    bench.clean_task("asked", answer_id="answered")
    bench.archive("asked")
    manifest = bench.manifest("asked")
    assert (manifest["task_id"], manifest["provider_task_id"]) == ("asked", "answered")


def test_a_second_run_sends_no_request(bench: Bench) -> None:
    """What is archived costs nothing."""
    bench.clean_task("t")
    bench.archive("t")
    before = len(bench.gateway.requests)
    report = bench.archive("t", "t")
    assert (report.tally.asked, report.tally.already) == (1, 1)
    assert len(bench.gateway.requests) == before


def test_reindex_gives_the_same_rows(bench: Bench) -> None:
    """From the store alone: archived, forgotten and queued ones."""
    bench.clean_task("whole", thumbnail=bench.host("/t.jpg", picture(1)))
    bench.task("marked", video=bench.host("/m_watermarked.mp4", clip(3)))
    bench.clean_task("unwanted")
    bench.task("running", completes_at=datetime.now(UTC) + timedelta(hours=1))
    bench.archive("whole", "marked", "unwanted", "running")
    assert bench.cli("forget", "unwanted", "--reason", "ugly").code == 0
    before = rows(bench)
    shutil.rmtree(bench.folder / "state")
    assert bench.cli("reindex").code == 0
    after = rows(bench)
    assert [(r.ref, r.state) for r in after] == [(r.ref, r.state) for r in before]

    def facts(row: TaskRow) -> tuple[object, ...]:
        return (
            row.path,
            row.prompt,
            row.created_at,
            row.archived_at,
            row.updated_at,
            row.watermarked,
            row.incomplete,
            row.stored_bytes,
            row.provider_task_id,
            row.fault,
        )

    assert [facts(row) for row in after] == [facts(row) for row in before]


def test_a_lost_catalog_is_rebuilt_before_anything_is_asked(bench: Bench) -> None:
    """Without its catalog, `archive` neither fetches what is there nor what was forgotten."""
    bench.clean_task("t")
    bench.clean_task("unwanted")
    bench.archive("t")
    bench.cli("forget", "unwanted", "--reason", "ugly")
    shutil.rmtree(bench.folder / "state")
    before = len(bench.gateway.requests)
    report = bench.archive("t", "unwanted")
    assert (report.tally.already, report.tally.forgotten) == (1, 1)
    assert len(bench.gateway.requests) == before


def test_an_empty_folder_where_the_archive_should_be(bench: Bench) -> None:
    """An unmounted disk: exit 7, nothing written, nothing asked."""
    bench.clean_task("t")
    bench.archive("t")
    shutil.rmtree(bench.store)
    bench.store.mkdir()
    before = len(bench.gateway.requests)
    for args in (("archive", "new"), ("archive", "--again", "t"), ("verify",), ("reindex",)):
        done = bench.cli(*args)
        assert done.code == 7, done
        assert "store.json" in done.err
    assert list(bench.store.iterdir()) == []
    assert len(bench.gateway.requests) == before


def test_another_archive_in_its_place(bench: Bench) -> None:
    """A wrong bucket or disk is told by its identity."""
    bench.clean_task("t")
    bench.archive("t")
    other = '{"schema":"archiver.store/1","id":"other","created_at":"2026-01-01T00:00:00Z"}'
    (bench.store / ".archiver" / "store.json").write_text(other)
    assert bench.cli("archive", "t").code == 7


@pytest.mark.parametrize("mode", [Mode.LOGIN_PAGE, Mode.UNKNOWN_ROUTE, Mode.FAILING, Mode.DOWN])
def test_a_source_at_fault_empties_no_queue(bench: Bench, mode: Mode) -> None:
    """A login page, a wrong URL or a dead server: exit 5, and every task is still to be had."""
    ids = [f"t{number}" for number in range(6)]
    bench.gateway.mode = mode
    report = bench.archive(*ids)
    assert report.exit_code is ExitCode.PROVIDER_FAULT
    assert {row.state for row in rows(bench)} <= {State.QUEUED, State.RETRY}
    assert report.tally.is_balanced


def test_a_refused_key_stops_the_source(bench: Bench) -> None:
    """Exit 4 after a handful of requests, and the tasks stay queued."""
    ids = [f"t{number}" for number in range(40)]
    bench.gateway.mode = Mode.KEY_REFUSED
    report = bench.archive(*ids)
    assert report.exit_code is ExitCode.KEY_REFUSED
    assert {row.state for row in rows(bench)} == {State.QUEUED}
    assert len(bench.gateway.requests) <= 8
    assert (report.tally.queued, report.tally.asked) == (40, 40)


def test_the_key_goes_to_its_own_origin_only(bench: Bench) -> None:
    """No file server ever sees it."""
    bench.clean_task("t", thumbnail=bench.host("/t.jpg", picture(1)))
    bench.archive("t")
    assert all(r.authorized == (r.origin == "api") for r in bench.gateway.requests)


def test_dead_files_are_gone_only_after_a_second_look(bench: Bench) -> None:
    """One look is `retry`; the same a day later is `gone`."""
    bench.task("t", video_raw=bench.host("/x.mp4", clip(1)))
    bench.gateway.script("/x.mp4", Status(status=404), always=True)
    report = bench.archive("t")
    assert (report.outcomes[0].state, report.exit_code) == (State.RETRY, ExitCode.PARTIAL)
    with Catalog(bench.folder / "state" / "catalog.db") as catalog:
        row = catalog.row(TaskRef(source="luma", task_id="t"))
        assert row is not None
        assert row.verdict_at is not None
        day = timedelta(days=1, minutes=1)
        catalog.put(replace(row, verdict_at=row.verdict_at - day))
    assert bench.archive("t").outcomes[0].state is State.GONE


def test_no_secret_is_written_or_printed(bench: Bench) -> None:
    """Neither the key nor a signature, in any file or line of a run at -vv."""
    raw = bench.host("/raw.mp4", clip(1), signed_only=True)
    bench.task("t", video_raw=replace(raw, lifetime_s=3600))
    bench.task("dead", video_raw=replace(raw, path="/other.mp4", lifetime_s=3600))
    done = bench.cli("archive", "t", "dead", "-vv")
    assert done.code == 3
    (signature,) = {
        part.partition("=")[2]
        for request in bench.gateway.requests
        if request.path == "/raw.mp4"
        for part in request.query.split("&")
        if part.startswith("X-Amz-Signature=")
    }
    written = {**bench.everything(), "stdout": done.out.encode(), "stderr": done.err.encode()}
    for secret in (bench.gateway.api_key, signature, "X-Amz-Signature"):
        assert [name for name, data in written.items() if secret.encode() in data] == []


def test_again_replaces_changed_bytes(bench: Bench) -> None:
    """The old ones stay in `superseded`, by digest and size."""
    bench.clean_task("t", seed=1)
    bench.archive("t")
    old = bench.video("t")
    bench.task("t", video_raw=bench.host("/new.mp4", clip(9)))
    report = bench.archive("t", again=True)
    assert report.outcomes[0].changed == "replaced"
    new = bench.video("t")
    assert new["sha256"] != old["sha256"]
    (superseded,) = bench.manifest("t")["superseded"]
    assert superseded["sha256"] == old["sha256"]
    assert bench.files("t") == ["manifest.json", "video.mp4"]
    bench.gateway.script("/new.mp4", Status(status=404), always=True)
    assert bench.archive("t", again=True).exit_code is ExitCode.DONE
    assert bench.video("t")["sha256"] == new["sha256"]


def test_again_that_meets_a_fault_changes_nothing(bench: Bench) -> None:
    """What is stored is not missing; that it was not renewed is told, and exit 3."""
    bench.clean_task("t")
    bench.archive("t")
    before = (bench.store / FOLDER / "t" / "manifest.json").read_bytes()
    bench.gateway.assets_mode = Mode.FAILING
    done = bench.cli("archive", "t", "--again", "--json")
    summary = done.objects()[-1]
    assert (done.code, summary["already"], summary["incomplete"]) == (3, 1, 0)
    assert (bench.store / FOLDER / "t" / "manifest.json").read_bytes() == before
    (row,) = rows(bench)
    assert (row.state, row.fault, row.incomplete) == (State.ARCHIVED, None, False)
    assert row.prompt == "prompt of t"
    bench.gateway.assets_mode = Mode.UP
    assert bench.archive("t", again=True).exit_code is ExitCode.DONE


def test_verify_finds_and_repairs(bench: Bench) -> None:
    """Rot, loss and a lost manifest: exit 12; repaired where the same bytes can be had."""
    bench.clean_task("rot", seed=1)
    bench.clean_task("lost", seed=2)
    bench.archive("rot", "lost")
    assert bench.cli("verify", "--full").code == 0
    rotten = bench.store / FOLDER / "rot" / "video.mp4"
    data = bytearray(rotten.read_bytes())
    data[len(data) // 2] ^= 1
    rotten.write_bytes(data)
    (bench.store / FOLDER / "lost" / "video.mp4").unlink()
    assert bench.cli("verify").code == 12
    found = bench.cli("verify", "--full", "--json")
    assert found.code == 12
    codes = {(o["task_id"], o["error"]["code"]) for o in found.objects() if o["type"] == "damage"}  # type: ignore[index]
    assert codes == {("rot", "wrong_digest"), ("lost", "lost")}
    assert bench.cli("verify", "--full", "--repair").code == 0
    assert bench.cli("verify", "--full", "--decode").code == 0
    rotten.unlink()
    bench.task("rot", video_raw=bench.host("/other.mp4", clip(5)))
    assert bench.cli("verify", "--full", "--repair").code == 12
    assert not rotten.exists()


def test_a_lost_manifest_is_found_and_archived_again(bench: Bench, tmp_path: Path) -> None:
    """A task without manifest is not archived any more."""
    bench.clean_task("t")
    bench.archive("t")
    (bench.store / FOLDER / "t" / "manifest.json").unlink()
    assert bench.cli("verify").code == 12
    assert bench.archive("t").tally.archived == 1
    assert bench.cli("verify", "--full").code == 0
