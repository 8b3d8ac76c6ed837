"""The entries of a manifest: what is stored, what was refused, what is missing, what was replaced.

Each maps to one object of the document, field by field and in its order; `extra` holds the fields
that this version does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from archiver.documents import Fields, finite, format_time
from archiver.layout import MANIFEST_NAME, asset_stem
from archiver.model import Dimensions, Duration, JsonObject, MediaInfo, Rendition, Role
from archiver.redaction import has_secret_parts

_SHA256 = re.compile("[0-9a-f]{64}")
_FILE_NAME = re.compile(r"(?!.*\.part(?:\.json)?$)[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the provider said of a file before it was fetched."""

    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    extra: JsonObject = field(default_factory=dict)

    @classmethod
    def of(cls, rendition: Rendition) -> Declared:
        """Return what a rendition declares."""
        return cls(
            width_px=rendition.width_px,
            height_px=rendition.height_px,
            duration_s=rendition.duration_s,
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> Declared:
        """Read the `declared` object."""
        return cls(
            width_px=fields.integer_or_none("width"),
            height_px=fields.integer_or_none("height"),
            duration_s=fields.number_or_none("duration_s"),
            extra=fields.extra(),
        )

    def to_json(self) -> JsonObject:
        """Return the `declared` object."""
        return {
            "width": self.width_px,
            "height": self.height_px,
            "duration_s": finite(self.duration_s),
        } | self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What the stored bytes are, as a player or viewer shows them."""

    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    frame_rate: float | None = None
    extra: JsonObject = field(default_factory=dict)

    @classmethod
    def of(cls, info: MediaInfo) -> Actual:
        """Return what a probe found."""
        return cls(
            width_px=info.width_px,
            height_px=info.height_px,
            duration_s=info.duration_s,
            codec=info.codec,
            frame_rate=info.frame_rate,
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> Actual:
        """Read the `actual` object."""
        return cls(
            width_px=fields.integer_or_none("width"),
            height_px=fields.integer_or_none("height"),
            duration_s=fields.number_or_none("duration_s"),
            codec=fields.text_or_none("codec"),
            frame_rate=fields.number_or_none("frame_rate"),
            extra=fields.extra(),
        )

    def to_json(self) -> JsonObject:
        """Return the `actual` object."""
        return {
            "width": self.width_px,
            "height": self.height_px,
            "duration_s": finite(self.duration_s),
            "codec": self.codec,
            "frame_rate": finite(self.frame_rate),
        } | self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRecord:
    """One stored file.

    Attributes:
        index: Position among the outputs of its role when first committed.
        rendition: The provider's name for the form.
        path: File name in the task's folder.
        sha256: 64 hex digits, lower case.
        url: Where it came from, without query, user info and fragment; `None` if it came inside
            the answer.
        etag: As the file's server sent it.

    Raises:
        ValueError: A value that must never be written (a link with a query, a path that leads
            elsewhere): a bug of the caller.
    """

    role: Role
    index: int
    rendition: str
    watermarked: bool
    path: str
    media_type: str
    size_bytes: int
    sha256: str
    declared: Declared
    actual: Actual
    dimensions: Dimensions
    duration: Duration
    url: str | None
    etag: str | None
    fetched_at: datetime
    extra: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.index < 0 or self.size_bytes < 0:
            raise ValueError("index and size_bytes must not be negative")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError("sha256 must be 64 hex digits in lower case")
        if not _FILE_NAME.fullmatch(self.path) or self.path == MANIFEST_NAME:
            raise ValueError("path must be a plain file name")
        if self.url is not None and has_secret_parts(self.url):
            raise ValueError("url must have neither query nor user info nor fragment")

    @classmethod
    def from_fields(cls, fields: Fields) -> AssetRecord:
        """Read one of `assets`."""
        return cls(
            role=fields.word("role", Role),
            index=fields.count("index"),
            rendition=fields.text("rendition"),
            watermarked=fields.flag("watermarked"),
            path=fields.text("path"),
            media_type=fields.text("media_type"),
            size_bytes=fields.count("size_bytes"),
            sha256=fields.text("sha256"),
            declared=Declared.from_fields(fields.object("declared")),
            actual=Actual.from_fields(fields.object("actual")),
            dimensions=fields.word("dimensions", Dimensions),
            duration=fields.word("duration", Duration),
            url=fields.text_or_none("url"),
            etag=fields.text_or_none("etag"),
            fetched_at=fields.time("fetched_at"),
            extra=fields.extra(),
        )

    def to_json(self) -> JsonObject:
        """Return one of `assets`."""
        return {
            "role": self.role.value,
            "index": self.index,
            "rendition": self.rendition,
            "watermarked": self.watermarked,
            "path": self.path,
            "media_type": self.media_type,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "declared": self.declared.to_json(),
            "actual": self.actual.to_json(),
            "dimensions": self.dimensions.value,
            "duration": self.duration.value,
            "url": self.url,
            "etag": self.etag,
            "fetched_at": format_time(self.fetched_at),
        } | self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A rendition that was tried and not kept.

    Attributes:
        code: Stable word (`gone`, `not_media`, …).
        message: For people; without any secret.
    """

    role: Role
    index: int
    rendition: str
    code: str
    message: str
    extra: JsonObject = field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Fields) -> Refusal:
        """Read one of `refused`."""
        return cls(
            role=fields.word("role", Role),
            index=fields.count("index"),
            rendition=fields.text("rendition"),
            code=fields.text("code"),
            message=fields.text("message"),
            extra=fields.extra(),
        )

    def to_json(self) -> JsonObject:
        """Return one of `refused`."""
        return {
            "role": self.role.value,
            "index": self.index,
            "rendition": self.rendition,
            "code": self.code,
            "message": self.message,
        } | self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An output that could not be had yet.

    Attributes:
        next_attempt_at: When a run tries again; `None` when it was given up.
    """

    role: Role
    index: int
    code: str
    next_attempt_at: datetime | None
    extra: JsonObject = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The output in one word: `thumbnail`, `audio-2`."""
        return asset_stem(self.role, self.index)

    @classmethod
    def from_fields(cls, fields: Fields) -> Missing:
        """Read one of `missing`."""
        return cls(
            role=fields.word("role", Role),
            index=fields.count("index"),
            code=fields.text("code"),
            next_attempt_at=fields.time_or_none("next_attempt_at"),
            extra=fields.extra(),
        )

    def to_json(self) -> JsonObject:
        """Return one of `missing`."""
        time = self.next_attempt_at
        return {
            "role": self.role.value,
            "index": self.index,
            "code": self.code,
            "next_attempt_at": format_time(time) if time else None,
        } | self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """A stored file that another took the place of."""

    role: Role
    index: int
    rendition: str
    sha256: str
    size_bytes: int
    fetched_at: datetime
    replaced_at: datetime
    extra: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError("sha256 must be 64 hex digits in lower case")

    @classmethod
    def of(cls, asset: AssetRecord, replaced_at: datetime) -> Superseded:
        """Return what is kept of a file that is being replaced."""
        return cls(
            role=asset.role,
            index=asset.index,
            rendition=asset.rendition,
            sha256=asset.sha256,
            size_bytes=asset.size_bytes,
            fetched_at=asset.fetched_at,
            replaced_at=replaced_at,
        )

    @classmethod
    def from_fields(cls, fields: Fields) -> Superseded:
        """Read one of `superseded`."""
        return cls(
            role=fields.word("role", Role),
            index=fields.count("index"),
            rendition=fields.text("rendition"),
            sha256=fields.text("sha256"),
            size_bytes=fields.count("size_bytes"),
            fetched_at=fields.time("fetched_at"),
            replaced_at=fields.time("replaced_at"),
            extra=fields.extra(),
        )

    def to_json(self) -> JsonObject:
        """Return one of `superseded`."""
        return {
            "role": self.role.value,
            "index": self.index,
            "rendition": self.rendition,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "fetched_at": format_time(self.fetched_at),
            "replaced_at": format_time(self.replaced_at),
        } | self.extra
