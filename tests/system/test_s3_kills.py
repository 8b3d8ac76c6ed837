"""SIGKILL before, within and after every request that changes a bucket: nothing lost, nothing half.

As `test_kills` does for a folder: each case is a bucket as it was, a run that is killed, a look at
what the kill left, a run that completes it. The requests go through a proxy that counts them, to
real servers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from archiver.gateway.tasks import Link
from tests.bench import FOLDER, clip, picture
from tests.faultrig import Rig, linux
from tests.s3archive import PREFIX, S3Bench, large_file, open_uploads
from tests.s3proxy import Asked, Rule, S3Proxy, Wrong

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [
    pytest.mark.s3,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not linux(), reason="forks a process that has threads of libraries"),
]

PARTS_BYTES = 6 << 20
"""Two parts: 5 MiB and the rest."""

When = Literal["before", "half", "after"]


class Bucket:
    """What lies in a bench's bucket, to be looked at and put back."""

    def __init__(self, s3: S3Bench, client: S3Client) -> None:
        self._s3 = s3
        self._client = client

    def read(self) -> dict[str, tuple[bytes, str]]:
        """Return bytes and media type of each object, by its key below the prefix."""
        found: dict[str, tuple[bytes, str]] = {}
        for key in self._s3.keys(self._client):
            answer = self._client.get_object(Bucket=self._s3.bucket, Key=f"{PREFIX}/{key}")
            found[key] = (answer["Body"].read(), answer["ContentType"])
        return found

    def write(self, content: dict[str, tuple[bytes, str]]) -> None:
        """Make the bucket hold this and nothing else."""
        for key in self._s3.keys(self._client):
            if key not in content:
                self._client.delete_object(Bucket=self._s3.bucket, Key=f"{PREFIX}/{key}")
        for key, (data, media_type) in content.items():
            self._client.put_object(
                Bucket=self._s3.bucket, Key=f"{PREFIX}/{key}", Body=data, ContentType=media_type
            )
        for upload in self._uploads():
            self._client.abort_multipart_upload(Bucket=self._s3.bucket, **upload)

    def _uploads(self) -> list[dict[str, str]]:
        with contextlib.suppress(self._client.exceptions.NoSuchUpload):
            answer = self._client.list_multipart_uploads(Bucket=self._s3.bucket)
            return [
                {"Key": found["Key"], "UploadId": found["UploadId"]}
                for found in answer.get("Uploads", [])
            ]
        return []


@dataclass(frozen=True)
class Scenario:
    """What is killed, and what then has to be there.

    Attributes:
        args: The command; run again, it must complete.
        whole: Digests of all that may stand under a media file's final name.
        tasks: Archived in the end.
    """

    args: tuple[str, ...]
    whole: frozenset[str]
    tasks: tuple[str, ...]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def offer(s3: S3Bench, task_id: str, seed: int, folder: Path) -> frozenset[str]:
    """Put a task on the gateway: a video of two parts, and a thumbnail."""
    path = large_file(folder / f"{task_id}-{seed}", PARTS_BYTES + seed)
    s3.gateway.host(f"/{task_id}/{seed}.mp4", path, media_type="video/mp4")
    thumbnail = s3.host(f"/{task_id}/{seed}.jpg", picture(seed), "image/jpeg")
    video = Link(path=f"/{task_id}/{seed}.mp4")
    s3.task(task_id, video_raw=video, thumbnail=thumbnail, width=320, height=240)
    return frozenset((digest(path.read_bytes()), digest(picture(seed))))


def first_ever(s3: S3Bench, rig: Rig, folder: Path) -> Scenario:
    return Scenario(("archive", "t"), offer(s3, "t", 1, folder), ("t",))


def better_copy(s3: S3Bench, rig: Rig, folder: Path) -> Scenario:
    s3.task("t", video=s3.host("/t_watermarked.mp4", clip(1)))
    assert rig.run(s3, "archive", "t").code == 0
    whole = offer(s3, "t", 2, folder) | {digest(clip(1))}
    return Scenario(("archive", "t", "--again"), whole, ("t",))


def changed_bytes(s3: S3Bench, rig: Rig, folder: Path) -> Scenario:
    before = offer(s3, "t", 1, folder)
    assert rig.run(s3, "archive", "t").code == 0
    return Scenario(("archive", "t", "--again"), before | offer(s3, "t", 2, folder), ("t",))


def forgotten(s3: S3Bench, rig: Rig, folder: Path) -> Scenario:
    whole = offer(s3, "t", 1, folder)
    assert rig.run(s3, "archive", "t").code == 0
    return Scenario(("forget", "t", "--reason", "mine no more", "--delete"), whole, ())


SCENARIOS: dict[str, Callable[[S3Bench, Rig, Path], Scenario]] = {
    "first ever": first_ever,
    "better copy": better_copy,
    "changed bytes": changed_bytes,
    "forgotten": forgotten,
}


def kill_at(number: int, when: When) -> Rule:
    """Kill the process at one changing request; the server gets none, half or all of it."""

    def rule(asked: Asked) -> Wrong | None:
        return Wrong(when=when, kill=True) if asked.number == number else None

    return rule


def moments(change: Asked, *, probes: bool) -> tuple[When, ...]:
    """Return when to kill; whatever follows an answer that only bookkeeping gets is the next kill.

    Args:
        probes: Also while the store is tried at the beginning.
    """
    if "/.archiver/probe-" in change.target:
        return ("before", "after") if probes else ()
    if "/luma/" not in change.target:
        return ("before",)
    return ("before", "half", "after") if change.size >= 5 << 20 else ("before", "after")


def nothing_half(there: dict[str, tuple[bytes, str]], whole: frozenset[str], where: str) -> None:
    """Right after a kill: final names hold whole files, manifests speak of files that are there."""
    for key, (data, _) in there.items():
        if not key.startswith("luma/"):
            continue
        if not key.endswith(("manifest.json", ".part.json")):
            assert digest(data) in whole, f"{where}: {key}"
        elif key.endswith("manifest.json"):
            for record in json.loads(data)["assets"]:
                assert key.removesuffix("manifest.json") + record["path"] in there, where


def sound(there: dict[str, tuple[bytes, str]], tasks: tuple[str, ...], where: str) -> None:
    """After the run that completes it: each object is in a manifest, and is what that says."""
    named: set[str] = set()
    for key, (data, _) in there.items():
        if key.startswith("luma/") and key.endswith("manifest.json"):
            named.add(key)
            for record in json.loads(data)["assets"]:
                name = key.removesuffix("manifest.json") + record["path"]
                named.add(name)
                assert digest(there[name][0]) == record["sha256"], f"{where}: {name}"
                assert there[name][1] == record["media_type"], f"{where}: {name}"
    assert {key for key in there if key.startswith("luma/")} == named, where
    assert not [key for key in there if "/probe-" in key], where
    for task_id in tasks:
        assert f"{FOLDER}/{task_id}/manifest.json" in there, where


def states(folder: Path) -> tuple[Path, Path]:
    return folder / "state", folder / "state-before"


@pytest.mark.parametrize(
    ("s3_server", "name"),
    [
        *(("seaweedfs-http", name) for name in SCENARIOS),
        ("rclone-http", "better copy"),
    ],
    indirect=["s3_server"],
)
def test_killed_at_every_change(
    proxied: S3Bench, s3_rig: Rig, proxy: S3Proxy, client: S3Client, tmp_path: Path, name: str
) -> None:
    """SIGKILL at the 1st, 2nd, … request that changes the bucket; the next run completes it."""
    s3, rig = proxied, s3_rig
    scenario = SCENARIOS[name](s3, rig, tmp_path)
    bucket = Bucket(s3, client)
    before = bucket.read()
    state, state_before = states(s3.folder)
    if state.exists():
        shutil.copytree(state, state_before)
    proxy.begin()
    counted = rig.run(s3, *scenario.args)
    assert counted.code == 0, counted
    changes = proxy.changes()
    for change in changes:
        for when in moments(change, probes=name == "first ever"):
            where = f"killed {when} {change}"
            bucket.write(before)
            shutil.rmtree(state, ignore_errors=True)
            if state_before.exists():
                shutil.copytree(state_before, state)
            proxy.begin(kill_at(change.number, when))
            killed = rig.run(s3, *scenario.args)
            assert killed.code == -9, f"{where}: {killed}"
            proxy.begin()
            nothing_half(bucket.read(), scenario.whole, where)
            again = rig.run(s3, *scenario.args)
            assert (again.code, again.err) == (0, ""), f"{where}: {again}"
            assert open_uploads(client, s3.bucket) == 0, where
            sound(bucket.read(), scenario.tasks, where)
    verified = rig.run(s3, "verify", "--full")
    assert verified.code == 0, verified
