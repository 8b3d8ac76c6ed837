"""Real file systems that are full, read-only or gone: small mounts, as root only."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.gateway import Gateway
from archiver.gateway.faults import Meanwhile, Stall, Together
from tests.bench import Bench, long_clip
from tests.gatewayfixture import cli_env, key_env
from tests.soundness import media_files, offer, sound


def may_mount() -> bool:
    """Whether this user may mount: a private namespace tells without touching anything."""
    if os.geteuid() != 0:
        return False
    trial = "mount -t tmpfs -o size=64k tmpfs /mnt"
    done = subprocess.run(["unshare", "-m", "sh", "-c", trial], capture_output=True, check=False)
    return done.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.tools("mount", "umount", "unshare"),
    pytest.mark.skipif(
        not (sys.platform == "linux" and may_mount()), reason="only root may mount file systems"
    ),
]


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


class Disk:
    """A file system mounted where a folder was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def tmpfs(self, options: str) -> None:
        mount("-t", "tmpfs", "-o", options, "tmpfs", str(self.path))

    def remount(self, options: str) -> None:
        mount("-o", f"remount,{options}", str(self.path))

    def bind(self, folder: Path) -> None:
        mount("--bind", str(folder), str(self.path))

    def gone(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True)


@pytest.fixture
def spot(tmp_path: Path) -> Iterator[Path]:
    """A folder for a bench; whatever was mounted on its `archive` or itself goes at the end."""
    folder = tmp_path / "spot"
    folder.mkdir()
    yield folder
    for path in (folder / "archive", folder / "archive", folder / "state", folder):
        subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)


def small_bench(folder: Path, gateway: Gateway) -> Bench:
    store = {"url": str(folder / "archive"), "min_free": "0"}
    return Bench(folder, gateway, store=store, download={"workers": 2})


def offered(bench: Bench, number: int) -> list[str]:
    ids = [f"t{one}" for one in range(number)]
    for one, task_id in enumerate(ids):
        offer(bench, task_id, one)
    return ids


@pytest.mark.parametrize(
    ("options", "more"), [("size=200k", "size=20m"), ("size=20m,nr_inodes=30", "nr_inodes=500")]
)
@pytest.mark.parametrize("what", ["the store", "everything"])
def test_a_full_disk(spot: Path, gateway: Gateway, options: str, more: str, what: str) -> None:
    """Of bytes or of inodes, with or without the catalog on it: exit 13; with room, all is done."""
    disk = Disk(spot / "archive" if what == "the store" else spot)
    disk.tmpfs(options)
    bench = small_bench(spot, gateway)
    ids = offered(bench, 12)
    met = bench.cli("archive", *ids)
    assert met.code == 13, met
    assert "Traceback" not in met.err
    assert "free some space" in met.err
    disk.remount(more)
    assert bench.cli("archive", *ids).code == 0
    sound(bench, *ids)
    assert bench.cli("verify", "--full").code == 0


@pytest.mark.parametrize("what", ["archive", "state"])
def test_a_read_only_disk(spot: Path, gateway: Gateway, what: str) -> None:
    """Exit 7 before any task is asked for; what only reads still works; then all is done."""
    disk = Disk(spot / what)
    disk.tmpfs("size=20m")
    bench = small_bench(spot, gateway)
    ids = offered(bench, 3)
    assert bench.cli("archive", ids[0]).code == 0
    disk.remount("ro")
    before = len(gateway.requests)
    for args in (("archive", *ids), ("run",), ("forget", ids[0], "--reason", "x"), ("reindex",)):
        met = bench.cli(*args)
        assert met.code == 7, (args, met)
        assert "Traceback" not in met.err
    assert len(gateway.requests) == before
    reading = [("status",), ("list",), ("show", ids[0])]
    if what == "archive":  # when each file was checked is noted in `state_dir`
        reading.append(("verify", "--full"))
    for args in reading:
        met = bench.cli(*args)
        assert met.code == 0, (args, met)
    disk.remount("rw")
    assert bench.cli("archive", *ids).code == 0
    sound(bench, *ids)


def test_a_disk_that_is_not_mounted(spot: Path, gateway: Gateway) -> None:
    """Exit 7, and nothing is written where it should be."""
    data = spot / "data"
    data.mkdir()
    disk = Disk(spot / "archive")
    disk.bind(data)
    bench = small_bench(spot, gateway)
    ids = offered(bench, 2)
    assert bench.cli("archive", ids[0]).code == 0
    disk.gone()
    for args in (("archive", *ids), ("run",), ("verify",), ("reindex",)):
        assert bench.cli(*args).code == 7
    assert list(disk.path.iterdir()) == []
    disk.bind(data)
    assert bench.cli("archive", *ids).code == 0
    sound(bench, *ids)


def test_a_disk_that_vanishes_in_the_middle(spot: Path, gateway: Gateway) -> None:
    """Exit 7; no task counts as archived whose files are not on it; then all is done."""
    data = spot / "data"
    data.mkdir()
    disk = Disk(spot / "archive")
    disk.bind(data)
    bench = small_bench(spot, gateway)
    ids = offered(bench, 6)
    long = long_clip(1)
    bench.task("long", video_raw=bench.host("/long.mp4", long), width=320, height=240)
    assert bench.cli("archive", ids[0]).code == 0
    stalled = Together(
        faults=(Meanwhile(action=disk.gone), Stall(after_bytes=300_000, seconds=1.0))
    )
    gateway.script("/long.mp4", stalled)
    met = bench.cli("archive", "long", *ids)
    assert met.code == 7, met
    assert "Traceback" not in met.err
    assert [path for path in disk.path.rglob("*") if path.is_file()] == []
    disk.bind(data)
    again = bench.cli("archive", "long", *ids)
    assert again.code == 0, again
    sound(bench, "long", *ids)
    assert bench.cli("verify", "--full").code == 0
    assert media_files(bench)


def test_a_disk_that_becomes_read_only_in_the_middle(spot: Path, gateway: Gateway) -> None:
    """As a kernel does after a fault: exit 7, and the next run completes it."""
    disk = Disk(spot / "archive")
    disk.tmpfs("size=20m")
    bench = small_bench(spot, gateway)
    ids = offered(bench, 4)
    bench.task("long", video_raw=bench.host("/long.mp4", long_clip(1)), width=320, height=240)
    stall = Stall(after_bytes=300_000, seconds=1.5)
    gateway.script("/long.mp4", stall)
    command = [
        sys.executable,
        "-m",
        "archiver",
        "-c",
        str(bench.config_path),
        "archive",
        "long",
        *ids,
    ]
    env = cli_env(key_env(gateway), spot)
    run = subprocess.Popen(command, env=env, cwd=spot, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 20
    while not list(disk.path.rglob("*.part")) and time.monotonic() < end:
        time.sleep(0.02)
    # A file that is open for writing keeps a file system from becoming read-only by hand.
    mount("--bind", str(disk.path), str(disk.path))
    mount("-o", "remount,bind,ro", str(disk.path))
    _, err = run.communicate(timeout=60)
    assert run.returncode == 7, err
    assert "Traceback" not in err
    mount("-o", "remount,bind,rw", str(disk.path))
    assert bench.cli("archive", "long", *ids).code == 0
    sound(bench, "long", *ids)
