"""Late answers: archiver against the ideal, requests times latency by concurrency."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks import ours
from benchmarks.data import make_workload
from benchmarks.measure import Cost, medians
from benchmarks.report import Goal, Section
from benchmarks.servers import free_port, late, nginx

DEFAULT_WORKERS = 8
REQUESTS_PER_TASK = 4
CASES = ((0.03, 240), (0.15, 100))
SWEEP = (2, 4, 8, 16)


def latency(root: Path, runs: int) -> list[Section]:
    """Measure the default number of workers against its own ideal."""
    section = Section(title="latency")
    lines = [
        "| latency ms | tasks | requests | workers | ideal s | wall s | of the ideal | CPU s |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for delay_s, tasks in CASES:
        cost = _late_costs(root, runs, delay_s, tasks, (0,))[0]
        ideal_s = tasks * REQUESTS_PER_TASK * delay_s / DEFAULT_WORKERS
        lines.append(
            f"| {delay_s * 1000:.0f} | {tasks} | {tasks * REQUESTS_PER_TASK} | {DEFAULT_WORKERS}"
            f" | {ideal_s:.2f} | {cost.wall_s:.2f} | {cost.wall_s / ideal_s:.2f}"
            f" | {cost.cpu_s:.2f} |"
        )
        what = f"latency of {delay_s * 1000:.0f} ms: wall, ideal"
        section.goals.append(Goal(what=what, found=cost.wall_s / ideal_s, most=1.3))
    section.text = [
        "Each request is answered so much later; files of 200 KB and twice 20 KB.",
        "\n".join(lines),
    ]
    return [section]


def workers(root: Path, runs: int) -> list[Section]:
    """Measure numbers of workers without and with latency: what the default is chosen by."""
    head = " | ".join(f"{number} wall s / CPU s" for number in SWEEP)
    lines = [f"| case | {head} |", "|---|" + "--:|" * len(SWEEP)]
    for name, costs in _loopback(root, runs).items():
        lines.append(_sweep_line(name, costs))
    for delay_s, tasks in CASES:
        found = _late_costs(root, runs, delay_s, tasks, SWEEP)
        lines.append(_sweep_line(f"small, {delay_s * 1000:.0f} ms", found))
    return [Section(title="workers", text=["\n".join(lines)])]


def _sweep_line(name: str, costs: dict[int, Cost]) -> str:
    cells = (f"{costs[number].wall_s:.2f} / {costs[number].cpu_s:.2f}" for number in SWEEP)
    return f"| {name} | {' | '.join(cells)} |"


def _loopback(root: Path, runs: int) -> dict[str, dict[int, Cost]]:
    found = {}
    for name, tasks, size in (("bulk", 100, 8_000_000), ("small", 300, 200_000)):
        data = root / name
        with nginx(root / "nginx", data) as server:
            bases = list(server.bases.values())
            made = make_workload(
                data, bases, tasks=tasks, video_bytes=size, picture_bytes=size // 80 + 20_000
            )
            for number, (scheme, base) in enumerate(server.bases.items()):
                clients = {
                    str(many): ours.archive(
                        f"{base}/{number}", made[number].ids, ca=server.ca, workers=many
                    )
                    for many in SWEEP
                }
                costs = medians(clients, runs, root)
                found[f"{name}, {scheme}"] = {int(many): cost for many, cost in costs.items()}
        shutil.rmtree(data)
    return found


def _late_costs(
    root: Path, runs: int, delay_s: float, tasks: int, numbers: tuple[int, ...]
) -> dict[int, Cost]:
    data = root / "late"
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    made = make_workload(data, [base], tasks=tasks, video_bytes=200_000, picture_bytes=20_000)
    try:
        with late(data, port=port, delay_s=delay_s):
            clients = {
                str(many): ours.archive(f"{base}/0", made[0].ids, workers=many) for many in numbers
            }
            costs = medians(clients, runs, root)
    finally:
        shutil.rmtree(data)
    return {int(many): cost for many, cost in costs.items()}
