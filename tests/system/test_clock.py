"""A wrong system clock: links are judged by the API's Date, and no task is lost."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from archiver.gateway.tasks import Link
from tests.bench import Bench, clip
from tests.gatewayfixture import cli_env, key_env

pytestmark = [pytest.mark.slow, pytest.mark.tools("faketime")]


def archive_at(bench: Bench, offset: str, *tasks: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with a clock that is off by so much."""
    command = [sys.executable, "-m", "archiver", "-c", str(bench.config_path), "archive", *tasks]
    return subprocess.run(
        ["faketime", "-f", offset, *command],
        env=cli_env(key_env(bench.gateway), bench.folder),
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def signed(bench: Bench, path: str, *, age: timedelta, renewed_after: int | None = None) -> Link:
    bench.gateway.host(path, clip(1), media_type="video/mp4", signed_only=True)
    at = datetime.now(UTC) - age
    return Link(path=path, lifetime_s=3600, signed_at=at, renewed_after=renewed_after)


@pytest.mark.parametrize("offset", ["-400d", "-2h", "+2h", "+400d"])
def test_expiry_is_judged_by_the_servers_date(bench: Bench, offset: str) -> None:
    """A good link is asked at once, a dead one never, whatever the clock here says."""
    bench.task("good", video_raw=signed(bench, "/good.mp4", age=timedelta(minutes=5)))
    dead = signed(bench, "/dead.mp4", age=timedelta(days=2), renewed_after=1)
    bench.task("dead", video_raw=dead)
    done = archive_at(bench, offset, "good", "dead")
    assert done.returncode == 0, done
    assert [r.status for r in bench.gateway.requests_for("/good.mp4")] == [200]
    assert [r.status for r in bench.gateway.requests_for("/dead.mp4")] == [200]
    assert bench.gateway.count("*/generations/good") == 1
    assert bench.gateway.count("*/generations/dead") == 2


def test_a_clock_that_jumps_back_keeps_the_queue(bench: Bench) -> None:
    """What was put off in a future that never was is due all the same when it is asked for."""
    bench.task("t", completes_at=datetime.now(UTC) + timedelta(hours=1))
    assert archive_at(bench, "+400d", "t").returncode == 3
    bench.clean_task("t")
    (bench.folder / "ids.txt").write_text("t\n")
    bench.configure(source={"inbox": ["ids.txt"]})
    assert bench.cli("archive", "t").code == 0
    assert bench.cli("verify", "--full").code == 0
