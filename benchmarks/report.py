"""Tables of ratios, the goals, and the plot."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.measure import Cost

OURS = "archiver"
COLOURS = ("#1b6ca8", "#c8553d", "#3d8b5f", "#8a5fa8", "#a8832b", "#4d4d4d")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One line of the goals' table."""

    what: str
    found: float
    most: float
    unit: str = "x"

    def line(self) -> str:
        verdict = "met" if self.found <= self.most else f"missed by {self.found / self.most:.2f}x"
        found, most = f"{self.found:.2f} {self.unit}", f"{self.most:g} {self.unit}"
        return f"| {self.what} | {found} | {most} | {verdict} |"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One command over the number of rows: (rows, seconds, MiB)."""

    name: str
    points: Sequence[tuple[int, float, float]]


@dataclass(slots=True, kw_only=True)
class Section:
    """What one benchmark found."""

    title: str
    text: list[str] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    bars: dict[str, float] = field(default_factory=dict)
    curves: list[Curve] = field(default_factory=list)


def table(costs: Mapping[str, Cost], *, total_bytes: int = 0) -> str:
    """Return a table of costs and ratios; above 1, archiver is the cheaper one."""
    ours = costs[OURS]
    lines = [
        "| client | wall s | CPU s | peak MiB | CPU s/GB | wall / archiver | CPU / archiver |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, cost in costs.items():
        per_gb = f"{cost.cpu_s / (total_bytes / 1e9):.2f}" if total_bytes else ""
        lines.append(
            f"| {name} | {cost.wall_s:.2f} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} | {per_gb}"
            f" | {cost.wall_s / ours.wall_s:.2f} | {cost.cpu_s / ours.cpu_s:.2f} |"
        )
    return "\n".join(lines)


def goals_table(sections: Sequence[Section]) -> str:
    lines = ["| goal | found | at most | |", "|---|--:|--:|---|"]
    lines += [goal.line() for section in sections for goal in section.goals]
    return "\n".join(lines)


def plot(sections: Sequence[Section]) -> str:
    """Draw CPU seconds as bars, and the catalog's commands as curves on logarithmic axes."""
    parts: list[str] = []
    y = 10.0
    for section in sections:
        if section.bars:
            y = _bars(parts, section, y)
    curves = [curve for section in sections for curve in section.curves]
    if curves:
        y = _curves(parts, curves, y)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{y:.0f}"'
        ' font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{html.escape(words)}</text>'


def _bars(parts: list[str], section: Section, y: float) -> float:
    parts.append(_text(10, y + 14, f"CPU seconds: {section.title}", 'font-weight="bold"'))
    y += 24
    longest = max(section.bars.values())
    for name, value in section.bars.items():
        width = 440 * value / longest
        colour = COLOURS[0] if name == OURS else "#b9c4cc"
        parts.append(_text(200, y + 12, name, 'text-anchor="end"'))
        parts.append(f'<rect x="208" y="{y:.1f}" width="{width:.1f}" height="15" fill="{colour}"/>')
        parts.append(_text(214 + width, y + 12, f"{value:.2f}"))
        y += 19
    return y + 16


def _curves(parts: list[str], curves: Sequence[Curve], y: float) -> float:
    from math import log10

    left, width, height = 60.0, 480.0, 300.0
    points = [point for curve in curves for point in curve.points]
    low_x, high_x = log10(min(p[0] for p in points)), log10(max(p[0] for p in points))
    low_y, high_y = log10(min(p[1] for p in points)), log10(max(p[1] for p in points))
    high_x, high_y = max(high_x, low_x + 0.1), max(high_y, low_y + 0.1)
    parts.append(_text(10, y + 14, "Wall seconds over rows in the catalog", 'font-weight="bold"'))
    top = y + 26

    def place(rows: float, seconds: float) -> tuple[float, float]:
        return (
            left + width * (log10(rows) - low_x) / (high_x - low_x),
            top + height * (high_y - log10(seconds)) / (high_y - low_y),
        )

    parts.append(
        f'<rect x="{left}" y="{top:.1f}" width="{width}" height="{height}" fill="none"'
        ' stroke="#999"/>'
    )
    for rows in sorted({point[0] for point in points}):
        x, _ = place(rows, 10**low_y)
        parts.append(_text(x, top + height + 16, f"{rows:,}", 'text-anchor="middle"'))
    for seconds in (0.1, 1.0, 10.0, 100.0):
        if low_y <= log10(seconds) <= high_y:
            _, line = place(10**low_x, seconds)
            parts.append(_text(left - 6, line + 4, f"{seconds:g} s", 'text-anchor="end"'))
            parts.append(f'<path d="M{left} {line:.1f}h{width}" stroke="#ddd" stroke-width="1"/>')
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(p[0], p[1])) for p in curve.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(
            _text(left + width + 12, top + 18 + 18 * number, curve.name, f'fill="{colour}"')
        )
    return top + height + 30
