"""Udio's tasks and endpoints, as gateways offer them.

Source: providers.md section 5 and row 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from archiver.gateway.asking import every, find
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import envelope, task_row
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue


class UdioForm(StrEnum):
    """Where a gateway's row has the songs."""

    ROW_SONGS = "data.songs"
    DATA_SONGS = "data.data.songs"


@dataclass(frozen=True, slots=True, kw_only=True)
class UdioSong:
    """One song of a task.

    Attributes:
        error: Why it failed.
        duration_s: As declared.
        artist_image: A picture of the account, which is nobody's output.
    """

    song_id: str
    title: str = "The Untitled"
    finished: bool = True
    error: str | None = None
    duration_s: float | None = None
    audio: Link | None = None
    video: Link | None = None
    image: Link | None = None
    artist_image: Link | None = None

    def document(self, links: LinkWriter, task: UdioTask) -> JsonObject:
        """Return it as Udio reports it."""
        made = self.finished and not self.error
        body: JsonObject = {
            "id": self.song_id,
            "title": self.title,
            "artist": "QuietValve0337",
            "artist_image": _url(links, self.artist_image),
            "lyrics": "",
            "prompt": task.prompt,
            "tags": ["nu jazz", "downtempo"],
            "duration": self.duration_s if made else None,
            "finished": self.finished and not self.error,
            "song_path": _url(links, self.audio) if made else None,
            "image_path": _url(links, self.image) if made else None,
            "video_path": _url(links, self.video) if made else None,
            "created_at": _date(task.created_at),
            "generation_id": task.task_id,
        }
        return body | {
            "error_id": "e-77" if self.error else None,
            "error_code": None,
            "error_type": "MODERATION" if self.error else None,
            "error_detail": self.error,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UdioTask(GatewayTask):
    """One generation: usually two songs."""

    platform: ClassVar[str] = "udio"
    action: ClassVar[str] = "udio-generate"

    form: UdioForm = UdioForm.ROW_SONGS
    prompt: str = "saxophone, lyrical, night, town"
    songs: tuple[UdioSong, ...] = ()

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        if self.songs and all(song.error for song in self.songs):
            return GatewayStatus.FAILURE
        finished = self.songs and all(song.finished or song.error for song in self.songs)
        return GatewayStatus.SUCCESS if finished else GatewayStatus.IN_PROGRESS

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        failed = self.status(now) is GatewayStatus.FAILURE
        return next((song.error for song in self.songs if failed and song.error), "")

    def document(self, links: LinkWriter) -> JsonValue:
        """Return its songs."""
        if self.body is not None:
            return self.body(links)
        return {"songs": [song.document(links, self) for song in self.songs]}


@dataclass(frozen=True, slots=True, kw_only=True)
class UdioService:
    """A gateway's endpoints.

    Attributes:
        fetch: Whether a generation can be asked for by its id.
        query: Whether songs can be asked for by their ids.
    """

    fetch: bool = True
    query: bool = True

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        routes = []
        if self.fetch:
            routes.append(Route(method="GET", path="/udio/fetch/{id}", answer=_fetch))
        if self.query:
            routes.append(Route(method="GET", path="/udio/query", answer=_query))
        return routes


def _fetch(call: Call) -> Reply:
    task = find(call.site, call.values[0], UdioTask)
    if task is None:
        return call.site.dialect.unknown_task().about(call.values)
    document = call.site.document(task)
    row = task_row(call.site, task, document)
    if task.form is UdioForm.ROW_SONGS and isinstance(document, dict):
        row.pop("data")
        row |= document
    return call.site.dialect.answer(envelope(row)).about(call.values)


def _query(call: Call) -> Reply:
    """Answer songs by their ids, without those that are not known."""
    wanted = set(call.request.params.get("ids", "").split(","))
    songs: list[JsonValue] = []
    ids = []
    for task in every(call.site, UdioTask):
        if not wanted & {song.song_id for song in task.songs}:
            continue
        ids.append(task.task_id)
        document = call.site.document(task)
        listed = document.get("songs") if isinstance(document, dict) else None
        known = listed if isinstance(listed, list) else []
        songs += [song for song in known if isinstance(song, dict) and song["id"] in wanted]
    return json_reply(200, {"songs": songs}, like_go=False).about(ids)


def _date(date: datetime | None) -> str | None:
    """Return a date as Udio writes it: UTC, microseconds, `+00:00`."""
    return None if date is None else date.astimezone(UTC).isoformat(timespec="microseconds")


def _url(links: LinkWriter, link: Link | None) -> str | None:
    return None if link is None else links.url(link)
