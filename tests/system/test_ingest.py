"""`ingest`: straight from a body to the files."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archiver import ExitCode
from archiver.gateway.faults import Status
from archiver.gateway.tasks import Link
from archiver.session import source_lock
from tests.bench import Bench, clip
from tests.gatewayfixture import Completed, cli_env, key_env

SIGNED = Link(path="/cb.mp4", lifetime_s=3600)


def body_of(bench: Bench, task_id: str = "cb", **settings: object) -> str:
    """Return what the gateway would post about a finished task."""
    bench.gateway.host("/cb.mp4", clip(3), media_type="video/mp4", signed_only=True)
    task = bench.task(task_id, **{"download_url": SIGNED, **settings})
    writer = bench.gateway._table._writer(0)
    return json.dumps(task.document(writer))


def spool(bench: Bench) -> list[Path]:
    return sorted((bench.folder / "state" / "spool").glob("*"))


def api_requests(bench: Bench) -> int:
    return bench.gateway.count(origin="api")


def test_a_posted_body_is_archived_without_asking(bench: Bench) -> None:
    """From standard input; nothing of its signature stays anywhere, the spool is empty again."""
    done = bench.cli("ingest", stdin=body_of(bench))
    assert (done.code, done.err) == (0, "")
    assert api_requests(bench) == 0
    assert bench.video("cb")["rendition"] == "download_url"
    assert spool(bench) == []
    assert not [name for name, data in bench.everything().items() if b"X-Amz-Signature" in data]
    assert "1 already there" in bench.cli("ingest", stdin=body_of(bench)).out


def test_a_callback_completes_a_waiting_task(bench: Bench) -> None:
    """The row that waited is archived."""
    text = body_of(bench)
    bench.gateway.change("cb", state="processing")
    assert bench.archive("cb").tally.waiting == 1
    assert bench.cli("ingest", stdin=text).code == 0
    assert bench.video("cb")["size_bytes"] == len(clip(3))


def test_a_body_without_id(bench: Bench) -> None:
    """Its identity is of its canonical JSON, links without queries: signed anew, it is the same."""
    documents = []
    for _ in range(2):
        document = json.loads(body_of(bench))
        del document["id"]
        documents.append(document)
        bench.gateway.change("cb", download_url=Link(path="/cb.mp4", lifetime_s=3000))
        done = bench.cli("ingest", stdin=json.dumps(document))
        assert done.code == 0, done.err
    (folder,) = (bench.store / "luma/2024/10/15").iterdir()
    assert folder.name.startswith("sha256-")
    assert len(folder.name) == 7 + 32
    link = documents[0]["video"]["download_url"]
    documents[0]["video"]["download_url"] = link.partition("?")[0]
    canonical = json.dumps(documents[0], sort_keys=True, separators=(",", ":"))
    assert folder.name[7:] == hashlib.sha256(canonical.encode()).hexdigest()[:32]


def test_while_a_run_holds_the_lock_it_is_saved(bench: Bench) -> None:
    """Exit 0; the next run archives it without asking."""
    text = body_of(bench)
    with source_lock(bench.folder / "state", "luma"):
        done = bench.cli("ingest", stdin=text)
    assert done.code == 0
    assert "1 saved" in done.out
    (path,) = spool(bench)
    assert path.stat().st_mode & 0o777 == 0o600
    assert bench.cli("run", "-q") == Completed(code=0, out="", err="")
    assert bench.video("cb")["path"] == "video.mp4"
    assert api_requests(bench) == 0
    assert spool(bench) == []


def test_a_passing_fault_keeps_the_body(bench: Bench) -> None:
    """It stays in the spool until a later run has it."""
    text = body_of(bench)
    bench.gateway.script("/cb.mp4", Status(status=503), always=True)
    assert bench.cli("ingest", stdin=text).code == ExitCode.PROVIDER_FAULT
    assert len(spool(bench)) == 1
    bench.gateway.clear_scripts()
    assert bench.cli("ingest", stdin=text).code == ExitCode.DONE
    assert spool(bench) == []


def test_dead_links_are_renewed_by_asking(bench: Bench) -> None:
    """A body that came too late still names the task."""
    document = json.loads(body_of(bench))
    document["video"]["download_url"] = bench.gateway.assets_url + "/gone.mp4?X-Amz-Signature=x"
    done = bench.cli("ingest", stdin=json.dumps(document))
    assert done.code == 0, done.out
    assert api_requests(bench) == 1
    assert bench.video("cb")["size_bytes"] == len(clip(3))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hello": 1}'])
def test_what_is_no_body_is_refused(bench: Bench, text: str) -> None:
    """Exit 2, and nothing is kept."""
    assert bench.cli("ingest", stdin=text).code == ExitCode.USAGE
    assert spool(bench) == []


def test_files_and_a_folder_of_saved_bodies(bench: Bench) -> None:
    """Several files at once; a folder in the inbox is read by `run`, each file once."""
    (bench.folder / "saved").mkdir()
    path = bench.folder / "saved" / "one.json"
    path.write_text(body_of(bench))
    before = path.stat()
    bench.configure(source={"inbox": ["saved"]})
    assert bench.cli("run", "-q") == Completed(code=0, out="", err="")
    assert bench.video("cb")["path"] == "video.mp4"
    assert bench.cli("run", "-q").code == 0
    assert api_requests(bench) == 0
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_what_is_no_body_is_told_on_one_night(bench: Bench) -> None:
    """Half a file, or other JSON in that folder, is a complaint of the run that finds it."""
    (bench.folder / "saved").mkdir()
    bench.configure(source={"inbox": ["saved"]})
    for name, text in (("half", '{"id": "1'), ("settings", '{"theme": "dark"}')):
        (bench.folder / "saved" / f"{name}.json").write_text(text)
        first, second = bench.cli("run", "-q"), bench.cli("run", "-q")
        assert first.code == ExitCode.PARTIAL
        assert first.err.count(f"{name}.json: ") == 1
        assert second == Completed(code=0, out="", err="")


def test_a_locked_run_changes_and_tells_nothing(bench: Bench) -> None:
    """Exit 11."""
    bench.cli("run")
    with source_lock(bench.folder / "state", "luma"):
        before = bench.everything()
        assert bench.cli("run", "-q").code == ExitCode.LOCKED
        after = bench.everything()
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert not [name for name in changed if "catalog" not in name and "locks" not in name]


def test_run_every_stays_and_ends_by_sigterm(bench: Bench) -> None:
    """What comes meanwhile is archived by a later round; SIGTERM is exit 143, at once."""
    inbox = bench.folder / "inbox"
    inbox.mkdir()
    bench.configure(source={"inbox": ["inbox/*.txt"]})
    bench.clean_task("t")
    process = subprocess.Popen(
        [sys.executable, "-m", "archiver", "-c", str(bench.config_path), "run", "--every", "1s"],
        env=cli_env(key_env(bench.gateway), bench.folder),
        cwd=bench.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        reports = bench.folder / "state" / "reports"
        _wait_for(lambda: reports.exists() and any(reports.iterdir()))
        (inbox / "ids.txt").write_text("t\n")
        _wait_for(lambda: any(bench.store.rglob("t/manifest.json")))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (143, "")


def _wait_for(condition: object) -> None:
    for _ in range(300):
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.1)
    pytest.fail("it did not come")
