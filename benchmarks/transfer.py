"""Bulk, small and one large file: archiver against peers and the floor, http and https."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ours, peers
from benchmarks.data import Workload, make_large, make_workload
from benchmarks.measure import Cost, Run, medians
from benchmarks.report import OURS, Goal, Section, table
from benchmarks.servers import Server, nginx

MOST_MIB = 150
WITH_DIGEST = peers.with_digest("curl")
PIPELINE = "shell pipeline, same work"
FLOOR = "floor"


@dataclass(frozen=True, kw_only=True)
class Size:
    """One workload of many tasks.

    Attributes:
        piped: The shell pipeline does so many of the tasks; its cost is multiplied.
    """

    name: str
    tasks: int
    video_bytes: int
    picture_bytes: int
    piped: int


BULK = Size(name="bulk", tasks=100, video_bytes=8_000_000, picture_bytes=100_000, piped=20)
SMALL = Size(name="small", tasks=1000, video_bytes=200_000, picture_bytes=20_000, piped=20)


def bulk(root: Path, runs: int) -> list[Section]:
    return _many(BULK, root, runs)


def small(root: Path, runs: int) -> list[Section]:
    return _many(SMALL, root, runs)


@contextmanager
def _served(root: Path, name: str) -> Iterator[tuple[Server, Path]]:
    """Serve a folder that does not exist yet, and remove it in the end."""
    data = root / name
    with nginx(root / "nginx", data) as server:
        try:
            yield server, data
        finally:
            shutil.rmtree(data, ignore_errors=True)


def _many(size: Size, root: Path, runs: int) -> list[Section]:
    with _served(root, size.name) as (server, data):
        made = make_workload(
            data,
            list(server.bases.values()),
            tasks=size.tasks,
            video_bytes=size.video_bytes,
            picture_bytes=size.picture_bytes,
        )
        return [
            _compare(size, scheme, number, workload, server, root, runs)
            for number, (scheme, workload) in enumerate(zip(server.bases, made, strict=True))
        ]


def _compare(
    size: Size,
    scheme: str,
    number: int,
    workload: Workload,
    server: Server,
    root: Path,
    runs: int,
) -> Section:
    base = server.bases[scheme]
    clients: dict[str, Run] = {
        OURS: ours.archive(f"{base}/{number}", workload.ids, ca=server.ca),
        FLOOR: peers.floor(workload, base, server.ca),
        **peers.downloaders(workload, base, server.ca),
    }
    slow: dict[str, Run] = {}
    if scheme == "http":
        slow = peers.collectors(workload, base, server.ca, tasks=size.piped)
        slow[PIPELINE] = peers.pipeline(workload, base, server.ca, tasks=size.piped)
    costs = medians({**clients, **slow}, runs, root)
    scaled = ""
    for name in slow:
        costs[name] = costs[name].times(size.tasks / size.piped)
        scaled = (
            f" The pipeline, yt-dlp and gallery-dl did {size.piped} of them; their times are"
            " multiplied."
        )
    section = Section(title=f"{size.name}, {scheme}")
    section.text = [
        f"{size.tasks} tasks: document, MP4 of {size.video_bytes:,} bytes, two JPEG of"
        f" {size.picture_bytes:,}; {workload.total_bytes / 1e6:.0f} MB.{scaled}",
        table(costs, total_bytes=workload.total_bytes),
    ]
    section.bars = {name: cost.cpu_s for name, cost in costs.items() if name not in slow}
    section.goals = _goals(section.title, costs, is_bulk=size is BULK)
    return section


def _goals(title: str, costs: dict[str, Cost], *, is_bulk: bool) -> list[Goal]:
    mine, floor = costs[OURS], costs[FLOOR]
    goals = []
    if PIPELINE in costs:
        piped = costs[PIPELINE]
        goals += [
            Goal(
                what=f"{title}: wall, of the pipeline's", found=mine.wall_s / piped.wall_s, most=0.1
            ),
            Goal(what=f"{title}: CPU, of the pipeline's", found=mine.cpu_s / piped.cpu_s, most=0.1),
        ]
    if is_bulk:
        digest = costs[WITH_DIGEST]
        goals += [
            Goal(what=f"{title}: wall, {WITH_DIGEST}", found=mine.wall_s / digest.wall_s, most=1),
            Goal(what=f"{title}: CPU, {WITH_DIGEST}", found=mine.cpu_s / digest.cpu_s, most=1.1),
        ]
    most = 1.5 if is_bulk else 4
    goals.append(Goal(what=f"{title}: CPU, floor", found=mine.cpu_s / floor.cpu_s, most=most))
    goals.append(Goal(what=f"{title}: peak memory", found=mine.peak_mib, most=MOST_MIB, unit="MiB"))
    return goals


def large(root: Path, runs: int) -> list[Section]:
    size_bytes = 2 << 30
    with _served(root, "large") as (server, data):
        base = server.bases["http"]
        workload = make_large(data, base, size_bytes=size_bytes)
        clients: dict[str, Run] = {
            OURS: ours.archive(f"{base}/0", workload.ids),
            FLOOR: peers.floor(workload, base, server.ca),
            **peers.downloaders(workload, base, server.ca),
        }
        costs = medians(clients, runs, root)
    section = Section(title="one file of 2 GB, http")
    section.text = [table(costs, total_bytes=size_bytes)]
    section.bars = {name: cost.cpu_s for name, cost in costs.items()}
    mine = costs[OURS]
    section.goals = [
        Goal(what="2 GB: CPU, floor", found=mine.cpu_s / costs[FLOOR].cpu_s, most=1.5),
        Goal(what="2 GB: peak memory", found=mine.peak_mib, most=MOST_MIB, unit="MiB"),
    ]
    return [section]
