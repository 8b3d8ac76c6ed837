"""A Luma generation, and the five bodies in which gateways and the vendor report one.

Source: providers.md sections 3.1 and 3.4 (published samples), luma-openapi.yaml 1.1.0 (official).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from archiver.gateway.tasks import Absent, GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue

ZERO_DATE = "0001-01-01T00:00:00Z"
"""Go's zero time, which some gateways send for "not known"."""

_PALETTE: JsonObject = {"grid": "em9csKqXYUgqdHVmmqeZLB8YaFpLjVw2bmFTTElBHhMN"}
_STATUS = {
    "completed": GatewayStatus.SUCCESS,
    "failed": GatewayStatus.FAILURE,
    "pending": GatewayStatus.QUEUED,
    "queued": GatewayStatus.QUEUED,
}


def luma_date(date: datetime | None) -> str:
    """Return a date as Luma writes it: UTC, milliseconds, `Z`; Go's zero time for none."""
    if date is None:
        return ZERO_DATE
    return f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"


class LumaForm(StrEnum):
    """Which of the bodies an answer has."""

    WEB = "A"
    """The API page's: `video`, `video_raw`, `prompt`."""
    NEWER = "B"
    """No prompt, zero date, often one URL three times."""
    OWN = "C"
    """`request` and `artifact`, which says all of it again."""
    HYBRID = "D"
    """`assets.video` and `artifact`, `media_request`."""
    OFFICIAL = "official"
    """The vendor's: `assets`, no sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LumaTask(GatewayTask):
    """One generation. A link that is `None` is absent from the answer, in the way of `absent`.

    Attributes:
        answer_id: The id in the answer, when it is not the one asked for.
        state: As in the answer, once `completes_at` is past.
        completes_at: Until then the state is `running_state`, and there are no links.
        running_state: `None`: `dreaming` in the official form, else `processing`.
        video: The copy with the mark (official form: the video).
        download_url: The copy without it, which the gateway adds.
        video_raw: The copy without it, of paying accounts.
        no_mark: What the no-watermark endpoint answers; `None`: status 400.
        image: Official form: the image, for an image generation.
        progress_video: Official form: a preview that is nobody's output.
        width: As declared for all files, in pixels.
        height: As declared for all files, in pixels.
        duration_s: As declared (forms B and C).
        listed: Whether the official list shows it.
    """

    platform: ClassVar[str] = "luma"
    action: ClassVar[str] = "LUMA_VIDEO"

    form: LumaForm = LumaForm.WEB
    answer_id: str | None = None
    state: str = "completed"
    running_state: str | None = None
    completes_at: datetime | None = None
    failure_reason: str | None = None
    prompt: str | None = "A paper boat on a river of light"
    model: str = "ray-2"
    aspect_ratio: str = "9:16"
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    video: Link | None = None
    download_url: Link | None = None
    video_raw: Link | None = None
    no_mark: Link | None = None
    thumbnail: Link | None = None
    last_frame: Link | None = None
    image: Link | None = None
    progress_video: Link | None = None
    absent: Absent = Absent.NULL
    listed: bool = True

    def state_at(self, now: datetime) -> str:
        """Return the state at a time."""
        if self.completes_at is None or now >= self.completes_at:
            return self.state
        usual = "dreaming" if self.form is LumaForm.OFFICIAL else "processing"
        return self.running_state or usual

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""
        return _STATUS.get(self.state_at(now).lower(), GatewayStatus.IN_PROGRESS)

    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""
        failed = self.status(now) is GatewayStatus.FAILURE
        return (self.failure_reason or "") if failed else ""

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the provider's own answer."""
        if self.body is not None:
            return self.body(links)
        writer = _Writer(task=self, links=links)
        return _FORMS[self.form](writer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """Writes one body of one task."""

    task: LumaTask
    links: LinkWriter

    @property
    def state(self) -> str:
        return self.task.state_at(self.links.now)

    @property
    def done(self) -> bool:
        return self.state == "completed"

    @property
    def answer_id(self) -> str:
        return self.task.answer_id or self.task.task_id

    def created_at(self) -> str:
        return luma_date(self.task.created_at)

    def url(self, link: Link | None) -> str | None:
        return self.links.url(link) if link is not None and self.done else None

    def put(self, target: JsonObject, name: str, value: JsonValue, empty: JsonValue = "") -> None:
        """Set a field, or say in the task's way that there is none."""
        if value is not None:
            target[name] = value
        elif self.task.absent is Absent.NULL:
            target[name] = None
        elif self.task.absent is Absent.EMPTY:
            target[name] = empty

    def media(self, link: Link | None, extra: Mapping[str, JsonValue]) -> JsonObject | None:
        """Return `{"url", "width", "height", …}`."""
        url = self.url(link)
        if url is None:
            return None
        found: JsonObject = {"url": url, "width": self.task.width, "height": self.task.height}
        return {name: value for name, value in found.items() if value is not None} | dict(extra)

    def video(self, extra: Mapping[str, JsonValue]) -> JsonObject | None:
        """Return `{"url", "width", "height", …, "download_url"}`."""
        if not self.done or (self.task.video is None and self.task.download_url is None):
            return None
        video: JsonObject = {}
        self.put(video, "url", self.url(self.task.video))
        sized = self.media(self.task.video or self.task.download_url, extra) or {}
        video.update({name: value for name, value in sized.items() if name != "url"})
        self.put(video, "download_url", self.url(self.task.download_url))
        return video

    def common(self) -> JsonObject:
        """Return what every body begins with."""
        body: JsonObject = {"id": self.answer_id, "state": self.state}
        if self.task.failure_reason is not None and self.state == "failed":
            body["failure_reason"] = self.task.failure_reason
        return body

    def files(self, length: Mapping[str, JsonValue], *, newer: bool) -> JsonObject:
        """Return the members that hold links."""
        kinds: dict[str, JsonObject] = {"video": {}, "image": {}}
        if newer:
            kinds = {"video": {"media_type": "video"}, "image": {"media_type": "image"}}
        palette: JsonObject = {"palette": _PALETTE} if newer else {}
        files: JsonObject = {}
        self.put(files, "video", self.video(length), empty=None)
        nothing: JsonObject = {"url": ""}
        thumbnail = self.media(self.task.thumbnail, palette | kinds["image"])
        self.put(files, "thumbnail", thumbnail, empty=nothing)
        raw = self.media(self.task.video_raw, dict(length) | kinds["video"])
        self.put(files, "video_raw", raw, empty=nothing)
        no_palette: JsonObject = {"palette": None} if newer else {}
        last = self.media(self.task.last_frame, no_palette | kinds["image"])
        self.put(files, "last_frame", last, empty=nothing)
        return files

    def request(self) -> JsonObject:
        return {"prompt": self.task.prompt, "aspect_ratio": self.task.aspect_ratio}

    def length(self) -> JsonObject:
        return {} if self.task.duration_s is None else {"duration": self.task.duration_s}


def _web(writer: _Writer) -> JsonObject:
    files = writer.files({}, newer=False)
    body = writer.common() | {"liked": None} | files
    writer.put(body, "prompt", writer.task.prompt)
    return body | {
        "created_at": writer.created_at(),
        "queue_state": None,
        "estimate_wait_seconds": None,
    }


def _newer(writer: _Writer) -> JsonObject:
    files = writer.files(writer.length(), newer=True)
    return writer.common() | files | {"created_at": ZERO_DATE}


def _own(writer: _Writer) -> JsonObject:
    files = writer.files(writer.length(), newer=True)
    artifact = dict(files) | {"created_at": ZERO_DATE}
    dates: JsonObject = {"created_at": writer.created_at()}
    return writer.common() | files | {"request": writer.request(), "artifact": artifact} | dates


def _hybrid(writer: _Writer) -> JsonObject:
    files = writer.files(writer.length(), newer=True)
    best = writer.task.video_raw or writer.task.download_url or writer.task.video
    assets: JsonObject = {}
    writer.put(assets, "video", writer.url(best))
    artifact = {name: value for name, value in files.items() if name != "video"}
    return (
        writer.common()
        | files
        | {"assets": assets, "request": writer.request(), "created_at": writer.created_at()}
        | {"media_request": {"end": None, "loop": False, "prompt_type": "text"}}
        | {"artifact": artifact | {"created_at": ZERO_DATE}}
    )


def _official(writer: _Writer) -> JsonObject:
    """Source: luma-openapi.yaml, `Generation`: its optional members are strings or not there."""
    task = writer.task
    kind = "image" if task.image is not None else "video"
    body: JsonObject = {"id": writer.answer_id, "generation_type": kind, "state": writer.state}
    failed = task.failure_reason if writer.state == "failed" else None
    spare = Absent.OMIT if task.absent is Absent.EMPTY else task.absent
    if failed is not None or spare is Absent.NULL:
        body["failure_reason"] = failed
    if task.created_at is not None:
        body["created_at"] = writer.created_at()
    links = {"video": task.video, "image": task.image, "progress_video": task.progress_video}
    assets: JsonObject = {
        name: url for name, link in links.items() if (url := writer.url(link)) is not None
    }
    if assets or spare is Absent.NULL:
        body["assets"] = assets or None
    body["model"] = task.model
    request: JsonObject = {"generation_type": kind, "model": task.model}
    if task.prompt is not None:
        request["prompt"] = task.prompt
    request["aspect_ratio"] = task.aspect_ratio
    if kind == "video":
        request |= {"loop": False, "resolution": "720p", "duration": "5s"}
    else:
        request |= {"format": "jpg"}
    return body | {"request": request}


_FORMS = {
    LumaForm.WEB: _web,
    LumaForm.NEWER: _newer,
    LumaForm.OWN: _own,
    LumaForm.HYBRID: _hybrid,
    LumaForm.OFFICIAL: _official,
}
