"""What system tests of archives in S3 have in common: a bench with a bucket, looks into it."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.gateway import Gateway, media
from tests import s3servers
from tests.bench import Bench
from tests.gatewayfixture import Completed, Setting, cli_env, key_env

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "studio/generations"


class S3Bench(Bench):
    """A bench whose store is a bucket of its own."""

    def __init__(
        self, folder: Path, gateway: Gateway, server: s3servers.S3Server, **overrides: Setting
    ) -> None:
        self.server = server
        self.bucket = server.make_bucket(f"b{os.getpid()}-{time.time_ns()}")
        url = f"s3://{self.bucket}/{PREFIX}"
        super().__init__(folder, gateway, store={"url": url}, **overrides)
        with self.config_path.open("a", encoding="utf-8") as file:
            file.write(f'\n[store.s3]\nendpoint_url = "{server.endpoint_url}"\n')
            file.write('region = "us-east-1"\npart_size = "5MiB"\n')

    def run(self, *args: str) -> Completed:
        """Run the real command line with the server's keys in its environment."""
        return self.cli(*args, env=self.server.environment())

    def keys(self, client: S3Client) -> list[str]:
        """Return what the bucket holds, below the prefix."""
        found = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return sorted(entry["Key"].removeprefix(f"{PREFIX}/") for entry in found)


def large_file(folder: Path, size_bytes: int) -> Path:
    """Make a real video that a last, unused box fills up to a size; sparse on disk."""
    data = media.video_bytes(width=320, height=240, seconds=1, faststart=False)
    folder.mkdir(exist_ok=True)
    path = folder / "large.mp4"
    with path.open("wb") as file:
        file.write(data + struct.pack(">I4sQ", 1, b"free", size_bytes - len(data)))
        file.truncate(size_bytes)
    return path


def open_uploads(client: S3Client, bucket: str) -> int:
    try:
        return len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))
    except client.exceptions.NoSuchUpload:
        return 0  # rclone, when there are none


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run took: its code, most memory at once, most bytes that lay on the local disk."""

    code: int
    peak_kib: int
    disk_bytes: int


def measured(s3: S3Bench, *args: str) -> Cost:
    """Run the real command line, where no file can be larger than 3 MB, and look at what it takes.

    `ru_maxrss` is no use: a child's begins with what its parent had when it forked.
    """
    env = cli_env({**key_env(s3.gateway), **s3.server.environment()}, s3.folder)
    env["TMPDIR"] = str(s3.folder)
    command = [sys.executable, "-m", "archiver", "-c", str(s3.config_path), *args]
    process = subprocess.Popen(command, env=env, cwd=s3.folder, stdout=subprocess.DEVNULL)
    if sys.platform == "linux":
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
    peak_kib = disk_bytes = 0
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):  # SQLite's come and go
            sizes = [path.stat().st_size for path in s3.folder.rglob("*") if path.is_file()]
            disk_bytes = max(disk_bytes, sum(sizes))
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            if found := re.search(r"VmHWM:\s+(\d+) kB", status):
                peak_kib = max(peak_kib, int(found[1]))
        time.sleep(0.02)
    return Cost(code=process.returncode, peak_kib=peak_kib, disk_bytes=disk_bytes)
