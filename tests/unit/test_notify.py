"""Who hears of a run: none of them can fail it, and no capability is told to anybody."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from archiver.catalog import Numbers
from archiver.config.settings import NotifyConfig
from archiver.model import State
from archiver.notify import Notifier, metrics_text
from archiver.reports import REPORTS_KEPT, save_report
from tests.fakes import NOW

NUMBERS = Numbers(
    states=dict.fromkeys(State, 2),
    stored_bytes=10**15,
    watermarked=1,
    incomplete=0,
    damaged=0,
    oldest_waiting_at=NOW,
    oldest_verified_at=None,
)


class Pinged(ThreadingHTTPServer):
    def __init__(self, status: int = 200) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append((self.command, self.path, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def pinged() -> Iterator[Pinged]:
    server = Pinged()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_pings(pinged: Pinged) -> None:
    """`/start`, then `/<exit code>` with the summary as its body; the query stays."""
    url = f"http://127.0.0.1:{pinged.server_port}/ping/uuid/?a=b"
    notifier = Notifier(NotifyConfig(healthcheck_url=url), {})
    notifier.start()
    notifier.end(3, "5 tasks: ü", {}, "")
    assert pinged.heard == [
        ("POST", "/ping/uuid/start?a=b", b""),
        ("POST", "/ping/uuid/3?a=b", "5 tasks: ü".encode()),
    ]


def test_a_dead_healthcheck_fails_nothing_and_its_url_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only that it could not be reached is in the log."""
    caplog.set_level(logging.DEBUG)
    url = "http://127.0.0.1:9/ping/secret-capability"
    notifier = Notifier(NotifyConfig(healthcheck_url=url), {})
    notifier.start()
    notifier.end(0, "", {}, "")
    assert "cannot be reached" in caplog.text
    assert "secret" not in caplog.text


def test_the_command_gets_the_report(tmp_path: Path) -> None:
    """On standard input, without a shell."""
    out = tmp_path / "out file"
    script = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    import sys

    config = NotifyConfig(command=(sys.executable, "-c", script, f"{out}"))
    Notifier(config, {"PATH": "/usr/bin:/bin"}).end(0, "", {"exit_code": 0}, "")
    assert json.loads(out.read_text()) == {"exit_code": 0}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/nowhere/at all",), "cannot be started"),
        (("/bin/sh", "-c", "echo it broke >&2; exit 7"), "code 7: it broke"),
    ],
)
def test_a_failing_command_is_told(
    command: tuple[str, ...], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It fails nothing, and does not go unseen."""
    Notifier(NotifyConfig(command=command), {}).end(0, "", {}, "")
    assert words in caplog.text


def metrics() -> str:
    return metrics_text(
        NUMBERS,
        finished_at=NOW,
        success_at=NOW - timedelta(days=1),
        duration_s=1.5,
        exit_code=3,
        fetched_bytes=7,
    )


def test_metrics_are_prometheus_text() -> None:
    """Every sample has its type before it, and a name that begins as it must."""
    typed: set[str] = set()
    sample = re.compile(r'(archiver_[a-z_]+)(\{state="[a-z]+"\})? -?[0-9.e+]+')
    for line in metrics().splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            found = sample.fullmatch(line)
            assert found, line
            assert found[1] in typed
    assert 'archiver_tasks{state="waiting"} 2' in metrics()
    assert "archiver_stored_bytes 1000000000000000" in metrics()
    assert "oldest_verified" not in metrics()


def test_the_metrics_file_is_replaced_whole(tmp_path: Path) -> None:
    """By another file, so that no reader sees a half; nothing else is left beside it."""
    path = tmp_path / "a.prom"
    path.write_text("old")
    inode = path.stat().st_ino
    Notifier(NotifyConfig(metrics_file=path), {}).end(0, "", {}, metrics())
    assert path.read_text() == metrics()
    assert path.stat().st_ino != inode
    assert [file.name for file in tmp_path.iterdir()] == ["a.prom"]


def test_a_metrics_file_that_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, no failure."""
    Notifier(NotifyConfig(metrics_file=tmp_path / "no" / "a.prom"), {}).end(0, "", {}, "x 1\n")
    assert "metrics_file cannot be written" in caplog.text


def test_old_reports_go(tmp_path: Path) -> None:
    """The newest are kept."""
    folder = tmp_path / "reports"
    folder.mkdir()
    for number in range(REPORTS_KEPT + 5):
        (folder / f"run-20200101T000000Z-{number:05}.json").write_text("{}")
    path = save_report(tmp_path, {"a": 1}, started_at=NOW, number=9)
    assert json.loads(path.read_text()) == {"a": 1}
    assert len(list(folder.iterdir())) == REPORTS_KEPT
