"""What a command costs: wall, CPU and peak memory of it and all its children; medians of runs."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SPAWN = Path(__file__).with_name("spawn.py")
BIN = Path(sys.executable).parent
SEARCH = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One run, or the medians of several."""

    wall_s: float
    cpu_s: float
    peak_mib: float

    def times(self, factor: float) -> Cost:
        """Return the cost of a larger piece of the same work; memory stays."""
        return Cost(wall_s=self.wall_s * factor, cpu_s=self.cpu_s * factor, peak_mib=self.peak_mib)


Run = Callable[[Path], Cost]
"""Does the work once in an empty folder."""


def program(name: str) -> str:
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise SystemExit(f"{name} is not installed; as root the benchmarks install it")
    return found


def measured(
    words: Sequence[object], cwd: Path, env: Mapping[str, str] = {}, *, codes: Iterable[int] = (0,)
) -> Cost:
    """Run one command to its end."""
    command = [sys.executable, "-I", "-S", str(SPAWN), *map(str, words)]
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": SEARCH, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in codes:
        raise SystemExit(f"{words[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout))


def shell(script: str, cwd: Path, env: Mapping[str, str] = {}) -> Cost:
    """Run a shell pipeline to its end."""
    return measured(["bash", "-euo", "pipefail", "-c", script], cwd, env)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        wall_s=statistics.median(cost.wall_s for cost in costs),
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        peak_mib=statistics.median(cost.peak_mib for cost in costs),
    )


def medians(clients: Mapping[str, Run], runs: int, root: Path) -> dict[str, Cost]:
    """Let the clients take turns, so that a busy moment of the machine meets all of them."""
    costs: dict[str, list[Cost]] = {name: [] for name in clients}
    used: list[Path] = []
    try:
        for _ in range(runs):
            for name, run in clients.items():
                used.append(Path(tempfile.mkdtemp(prefix="out-", dir=root)))
                costs[name].append(run(used[-1]))
                _empty(used[-1])
    finally:
        for folder in used:
            shutil.rmtree(folder)
        os.sync()
    return {name: median(found) for name, found in costs.items()}


def _empty(folder: Path) -> None:
    """Give back the room of a run's files, but not yet their inodes.

    ext4 passes over inodes that were freed within the last minute, one by one, so that the next
    client would pay for what the one before removed.
    """
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)
    os.sync()
