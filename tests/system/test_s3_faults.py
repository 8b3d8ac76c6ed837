"""Faults between archiver and a real S3 server, signals, a second machine: the real program."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from archiver.gateway.faults import Cut, Status, Trickle
from archiver.gateway.modes import Mode
from archiver.gateway.tasks import Link
from tests.bench import clip, picture
from tests.faultrig import Rig
from tests.gatewayfixture import Completed, cli_env, key_env
from tests.s3archive import S3Bench, large_file, open_uploads
from tests.s3proxy import Asked, S3Proxy, Wrong

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.s3, pytest.mark.timeout(300)]

SLOW_DOWN = Wrong(status=503, code="SlowDown", message="Please reduce your request rate.")
ERROR = Wrong(when="half", status=500, code="InternalError", message="We encountered an error.")
LOST = Wrong(when="after")
CUT = Wrong(when="half")


def offer_parts(s3: S3Bench, task_id: str, folder: Path, *, size_bytes: int = 12 << 20) -> None:
    """Put a task on the gateway whose video goes in parts, with a thumbnail that does not."""
    path = large_file(folder / "origin", size_bytes)
    s3.gateway.host("/parts.mp4", path, media_type="video/mp4")
    thumbnail = s3.host("/thumbnail.jpg", picture(1), "image/jpeg")
    video = Link(path="/parts.mp4")
    s3.task(task_id, video_raw=video, thumbnail=thumbnail, width=320, height=240)


def once(wrong: Wrong, having: str) -> Callable[[Asked], Wrong | None]:
    """Let this go wrong once with each part, object or document whose target has this in it."""
    met: set[str] = set()

    def rule(asked: Asked) -> Wrong | None:
        if not asked.number or having not in asked.target or asked.target in met:
            return None
        met.add(asked.target)
        return wrong

    return rule


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [SLOW_DOWN, ERROR, LOST, CUT], ids=["slow", "500", "lost", "cut"])
def test_passing_faults_of_the_store(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy, client: S3Client, tmp_path: Path, wrong: Wrong
) -> None:
    """Each request of the upload goes wrong once: the source is asked once all the same."""
    offer_parts(proxied, "t", tmp_path)
    proxy.begin(once(wrong, "/luma/"))
    done = s3_rig.run(proxied, "archive", "t")
    assert (done.code, done.err) == (0, "")
    assert proxied.asked("/parts.mp4") == 1
    assert len([asked for asked in proxy.changes() if "partNumber" in asked.target]) == 6
    assert open_uploads(client, proxied.bucket) == 0
    assert s3_rig.run(proxied, "verify", "--full").code == 0


def test_a_store_that_vanishes(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy, client: S3Client, tmp_path: Path
) -> None:
    """Exit 7 with the first fault's words, the task stays queued, and the next run completes it."""
    offer_parts(proxied, "t", tmp_path)
    gone = lambda asked: Wrong() if "/luma/" in str(proxy.seen) else None  # noqa: E731
    proxy.begin(gone)
    done = s3_rig.run(proxied, "archive", "t")
    assert done.code == 7
    assert "the server cannot be reached" in done.err
    assert "unfinished upload" not in done.err
    proxy.begin()
    assert s3_rig.run(proxied, "archive", "t").code == 0
    assert open_uploads(client, proxied.bucket) == 0


@pytest.mark.parametrize(
    ("status", "code", "having"),
    [(403, "QuotaExceeded", "partNumber=2"), (507, "XMinioStorageFull", "/thumbnail.jpg")],
)
def test_a_full_bucket(
    proxied: S3Bench,
    s3_rig: Rig,
    proxy: S3Proxy,
    client: S3Client,
    tmp_path: Path,
    status: int,
    code: str,
    having: str,
) -> None:
    """Exit 13; no unfinished upload takes up room; what was whole is archived by the next run."""
    offer_parts(proxied, "t", tmp_path)
    full = Wrong(status=status, code=code, message="no room")
    proxy.begin(lambda asked: full if having in asked.target and asked.method == "PUT" else None)
    done = s3_rig.run(proxied, "archive", "t")
    assert done.code == 13, done
    assert "full" in done.err
    assert open_uploads(client, proxied.bucket) == 0
    proxy.begin()
    assert s3_rig.run(proxied, "archive", "t").code == 0
    assert s3_rig.run(proxied, "verify", "--full").code == 0


def test_a_storage_class_that_the_server_does_not_know(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy
) -> None:
    """Exit 7 before any task is asked for; manifests and bookkeeping carry no class."""
    proxied.clean_task("t")
    bogus = Wrong(status=400, code="InvalidStorageClass", message="not valid")
    proxy.begin(
        lambda asked: bogus if asked.headers.get("x-amz-storage-class") == "BOGUS" else None
    )
    done = s3_rig.run(proxied, "archive", "t", "--set", "store.s3.storage_class=BOGUS")
    assert done.code == 7
    assert "storage_class" in done.err
    assert proxied.gateway.requests == ()
    assert s3_rig.run(proxied, "doctor", "--set", "store.s3.storage_class=BOGUS").code == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_aborts_the_upload(
    proxied: S3Bench, proxy: S3Proxy, client: S3Client, tmp_path: Path, number: signal.Signals
) -> None:
    """Exit 143 or 130 at once, nothing unfinished in the bucket, the task in the queue there."""
    offer_parts(proxied, "t", tmp_path, size_bytes=40 << 20)
    proxied.gateway.script("/parts.mp4", Trickle(bytes_per_s=6 << 20))
    process = started(proxied, "archive", "t")
    end = time.monotonic() + 30
    while not any("partNumber=1" in asked.target for asked in proxy.seen):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert open_uploads(client, proxied.bucket) == 0
    assert proxied.keys(client) == [".archiver/pending.jsonl", ".archiver/store.json"]
    assert proxied.run("archive", "t").code == 0


def test_a_dry_run_touches_nothing(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy, client: S3Client
) -> None:
    """Not one request that changes the bucket, and no file on the disk."""
    proxied.clean_task("t")
    proxy.begin()
    for args in (["archive", "t"], ["run"]):
        s3_rig.run(proxied, *args, "--dry-run")
    assert proxy.changes() == []
    assert proxied.keys(client) == []
    assert not (proxied.folder / "state").exists()


def test_what_was_whole_needs_no_network(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy, tmp_path: Path
) -> None:
    """Killed before the manifest, with all links and the API dead: archived from the journal."""
    offer_parts(proxied, "t", tmp_path)
    proxy.begin(
        lambda asked: Wrong(kill=True) if asked.number and "manifest.json" in asked.target else None
    )
    assert s3_rig.run(proxied, "archive", "t").code == -9
    proxy.begin()
    proxied.gateway.assets_mode = proxied.gateway.mode = Mode.FAILING
    done = s3_rig.run(proxied, "archive", "t", "--json")
    assert done.code == 0, done
    assert json.loads(done.out.splitlines()[0])["changed"] == "recovered"
    proxied.gateway.assets_mode = proxied.gateway.mode = Mode.UP
    assert s3_rig.run(proxied, "verify", "--full").code == 0


def test_a_cut_and_a_renewed_link_continue_the_same_upload(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy, tmp_path: Path
) -> None:
    """One multipart upload, whatever the source does; the rest alone is asked for."""
    path = large_file(tmp_path / "origin", 24 << 20)
    proxied.gateway.host("/parts.mp4", path, media_type="video/mp4")
    proxied.task("t", video_raw=Link(path="/parts.mp4", lifetime_s=3600), width=320, height=240)
    proxied.gateway.script("/parts.mp4", Cut(after_bytes=9 << 20), Status(status=403))
    done = s3_rig.run(proxied, "archive", "t")
    assert (done.code, done.err) == (0, "")
    begun = [a for a in proxy.changes() if "/luma/" in a.target and a.target.endswith("?uploads")]
    assert len(begun) == 1
    ranges = [r.range for r in proxied.gateway.requests if r.path == "/parts.mp4"]
    assert ranges == [None, f"bytes={9 << 20}-", f"bytes={9 << 20}-"]
    assert s3_rig.run(proxied, "verify", "--full").code == 0


def test_verify_and_reindex_ask_little(proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy) -> None:
    """Quick verify is one listing; a new catalog costs one GET for each manifest."""
    ids = [f"t{number}" for number in range(25)]
    for task_id in ids:
        proxied.clean_task(task_id)
    assert s3_rig.run(proxied, "archive", *ids).code == 0
    proxy.begin()
    assert s3_rig.run(proxied, "verify").code == 0
    lists = [asked for asked in proxy.seen if "list-type=2" in asked.target]
    assert (len(lists), len(proxy.seen)) == (1, 2), proxy.seen  # and the store's identity
    shutil.rmtree(proxied.folder / "state")
    proxy.begin()
    assert s3_rig.run(proxied, "reindex").code == 0
    manifests = [asked for asked in proxy.seen if asked.target.endswith("manifest.json")]
    assert {asked.method for asked in manifests} == {"GET"}
    assert len(manifests) == len(ids)
    assert len(proxy.seen) < len(ids) + 20


# --- a second machine -----------------------------------------------------------------------------


def started(s3: S3Bench, *args: str) -> subprocess.Popen[str]:
    env = cli_env({**key_env(s3.gateway), **s3.server.environment()}, s3.folder)
    command = [sys.executable, "-m", "archiver", "-c", str(s3.config_path), *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, cwd=s3.folder, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen[str]) -> Completed:
    out, err = process.communicate(timeout=60)
    return Completed(code=process.returncode, out=out, err=err)


def test_two_machines_at_once(proxied: S3Bench, client: S3Client, tmp_path: Path) -> None:
    """On a new prefix, at the same moment: both keep working, and everything archived is whole."""
    ids = [f"t{number}" for number in range(6)]
    for task_id in ids:
        offer_parts(proxied, task_id, tmp_path, size_bytes=6 << 20)
    own = [["--set", f"state_dir={tmp_path / f'state-{number}'}"] for number in range(2)]
    both = [started(proxied, "archive", *ids, *state) for state in own]
    codes = {ended(process).code for process in both}
    assert codes <= {0, 3, 7}  # the other one was first with a task's file or manifest
    for state in own:
        done = proxied.run("archive", *ids, *state)
        assert done.code == 0, done
        assert proxied.run("verify", "--full", *state).code == 0
    assert open_uploads(client, proxied.bucket) == 0


@pytest.mark.parametrize(
    ("s3_server", "small"),
    [("seaweedfs-http", True), ("seaweedfs-http", False), ("rclone-http", False)],
    indirect=["s3_server"],
)
def test_other_bytes_from_a_second_machine(
    proxied: S3Bench, proxy: S3Proxy, tmp_path: Path, small: bool
) -> None:
    """What a machine archived stays what its manifest says, while another fetches the same task."""
    state = ["--set", f"state_dir={tmp_path / 'other'}"]
    first, second = clip(1), clip(2)
    if not small:
        first = large_file(tmp_path / "first", 6 << 20).read_bytes()
        second = large_file(tmp_path / "second", 7 << 20).read_bytes()
    shape = {} if small else {"width": 320, "height": 240}
    proxied.task("t", video_raw=proxied.host("/second.mp4", second), **shape)
    assert proxied.run("archive", "nothing", *state).code == 3  # both know the store
    assert proxied.run("archive", "nothing").code == 3
    proxied.gateway.script("/second.mp4", Trickle(bytes_per_s=len(second) / 4))
    process = started(proxied, "archive", "t")
    end = time.monotonic() + 30
    while not proxied.asked("/second.mp4"):
        assert time.monotonic() < end
        time.sleep(0.02)
    proxied.task("t", video_raw=proxied.host("/first.mp4", first), **shape)
    assert proxied.run("archive", "t", *state).code == 0
    done = ended(process)
    assert done.code in (3, 5, 7), done
    assert "one writer" in done.out + done.err
    assert proxied.run("verify", "--full", *state).code == 0
    again = proxied.run("archive", "t")
    assert again.code == 0
    assert proxied.run("verify", "--full").code == 0
