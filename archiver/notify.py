"""Who hears of a run: a healthcheck, a metrics file, a command. None of them can fail it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import ProxyHandler, Request, build_opener

import archiver
from archiver.catalog import Numbers
from archiver.config import NotifyConfig
from archiver.model import JsonObject

log = logging.getLogger("archiver")

PING_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
MOST_BODY_BYTES = 10_000
"""Of a ping. Source: healthchecks.io keeps the first 100 kB; others take less."""


class Notifier:
    """Tells the outside how a run goes.

    Args:
        environ: Where the proxy for pings is named; the command runs in it.
    """

    def __init__(self, config: NotifyConfig, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ

    def start(self) -> None:
        """Say that a run begins."""
        self._ping("start", "")

    def end(self, exit_code: int, words: str, report: JsonObject, metrics: str) -> None:
        """Say how it ended.

        Args:
            words: The summary for people.
            metrics: In Prometheus's text format; empty: none are known.
        """
        if self._config.metrics_file is not None and metrics:
            _write_metrics(self._config.metrics_file, metrics)
        self._ping(str(exit_code), words)
        if self._config.command:
            self._run(json.dumps(report))

    def _ping(self, last: str, words: str) -> None:
        if not self._config.healthcheck_url:
            return
        parts = urlsplit(self._config.healthcheck_url)
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{last}", fragment=""))
        try:
            request = Request(  # noqa: S310 (http or https: the configuration says so)
                url,
                data=words.encode("utf-8", "replace")[:MOST_BODY_BYTES],
                headers={
                    "User-Agent": f"archiver/{archiver.__version__}",
                    "Content-Type": "text/plain; charset=utf-8",
                },
            )
            opener = build_opener(ProxyHandler(self._proxies()))
            with opener.open(request, timeout=PING_TIMEOUT_S):
                pass
        except HTTPError as error:
            error.close()
            log.info("the healthcheck answers HTTP %s to /%s", error.code, last)
        except (OSError, HTTPException, ValueError) as error:
            # Its URL is a capability, and stands in most messages of these libraries.
            log.info("the healthcheck cannot be reached (/%s): %s", last, type(error).__name__)

    def _proxies(self) -> dict[str, str]:
        found = {}
        for scheme in ("http", "https"):
            value = self._environ.get(f"{scheme}_proxy") or self._environ.get(
                f"{scheme.upper()}_PROXY"
            )
            if value:
                found[scheme] = value
        return found

    def _run(self, report: str) -> None:
        argv = list(self._config.command)
        try:
            process = subprocess.Popen(  # noqa: S603 (the user's own command, without a shell)
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=dict(self._environ),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or type(error).__name__
            log.warning("[notify] command cannot be started: %s", words)
            return
        try:
            _, said = process.communicate(report.encode(), timeout=COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=1.0)
            log.warning("[notify] command was stopped after %g s", COMMAND_TIMEOUT_S)
            return
        if process.returncode:
            last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
            log.warning(
                "[notify] command ended with code %s: %s", process.returncode, "".join(last)[:300]
            )


def _write_metrics(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        log.warning("metrics_file cannot be written: %s", error.strerror)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole, or leave the old one.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def metrics_text(
    numbers: Numbers,
    *,
    finished_at: datetime,
    success_at: datetime | None,
    duration_s: float,
    exit_code: int,
    fetched_bytes: int,
) -> str:
    """Return a run's metrics in Prometheus's text format.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    lines: list[str] = []

    def gauge(name: str, words: str, value: float | datetime | None) -> None:
        if value is None:
            return
        number = value.timestamp() if isinstance(value, datetime) else value
        _head(lines, name, words)
        lines.append(f"archiver_{name} {number}")

    gauge("last_run_timestamp_seconds", "When the last run ended.", finished_at)
    gauge("last_success_timestamp_seconds", "When a run last ended with exit code 0.", success_at)
    gauge("run_duration_seconds", "How long the last run took.", duration_s)
    gauge("run_exit_code", "The exit code of the last run.", exit_code)
    gauge("run_fetched_bytes", "What the last run fetched.", fetched_bytes)
    _head(lines, "tasks", "Tasks by state.")
    lines.extend(
        f'archiver_tasks{{state="{state.value}"}} {number}'
        for state, number in numbers.states.items()
    )
    gauge("stored_bytes", "Size of all archived files.", numbers.stored_bytes)
    gauge("watermarked_tasks", "Archived only with a watermark.", numbers.watermarked)
    gauge("incomplete_tasks", "Archived with an output missing.", numbers.incomplete)
    gauge("damaged_tasks", "Archived, and known to be damaged.", numbers.damaged)
    gauge(
        "oldest_waiting_timestamp_seconds",
        "When the task that waits longest was first seen.",
        numbers.oldest_waiting_at,
    )
    gauge(
        "oldest_verified_timestamp_seconds",
        "When the task that was not checked for longest was checked.",
        numbers.oldest_verified_at,
    )
    return "\n".join(lines) + "\n"


def _head(lines: list[str], name: str, words: str) -> None:
    lines.append(f"# HELP archiver_{name} {words}")
    lines.append(f"# TYPE archiver_{name} gauge")
