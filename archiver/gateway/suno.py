"""Suno's tasks and endpoints, as gateways and as a wrapper of one's own account offer them.

Source: providers.md section 4 and rows 6 and 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from archiver.gateway.asking import asked_ids, every, find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import envelope, task_row, wrapped
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

NO_FILE = "https://cdn1.suno.ai/None.mp3"
"""What Suno gives as the link of a song that failed."""

_STATUS = {"complete": GatewayStatus.SUCCESS, "error": GatewayStatus.FAILURE}
_PAGE_SIZE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SunoClip:
    """One song of a task.

    Attributes:
        status: `complete`, `error`, or what it is before (`queued`, `streaming`).
        error: Why it failed.
        duration_s: As declared.
        stream: The link that plays it while it comes into being.
        video_pending: Whether its video is still being made.
    """

    clip_id: str
    title: str = "Leave It On"
    status: str = "complete"
    error: str | None = None
    duration_s: float | None = None
    audio: Link | None = None
    video: Link | None = None
    image: Link | None = None
    image_large: Link | None = None
    stream: Link | None = None
    video_pending: bool = False

    def document(
        self, links: LinkWriter, *, prompt: str, created_at: datetime | None
    ) -> JsonObject:
        """Return it as Suno reports it."""
        done = self.status == "complete"
        audio = self.audio if done else self.stream
        body: JsonObject = {
            "id": self.clip_id,
            "clip_id": self.clip_id,
            "title": self.title,
            "status": self.status,
            "audio_url": NO_FILE if self.status == "error" else _url(links, audio),
            "video_url": _url(links, self.video if done else None),
            "image_url": _url(links, self.image),
            "image_large_url": _url(links, self.image_large),
            "mv": "chirp-v4",
            "model_name": "chirp-v4",
            "is_video_pending": self.video_pending,
            "created_at": suno_date(created_at),
        }
        metadata: JsonObject = {
            "tags": "slow soul",
            "prompt": prompt,
            "duration": self.duration_s if done else None,
            "error_type": "moderation_failure" if self.error else None,
            "error_message": self.error,
        }
        return body | {"metadata": metadata}


@dataclass(frozen=True, slots=True, kw_only=True)
class SunoTask(GatewayTask):
    """One generation: usually two songs.

    Attributes:
        state: In the gateway's words; `None`: as its clips are.
    """

    platform: ClassVar[str] = "suno"
    action: ClassVar[str] = "MUSIC"

    envelopes: int = 1
    row: bool = True
    prompt: str = "[Verse]\nA lamp goes on across the bay\nAnd nobody is home"
    clips: tuple[SunoClip, ...] = ()
    state: GatewayStatus | None = None

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words: one song that is complete is a success."""
        states = [_STATUS.get(clip.status, GatewayStatus.IN_PROGRESS) for clip in self.clips]
        if self.state is not None or not states:
            return self.state or GatewayStatus.SUBMITTED
        if GatewayStatus.IN_PROGRESS in states:
            return GatewayStatus.IN_PROGRESS
        return GatewayStatus.SUCCESS if GatewayStatus.SUCCESS in states else GatewayStatus.FAILURE

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        failed = self.status(now) is GatewayStatus.FAILURE
        return next((clip.error for clip in self.clips if failed and clip.error), "")

    def document(self, links: LinkWriter) -> JsonValue:
        """Return its clips."""
        if self.body is not None:
            return self.body(links)
        return [
            clip.document(links, prompt=self.prompt, created_at=self.created_at)
            for clip in self.clips
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SunoLyricsTask(GatewayTask):
    """Words for a song.

    Attributes:
        text: Empty while it is at work, and when it failed.
        error: Why it failed.
    """

    platform: ClassVar[str] = "suno"
    action: ClassVar[str] = "LYRICS"

    envelopes: int = 1
    row: bool = True
    title: str = "Leave It On"
    text: str = ""
    error: str = ""

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        if self.error:
            return GatewayStatus.FAILURE
        return GatewayStatus.SUCCESS if self.text else GatewayStatus.IN_PROGRESS

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        return self.error

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the text; there are no links."""
        if self.body is not None:
            return self.body(links)
        state = "error" if self.error else "complete" if self.text else "running"
        return {
            "text": self.text,
            "title": self.title,
            "tags": ["soul", "slow"],
            "status": state,
            "error_message": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SunoService:
    """A gateway's endpoints.

    Attributes:
        batch: Whether `POST /suno/fetch` is there.
        batch_null: An answer without any task is `null`, not an empty list.
    """

    batch: bool = True
    batch_null: bool = False

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        single = Route(method="GET", path="/suno/fetch/{id}", answer=_get)
        batch = Route(method="POST", path="/suno/fetch", answer=self._batch)
        return (single, batch) if self.batch else (single,)

    def _batch(self, call: Call) -> Reply:
        """Answer for many ids: only those known, in the order of the table."""
        ids = asked_ids(call.request.body)
        if ids is None:
            return call.site.dialect.bad_request("ids must be a list of texts")
        tasks = [
            task
            for task in call.site.tasks()
            if isinstance(task, (SunoTask, SunoLyricsTask)) and task.task_id in ids
        ]
        rows: list[JsonValue] = [
            task_row(call.site, task, call.site.document(task)) for task in tasks
        ]
        found: JsonValue = None if self.batch_null and not rows else rows
        return json_reply(200, envelope(found)).about(sorted(ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class SunoWrapperService:
    """What a wrapper around one's own account offers: clips by their ids, and the library.

    It has no keys. Source: gcui-art/suno-api.
    """

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return (Route(method="GET", path="/api/get", answer=_library, open=True),)


def _get(call: Call) -> Reply:
    task = find(call.site, call.values[0], SunoTask) or find(
        call.site, call.values[0], SunoLyricsTask
    )
    if task is None:
        return call.site.dialect.unknown_task().about(call.values)
    return call.site.dialect.answer(wrapped(call.site, task)).about(call.values)


def _library(call: Call) -> Reply:
    """Answer clips with these ids, or one page of all, newest first."""
    params = call.request.params
    tasks = list(reversed(every(call.site, SunoTask)))
    clips: list[JsonValue] = []
    for task in tasks:
        document = call.site.document(task)
        clips += document if isinstance(document, list) else []
    ids = params.get("ids")
    if ids:
        wanted = set(ids.split(","))
        clips = [c for c in clips if isinstance(c, dict) and c["id"] in wanted]
    else:
        page = params.get("page", "0")
        start = int(page) * _PAGE_SIZE if page.isdecimal() and len(page) < 9 else 0
        clips = clips[start : start + _PAGE_SIZE]
    return json_reply(200, clips, like_go=False).about(task.task_id for task in tasks)


def suno_date(date: datetime | None) -> str | None:
    """Return a date as Suno writes it: UTC, milliseconds, `Z`."""
    if date is None:
        return None
    date = date.astimezone(UTC)
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"


def _url(links: LinkWriter, link: Link | None) -> str:
    return "" if link is None else links.url(link)
