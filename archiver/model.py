"""The nouns: what flows from a task id to an archived file.

Every type is a frozen, slotted, keyword-only dataclass. What a provider *declares* (`Rendition`)
and what the bytes *are* (`MediaInfo`) are different types on purpose. `None` means "not declared"
or "not known". Units are in the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

JsonValue = bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"] | None
"""Any JSON value, as `json.loads` returns it."""

JsonObject = dict[str, JsonValue]
"""A JSON object."""


class Role(StrEnum):
    """What an output is for. The first three are what was asked to be generated."""

    VIDEO = "video"
    AUDIO = "audio"
    IMAGE = "image"
    THUMBNAIL = "thumbnail"
    LAST_FRAME = "last_frame"
    TEXT = "text"

    @property
    def is_preview(self) -> bool:
        """Whether a task is complete without it: a preview never costs the main output."""
        return self in (Role.THUMBNAIL, Role.LAST_FRAME)


class Progress(StrEnum):
    """How far the provider says that it is with a task."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    GONE = "gone"
    """The provider itself says that it no longer has the task or its files."""


class State(StrEnum):
    """What the catalog says of a task."""

    QUEUED = "queued"
    WAITING = "waiting"
    ARCHIVED = "archived"
    RETRY = "retry"
    FAILED = "failed"
    GONE = "gone"
    REFUSED = "refused"
    FORGOTTEN = "forgotten"


class Dimensions(StrEnum):
    """Declared against actual width and height."""

    MATCH = "match"
    SWAPPED = "swapped"
    SCALED = "scaled"
    MISMATCH = "mismatch"
    UNDECLARED = "undeclared"


class Duration(StrEnum):
    """Declared against actual duration."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TaskRef:
    """The identity of a task: a configured source and the id that was asked for."""

    source: str
    task_id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.task_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRefs:
    """Many tasks of one source: a million ids are too many to make a `TaskRef` of each."""

    source: str
    task_ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One downloadable form of an asset, as the provider declares it.

    Attributes:
        name: The provider's own word for the form (`video_raw`, `download_url`, `url`, …).
        url: Where the bytes are; never shown by `repr`. `None` together with `content=None` means
            that the provider must be asked for the link first (`Provider.resolve`).
        content: Bytes that came inside the answer itself (base64 images, lyrics).
        watermarked: Whether the provider marks this form.
        expires_at: When the link's signature runs out, if the link says so.
    """

    name: str
    url: str | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    watermarked: bool = False
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One output of a task: what it is for, its position among those of its role, its forms."""

    role: Role
    index: int = 0
    renditions: tuple[Rendition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One generation job as the provider reports it.

    Attributes:
        progress: How far it is.
        provider_task_id: The id in the answer when it is not the one asked for, else `None`.
        failure: The provider's words about a failure.
        raw: The whole answer as it came, links and all. Never written anywhere before it went
            through `redaction.redact_document`.
        warnings: What in the answer was not understood, in plain words.
    """

    ref: TaskRef
    provider: str
    progress: Progress
    provider_task_id: str | None = None
    prompt: str | None = None
    model: str | None = None
    seed: int | None = None
    created_at: datetime | None = None
    failure: str | None = None
    assets: tuple[Asset, ...] = ()
    raw: JsonValue = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    def asset(self, role: Role, index: int) -> Asset | None:
        """Return the output of this role and position, if the task declares it."""
        for asset in self.assets:
            if asset.role == role and asset.index == index:
                return asset
        return None

    @property
    def expires_at(self) -> datetime | None:
        """When the first of its links dies; `None` if none says so."""
        dates = [r.expires_at for a in self.assets for r in a.renditions if r.expires_at]
        return min(dates, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """What the bytes are, as a player or viewer shows them.

    Attributes:
        kind: `video`, `audio`, `image` or `text`.
        media_type: IANA media type, e.g. `video/mp4`.
        extension: File name ending without the dot, e.g. `mp4`.
        width_px, height_px: Rotation, EXIF orientation and pixel aspect ratio applied.
        codec: Name of the main stream's codec in FFmpeg's words, or Pillow's format in lower case.
        frame_rate: Frames per second of the video stream.
    """

    kind: str
    media_type: str
    extension: str
    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    frame_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """Bytes that a store holds for good, under their final name."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why something is not archived: a stable code, plain words, and whose fault it was.

    Attributes:
        code: Stable, for scripts.
        message: For people; without any secret.
        provider_side: Whether waiting can mend it, since the provider or the network is at fault.
    """

    code: str
    message: str
    provider_side: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to one task in one run; the driver turns it into a catalog row.

    Attributes:
        already: The task was archived (or forgotten, or final) before; nothing was fetched.
        changed: What this run changed: `archived`, `completed`, `upgraded`, `replaced`,
            `recovered`, `repaired` or empty.
        path: The task's folder, relative to the store's root.
        missing: Outputs that could not be had yet, as `role` or `role-index` words.
        refused: Codes of refused renditions.
        stored_bytes: Size of all its stored assets.
        manifest_bytes: Size of its manifest.
        fetched_bytes: Bytes that came over the wire in this run.
        verdict: Whether `fault` is a judgement about the task that needs a second look.
    """

    ref: TaskRef
    state: State
    fault: Fault | None = None
    already: bool = False
    changed: str = ""
    provider_task_id: str | None = None
    watermarked: bool = False
    path: str | None = None
    prompt: str | None = None
    created_at: datetime | None = None
    archived_at: datetime | None = None
    updated_at: datetime | None = None
    missing: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stored_bytes: int = 0
    manifest_bytes: int | None = None
    fetched_bytes: int = 0
    retry_at: datetime | None = None
    verdict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A provider's answer to one request, after time-outs and retries were dealt with.

    Attributes:
        status: HTTP status.
        body: Parsed JSON; `None` when the body is not JSON (see `text`).
        text: The beginning of a body that is not JSON, at most 2,000 characters; else empty.
        media_type: The Content-Type without parameters, lower case.
    """

    status: int
    body: JsonValue = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    media_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
