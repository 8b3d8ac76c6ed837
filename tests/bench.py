"""What system tests have in common: tasks on a gateway, an archive beside it, looks into both."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from archiver import ArchiveReport, archive, load_config
from archiver.gateway import Gateway, media
from archiver.gateway.lumatask import LumaTask
from archiver.gateway.tasks import Link
from tests.gatewayfixture import Completed, Setting, key_env, run_cli, write_config

WIDTH, HEIGHT = 96, 160
CREATED_AT = datetime(2024, 10, 15, 8, 56, 19, 325000, tzinfo=UTC)
FOLDER = "luma/2024/10/15"


@functools.cache
def clip(seed: int, **settings: Any) -> bytes:
    """Return a small real video; another seed, other bytes."""
    return media.video_bytes(width=WIDTH, height=HEIGHT, seconds=0.5, seed=seed, **settings)


@functools.cache
def long_clip(seed: int) -> bytes:
    """Return a real video of some 600 KB, for cuts in the middle."""
    return media.video_bytes(width=320, height=240, seconds=1.0, seed=seed, bit_rate=8_000_000)


@functools.cache
def picture(seed: int) -> bytes:
    """Return a small real JPEG."""
    return media.image_bytes(width=WIDTH, height=HEIGHT, seed=seed)


class Bench:
    """One archive, one gateway, one configuration.

    Args:
        folder: Holds archive, state and configuration.
        overrides: Of the configuration, by section.
    """

    def __init__(self, folder: Path, gateway: Gateway, **overrides: Setting) -> None:
        self.folder = folder
        self.gateway = gateway
        self.config_path = folder / "archiver.toml"
        self.configure(**overrides)

    def configure(self, **overrides: Setting) -> None:
        """Write the configuration anew: quick retries unless a test says otherwise."""
        usual: dict[str, Setting] = {"max_attempts": 2, "timeout": "2s", "workers": 4}
        given = overrides.pop("download", {})
        merged = {**usual, **(given if isinstance(given, Mapping) else {})}
        write_config(self.folder, self.gateway, download=merged, **overrides)

    # --- the gateway ----------------------------------------------------------------------------

    def host(self, path: str, data: bytes, media_type: str = "video/mp4", **more: Any) -> Link:
        """Serve bytes on the assets origin; return a link to them."""
        self.gateway.host(path, data, media_type=media_type, **more)
        return Link(path=path)

    def task(self, task_id: str, **settings: Any) -> LumaTask:
        """Put a finished task on the gateway: declared as it is, with what the test gives it."""
        usual: dict[str, Any] = {
            "created_at": CREATED_AT,
            "prompt": f"prompt of {task_id}"[:200],
            "width": WIDTH,
            "height": HEIGHT,
        }
        task = LumaTask(task_id=task_id, **{**usual, **settings})
        self.gateway.put(task)
        return task

    def clean_task(self, task_id: str, seed: int = 1, **settings: Any) -> bytes:
        """Put a task with a clean video on the gateway; return its bytes."""
        data = clip(seed)
        self.task(task_id, video_raw=self.host(f"/raw/{seed}/{len(task_id)}.mp4", data), **settings)
        return data

    # --- archiving ------------------------------------------------------------------------------

    def archive(self, *tasks: str, **options: Any) -> ArchiveReport:
        """Archive in this process."""
        config = load_config(self.config_path)
        return archive(config, tasks, environ=key_env(self.gateway), **options)

    def cli(
        self, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> Completed:
        """Run the real command line on this bench's configuration."""
        words: Sequence[str] = ("-c", str(self.config_path), *args)
        return run_cli(words, {**key_env(self.gateway), **(env or {})}, self.folder, stdin)

    # --- looking --------------------------------------------------------------------------------

    @property
    def store(self) -> Path:
        """The archive's folder."""
        return self.folder / "archive"

    def manifest(self, task_id: str, folder: str = FOLDER) -> dict[str, Any]:
        """Return a task's manifest."""
        found = json.loads((self.store / folder / task_id / "manifest.json").read_bytes())
        assert isinstance(found, dict)
        return found

    def files(self, task_id: str, folder: str = FOLDER) -> list[str]:
        """Return the names in a task's folder."""
        return sorted(path.name for path in (self.store / folder / task_id).iterdir())

    def video(self, task_id: str) -> dict[str, Any]:
        """Return the manifest's record of the main output, after checking it against the file."""
        record: dict[str, Any] = self.manifest(task_id)["assets"][0]
        data = (self.store / FOLDER / task_id / record["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["sha256"]
        assert len(data) == record["size_bytes"]
        return record

    def asked(self, path: str) -> int:
        """Return how many requests a path had."""
        return sum(request.path == path for request in self.gateway.requests)

    def everything(self) -> dict[str, bytes]:
        """Return all files of archive and state, by name."""
        roots = (self.store, self.folder / "state")
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for root in roots
            if root.exists()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
