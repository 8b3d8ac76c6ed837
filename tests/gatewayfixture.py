"""Pieces for tests that need a gateway, a config for it, or the real command line.

Use: name this module in a conftest's `pytest_plugins` for the `gateway` fixture; import the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.gateway import Gateway

ROOT = Path(__file__).resolve().parent.parent
KEY_VARIABLE = "LUMA_API_KEY"
START = datetime(2026, 11, 23, 3, 0, 0, tzinfo=UTC)

Setting = bool | int | float | str | Sequence[str] | Mapping[str, "Setting"]


class ManualClock:
    """Time that moves only when a test, or somebody's `sleep`, moves it."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic_s = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def check_stop(self) -> None:
        pass

    def advance(self, seconds: float = 0.0, **more: float) -> None:
        """Move on by seconds, or by `timedelta`'s other words: `hours=3`."""
        step = timedelta(seconds=seconds, **more)
        with self._lock:
            self._now += step
            self._monotonic_s += step.total_seconds()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway with no tasks, by the real clock."""
    with Gateway() as started:
        yield started


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def key_env(gateway: Gateway) -> dict[str, str]:
    """Return the environment in which `write_config`'s config finds the gateway's key."""
    return {KEY_VARIABLE: gateway.api_key}


def write_config(tmp_path: Path, gateway: Gateway, **overrides: Setting) -> Path:
    """Write an `archiver.toml` for one Luma source at a gateway; state and store beside it.

    Args:
        overrides: By section: `store={"url": "…"}`, `download={"workers": 2}`, `source={…}` for
            the source; or a key outside of sections. Each member replaces or adds to the usual.
    """
    settings: dict[str, Setting] = {
        "state_dir": str(tmp_path / "state"),
        "store": {"url": str(tmp_path / "archive")},
        "network": {"allow_private_addresses": True},
        "source": {
            "name": "luma",
            "provider": "luma",
            "base_url": gateway.base_url,
            "api_key_env": KEY_VARIABLE,
            "max_requests_per_second": 1000,
        },
    }
    for name, value in overrides.items():
        usual = settings.get(name)
        if isinstance(usual, Mapping) and isinstance(value, Mapping):
            settings[name] = {**usual, **value}
        else:
            settings[name] = value
    path = tmp_path / "archiver.toml"
    path.write_text(_toml(settings), encoding="utf-8")
    return path


def _toml(settings: Mapping[str, Setting]) -> str:
    top = [f"{name} = {_value(v)}" for name, v in settings.items() if not isinstance(v, Mapping)]
    sections: list[str] = []
    for name, section in settings.items():
        if isinstance(section, Mapping):
            title = "[[source]]" if name == "source" else f"[{name}]"
            sections += ["", title, *(f"{key} = {_value(v)}" for key, v in section.items())]
    return "\n".join([*top, *sections, ""])


def _value(value: Setting) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_value(v)}" for name, v in value.items()) + "}"
    # Of these types, TOML's and JSON's spelling is the same.
    return json.dumps(value if isinstance(value, (str, int, float)) else list(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    def objects(self) -> list[dict[str, object]]:
        """Return what `--json` wrote, one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run_cli(
    args: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    stdin: str | None = None,
    timeout: float = 60,
) -> Completed:
    """Run the real command line in a process of its own.

    Args:
        env: Added to an environment that has nothing of the tester's own but PATH: no config, no
            proxy, no credentials; HOME is `cwd`.
        stdin: What it reads; `None`: nothing, and at once the end.
    """
    process = subprocess.run(
        [sys.executable, "-m", "archiver", *args],
        env=cli_env(env, cwd),
        cwd=cwd,
        input=stdin or "",
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    return Completed(code=process.returncode, out=process.stdout, err=process.stderr)


def cli_env(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return a whole environment for a process of the command line; see `run_cli`."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        **env,
    }
