"""Into S3: archiver against `rclone copy` and `aws s3 cp`, the same bytes on the same server.

archiver fetches the files over HTTP from a gateway on loopback, digests and probes them, and writes
manifests; the peers copy the same files from the local disk. So archiver does strictly more work.
Medians of five runs, each into a fresh prefix; the servers and all clients share the machine.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archiver.gateway import Gateway, media
from archiver.gateway.lumatask import LumaTask
from archiver.gateway.tasks import Link
from tests import s3servers
from tests.gatewayfixture import KEY_VARIABLE, cli_env

FILES = 40
FILE_BYTES = 8 << 20
RUNS = 5
BUCKET = "benchmark"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One run: seconds on the wall, seconds of CPU in the client."""

    wall_s: float
    cpu_s: float


def measured(args: list[str], env: dict[str, str], cwd: Path) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    subprocess.run(args, env=env, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    wall_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s=wall_s, cpu_s=cpu_s)


def make_files(folder: Path) -> list[Path]:
    """Make real videos of one size: a short clip, and a last box that fills the file up."""
    folder.mkdir()
    paths = []
    for number in range(FILES):
        clip = media.video_bytes(width=320, height=240, seconds=0.5, seed=number)
        filling = FILE_BYTES - len(clip)
        box = filling.to_bytes(4, "big") + b"free"
        path = folder / f"{number}.mp4"
        path.write_bytes(clip + box + os.urandom(filling - len(box)))
        paths.append(path)
    return paths


def archiver_run(
    root: Path, gateway: Gateway, server: s3servers.S3Server, env: dict[str, str]
) -> Callable[[int], Cost]:
    def run(number: int) -> Cost:
        folder = root / f"archiver-{number}"
        folder.mkdir()
        (folder / "archiver.toml").write_text(
            f"""state_dir = "state"
[store]
url = "s3://{BUCKET}/archiver-{number}"
[store.s3]
endpoint_url = "{server.endpoint_url}"
region = "us-east-1"
[network]
allow_private_addresses = true
[[source]]
name = "luma"
provider = "luma"
base_url = "{gateway.base_url}"
api_key_env = "{KEY_VARIABLE}"
max_requests_per_second = 1000
"""
        )
        ids = [f"t{task}" for task in range(FILES)]
        return measured([sys.executable, "-m", "archiver", "-q", "archive", *ids], env, folder)

    return run


def rclone_run(
    root: Path, server: s3servers.S3Server, env: dict[str, str]
) -> Callable[[int], Cost]:
    remote = {
        **env,
        "RCLONE_CONFIG_B_TYPE": "s3",
        "RCLONE_CONFIG_B_PROVIDER": "SeaweedFS",
        "RCLONE_CONFIG_B_ENV_AUTH": "true",
        "RCLONE_CONFIG_B_ENDPOINT": server.endpoint_url,
        "RCLONE_CONFIG_B_REGION": "us-east-1",
    }
    binary = s3servers.program("rclone")

    def run(number: int) -> Cost:
        target = f"b:{BUCKET}/rclone-{number}"
        args = [binary, "copy", "--config", "", "--transfers", "8", "files", target]
        return measured(args, remote, root)

    return run


def aws_run(root: Path, server: s3servers.S3Server, env: dict[str, str]) -> Callable[[int], Cost]:
    binary = shutil.which("aws", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if binary is None:
        raise SystemExit("aws is not installed; `pip install awscli` (dev.py bench does)")

    def run(number: int) -> Cost:
        target = f"s3://{BUCKET}/aws-{number}/"
        url = ["--endpoint-url", server.endpoint_url, "--region", "us-east-1"]
        args = [binary, "s3", "cp", "--recursive", "--only-show-errors", *url, "files", target]
        return measured(args, env, root)

    return run


def main() -> None:
    """Measure and print."""
    root = Path(tempfile.mkdtemp(prefix="archiver-bench-"))
    try:
        with s3servers.seaweedfs() as servers, Gateway() as gateway:
            server = servers["seaweedfs-http"]
            server.make_bucket(BUCKET)
            for number, path in enumerate(make_files(root / "files")):
                gateway.host(f"/{number}.mp4", path, media_type="video/mp4")
                gateway.put(LumaTask(task_id=f"t{number}", video_raw=Link(path=f"/{number}.mp4")))
            env = cli_env({KEY_VARIABLE: gateway.api_key, **server.environment()}, root)
            runs = {
                "rclone copy": rclone_run(root, server, env),
                "aws s3 cp": aws_run(root, server, env),
                "archiver": archiver_run(root, gateway, server, env),
            }
            costs: dict[str, list[Cost]] = {name: [] for name in runs}
            for number in range(RUNS):
                for name, run in runs.items():
                    costs[name].append(run(number))
        show(costs)
    finally:
        shutil.rmtree(root)


def show(costs: dict[str, list[Cost]]) -> None:
    walls = {
        name: statistics.median(cost.wall_s for cost in found) for name, found in costs.items()
    }
    cpus = {name: statistics.median(cost.cpu_s for cost in found) for name, found in costs.items()}
    total_mb = FILES * FILE_BYTES / 1e6
    print(f"into S3 (SeaweedFS, http): {FILES} files of {FILE_BYTES >> 20} MiB, {RUNS} runs")
    print("| client | wall s | MB/s | CPU s | wall against archiver | CPU against archiver |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in costs:
        print(
            f"| {name} | {walls[name]:.2f} | {total_mb / walls[name]:.0f} | {cpus[name]:.2f}"
            f" | {walls[name] / walls['archiver']:.2f} | {cpus[name] / cpus['archiver']:.2f} |"
        )
