"""What a hostile gateway, an impatient user and a second run can do, through the real commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archiver.gateway import Gateway
from archiver.gateway.faults import HtmlPage, Stall, Status
from archiver.gateway.lumatask import LumaTask
from archiver.gateway.modes import Mode
from archiver.gateway.tasks import Link
from tests.bench import Bench, clip, long_clip
from tests.gatewayfixture import cli_env, key_env, write_config

BODIES: dict[str, bytes] = {
    "a deep list": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a long number": b'{"id": ' + b"9" * 1_000_000 + b"}",
    "a list of nothing": b"[" + b"null," * 300_000 + b"null]",
    "no object": b'"completed"',
    "wrong types": json.dumps(
        {"id": ["x"], "state": {"a": 1}, "video": 7, "video_raw": [[]], "prompt": {"x": []}}
    ).encode(),
    "half": b'{"id": "t", "state": "comp',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bomb_for_an_answer(bench: Bench, name: str) -> None:
    """No traceback, no crash, the task stays due, and other tasks are archived."""
    bench.clean_task("good")
    bomb = Status(status=200, body=BODIES[name], media_type="application/json")
    bench.gateway.script("*/generations/bomb", bomb, always=True)
    done = bench.cli("archive", "--json", "bomb", "good")
    assert done.code == 3, done
    assert "Traceback" not in done.err
    states = {o["task_id"]: o["state"] for o in done.objects() if o["type"] == "task"}
    assert states["good"] == "archived"
    assert states["bomb"] in ("retry", "waiting")


def two_sources(bench: Bench, other: Gateway) -> None:
    text = bench.config_path.read_text()
    more = f"""
[[source]]
name = "other"
provider = "luma"
base_url = "{other.base_url}"
api_key_env = "LUMA_API_KEY"
"""
    bench.config_path.write_text(text + more)


def test_a_refused_key_stops_its_own_source_only(bench: Bench, gateway: Gateway) -> None:
    """Exit 4; the refused source's tasks stay queued, the other source's are archived."""
    with Gateway() as other:
        two_sources(bench, other)
        gateway.mode = Mode.KEY_REFUSED
        other.host("/v.mp4", clip(1), media_type="video/mp4")
        for number in range(5):
            other.put(LumaTask(task_id=f"o{number}", video_raw=Link(path="/v.mp4")))
        ids = [*(f"luma:t{n}" for n in range(30)), *(f"other:o{n}" for n in range(5))]
        done = bench.cli("archive", "--json", *ids)
    assert done.code == 4, done
    summary = done.objects()[-1]
    assert (summary["archived"], summary["queued"]) == (5, 30)
    assert len(gateway.requests) <= 8


@pytest.mark.parametrize("fault", [HtmlPage(), HtmlPage(status=404), Status(status=404)])
def test_a_wrong_base_url_makes_nothing_gone(bench: Bench, fault: HtmlPage | Status) -> None:
    """However often it is asked: exit 5, and every task is still due."""
    bench.gateway.script("*/generations/*", fault, always=True)
    for _ in range(3):
        assert bench.cli("archive", "a", "b", "c", "d").code == 5
    listed = bench.cli("list", "--json").objects()
    states = {o["state"] for o in listed if o["type"] == "task"}
    assert states <= {"queued", "retry"}
    bench.gateway.clear_scripts()
    for task in "abcd":
        bench.clean_task(task)
    assert bench.cli("archive", "a", "b", "c", "d").code == 0


def started(bench: Bench, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "archiver", "-c", str(bench.config_path), *args]
    env = cli_env(key_env(bench.gateway), bench.folder)
    return subprocess.Popen(command, env=env, cwd=bench.folder, stdout=subprocess.PIPE, text=True)


def wait_for_request(bench: Bench, path: str) -> None:
    end = time.monotonic() + 20
    while not bench.asked(path):
        assert time.monotonic() < end
        time.sleep(0.02)


def stalled(bench: Bench) -> None:
    bench.task("slow", video_raw=bench.host("/slow.mp4", long_clip(1)), width=320, height=240)
    bench.gateway.script("/slow.mp4", Stall(after_bytes=300_000), always=True)


def test_a_second_signal_ends_it_at_once(bench: Bench) -> None:
    """The first parks what is in flight; with the second nobody waits."""
    bench.configure(download={"timeout": "30s"})
    stalled(bench)
    process = started(bench, "archive", "slow")
    wait_for_request(bench, "/slow.mp4")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=10)
    # While the interpreter itself is put away, the signal is the system's: 143 in any shell.
    assert process.returncode in (143, -signal.SIGTERM)
    assert time.monotonic() - began < 8
    bench.gateway.clear_scripts()
    assert bench.cli("archive", "slow").code == 0


@pytest.mark.parametrize("command", ["run", "archive"])
@pytest.mark.parametrize("shared", ["source", "store"])
def test_a_second_run_changes_and_tells_nothing(bench: Bench, command: str, shared: str) -> None:
    """Exit 11 beside a run on the same source, or on the same store from another state_dir."""
    bench.configure(
        download={"timeout": "30s"}, notify={"healthcheck_url": f"{bench.gateway.base_url}/ping"}
    )
    stalled(bench)
    process = started(bench, "archive", "slow")
    try:
        wait_for_request(bench, "/slow.mp4")
        if shared == "store":
            second = bench.folder / "second"
            second.mkdir()
            config = write_config(
                second,
                bench.gateway,
                store={"url": str(bench.store)},
                notify={"healthcheck_url": f"{bench.gateway.base_url}/ping"},
            )
        else:
            config = bench.config_path
        before = {name: data for name, data in files_of(bench.store).items() if ".part" not in name}
        args = ["other"] if command == "archive" else []
        asked = len(bench.gateway.requests)
        done = bench.cli(command, *args, "-c", str(config))
        assert done.code == 11, done
        assert len(bench.gateway.requests) == asked
        after = {name: data for name, data in files_of(bench.store).items() if ".part" not in name}
        assert after == before
    finally:
        process.kill()
        process.communicate()


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
