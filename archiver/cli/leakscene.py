"""What the leak test plays: tasks, answers and errors that carry secrets, and the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from archiver.gateway import Gateway, media
from archiver.gateway.faults import Redirect, Status
from archiver.gateway.gateway import USER_ID
from archiver.gateway.lumatask import LumaTask
from archiver.gateway.newapi import TaskListService
from archiver.gateway.records import RequestRecord
from archiver.gateway.services import provider_services
from archiver.gateway.signing import Signer
from archiver.gateway.tasks import Link

BODY_NAME = "posted-body.json"
FRESH_TASK = "fresh"
_SIZE = {"width": 96, "height": 160}
_ASKED = ("clean", "told", "dead", "page", "moved", "nowhere", "inside", "failed", "unknown", "bad")


class Secrets(Protocol):
    """The canaries."""

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def header(self) -> str: ...  # noqa: D102

    @property
    def user_token(self) -> str: ...  # noqa: D102

    @property
    def signature(self) -> str: ...  # noqa: D102

    @property
    def password(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class _CanarySigner(Signer):
    """Has one signature for all links, so that it can be looked for."""

    signature: str = field(repr=False)

    def _signature(self, method: str, path: str, query: str, host: str, stamp: str) -> str:
        return self.signature


class Scene:
    """A gateway, a configuration and the commands.

    Args:
        folder: Empty; archive, state and configuration are made in it.
        secrets: What must not get out.
    """

    def __init__(self, *, folder: Path, secrets: Secrets) -> None:
        self._folder = folder
        self._secrets = secrets
        token = TaskListService(user_token=secrets.user_token, user_id=USER_ID)
        signer = _CanarySigner(
            access_key="canary", secret_key=secrets.signature, signature=secrets.signature
        )
        services = (*provider_services(), token)
        self._gateway = Gateway(api_key=secrets.key, services=services, signer=signer)

    @contextmanager
    def gateway(self) -> Iterator[None]:
        """Have the gateway up, with all its tasks, and everything written down to ask for them."""
        with self._gateway:
            self._put_tasks()
            self._write_files()
            yield

    def requests(self) -> tuple[RequestRecord, ...]:
        """Return what was asked of the gateway."""
        return self._gateway.requests

    # --- what the gateway says ------------------------------------------------------------------

    @staticmethod
    def _link(path: str) -> Link:
        return Link(path=path, lifetime_s=3600)

    @property
    def words(self) -> str:
        """A sentence with every secret in it, as an error or an answer may repeat them."""
        secrets = self._secrets
        link = f"http://user:{secrets.password}@127.0.0.1/x.mp4?X-Amz-Signature={secrets.signature}"
        return (
            f"GET {link} with Authorization: Bearer {secrets.key}, {secrets.key},"
            f" {secrets.header} failed"
        )

    def _put_tasks(self) -> None:
        gateway, secrets = self._gateway, self._secrets
        video = media.video_bytes(width=96, height=160, seconds=0.3)
        picture = media.image_bytes(width=96, height=160)
        gateway.host("/clean.mp4", video, media_type="video/mp4")
        gateway.host("/clean.jpg", picture, media_type="image/jpeg")
        said = self.words
        created = gateway.now() - timedelta(hours=2)
        self._put("clean", created, self._link("/clean.mp4"), thumbnail=self._link("/clean.jpg"))
        self._put("told", created, self._link("/clean.mp4"), prompt=said)
        self._put(FRESH_TASK, created, self._link("/clean.mp4"), listed=False)
        self._put("posted", created, self._link("/clean.mp4"))
        self._put("dead", created, self._link("/dead.mp4"))
        self._put("page", created, self._link("/page.mp4"))
        gateway.script("/page.mp4", Status(status=200, body=said.encode()), always=True)
        self._put("moved", created, self._link("/moved.mp4"))
        there = f"/clean.mp4?X-Amz-Signature={secrets.signature}"
        gateway.script("/moved.mp4", Redirect(location=there), always=True)
        self._put("nowhere", created, self._link("/nowhere.mp4"))
        lost = f"ftp://user:{secrets.password}@127.0.0.1/x?X-Amz-Signature={secrets.signature}"
        gateway.script("/nowhere.mp4", Redirect(location=lost), always=True)
        inside = f"http://user:{secrets.password}@127.0.0.1:1/x?sig={secrets.signature}"
        self._put("inside", created, Link(url=inside))
        gateway.put(
            LumaTask(task_id="failed", created_at=created, state="failed", failure_reason=said)
        )
        gateway.script(
            "*/generations/bad",
            Status(status=500, body=said.encode()),
            Status(status=400, body=json.dumps({"error": {"message": said}}).encode()),
            Status(status=401, body=json.dumps({"error": {"message": said}}).encode()),
        )
        gateway.script("/ping/*", Status(status=200), always=True)

    def _put(self, task_id: str, created: datetime, video: Link, **more: object) -> None:
        settings = {"created_at": created, "video_raw": video, **_SIZE, **more}
        self._gateway.put(LumaTask(task_id=task_id, **settings))  # type: ignore[arg-type]

    # --- how it is asked ------------------------------------------------------------------------

    def _write_files(self) -> None:
        base = self._gateway.base_url
        keep = f"import pathlib, sys; pathlib.Path({str(self._folder / 'hook.json')!r})"
        hook = json.dumps([sys.executable, "-c", f"{keep}.write_text(sys.stdin.read())"])
        source = f"""provider = "luma"
base_url = "{base}"
api_key_env = "LEAK_KEY"
max_requests_per_second = 500
headers = {{ X-Extra = "env:LEAK_HEADER" }}
"""
        (self._folder / "archiver.toml").write_text(
            f"""state_dir = "state"
[store]
url = "archive"
min_free = "0"
[download]
max_attempts = 2
timeout = "5s"
[network]
allow_private_addresses = true
[notify]
healthcheck_url = "{base}/ping"
metrics_file = "metrics.prom"
command = {hook}
[[source]]
name = "luma"
inbox = ["inbox.txt"]
list = true
{source}
[[source]]
name = "other"
list = "gateway"
user_token_env = "LEAK_USER_TOKEN"
user_id = "{USER_ID}"
{source}""",
            encoding="utf-8",
        )
        (self._folder / "inbox.txt").write_text("clean\nfailed\nnone-such\n", encoding="utf-8")
        body = json.dumps(self._gateway.answer("posted"))
        (self._folder / BODY_NAME).write_text(body, encoding="utf-8")

    def environment(self) -> Mapping[str, str]:
        """Return the variables in which the keys are."""
        return {
            "LEAK_KEY": self._secrets.key,
            "LEAK_HEADER": self._secrets.header,
            "LEAK_USER_TOKEN": self._secrets.user_token,
            "HOME": str(self._folder),
            "NO_PROXY": "*",
        }

    def options(self) -> list[str]:
        """Return what every command is given."""
        return ["-vv", "-c", "archiver.toml"]

    def commands(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each command with its name; when one is taken the one before it is over."""
        options = self.options()
        tasks = [f"luma:{name}" for name in _ASKED]
        body = ["ingest", "--source", "luma", BODY_NAME]
        lines: list[tuple[str, list[str]]] = [
            ("config check", ["config", "check"]),
            ("config show", ["config", "show"]),
            ("doctor", ["doctor"]),
            ("archive", ["archive", *tasks]),
            ("archive, the key refused", ["archive", "--json", "luma:told", "luma:bad"]),
            ("ingest", body),
            ("run", ["run"]),
            ("run --json", ["run", "--json"]),
            ("list", ["list", "--json"]),
            ("status", ["status", "--runs", "--json"]),
            ("show", ["show", "--json", "luma:told", "luma:failed"]),
            ("verify", ["verify", "--full", "--decode"]),
            ("forget", ["forget", "luma:dead", "--reason", "a dead link"]),
            ("reindex", ["reindex"]),
        ]
        for name, args in lines:
            yield name, [*args, *options]

    @staticmethod
    def codes() -> Mapping[str, int]:
        """Return how the commands must end for the test to have tried what it says."""
        return {
            "doctor": 0,
            "archive": 3,
            "archive, the key refused": 4,
            "ingest": 0,
            "list": 0,
            "verify": 0,
            "reindex": 0,
            "a bug in a task": 1,
            "a bug in a command": 1,
        }
