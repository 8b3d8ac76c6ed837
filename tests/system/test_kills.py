"""SIGKILL before every single call that changes a file, and at random: nothing lost, nothing half.

Each case: an archive as it was, a run that is killed, a look at what the kill left, a run that
completes it, `verify --full`. The calls are counted over all threads (`tests/faultshim.c`).
"""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.gateway import Gateway
from archiver.gateway.faults import Cut, Status
from archiver.gateway.modes import Mode
from tests.bench import FOLDER, Bench, clip, long_clip
from tests.faultrig import Action, Kind, Rig, linux, open_rig
from tests.gatewayfixture import cli_env, key_env
from tests.soundness import (
    Snapshot,
    digests,
    is_part,
    nothing_half,
    offer,
    sound,
    worth_a_kill,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tools("cc"),
    pytest.mark.skipif(not linux(), reason="preloading is done in Linux's way"),
    pytest.mark.timeout(900),
]


# --- scenarios ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """What is done before, what is killed, and what then has to be there.

    Attributes:
        args: The command that is killed; run again, it must complete.
        whole: Digests of all files that may stand under a final name.
        tasks: Archived in the end.
    """

    args: tuple[str, ...]
    whole: frozenset[str]
    tasks: tuple[str, ...]


def first_ever(bench: Bench, rig: Rig) -> Scenario:
    return Scenario(("archive", "t"), digests(*offer(bench, "t", 1)), ("t",))


def one_more(bench: Bench, rig: Rig) -> Scenario:
    before = offer(bench, "old", 1)
    assert rig.run(bench, "archive", "old").code == 0
    return Scenario(("archive", "t"), digests(*before, *offer(bench, "t", 2)), ("old", "t"))


def better_copy(bench: Bench, rig: Rig) -> Scenario:
    bench.task("t", video=bench.host("/t_watermarked.mp4", clip(1)))
    assert rig.run(bench, "archive", "t").code == 0
    assert bench.files("t") == ["manifest.json", "video.watermarked.mp4"]
    bench.task("t", video_raw=bench.host("/t.mp4", clip(2)))
    return Scenario(("archive", "t", "--again"), digests(clip(1), clip(2)), ("t",))


def changed_bytes(bench: Bench, rig: Rig) -> Scenario:
    before = offer(bench, "t", 1)
    assert rig.run(bench, "archive", "t").code == 0
    after = offer(bench, "t", 2)
    return Scenario(("archive", "t", "--again"), digests(*before, *after), ("t",))


def parked_part(bench: Bench, rig: Rig) -> Scenario:
    data = long_clip(1)
    bench.task("t", video_raw=bench.host("/t.mp4", data), width=320, height=240)
    bench.gateway.script("/t.mp4", Cut(after_bytes=300_000), Status(status=503))
    assert rig.run(bench, "archive", "t").code == 5
    assert "video.part" in bench.files("t")
    return Scenario(("archive", "t"), digests(data), ("t",))


def several_refused(bench: Bench, rig: Rig) -> Scenario:
    """A page, a cut file and a dead link before the one that is good."""
    page = bench.host("/page.mp4", b"<html>sign in" + b" " * 20_000)
    bench.task(
        "t",
        video_raw=page,
        download_url=bench.host("/cut.mp4", clip(1)[:-900]),
        no_mark=bench.host("/good.mp4", clip(2)),
    )
    return Scenario(("archive", "t"), digests(clip(2)), ("t",))


def rebuilt(bench: Bench, rig: Rig) -> Scenario:
    before = [*offer(bench, "old", 1), *offer(bench, "older", 2)]
    assert rig.run(bench, "archive", "old", "older").code == 0
    shutil.rmtree(bench.folder / "state")
    return Scenario(("reindex",), digests(*before), ("old", "older"))


SCENARIOS: dict[str, Callable[[Bench, Rig], Scenario]] = {
    "first ever": first_ever,
    "one more": one_more,
    "better copy": better_copy,
    "changed bytes": changed_bytes,
    "parked part": parked_part,
    "several refused": several_refused,
    "rebuilt": rebuilt,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_before_every_change(one: Bench, rig: Rig, tmp_path: Path, name: str) -> None:
    """SIGKILL before the 1st, 2nd, … call that changes a file; the next run completes it."""
    scenario = SCENARIOS[name](one, rig)
    before = Snapshot(one, tmp_path / "before")
    counted = rig.run(one, *scenario.args)
    assert counted.code == 0, counted
    for at in worth_a_kill(counted.calls, all_of_them=name == "one more"):
        before.restore()
        killed = rig.run(one, *scenario.args, action=Action.KILL, at=at)
        where = f"killed before call {at}: {killed.calls[-1]}"
        if killed.code == 0:
            # Bytes came in larger pieces this time, and were written in fewer calls.
            assert len(counted.calls) - 8 <= len(killed.calls) < at, where
            continue
        assert killed.code == -9, where
        nothing_half(one, set(scenario.whole))
        again = rig.run(one, *scenario.args)
        assert (again.code, again.err) == (0, ""), f"{where}: {again}"
        sound(one, *scenario.tasks)
        if at % 5 == 0:
            verified = rig.run(one, "verify", "--full")
            assert verified.code == 0, f"{where}: {verified}"


@pytest.mark.parametrize("api", [Mode.UP, Mode.FAILING])
def test_what_was_whole_needs_no_network(one: Bench, rig: Rig, tmp_path: Path, api: Mode) -> None:
    """After the kill every link is dead: what had come whole and was journalled is archived."""
    data = offer(one, "t", 1)[0]
    counted = rig.run(one, "archive", "t")
    folder = one.store / FOLDER / "t"
    archived = 0
    empty = Snapshot(one, tmp_path / "nothing")
    empty._names.clear()
    for at in worth_a_kill(counted.calls):
        empty.restore()
        killed = rig.run(one, "archive", "t", action=Action.KILL, at=at)
        where = f"killed before call {at}: {killed.calls[-1]}"
        is_named = (folder / "video.mp4").exists()
        part = folder / "video.part"
        is_whole = part.exists() and part.read_bytes() == data
        one.gateway.assets_mode, one.gateway.mode = Mode.UNKNOWN_ROUTE, api
        again = rig.run(one, "archive", "t")
        one.gateway.assets_mode = one.gateway.mode = Mode.UP
        done = (folder / "manifest.json").exists()
        if is_named or (is_whole and api is Mode.UP):
            assert again.code == 0, f"{where}: {again}"
            assert done, where
        if done:
            archived += 1
            assert one.video("t")["sha256"] == hashlib.sha256(data).hexdigest()
            assert rig.run(one, "verify", "--full").code == 0
            assert not [path for path in one.store.rglob("*") if is_part(path)], where
        else:
            assert not is_named, where
            assert not is_whole or part.exists(), where
        completed = rig.run(one, "archive", "t", "--again")
        assert completed.code == 0, f"{where}: {completed}"
        sound(one, "t")
    assert archived >= 20


def test_a_hundred_random_kills(tmp_path: Path, gateway: Gateway, library: Path) -> None:
    """At any moment of a run over eight tasks with four workers, a hundred times."""
    folder = tmp_path / "bench"
    folder.mkdir()
    (tmp_path / "rig").mkdir()
    bench = Bench(folder, gateway, download={"workers": 4})
    whole: set[str] = set()
    ids = [f"t{number}" for number in range(8)]
    for number, task_id in enumerate(ids):
        whole |= digests(*offer(bench, task_id, number + 1))
    rng = random.Random(20261123)
    empty = Snapshot(bench, tmp_path / "nothing")
    died = 0
    with open_rig(library, tmp_path / "rig", bench) as rig:
        fresh = len(rig.run(bench, "archive", *ids).calls)
        repeated = len(rig.run(bench, "archive", *ids, "--again").calls)
        for number in range(100):
            is_fresh = number % 4 == 0
            if is_fresh:
                empty.restore()
            at = rng.randrange(1, fresh if is_fresh else repeated)
            killed = rig.run(bench, "archive", *ids, "--again", action=Action.KILL, at=at)
            died += killed.code == -9
            nothing_half(bench, whole)
            again = rig.run(bench, "archive", *ids)
            assert (again.code, again.err) == (0, ""), (number, killed.calls[-1:], again)
            sound(bench, *ids)
            if number % 5 == 0:
                verified = rig.run(bench, "verify", "--full")
                assert verified.code == 0, (number, killed.calls[-1:], verified)
    assert died >= 80


def test_killed_at_any_time(tmp_path: Path, gateway: Gateway, library: Path) -> None:
    """Not only between calls: twenty kills by the clock, on top of one another, then one run."""
    folder = tmp_path / "bench"
    folder.mkdir()
    (tmp_path / "rig").mkdir()
    bench = Bench(folder, gateway, download={"workers": 4})
    whole: set[str] = set()
    ids = [f"t{number}" for number in range(12)]
    for number, task_id in enumerate(ids):
        whole |= digests(*offer(bench, task_id, number + 1))
    rng = random.Random(7)
    with open_rig(library, tmp_path / "rig", bench) as rig:
        for _ in range(20):
            rig.run(bench, "archive", *ids, "--again", kill_after_s=rng.uniform(0.01, 0.5))
            nothing_half(bench, whole)
        assert rig.run(bench, "archive", *ids).code == 0
        sound(bench, *ids)
        assert rig.run(bench, "verify", "--full", "--decode").code == 0


@pytest.mark.tools("strace")
def test_the_same_with_strace(tmp_path: Path, gateway: Gateway) -> None:
    """An independent tool and an ordinary process: killed before renames, syncs, removals."""
    bench = Bench(tmp_path, gateway, download={"workers": 1})
    offer(bench, "t", 1)
    env = cli_env(key_env(gateway), bench.folder)
    command = [sys.executable, "-m", "archiver", "-c", str(bench.config_path), "archive", "t"]
    log = tmp_path / "calls"

    def straced(call: str, *inject: str) -> int:
        for name in ("archive", "state"):
            shutil.rmtree(bench.folder / name, ignore_errors=True)
        strace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}", *inject]
        done = subprocess.run(
            [*strace, *command], env=env, cwd=bench.folder, capture_output=True, check=False
        )
        return done.returncode

    for call, least in (("rename", 3), ("fsync", 4), ("unlink", 3), ("fdatasync", 3)):
        assert straced(call) == 0
        # strace counts the calls of each thread for itself.
        lines = log.read_text().splitlines()
        threads = Counter(line.split()[0] for line in lines if f" {call}(" in line)
        times = max(threads.values(), default=0)
        assert times >= least, (call, threads)
        for at in range(1, min(times, least + 3) + 1):
            killed = straced(call, "-e", f"inject={call}:signal=SIGKILL:when={at}")
            assert killed == -9, (call, at)
            report = bench.archive("t")
            assert report.exit_code == 0, (call, at, report)
            sound(bench, "t")
    assert bench.cli("verify", "--full").code == 0


def test_a_lock_left_by_a_killed_process_does_not_block(one: Bench, rig: Rig) -> None:
    """Locks are the kernel's: with the process they are gone, whatever files say."""
    offer(one, "t", 1)
    killed = rig.run(one, "archive", "t", action=Action.KILL, at=1, kinds=Kind.RENAME)
    assert killed.code == -9
    assert (one.folder / "state" / "locks" / "luma.json").exists()
    assert (one.store / ".archiver" / "lock").exists()
    assert rig.run(one, "archive", "t").code == 0
