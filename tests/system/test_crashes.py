"""A file that crashes the media library: it costs two runs, and is refused by the third."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from archiver import State
from archiver.catalog import Catalog, TaskRow
from tests.bench import Bench, clip
from tests.gatewayfixture import ROOT, cli_env, key_env

MARK = b"\xde\xad\xbe\xef crash here"
FATAL = clip(1) + b"\0\0\0\x20free" + MARK.ljust(24, b"\0")
"""A real video with a box at its end that says nothing to a decoder."""


def run(bench: Bench, *tasks: str, number: int = signal.SIGSEGV) -> int:
    """Archive in a process whose decoder dies of marked files."""
    start = "from tests.crashing import main; main()"
    command = [sys.executable, "-c", start, str(int(number)), MARK.hex()]
    done = subprocess.run(
        [*command, str(bench.config_path), *tasks],
        env=cli_env(key_env(bench.gateway), bench.folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode <= 0 or "Traceback" not in done.stderr, done.stderr
    return done.returncode


def rows(bench: Bench) -> dict[str, TaskRow]:
    with Catalog(bench.folder / "state" / "catalog.db", read_only=True) as catalog:
        return {row.ref.task_id: row for row in catalog.rows()}


def deaths(bench: Bench) -> dict[str, int]:
    with Catalog(bench.folder / "state" / "catalog.db", read_only=True) as catalog:
        return {ref.task_id: number for ref, number in catalog.deaths().items()}


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGSEGV,
        pytest.param(signal.SIGABRT, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_file_that_crashes_the_decoder(bench: Bench, number: int) -> None:
    """Two runs die of it; the third archives all others, probes it alone and refuses it."""
    bench.task("bad", video_raw=bench.host("/bad.mp4", FATAL))
    ids = ["bad", *(f"t{n}" for n in range(6))]
    for n in range(6):
        bench.clean_task(f"t{n}", seed=n + 2)
    assert run(bench, *ids, number=number) == -number
    assert run(bench, *ids, number=number) == -number
    assert run(bench, *ids, number=number) == 3
    found = rows(bench)
    assert {task: row.state for task, row in found.items()} == {
        "bad": State.REFUSED,
        **{f"t{n}": State.ARCHIVED for n in range(6)},
    }
    fault = found["bad"].fault
    assert fault is not None
    assert fault.code == "crashes_decoder"
    assert deaths(bench) == {"bad": 2}
    assert not [path for path in bench.store.rglob("*") if ".part" in path.name]
    assert bench.cli("verify", "--full").code == 0


def test_it_is_never_again_probed_among_others(bench: Bench) -> None:
    """A refused one that is asked for again, and one whose next form is good, are probed apart."""
    bench.configure(download={"workers": 1})
    bench.task(
        "t", video_raw=bench.host("/bad.mp4", FATAL), download_url=bench.host("/good.mp4", clip(2))
    )
    assert [run(bench, "t") for _ in range(2)] == [-signal.SIGSEGV] * 2
    assert run(bench, "t") == 0
    assert bench.video("t")["rendition"] == "download_url"
    assert bench.manifest("t")["refused"][0]["code"] == "crashes_decoder"
    assert deaths(bench) == {"t": 2}


def test_an_innocent_one_is_cleared(bench: Bench) -> None:
    """In flight when two runs were killed, and nothing wrong with it: archived, and forgotten."""
    bench.clean_task("t", seed=2)
    with Catalog(bench.folder / "state" / "catalog.db") as catalog:
        ref = next(iter([row.ref for row in catalog.rows()]), None)
        assert ref is None
    bench.configure(download={"workers": 1})
    bench.task("t", video_raw=bench.host("/bad.mp4", FATAL))
    assert [run(bench, "t") for _ in range(2)] == [-signal.SIGSEGV] * 2
    bench.task("t", video_raw=bench.host("/good.mp4", clip(3)))
    assert run(bench, "t") == 0
    assert bench.video("t")["rendition"] == "video_raw"
    assert deaths(bench) == {}


def test_the_child_reads_back_what_was_not_kept(bench: Bench) -> None:
    """A large file judged apart: bytes that were not kept are asked back from the part."""
    from archiver.gateway import media

    data = media.video_bytes(width=640, height=480, seconds=2, seed=3, bit_rate=16_000_000)
    assert len(data) > 3 << 20
    bench.task("t", video_raw=bench.host("/bad.mp4", FATAL))
    assert [run(bench, "t") for _ in range(2)] == [-signal.SIGSEGV] * 2
    bench.task("t", video_raw=bench.host("/large.mp4", data), width=640, height=480)
    assert run(bench, "t") == 0
    assert bench.video("t")["dimensions"] == "match"
