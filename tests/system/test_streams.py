"""Standard streams that are closed, full, left by their reader, or unable to show a character."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.bench import Bench
from tests.gatewayfixture import cli_env, key_env

FILM = "Gr\u00f6\u00dfe \u65e5\u672c"


def shell(bench: Bench, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which `$A` is archiver on this bench."""
    command = f"{sys.executable} -m archiver -c {bench.config_path}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script],
        env={**cli_env(key_env(bench.gateway), bench.folder), "A": command, **env},
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def archived(bench: Bench) -> Bench:
    bench.clean_task("t", prompt=FILM)
    assert bench.archive("t").tally.archived == 1
    return bench


@pytest.mark.parametrize("command", ["list", "list --json", "show t", "status"])
def test_what_a_terminal_cannot_show_is_escaped(archived: Bench, command: str) -> None:
    done = shell(archived, f"$A {command}", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Traceback" not in done.stdout
    if command != "status":
        assert "\\u65e5" in done.stdout


SLOW = [pytest.param(one, marks=pytest.mark.slow) for one in ("list", "--help", "--version")]


@pytest.mark.parametrize("command", ["archive t --json", *SLOW])
@pytest.mark.parametrize("end", ["| true", ">&-", "2>&-", ">&- 2>&-"])
def test_nobody_reads(archived: Bench, command: str, end: str) -> None:
    """The work's own exit code, and no word about it."""
    done = shell(archived, f"$A {command} {end}")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_output(archived: Bench) -> None:
    """Said in one line, with the code of a full disk; the work is done all the same."""
    archived.clean_task("new", seed=2)
    for command in ("archive new", "list --json", "status"):
        done = shell(archived, f"$A {command} >/dev/full")
        assert done.returncode == 13
        assert done.stderr == "archiver: the output cannot be written: No space left on device\n"
    assert archived.video("new")["path"] == "video.mp4"
