"""A full, a broken, a read-only and a vanished disk; too many open files; writes cut short.

Each case: a run that meets the fault ends with the right code and one sentence, never with a
traceback; what was archived is whole; the next run, with the machine mended, completes the rest.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.faultrig import CHANGING, Action, Ended, Kind, Rig, linux
from tests.gatewayfixture import cli_env, key_env
from tests.soundness import Snapshot, digests, nothing_half, offer, sound, worth_a_kill

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tools("cc"),
    pytest.mark.skipif(not linux(), reason="preloading is done in Linux's way"),
    pytest.mark.timeout(600),
]

GROWING = Kind.WRITE | Kind.CREATE | Kind.MKDIR | Kind.RENAME
"""Calls that a file system without room refuses."""


class Trial:
    """An archive with one task in it, and a second one that is archived under faults."""

    def __init__(self, bench: Bench, rig: Rig, folder: Path) -> None:
        self.bench = bench
        self.rig = rig
        self.whole = {*digests(*offer(bench, "old", 1)), *digests(*offer(bench, "t", 2))}
        assert rig.run(bench, "archive", "old").code == 0
        self.before = Snapshot(bench, folder / "before")

    def count(self, kinds: Kind, path: str = "") -> Ended:
        """Run without a fault, to learn the calls."""
        self.before.restore()
        counted = self.rig.run(self.bench, "archive", "t", kinds=kinds, path=path)
        assert counted.code == 0, counted
        return counted

    def fault(self, kinds: Kind, action: Action, at: int, error: int, path: str = "") -> Ended:
        """Run with the fault; look at what it left; run again; look at that."""
        self.before.restore()
        met = self.rig.run(
            self.bench, "archive", "t", kinds=kinds, action=action, at=at, error=error, path=path
        )
        where = (
            f"{action.name} {errno.errorcode[error]} at call {at}: {met.calls[at - 1 : at]} {met}"
        )
        assert met.code in (0, 7, 13), where
        assert "Traceback" not in met.err, where
        if met.code:
            told = [line for line in met.err.splitlines() if line.startswith("archiver: ")]
            assert len(told) == 1, where
        nothing_half(self.bench, self.whole)
        if met.code == 0:
            sound(self.bench, "old", "t")
        again = self.rig.run(self.bench, "archive", "t")
        assert (again.code, again.err) == (0, ""), f"{where}: {again}"
        sound(self.bench, "old", "t")
        return met

    def verify(self) -> None:
        verified = self.rig.run(self.bench, "verify", "--full")
        assert verified.code == 0, verified


@pytest.fixture
def trial(one: Bench, rig: Rig, tmp_path: Path) -> Trial:
    return Trial(one, rig, tmp_path)


def allowed(counted: Ended, at: int, code: int) -> set[int]:
    """Return the codes that a fault at this call may end with.

    SQLite does not always say that it was for want of room, and bears some faults: it leaves a log
    that it could not fold into its file to the next who opens it. Folders that are there need
    not be made, and a lock's note of its owner need not go. What ends with 0 was looked
    at: everything is in the archive.
    """
    _, kind, path = counted.calls[at - 1].split(" ", 2)
    is_borne = int(kind) == Kind.MKDIR or path in ("/state", "/state/locks/luma.json")
    return {code, 0, 7} if "catalog.db" in path or is_borne else {code}


@pytest.mark.parametrize("action", [Action.FAIL, Action.FAIL_FROM])
def test_no_room_at_each_write(trial: Trial, action: Action) -> None:
    """ENOSPC at the 1st, 2nd, … write, once or from then on: exit 13, nothing lost."""
    counted = trial.count(GROWING)
    met = {at: trial.fault(GROWING, action, at, errno.ENOSPC) for at in worth_a_kill(counted.calls)}
    for at, ended in met.items():
        assert ended.code in allowed(counted, at, 13), (at, ended, counted.calls[at - 1])
    assert sum(ended.code == 13 for ended in met.values()) >= 30
    trial.verify()


def test_a_sync_that_fails(trial: Trial) -> None:
    """EIO at each fsync: exit 7, and no file gets its name whose bytes may not be on the disk."""
    counted = trial.count(Kind.SYNC)
    for at in range(1, len(counted.calls) + 1):
        met = trial.fault(Kind.SYNC, Action.FAIL, at, errno.EIO)
        assert met.code in allowed(counted, at, 7), (at, met, counted.calls[at - 1])
    trial.verify()


def test_a_disk_that_breaks(trial: Trial) -> None:
    """EIO at each change, from then on: exit 7."""
    counted = trial.count(CHANGING)
    for at in worth_a_kill(counted.calls)[::2]:
        met = trial.fault(CHANGING, Action.FAIL_FROM, at, errno.EIO)
        assert met.code in allowed(counted, at, 7), (at, met, counted.calls[at - 1])
    trial.verify()


def test_a_disk_that_becomes_read_only(trial: Trial) -> None:
    """EROFS from some change on, as a kernel does after a fault: exit 7."""
    counted = trial.count(CHANGING)
    for at in worth_a_kill(counted.calls)[::4]:
        met = trial.fault(CHANGING, Action.FAIL_FROM, at, errno.EROFS)
        assert met.code in allowed(counted, at, 7), (at, met, counted.calls[at - 1])


def test_a_catalog_on_a_broken_disk(trial: Trial) -> None:
    """SQLite's "disk I/O error" at any of its calls: exit 7, and the archive is untouched."""
    counted = trial.count(CHANGING, path="catalog.db")
    for at in range(1, len(counted.calls) + 1, 3):
        met = trial.fault(CHANGING, Action.FAIL_FROM, at, errno.EIO, path="catalog.db")
        assert met.code in allowed(counted, at, 7), (at, met, counted.calls[at - 1])
        assert "catalog.db" in met.err or met.code == 0


def test_too_many_open_files(trial: Trial) -> None:
    """EMFILE at each opening, from then on: a code for the machine's faults, not for a bug."""
    kinds = Kind.OPEN | Kind.CREATE
    counted = trial.count(kinds, path="/bench/")
    for at in range(1, len(counted.calls) + 1):
        if counted.calls[at - 1].endswith("archiver.toml"):
            continue  # a configuration that cannot be read is exit 2, whatever the reason
        met = trial.fault(kinds, Action.FAIL_FROM, at, errno.EMFILE, path="/bench/")
        assert met.code in allowed(counted, at, 7), (at, met, counted.calls[at - 1])


def test_short_writes(trial: Trial) -> None:
    """A write that takes only half goes on with the rest, wherever it is."""
    counted = trial.count(Kind.WRITE)
    for at in worth_a_kill(counted.calls):
        met = trial.fault(Kind.WRITE, Action.SHORT, at, errno.EIO)
        expected = (0, 7, 13) if "catalog.db" in counted.calls[at - 1] else (0,)
        assert met.code in expected, (at, met, counted.calls[at - 1])
    trial.verify()


def test_few_file_descriptors(one: Bench) -> None:
    """A real limit, too low for anything: exit 7 in one sentence; with a usual one all is done."""
    ids = [f"t{number}" for number in range(6)]
    for number, task_id in enumerate(ids):
        offer(one, task_id, number)
    program = f"ulimit -n 14; exec {sys.executable} -m archiver -c {one.config_path} archive"
    met = subprocess.run(
        ["bash", "-c", f"{program} --workers 6 {' '.join(ids)}"],
        env=cli_env(key_env(one.gateway), one.folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert met.returncode == 7, met
    assert "Traceback" not in met.stderr
    # Which call meets the limit first differs: opening a file, or loading a part of the program.
    assert "too many" in met.stderr.lower()
    assert one.cli("archive", *ids).code == 0
    sound(one, *ids)


def test_a_place_where_no_folder_can_be_made(one: Bench) -> None:
    """A file system that takes none, such as /proc, is exit 7, and not waited for."""
    offer(one, "t", 1)
    met = one.cli("archive", "t", "--set", "store.url=/proc/archive")
    assert met.code == 7, met
    assert "Traceback" not in met.err
