"""What an archive must be after a fault of the machine, and how a test goes back to before it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from tests.bench import FOLDER, Bench, clip, picture
from tests.faultrig import Kind


def media_files(bench: Bench) -> list[Path]:
    """Return all files of tasks but manifests."""
    found = (path for path in (bench.store / "luma").rglob("*") if path.is_file())
    return [path for path in found if path.name != "manifest.json"]


def is_part(path: Path) -> bool:
    return path.name.endswith((".part", ".part.json"))


def nothing_half(bench: Bench, whole: set[str]) -> None:
    """Right after a kill: final names hold whole files, manifests speak of files that are there."""
    for path in media_files(bench):
        if not is_part(path):
            assert hashlib.sha256(path.read_bytes()).hexdigest() in whole, path
    for path in bench.store.rglob("manifest.json"):
        for record in json.loads(path.read_bytes())["assets"]:
            assert (path.parent / record["path"]).exists(), (path, record["path"])


def sound(bench: Bench, *tasks: str) -> None:
    """After the run that completes it: each file is in a manifest, and is what that says."""
    for path in bench.store.rglob("*"):
        assert not is_part(path), path
    named = set()
    for path in bench.store.rglob("manifest.json"):
        for record in json.loads(path.read_bytes())["assets"]:
            file = path.parent / record["path"]
            named.add(file)
            assert hashlib.sha256(file.read_bytes()).hexdigest() == record["sha256"], file
    assert set(media_files(bench)) == named
    for task_id in tasks:
        assert (bench.store / FOLDER / task_id / "manifest.json").exists(), task_id


def digests(*files: bytes) -> frozenset[str]:
    return frozenset(hashlib.sha256(data).hexdigest() for data in files)


def offer(bench: Bench, task_id: str, seed: int) -> list[bytes]:
    """Put a task with a clean video and both previews on the gateway."""
    data = [clip(seed), picture(seed), picture(seed + 50)]
    bench.task(
        task_id,
        video_raw=bench.host(f"/{task_id}/raw.mp4", data[0]),
        thumbnail=bench.host(f"/{task_id}/thumb.jpg", data[1], "image/jpeg"),
        last_frame=bench.host(f"/{task_id}/last.jpg", data[2], "image/jpeg"),
    )
    return data


class Snapshot:
    """Archive and state as they are now, to go back to."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench = bench
        self._folder = folder
        self._names = [name for name in ("archive", "state") if (bench.folder / name).exists()]
        for name in self._names:
            shutil.copytree(bench.folder / name, folder / name)

    def restore(self) -> None:
        for name in ("archive", "state"):
            shutil.rmtree(self._bench.folder / name, ignore_errors=True)
        for name in self._names:
            shutil.copytree(self._folder / name, self._bench.folder / name)


def worth_a_kill(calls: tuple[str, ...], *, all_of_them: bool = False) -> list[int]:
    """Return the numbers of calls to die before; of SQLite's writes in a row, the first and last.

    Args:
        all_of_them: Leave none out.
    """
    what = [call.partition(" ")[2] for call in calls]
    is_inner = [
        0 < i < len(what) - 1
        and what[i].startswith(f"{Kind.WRITE:d} /state/catalog.db")
        and what[i - 1] == what[i] == what[i + 1]
        for i in range(len(what))
    ]
    return [i + 1 for i in range(len(what)) if all_of_them or not is_inner[i]]
