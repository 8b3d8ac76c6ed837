"""The documents of an archive: each task's manifest, the store's identity, the tombstones.

A manifest is the truth about its task: what is archived can be told from the store alone. Fields
that this version does not know are kept, on every level, and written back after the known ones.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime

from archiver.contracts import Store
from archiver.documents import DocumentError, format_time, read_document, write_document
from archiver.layout import MANIFEST_NAME
from archiver.model import JsonObject, JsonValue, Role, TaskRef
from archiver.records import Actual, AssetRecord, Declared, Missing, Refusal, Superseded

__all__ = [
    "SCHEMA",
    "Actual",
    "AssetRecord",
    "Declared",
    "Manifest",
    "ManifestError",
    "Missing",
    "Refusal",
    "StoreDocumentError",
    "StoreIdentity",
    "Superseded",
    "Tombstone",
    "schema",
]

SCHEMA = "archiver.manifest/1"
"""What a manifest says that it is."""

_STORE_SCHEMA = "archiver.store/1"
_TOMBSTONE_SCHEMA = "archiver.forgotten/1"
_MEDIA = (Role.VIDEO, Role.AUDIO, Role.IMAGE)


class ManifestError(DocumentError):
    """A manifest cannot be read; `is_newer` tells one of a later version, never overwritten."""

    code = "bad_manifest"
    noun = "manifest"


class StoreDocumentError(DocumentError):
    """The store's identity or a tombstone cannot be read."""

    code = "bad_store_document"
    noun = "document of the store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is archived of one task, and where it came from.

    The same document is the draft in the catalog's journal: the assets stored so far, with the
    times of the draft, ready to be written should the run be killed.

    Attributes:
        provider_task_id: The id in the answer when it is not the one asked for.
        created_at: When the provider made the task, if it says so.
        archived_at: When the manifest was first written.
        updated_at: When it was last written.
        task: The provider's answer after `redaction.redact_document`.
        version: Of the archiver that wrote it.
        extra, archiver_extra: Unknown fields of the document and of its `archiver` object.
    """

    ref: TaskRef
    provider: str
    provider_task_id: str | None = None
    created_at: datetime | None = None
    archived_at: datetime
    updated_at: datetime
    prompt: str | None = None
    model: str | None = None
    seed: int | None = None
    assets: tuple[AssetRecord, ...] = ()
    refused: tuple[Refusal, ...] = ()
    missing: tuple[Missing, ...] = ()
    superseded: tuple[Superseded, ...] = ()
    task: JsonValue = field(default=None, repr=False)
    version: str
    archiver_extra: JsonObject = field(default_factory=dict)
    extra: JsonObject = field(default_factory=dict)
    _written: list[bytes] = field(default_factory=list, init=False, compare=False, repr=False)
    _read_bytes: int | None = field(default=None, init=False, compare=False, repr=False)

    @staticmethod
    def parse(data: bytes) -> Manifest:
        """Read a manifest.

        Raises:
            ManifestError: It is damaged, another document, or of a newer version (`is_newer`).
        """
        fields = read_document(data, SCHEMA, ManifestError)
        archiver = fields.object("archiver")
        try:
            manifest = Manifest(
                ref=TaskRef(source=fields.text("source"), task_id=fields.text("task_id")),
                provider=fields.text("provider"),
                provider_task_id=fields.text_or_none("provider_task_id"),
                created_at=fields.time_or_none("created_at"),
                archived_at=fields.time("archived_at"),
                updated_at=fields.time("updated_at"),
                prompt=fields.text_or_none("prompt"),
                model=fields.text_or_none("model"),
                seed=fields.integer_or_none("seed"),
                assets=tuple(map(AssetRecord.from_fields, fields.objects("assets"))),
                refused=tuple(map(Refusal.from_fields, fields.objects("refused"))),
                missing=tuple(map(Missing.from_fields, fields.objects("missing"))),
                superseded=tuple(map(Superseded.from_fields, fields.objects("superseded"))),
                task=fields.value("task"),
                version=archiver.text("version"),
                archiver_extra=archiver.extra(),
                extra=fields.extra(),
            )
        except ValueError as problem:  # a record's own guard
            raise ManifestError(f"{problem}") from None
        object.__setattr__(manifest, "_read_bytes", len(data))
        return manifest

    def to_json(self) -> JsonObject:
        """Return the document.

        Raises:
            ValueError: A time has no zone.
        """
        archiver: JsonObject = {"version": self.version}
        document: JsonObject = {
            "schema": SCHEMA,
            "source": self.ref.source,
            "provider": self.provider,
            "task_id": self.ref.task_id,
            "provider_task_id": self.provider_task_id,
            "created_at": format_time(self.created_at) if self.created_at else None,
            "archived_at": format_time(self.archived_at),
            "updated_at": format_time(self.updated_at),
            "prompt": self.prompt,
            "model": self.model,
            "seed": self.seed,
            "assets": [asset.to_json() for asset in self.assets],
            "refused": [refusal.to_json() for refusal in self.refused],
            "missing": [missing.to_json() for missing in self.missing],
            "superseded": [superseded.to_json() for superseded in self.superseded],
            "task": self.task,
            "archiver": archiver | self.archiver_extra,
        }
        return document | self.extra

    def to_bytes(self, *, compact: bool = False) -> bytes:
        """Return the document's bytes; the same manifest gives the same bytes.

        Args:
            compact: For the journal, which nobody reads.

        Raises:
            ValueError: A time has no zone, or `task` did not go through redaction.
        """
        if compact:
            return write_document(self.to_json(), compact=True)
        if not self._written:
            # It is written, and its size is told, by different places: encoded once for both.
            self._written.append(write_document(self.to_json()))
        return self._written[0]

    @property
    def document_bytes(self) -> int:
        """Size of the document: of the one that it was read from, else of the one to be written."""
        return len(self.to_bytes()) if self._read_bytes is None else self._read_bytes

    def asset(self, role: Role, index: int) -> AssetRecord | None:
        """Return the stored output of this role and position."""
        return next((a for a in self.assets if (a.role, a.index) == (role, index)), None)

    def with_asset(self, asset: AssetRecord, *, replaced_at: datetime) -> Manifest:
        """Return this manifest with a file in it, in the place of the one that it replaces.

        The replaced file's record goes to `superseded` unless the bytes are the same; the output is
        no longer missing.
        """
        place = (asset.role, asset.index)
        old = self.asset(*place)
        others = tuple(a for a in self.assets if a is not old)
        position = self.assets.index(old) if old else len(others)
        superseded = self.superseded
        if old and old.sha256 != asset.sha256:
            superseded += (Superseded.of(old, replaced_at),)
        return dataclasses.replace(
            self,
            assets=(*others[:position], asset, *others[position:]),
            missing=tuple(m for m in self.missing if (m.role, m.index) != place),
            superseded=superseded,
        )

    @property
    def has_main(self) -> bool:
        """Whether something is stored that was asked to be generated.

        Text counts when no video, audio or image is known to belong to the task.
        """
        if any(asset.role in _MEDIA for asset in self.assets):
            return True
        has_text = any(asset.role is Role.TEXT for asset in self.assets)
        return has_text and not any(missing.role in _MEDIA for missing in self.missing)

    @property
    def watermarked(self) -> bool:
        """Whether a main output is there only as a marked copy."""
        return any(asset.watermarked for asset in self.assets if not asset.role.is_preview)

    @property
    def stored_bytes(self) -> int:
        """Size of all stored files."""
        return sum(asset.size_bytes for asset in self.assets)

    @property
    def missing_words(self) -> tuple[str, ...]:
        """Outputs that could not be had yet: `thumbnail`, `audio-2`."""
        return tuple(missing.word for missing in self.missing)

    @property
    def next_attempt_at(self) -> datetime | None:
        """When the first of the missing outputs is due; `None` if none is."""
        times = [m.next_attempt_at for m in self.missing if m.next_attempt_at]
        return min(times, default=None)


def read_manifest(store: Store, folder: str) -> Manifest | None:
    """Return the manifest of a task's folder; `None` when there is none.

    Raises:
        ManifestError: It is damaged, another document, or of a newer version; the message says
            where it is.
        StoreError: The store's own fault.
    """
    key = f"{folder}/{MANIFEST_NAME}"
    data = store.read_document(key)
    if data is None:
        return None
    try:
        return Manifest.parse(data)
    except ManifestError as error:
        raise error.at(key) from None


def schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of a manifest."""
    from importlib import resources  # slow to import, and needed here only

    file = resources.files("archiver") / "schemas" / "manifest-1.schema.json"
    loaded: JsonObject = json.loads(file.read_text("utf-8"))
    return loaded


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreIdentity:
    """Which store this is, so that an unmounted disk or a wrong bucket is noticed.

    Attributes:
        id: Random, made once.
        format: Of the layout below it; the number in the document's `schema`.
    """

    id: str
    created_at: datetime
    format: int = 1
    extra: JsonObject = field(default_factory=dict)

    @staticmethod
    def parse(data: bytes) -> StoreIdentity:
        """Read `.archiver/store.json`.

        Raises:
            StoreDocumentError: It is damaged, another document, or of a newer version.
        """
        fields = read_document(data, _STORE_SCHEMA, StoreDocumentError)
        return StoreIdentity(
            id=fields.text("id"), created_at=fields.time("created_at"), extra=fields.extra()
        )

    def to_bytes(self) -> bytes:
        """Return the document's bytes."""
        document: JsonObject = {
            "schema": f"archiver.store/{self.format}",
            "id": self.id,
            "created_at": format_time(self.created_at),
        }
        return write_document(document | self.extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """That a task must never be fetched again.

    Attributes:
        reason: The user's words.
        path: The task's folder, if it was archived.
        delete: Whether its files go too; written before the first is deleted, so that a killed
            command can be completed.
    """

    ref: TaskRef
    reason: str
    forgotten_at: datetime
    path: str | None = None
    delete: bool = False
    extra: JsonObject = field(default_factory=dict)

    @staticmethod
    def parse(data: bytes) -> Tombstone:
        """Read a tombstone.

        Raises:
            StoreDocumentError: It is damaged, another document, or of a newer version.
        """
        fields = read_document(data, _TOMBSTONE_SCHEMA, StoreDocumentError)
        return Tombstone(
            ref=TaskRef(source=fields.text("source"), task_id=fields.text("task_id")),
            reason=fields.text("reason"),
            forgotten_at=fields.time("forgotten_at"),
            path=fields.text_or_none("path"),
            delete=fields.flag("delete"),
            extra=fields.extra(),
        )

    def to_bytes(self) -> bytes:
        """Return the document's bytes."""
        document: JsonObject = {
            "schema": _TOMBSTONE_SCHEMA,
            "source": self.ref.source,
            "task_id": self.ref.task_id,
            "reason": self.reason,
            "forgotten_at": format_time(self.forgotten_at),
            "path": self.path,
            "delete": self.delete,
        }
        return write_document(document | self.extra)
