"""Faults of the machine at exact moments: a kill, a full disk, a broken one, too many open files.

A small library (`faultshim.c`) is preloaded into the command line's processes. It counts, over all
threads, the calls that change files, and lets one of them go wrong.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from pathlib import Path

from tests.bench import Bench
from tests.gatewayfixture import cli_env, key_env

HERE = Path(__file__).resolve().parent


class Kind(IntFlag):
    """Which calls are meant; `OPEN` is opening without making."""

    WRITE = 1
    SYNC = 2
    RENAME = 4
    UNLINK = 8
    MKDIR = 16
    CREATE = 32
    TRUNCATE = 64
    OPEN = 128


CHANGING = Kind(127)


class Action(IntEnum):
    """What happens at the call."""

    COUNT = 0
    KILL = 1
    FAIL = 2
    FAIL_FROM = 3
    SHORT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one process ended: its code (negative: the signal), its words, the calls it made."""

    code: int
    out: str
    err: str
    calls: tuple[str, ...] = field(repr=False)


def build(folder: Path) -> Path:
    """Compile the library."""
    library = folder / "faultshim.so"
    command = [
        "cc",
        "-shared",
        "-fPIC",
        "-O1",
        "-o",
        str(library),
        str(HERE / "faultshim.c"),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return library


class Rig:
    """Runs commands of one bench with faults."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(
        self,
        bench: Bench,
        *args: str,
        action: Action = Action.COUNT,
        at: int = 0,
        error: int = errno.EIO,
        kinds: Kind = CHANGING,
        path: str = "",
        kill_after_s: float | None = None,
    ) -> Ended:
        """Run one command; see the shim for what the rest means."""
        files = {name: self._folder / name for name in ("out", "err", "log", "pid")}
        order = {
            **{name: str(file) for name, file in files.items()},
            "args": ["-c", str(bench.config_path), *args],
            "cwd": str(bench.folder),
            "at": at,
            "action": int(action),
            "errno": error,
            "kinds": int(kinds),
            "path": path,
            "kill_after_s": kill_after_s,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = json.loads(self._process.stdout.readline())
        root = str(bench.folder)
        calls = files["log"].read_text(errors="replace").replace(root, "").splitlines()
        out, err = (files[name].read_text(errors="replace") for name in ("out", "err"))
        return Ended(code=code, out=out, err=err, calls=tuple(calls))


@contextmanager
def open_rig(
    library: Path | None, folder: Path, bench: Bench, s3: Mapping[str, str] | None = None
) -> Iterator[Rig]:
    """Start what forks.

    Args:
        library: `None`: without faults of the machine.
        s3: Variables by which boto3 finds its keys; then it is loaded before the first fork.
    """
    env = {**cli_env(key_env(bench.gateway), folder), **(s3 or {})}
    if library is not None:
        env["LD_PRELOAD"] = str(library)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forkserver", *(["s3"] if s3 else [])],
        env=env,
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Rig(process, folder)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=20)


def linux() -> bool:
    """Whether preloading works as these tests need it."""
    return os.uname().sysname == "Linux"
