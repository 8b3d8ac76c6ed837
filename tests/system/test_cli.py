"""The real command line: what it prints where, and what it says when it ends."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.gateway.faults import Stall, Trickle
from archiver.gateway.modes import Mode
from tests.bench import FOLDER, Bench, clip, long_clip, picture
from tests.gatewayfixture import cli_env, key_env, run_cli

KEYS = ("archived", "already", "queued", "waiting", "retry", "failed", "gone", "refused")
ESCAPE = re.compile(r"\x1b")


def balance(summary: dict[str, object]) -> int:
    return sum(int(str(summary[key])) for key in (*KEYS, "forgotten"))


def test_json_ends_with_a_summary_that_adds_up(bench: Bench) -> None:
    """One object a line, each with a type; asked is the sum of the states."""
    bench.clean_task("good")
    bench.task("failed", state="failed", failure_reason="Frame moderation failed")
    bench.task("running", completes_at=datetime.now(UTC) + timedelta(hours=1))
    done = bench.cli("archive", "good", "failed", "running", "unknown", "good", "--json")
    objects = done.objects()
    assert done.code == 3
    assert {o["type"] for o in objects} == {"task", "summary"}
    summary = objects[-1]
    assert summary["type"] == "summary"
    assert summary["asked"] == balance(summary) == 4
    assert summary["exit_code"] == 3
    states = {o["task_id"]: o["state"] for o in objects[:-1]}
    assert states == {
        "good": "archived",
        "failed": "failed",
        "running": "waiting",
        "unknown": "retry",
    }
    assert done.err == ""


def test_a_pipe_gets_the_summary_and_no_bar(bench: Bench) -> None:
    """Lines for what is not plainly archived, then the numbers; nothing on stderr."""
    bench.clean_task("good")
    bench.task("marked", video=bench.host("/m_watermarked.mp4", clip(2)))
    done = bench.cli("archive", "good", "marked")
    assert done.code == 0
    lines = done.out.splitlines()
    assert any("marked" in line and "watermark" in line for line in lines)
    assert not any(line.startswith("luma:good") for line in lines)
    assert any(line.startswith("2 tasks: 2 archived") for line in lines)
    assert done.err == ""


def test_quiet_says_nothing_unless_something_is_wrong(bench: Bench) -> None:
    """Not a byte on a good run; what failed and the numbers on a bad one."""
    bench.clean_task("good", thumbnail=bench.host("/t.jpg", picture(1)))
    done = bench.cli("archive", "-q", "good")
    assert (done.code, done.out, done.err) == (0, "", "")
    bench.task("bad", state="failed", failure_reason="Prompt processing failed")
    done = bench.cli("archive", "-q", "bad", "good")
    assert done.code == 3
    assert "Prompt processing failed" in done.out
    assert "2 tasks: 1 already there, 1 failed" in done.out


def in_a_terminal(args: list[str], env: dict[str, str], cwd: Path) -> tuple[int, str]:
    """Run a command whose standard streams are a pseudo-terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "archiver", *args],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=env,
        cwd=cwd,
        close_fds=True,
    )
    os.close(follower)
    seen = bytearray()
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # the other end was closed
                raise
            break
        seen += chunk
    os.close(leader)
    return process.wait(timeout=30), seen.decode(errors="replace")


def test_a_terminal_gets_a_bar(bench: Bench) -> None:
    """With tasks, bytes and rate; gone at the end, with the summary left."""
    for number in range(6):
        bench.clean_task(f"t{number}")
    env = {**cli_env(key_env(bench.gateway), bench.folder), "TERM": "xterm", "COLUMNS": "100"}
    ids = [f"t{number}" for number in range(6)]
    code, seen = in_a_terminal(["archive", "-c", str(bench.config_path), *ids], env, bench.folder)
    assert code == 0
    assert "/6 [" in seen
    assert "B/s" in seen
    assert "6 tasks: 6 archived" in seen


def test_the_bar_moves_while_a_large_file_comes(bench: Bench) -> None:
    """Bytes are told before the first task is done."""
    bench.task("t", video_raw=bench.host("/slow.mp4", long_clip(1)))
    bench.gateway.script("/slow.mp4", Trickle(bytes_per_s=len(long_clip(1)) / 3))
    env = {**cli_env(key_env(bench.gateway), bench.folder), "TERM": "xterm", "COLUMNS": "100"}
    code, seen = in_a_terminal(["archive", "-c", str(bench.config_path), "t"], env, bench.folder)
    assert code == 0
    assert re.search(r"0/1 \[[^\r]* [1-9][\d.]* KiB, [1-9][\d.]* KiB/s", seen)


def test_a_line_of_json_is_one_line_whoever_reads_it(bench: Bench) -> None:
    """Unicode's own line ends and 8-bit controls are escaped; the text comes back as it was."""
    prompt = "a\u2028b\x85c\x9b31m\u202ed \u65e5\ufeff"
    bench.clean_task("t", prompt=prompt)
    bench.archive("t")
    out = bench.cli("list", "--json").out
    assert len(out.splitlines()) == 2
    assert "\u65e5" in out
    assert json.loads(out.splitlines()[0])["prompt"] == prompt


def test_control_characters_never_reach_the_terminal(bench: Bench) -> None:
    """Prompts and failure texts are shown escaped."""
    bench.task("t", state="failed", failure_reason="\x1b[2Jgone\x07", prompt="a\x1b]0;x\x07b")
    assert not ESCAPE.search(bench.cli("archive", "t").out)
    assert not ESCAPE.search(bench.cli("list").out)
    assert not ESCAPE.search(bench.cli("show", "t").out)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("archive",), "name a task"),
        (("archive", "-i", "missing.txt"), "missing.txt: cannot be read"),
        (("archive", "x", "--wait", "soon"), "--wait"),
        (("archive", "x", "--max-bytes", "many"), "--max-bytes"),
        (("archive", "x", "--source", "sora"), "no source is called"),
        (("archive", "x", "--set", "download.worker=3"), "workers"),
        (("verify", "--share", "lots"), "--share"),
        (("forget", "x"), "--reason"),
        (("list", "--since", "yesterday-ish"), "--since"),
        (("list", "--state", "lost"), "--state"),
        (("frobnicate",), "frobnicate"),
        (("show",), "TASK"),
    ],
)
def test_wrong_usage_is_exit_2(bench: Bench, args: tuple[str, ...], words: str) -> None:
    """One clear sentence, no traceback, nothing made."""
    done = bench.cli(*args)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (bench.folder / "archive").exists()


def test_no_configuration_says_where_it_looked(tmp_path: Path) -> None:
    """The first thing a stranger sees."""
    done = run_cli(["status"], {}, tmp_path)
    assert done.code == 2
    assert "archiver.toml" in done.err


def test_options_before_and_after_the_command(bench: Bench) -> None:
    """`--json` and friends work in both places."""
    bench.clean_task("t")
    assert bench.cli("--json", "archive", "t").objects()[-1]["archived"] == 1
    assert bench.cli("archive", "t", "--json").objects()[-1]["already"] == 1


def test_a_dry_run_touches_nothing(bench: Bench) -> None:
    """Documents are asked for, and that is all: no asset, state, store or lock."""
    bench.clean_task("t")
    bench.task("marked", video=bench.host("/m_watermarked.mp4", clip(2)))
    done = bench.cli("archive", "-n", "t", "marked")
    assert "would fetch video from video_raw" in done.out
    assert {path.name for path in bench.folder.iterdir()} == {"archiver.toml"}
    assert all(r.path.endswith(("/t", "/marked")) for r in bench.gateway.requests)
    bench.archive("t")
    before = bench.everything()
    bench.cli("archive", "-n", "--again", "t", "new")
    assert bench.everything() == before


def test_wait_polls_until_it_is_done(bench: Bench) -> None:
    """A task that finishes while we wait is archived by the same command."""
    bench.clean_task("t", completes_at=datetime.now(UTC) + timedelta(seconds=4))
    done = bench.cli("archive", "t", "--wait", "30s", "--json")
    assert done.code == 0, done
    assert (done.objects()[-1]["archived"], done.objects()[-1]["asked"]) == (1, 1)


def test_wait_gives_up_in_time(bench: Bench) -> None:
    """What is not done by then is waiting still: exit 3."""
    bench.task("t", completes_at=datetime.now(UTC) + timedelta(hours=1))
    done = bench.cli("archive", "t", "--wait", "3s", "--json")
    assert done.code == 3
    assert (done.objects()[-1]["waiting"], done.objects()[-1]["asked"]) == (1, 1)


def test_two_runs_at_once(bench: Bench) -> None:
    """The second stops with exit 11 and changes nothing."""
    bench.clean_task("t")
    bench.gateway.script("/raw/1/1.mp4", Stall(after_bytes=1000), always=True)
    bench.configure(download={"timeout": "20s"})
    env = cli_env(key_env(bench.gateway), bench.folder)
    args = [sys.executable, "-m", "archiver", "archive", "-c", str(bench.config_path), "t"]
    first = subprocess.Popen(args, env=env, cwd=bench.folder, stdout=subprocess.DEVNULL)
    try:
        until(lambda: bench.asked("/raw/1/1.mp4") > 0)
        done = bench.cli("archive", "other")
        assert done.code == 11
        assert "another run" in done.err
        assert bench.cli("forget", "t", "--reason", "x").code == 11
        assert bench.cli("status").code == 0
    finally:
        first.kill()
        first.wait()
    bench.gateway.clear_scripts()
    assert bench.cli("archive", "t").code == 0


def until(condition, seconds: float = 15.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_parks_what_is_in_flight(bench: Bench, number: int, code: int) -> None:
    """Within ten seconds, with a part that the next run continues."""
    data = long_clip(1)
    link = bench.host("/raw.mp4", data)
    bench.task("t", video_raw=link)
    bench.configure(download={"timeout": "30s"})
    bench.gateway.script("/raw.mp4", Stall(after_bytes=400_000))
    env = cli_env(key_env(bench.gateway), bench.folder)
    args = [
        sys.executable,
        "-m",
        "archiver",
        "archive",
        "-c",
        str(bench.config_path),
        "t",
        "--json",
    ]
    process = subprocess.Popen(args, env=env, cwd=bench.folder, stdout=subprocess.PIPE, text=True)
    part = bench.store / FOLDER / "t" / "video.part"
    until(lambda: part.exists() and part.stat().st_size > 100_000)
    began = time.monotonic()
    process.send_signal(number)
    out, _ = process.communicate(timeout=12)
    assert process.returncode == code
    assert time.monotonic() - began < 10
    summary = json.loads(out.splitlines()[-1])
    assert (summary["asked"], summary["queued"], summary["exit_code"]) == (1, 1, code)
    assert bench.files("t") == ["video.part", "video.part.json"]
    assert bench.cli("archive", "t").code == 0
    last = [r for r in bench.gateway.requests if r.path == "/raw.mp4"][-1]
    assert last.range is not None
    assert bench.files("t") == ["manifest.json", "video.mp4"]


def test_max_duration_and_max_bytes_leave_work(bench: Bench) -> None:
    """Exit 10, and the rest stays queued."""
    bench.configure(download={"workers": 1})
    for number in range(8):
        bench.task(f"t{number}", video_raw=bench.host(f"/{number}.mp4", long_clip(number % 2)))
    ids = [f"t{number}" for number in range(8)]
    done = bench.cli("archive", *ids, "--max-bytes", "100KiB", "--json")
    assert done.code == 10
    summary = done.objects()[-1]
    assert int(str(summary["queued"])) > 0
    assert summary["asked"] == balance(summary) == 8
    bench.gateway.script("/*.mp4", Trickle(bytes_per_s=20_000), always=True)
    done = bench.cli("archive", *ids, "--max-duration", "2s", "--json")
    assert done.code == 10
    assert done.objects()[-1]["asked"] == balance(done.objects()[-1]) == 8


def test_broken_pipe_is_no_traceback(bench: Bench) -> None:
    """`archiver list | head -1` ends quietly."""
    for number in range(30):
        bench.clean_task(f"t{number}")
    bench.archive(*(f"t{number}" for number in range(30)))
    env = cli_env(key_env(bench.gateway), bench.folder)
    command = f"{sys.executable} -m archiver -c {bench.config_path} list | head -1"
    done = subprocess.run(
        command, shell=True, env=env, cwd=bench.folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_doctor_names_what_is_wrong(bench: Bench) -> None:
    """A good set-up is exit 0; a refused key 4; a dead API 5."""
    assert bench.cli("doctor").code == 0
    bench.gateway.mode = Mode.KEY_REFUSED
    done = bench.cli("doctor")
    assert done.code == 4
    assert "FAIL source luma" in done.out
    bench.gateway.mode = Mode.LOGIN_PAGE
    assert bench.cli("doctor").code == 5


def test_list_filters(bench: Bench) -> None:
    """By state, date and words of the prompt; a percent sign is a percent sign."""
    bench.clean_task("a", prompt="Nile 100% dunes")
    bench.task("b", state="failed", prompt="other")
    bench.archive("a", "b")

    def ids(*args: str) -> list[object]:
        return [o["task_id"] for o in bench.cli("list", "--json", *args).objects()[:-1]]

    assert ids("--search", "nile") == ["a"]
    assert ids("--search", "0% d") == ["a"]
    assert ids("--search", "%%%") == []
    assert ids("--state", "failed") == ["b"]
    assert ids("--since", "2025-01-01") == []
    assert ids("--since", "2024-10-15") == ["a", "b"]


def test_forget_and_undo(bench: Bench) -> None:
    """Never fetched again, files kept or deleted, and taken back."""
    bench.clean_task("t")
    bench.archive("t")
    assert bench.cli("forget", "t", "--reason", "not mine").code == 0
    assert bench.cli("archive", "t", "--again", "--json").objects()[-1]["forgotten"] == 1
    assert (bench.store / FOLDER / "t" / "video.mp4").exists()
    assert bench.cli("forget", "t", "--undo").code == 0
    assert bench.cli("archive", "t", "--json").objects()[-1]["already"] == 1
    assert bench.cli("forget", "t", "--reason", "x").code == 0
    assert bench.cli("forget", "t", "--reason", "x", "--delete").code == 0
    assert not (bench.store / "luma").exists()
    assert bench.cli("forget", "t", "--undo").code == 0
    assert bench.cli("archive", "t", "--json").objects()[-1]["archived"] == 1


def test_forget_deletes_what_is_the_tasks_own(bench: Bench) -> None:
    """Not the user's files beside it, nor a task whose folder lies below."""
    bench.clean_task("t")
    bench.archive("t")
    bench.configure(store={"path": "{source}/{task_id}", "url": str(bench.store)})
    bench.clean_task("2024", seed=2)
    bench.archive("2024")
    outer = bench.store / "luma" / "2024"
    assert (outer / "10" / "15" / "t" / "video.mp4").exists()
    for name in ("notes.txt", "cut/video.mp4"):
        (outer / name).parent.mkdir(exist_ok=True)
        (outer / name).write_text("mine")
    assert bench.cli("forget", "2024", "--reason", "x", "--delete").code == 0
    left = {str(p.relative_to(outer)) for p in outer.rglob("*") if p.is_file()}
    own = {"10/15/t/video.mp4", "10/15/t/manifest.json"}
    assert left == {"notes.txt", "cut/video.mp4", *own}
    assert bench.cli("verify", "--full").code == 0


def test_the_demo(tmp_path: Path) -> None:
    """Every case comes out as it must, and its archive verifies."""
    done = run_cli(["demo", "out"], {}, tmp_path)
    assert done.code == 0, done
    assert "every case came out as it must" in done.out
    assert "NOT AS EXPECTED" not in done.out
    config = str(tmp_path / "out" / "archiver.toml")
    assert run_cli(["verify", "--full", "--decode", "-c", config], {}, tmp_path).code == 0
    assert run_cli(["demo", "out"], {}, tmp_path).code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert run_cli(["demo", "mine"], {}, tmp_path).code == 2
