"""Where a run's time goes, by `py-spy`: which part of archiver holds the interpreter."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

from benchmarks import ours
from benchmarks.data import make_workload
from benchmarks.measure import measured, program
from benchmarks.report import Section
from benchmarks.servers import nginx

CASES = (("bulk", 100, 8_000_000, 100_000), ("small", 500, 200_000, 20_000))
SAMPLES_PER_S = 997
LEAST_SHARE = 0.01
_PARTS = (
    ("start: imports", r"frozen importlib"),
    ("probe: PyAV", r"archiver/probe/(ffmpeg|timed|mp4|movie|boxes)"),
    ("probe: Pillow", r"archiver/probe/(pillow|stills|pictures)"),
    ("probe: gathering", r"archiver/probe/"),
    ("HTTP: httpx", r"/httpx/"),
    ("HTTP: own transport", r"archiver/transport/"),
    ("provider's answer", r"archiver/(providers|answers)/"),
    ("redaction", r"archiver/redaction/"),
    ("catalog and journal", r"archiver/catalog/"),
    ("store: files", r"archiver/stores/"),
    ("manifest and records", r"archiver/(manifest|records|draft|documents)"),
    ("fetch: digest and flow", r"archiver/fetch"),
    ("runner", r"archiver/runner"),
)


def profile(root: Path, runs: int) -> list[Section]:
    """Sample one run of each workload; `runs` does not matter."""
    section = Section(title="where the time goes")
    section.text = [
        f"Samples of one run, {SAMPLES_PER_S} a second, of whichever thread holds the interpreter"
        " lock: what system calls, digests and decoders do beside it is not among them."
    ]
    for name, tasks, video_bytes, picture_bytes in CASES:
        data = root / name
        with nginx(root / "nginx", data) as server:
            base = server.bases["http"]
            made = make_workload(
                data, [base], tasks=tasks, video_bytes=video_bytes, picture_bytes=picture_bytes
            )
            stacks = _sampled(root / "profiled", f"{base}/0", made[0].ids)
        shutil.rmtree(data)
        section.text.append(_table(name, tasks, stacks))
    return [section]


def _sampled(folder: Path, base: str, ids: tuple[str, ...]) -> Counter[str]:
    """Return how often each stack was seen, in py-spy's raw form: frames, outermost first."""
    folder.mkdir()
    ours.write_config(folder, base)
    (folder / "ids.txt").write_text("".join(f"{task_id}\n" for task_id in ids))
    words = [program("py-spy"), "record", "--gil", "-r", SAMPLES_PER_S, "-f", "raw", "-o", "stacks"]
    words += ["--", ours.PYTHON, "-m", "archiver", "-q", "archive", "-i", "ids.txt"]
    measured(words, folder, ours.environment())
    stacks: Counter[str] = Counter()
    for line in (folder / "stacks").read_text().splitlines():
        stack, _, number = line.rpartition(" ")
        stacks[stack] += int(number)
    shutil.rmtree(folder)
    return stacks


def _table(name: str, tasks: int, stacks: Counter[str]) -> str:
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, number in stacks.items():
        frames = stack.split(";")
        parts[_part_of(frames)] += number
        functions[_shown(frames[-1])] += number
    total = sum(stacks.values())
    lines = [f"| {name}, {tasks} tasks: {total / SAMPLES_PER_S:.2f} s | share |", "|---|--:|"]
    lines += [f"| {part} | {100 * n / total:.0f} % |" for part, n in parts.most_common()]
    top = [f"`{f}` {100 * n / total:.1f} %" for f, n in functions.most_common(12)]
    return "\n".join(lines) + "\n\nFunctions that were on top most often: " + ", ".join(top) + "."


def _part_of(frames: list[str]) -> str:
    """Return the part whose frame is the innermost one."""
    for frame in reversed(frames):
        for part, pattern in _PARTS:
            if re.search(pattern, frame):
                return part
    return "the rest"


def _shown(frame: str) -> str:
    function, _, place = frame.partition(" (")
    return f"{function} ({Path(place.partition(':')[0].rstrip(')')).name})"
