"""archiver itself, as a user starts it: the command line in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measure import BIN, Cost, Run, measured

KEY = "BENCHMARK_API_KEY"
ROOT = Path(__file__).parent.parent
VENV = ROOT / ".tools" / "benchmark-venv"
ARCHIVER = VENV / "bin" / "archiver"
PYTHON = VENV / "bin" / "python"

_CONFIG = """\
state_dir = "state"
[store]
url = "archive"
[network]
allow_private_addresses = true
[run]
verify_share = "0%"
[[source]]
name = "luma"
provider = "luma"
base_url = "{base}"
api_key_env = "{key}"
inbox = ["inbox.txt"]
max_requests_per_second = 10000
"""
# The rate is the highest that a configuration may say: it limits nothing here.


def install() -> None:
    """Install archiver as its users have it: without what develops it, which httpx would load."""
    if not ARCHIVER.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", VENV], check=True)
        pip = [BIN / "python", "-m", "pip", "--quiet", "--python", PYTHON]
        subprocess.run([*pip, "install", "--editable", ROOT], check=True, stdout=sys.stderr)


def write_config(folder: Path, base: str) -> None:
    (folder / "archiver.toml").write_text(_CONFIG.format(base=base, key=KEY))


def environment(ca: Path | None = None) -> dict[str, str]:
    return {KEY: "nobody-checks-it", **({"SSL_CERT_FILE": str(ca)} if ca else {})}


def archive(base: str, ids: Iterable[str], *, ca: Path | None = None, workers: int = 0) -> Run:
    """Return a run of `archiver archive -i` over these ids, into a fresh archive."""
    text = "".join(f"{task_id}\n" for task_id in ids)

    def run(folder: Path) -> Cost:
        write_config(folder, base)
        (folder / "ids.txt").write_text(text)
        more = ["--workers", str(workers)] if workers else []
        return measured(
            [ARCHIVER, "-q", "archive", "-i", "ids.txt", *more], folder, environment(ca)
        )

    return run
