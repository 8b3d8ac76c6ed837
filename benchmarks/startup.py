"""Start-up: what a process costs that has nothing to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Cost, Run, measured, medians
from benchmarks.ours import ARCHIVER, PYTHON
from benchmarks.report import Goal, Section

BARE = "python -c pass"


def _command(*words: object) -> Run:
    def run(folder: Path) -> Cost:
        return measured(words, folder)

    return run


def startup(root: Path, runs: int) -> list[Section]:
    commands: dict[str, Sequence[object]] = {
        BARE: (PYTHON, "-c", "pass"),
        "archiver --version": (ARCHIVER, "--version"),
        "archiver --help": (ARCHIVER, "--help"),
        "archiver archive --help": (ARCHIVER, "archive", "--help"),
    }
    clients = {name: _command(*words) for name, words in commands.items()}
    costs = medians(clients, 3 * runs, root)
    bare = costs[BARE]
    lines = ["| command | wall ms | CPU ms | peak MiB | wall / bare |", "|---|--:|--:|--:|--:|"]
    section = Section(title="start-up")
    for name, cost in costs.items():
        lines.append(
            f"| `{name}` | {cost.wall_s * 1000:.0f} | {cost.cpu_s * 1000:.0f}"
            f" | {cost.peak_mib:.0f} | {cost.wall_s / bare.wall_s:.2f} |"
        )
        if name.startswith("archiver --"):
            what = f"`{name}`: wall, `{BARE}`"
            section.goals.append(Goal(what=what, found=cost.wall_s / bare.wall_s, most=5))
    section.text = ["\n".join(lines)]
    return [section]
