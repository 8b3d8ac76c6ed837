"""The catalog at size: commands with nothing to do over 10^3 to 10^6 archived tasks.

One task is archived from a server, so that store and catalog know each other; the other rows are
written straight into the catalog, as `reindex` would. Only `reindex` itself needs their manifests:
those are written too, up to a smaller size.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from benchmarks import ours
from benchmarks.data import make_workload
from benchmarks.measure import Cost, measured, median, medians, shell
from benchmarks.report import Curve, Goal, Section
from benchmarks.servers import nginx

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LARGEST_REINDEX = 100_000
SORT_COMM = "sort + comm"
ASK_ALL = "archive -i, nothing new"
COMMANDS: dict[str, tuple[str, ...]] = {
    ASK_ALL: ("-q", "archive", "-i", "ids.txt"),
    "run, nothing new": ("-q", "run"),
    "status": ("status",),
    "list --since 1d": ("list", "--since", "1d"),
}


def catalog(root: Path, runs: int) -> list[Section]:
    costs: dict[str, dict[int, Cost]] = {}
    for rows in SIZES:
        folder = root / f"catalog-{rows}"
        folder.mkdir()
        manifest = _first_task(root, folder)
        ids = _fill(folder, rows)
        _measure(folder, rows, runs if rows < 1_000_000 else min(runs, 3), costs, root)
        if rows <= LARGEST_REINDEX:
            _write_manifests(folder, manifest, ids)
            again = [
                measured([ours.ARCHIVER, "-q", "reindex"], folder, ours.environment())
                for _ in range(runs if rows < LARGEST_REINDEX else 1)
            ]
            costs.setdefault("reindex", {})[rows] = median(again)
        shutil.rmtree(folder)
    return [_section(costs)]


def _measure(
    folder: Path, rows: int, runs: int, costs: dict[str, dict[int, Cost]], root: Path
) -> None:
    def command(words: tuple[str, ...]) -> Callable[[Path], Cost]:
        return lambda _: measured([ours.ARCHIVER, *words], folder, ours.environment())

    script = "sort ids.txt > a; sort known.txt > b; comm -23 a b > new"
    clients = {name: command(words) for name, words in COMMANDS.items()}
    clients[SORT_COMM] = lambda _: shell(script, folder)
    # The first run reads the whole inbox; what is measured is every later night.
    measured([ours.ARCHIVER, "-q", "run"], folder, ours.environment())
    for name, cost in medians(clients, runs, root).items():
        costs.setdefault(name, {})[rows] = cost


def _first_task(root: Path, folder: Path) -> Path:
    """Archive one task into the folder's archive; return its manifest."""
    data = root / "one"
    with nginx(root / "nginx", data) as server:
        base = server.bases["http"]
        made = make_workload(data, [base], tasks=1, video_bytes=200_000, picture_bytes=20_000)
        ours.write_config(folder, f"{base}/0")
        words = [ours.ARCHIVER, "-q", "archive", *made[0].ids]
        measured(words, folder, ours.environment())
    shutil.rmtree(data)
    (found,) = (folder / "archive").rglob("manifest.json")
    return found


def _fill(folder: Path, rows: int) -> list[str]:
    """Copy the one row of the catalog under other ids, and write the lists of ids."""
    chance = random.Random(rows)
    ids = [f"{chance.getrandbits(128):032x}" for _ in range(rows - 1)]
    path = folder / "state" / "catalog.db"
    with sqlite3.connect(path) as db:
        names = [row[1] for row in db.execute("PRAGMA table_info(tasks)")]
        row = dict(zip(names, db.execute("SELECT * FROM tasks").fetchone(), strict=True))
        row["created_at"] = "2024-10-15T08:56:19.325000Z"
        marks = ", ".join("?" for _ in names)
        db.executemany(
            f"INSERT INTO tasks ({', '.join(names)}) VALUES ({marks})",
            (_values(row, task_id) for task_id in sorted(ids)),
        )
        ids.append(str(row["task_id"]))
    db.close()
    known = "".join(f"{task_id}\n" for task_id in ids)
    (folder / "known.txt").write_text(known)
    (folder / "inbox.txt").write_text(known)
    chance.shuffle(ids)
    (folder / "ids.txt").write_text("".join(f"{task_id}\n" for task_id in ids))
    return ids


def _path(task_id: str) -> str:
    return f"luma/2024/10/{int(task_id[:2], 16) % 28 + 1:02}/{task_id}"


def _values(row: dict[str, object], task_id: str) -> list[object]:
    return list({**row, "task_id": task_id, "path": _path(task_id)}.values())


def _write_manifests(folder: Path, manifest: Path, ids: list[str]) -> None:
    body = json.loads(manifest.read_bytes())
    for task_id in ids:
        if task_id != body["task_id"]:
            place = folder / "archive" / _path(task_id)
            place.mkdir(parents=True)
            text = json.dumps({**body, "task_id": task_id, "task": {**body["task"], "id": task_id}})
            (place / manifest.name).write_text(text)
    os.sync()


def _section(costs: dict[str, dict[int, Cost]]) -> Section:
    section = Section(title="catalog at size")
    head = " | ".join(f"{rows:,} rows: s / MiB" for rows in SIZES)
    lines = [f"| command | {head} |", "|---|" + "--:|" * len(SIZES)]
    for name, found in costs.items():
        cells = [
            f"{found[rows].wall_s:.2f} / {found[rows].peak_mib:.0f}" if rows in found else ""
            for rows in SIZES
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    section.text = ["All of them archived, nothing to do.", "\n".join(lines)]
    section.curves = [
        Curve(name=name, points=[(rows, c.wall_s, c.peak_mib) for rows, c in found.items()])
        for name, found in costs.items()
    ]
    largest = max(SIZES)
    asked, sorted_ = costs[ASK_ALL][largest], costs[SORT_COMM][largest]
    section.goals = [
        Goal(what="10^6 ids: wall, sort + comm", found=asked.wall_s / sorted_.wall_s, most=3),
        Goal(what="10^6 ids: peak memory", found=asked.peak_mib, most=150, unit="MiB"),
    ]
    if 100_000 in costs[ASK_ALL]:
        found = costs[ASK_ALL][100_000].wall_s
        section.goals.append(Goal(what="100,000 known ids: wall", found=found, most=8, unit="s"))
    return section
