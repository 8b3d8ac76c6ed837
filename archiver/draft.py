"""The manifest of one task while its outputs come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import datetime

from archiver import policy
from archiver.errors import ArchiverError
from archiver.manifest import (
    Actual,
    AssetRecord,
    Declared,
    Manifest,
    Missing,
    Refusal,
    Superseded,
)
from archiver.model import Asset, JsonValue, Rendition, Role, Task
from archiver.redaction import Redactor
from archiver.wanted import Fetched

Place = tuple[Role, int]
"""Which output: its role and its position among those of this role."""


def place_of(item: Asset | AssetRecord | Missing | Refusal) -> Place:
    """Return which output something speaks of."""
    return item.role, item.index


def describe(
    asset: Asset, rendition: Rendition, fetched: Fetched, *, name: str, now: datetime
) -> AssetRecord:
    """Return the record of a fetched file: what was declared, what it is, how they compare."""
    info = fetched.info
    return AssetRecord(
        role=asset.role,
        index=asset.index,
        rendition=rendition.name,
        watermarked=rendition.watermarked,
        path=name,
        media_type=info.media_type,
        size_bytes=fetched.size_bytes,
        sha256=fetched.sha256,
        declared=Declared.of(rendition),
        actual=Actual.of(info),
        dimensions=policy.compare_dimensions(
            rendition.width_px, rendition.height_px, info.width_px, info.height_px
        ),
        duration=policy.compare_duration(rendition.duration_s, info.duration_s),
        url=fetched.link,
        etag=fetched.etag,
        fetched_at=now,
    )


class Draft:
    """What is stored, refused, missing and replaced of one task so far.

    Args:
        held: The manifest that is in the store already, if any.
        document: The provider's answer, redacted.
        redact: Takes keys and signed queries out of a text.
        version: Of this program.

    Attributes:
        doomed: Paths of replaced files, to be removed once the new manifest is in the store.
    """

    def __init__(
        self,
        task: Task,
        *,
        held: Manifest | None,
        document: JsonValue,
        redact: Callable[[str], str],
        now: datetime,
        version: str,
    ) -> None:
        self._redact = redact
        self._held = held
        self._assets = {place_of(record): record for record in held.assets} if held else {}
        self._refused = {
            (refusal.role, refusal.index, refusal.rendition): refusal
            for refusal in (held.refused if held else ())
        }
        self._missing = {place_of(missing): missing for missing in (held.missing if held else ())}
        self._superseded = list(held.superseded) if held else []
        self.doomed: list[str] = []
        for asset in task.assets:
            self.miss(asset, code="not_tried", next_attempt_at=now)
        base = held or Manifest(
            ref=task.ref,
            provider=task.provider,
            archived_at=now,
            updated_at=now,
            version=version,
        )
        # What an earlier answer said stays where a later one is silent.
        self._base = replace(
            base,
            provider_task_id=task.provider_task_id or base.provider_task_id,
            created_at=task.created_at or base.created_at,
            prompt=base.prompt if task.prompt is None else task.prompt,
            model=base.model if task.model is None else task.model,
            seed=base.seed if task.seed is None else task.seed,
            task=document,
            version=version,
        )

    def record(self, asset: Asset) -> AssetRecord | None:
        """Return what is stored of an output."""
        return self._assets.get(place_of(asset))

    @contextmanager
    def storing(self, record: AssetRecord, *, now: datetime) -> Iterator[None]:
        """Take up a file that gets its final name meanwhile; if it does not, all is as before."""
        assets, missing, refused = copy(self._assets), copy(self._missing), copy(self._refused)
        superseded, doomed = copy(self._superseded), copy(self.doomed)
        self._store(record, now=now)
        try:
            yield
        except BaseException:
            self._assets, self._missing, self._refused = assets, missing, refused
            self._superseded, self.doomed = superseded, doomed
            raise

    def _store(self, record: AssetRecord, *, now: datetime) -> None:
        """Take up a file in place of the one before."""
        place = place_of(record)
        old = self._assets.get(place)
        if old is not None:
            self._superseded.append(
                Superseded(
                    role=old.role,
                    index=old.index,
                    rendition=old.rendition,
                    sha256=old.sha256,
                    size_bytes=old.size_bytes,
                    fetched_at=old.fetched_at,
                    replaced_at=now,
                )
            )
            if old.path != record.path:
                self.doomed.append(old.path)
        self._assets[place] = record
        self._missing.pop(place, None)
        self._refused.pop((*place, record.rendition), None)

    def refuse(self, asset: Asset, rendition: Rendition, error: ArchiverError) -> None:
        """Note why a rendition was not taken."""
        refusal = Refusal(
            role=asset.role,
            index=asset.index,
            rendition=rendition.name,
            code=error.code,
            message=self._redact(error.message),
        )
        self._refused[asset.role, asset.index, rendition.name] = refusal

    def miss(self, asset: Asset, *, code: str, next_attempt_at: datetime | None) -> None:
        """Note that an output could not be had yet; one that is stored is not missing."""
        if place_of(asset) not in self._assets:
            self._missing[place_of(asset)] = Missing(
                role=asset.role, index=asset.index, code=code, next_attempt_at=next_attempt_at
            )

    @property
    def has_main(self) -> bool:
        """Whether anything that was asked to be generated is stored."""
        return self._with(self._base).has_main

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Outputs that could not be had yet."""
        return tuple(self._missing.values())

    def refusals(self, asset: Asset) -> list[Refusal]:
        """Return why renditions of an output were not taken."""
        return [
            refusal for refusal in self._refused.values() if place_of(refusal) == place_of(asset)
        ]

    def manifest(self, *, now: datetime) -> Manifest:
        """Return the manifest as it would be if the task ended here."""
        return replace(
            self._with(self._base),
            refused=tuple(self._refused.values()),
            superseded=tuple(self._superseded),
            archived_at=self._base.archived_at if self._held else now,
            updated_at=now,
        )

    def _with(self, base: Manifest) -> Manifest:
        order = list(Role)
        records = sorted(self._assets.values(), key=lambda r: (order.index(r.role), r.index))
        return replace(base, assets=tuple(records), missing=self.missing)


def without_secrets(task: Task, redactor: Redactor) -> Task:
    """Return the task with the texts that are written down free of keys and signatures."""

    def clean(text: str | None) -> str | None:
        return redactor.text(text) if text else text

    return replace(
        task, prompt=clean(task.prompt), model=clean(task.model), failure=clean(task.failure)
    )
