"""Make a damaged task whole again: only bytes whose digest is the manifest's are accepted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

from archiver import layout
from archiver.audit import Verified
from archiver.bookkeeping import settle
from archiver.catalog import TaskRow
from archiver.errors import (
    KeyRefusedError,
    NoCreditError,
    NotMediaError,
    PassingError,
    ProviderError,
    RenditionError,
)
from archiver.links import Links
from archiver.manifest import AssetRecord
from archiver.model import Asset, Rendition, State
from archiver.obtain import fetch_rendition
from archiver.pipeline import Pipeline
from archiver.session import Session

log = logging.getLogger("archiver")


class Repairs:
    """Tries to make what `verify` finds damaged whole: call it with a result.

    Args:
        session: Holds the locks.
        pipelines: By the name of the source.

    Attributes:
        key_refused: A provider refused the key; its other tasks were not asked for.
    """

    def __init__(self, session: Session, pipelines: Mapping[str, Pipeline]) -> None:
        self._session = session
        self._pipelines = pipelines
        self._refused: set[str] = set()

    @property
    def key_refused(self) -> bool:
        """Whether a provider refused a key."""
        return bool(self._refused)

    def __call__(self, verified: Verified) -> bool:
        """Repair one task; tell whether it is whole now."""
        row, source = verified.row, verified.row.ref.source
        if source in self._refused or source not in self._pipelines:
            return False
        pipeline = self._pipelines[source]
        try:
            if verified.manifest is None:
                return self._rebuild(pipeline, row)
            damaged = tuple(damage.record for damage in verified.damages if damage.record)
            whole = repair_files(pipeline, row, damaged)
        except (KeyRefusedError, NoCreditError):
            self._refused.add(source)
            return False
        except (ProviderError, PassingError) as error:
            log.warning("%s cannot be repaired now: %s", row.ref, error.message)
            return False
        if whole:
            folder = row.path or ""
            manifest_key = f"{folder}/{layout.MANIFEST_NAME}"
            # Writing the manifest again makes the repaired files' names durable.
            self._session.store.put_document(manifest_key, verified.manifest.to_bytes())
            self._session.catalog.mark_verified(row, now=self._session.clock.now(), fault=None)
        return whole

    def _rebuild(self, pipeline: Pipeline, row: TaskRow) -> bool:
        """Archive a task anew whose manifest is lost."""
        outcome = pipeline.archive(replace(row, state=State.RETRY))
        now = self._session.clock.now()
        settled, what = settle(row, outcome, now=now, rules=self._session.rules)
        if outcome.state is State.ARCHIVED:
            self._session.catalog.put(settled, what=what, at=now)
        return outcome.state is State.ARCHIVED


def repair_files(pipeline: Pipeline, row: TaskRow, damaged: tuple[AssetRecord, ...]) -> bool:
    """Fetch damaged files again; tell whether all of them are whole now.

    What is in the store stays as it is where the same bytes cannot be had.

    Raises:
        PassingError, ProviderError: The provider cannot be asked now.
        StoreError, CatalogError, StoppedError: The command must end.
    """
    task = pipeline.provider.get_task(row.ref.task_id)
    links = Links(pipeline.provider, task)
    whole = True
    for record in damaged:
        whole = _repair_file(pipeline, row, links, task.assets, record) and whole
    return whole


def _repair_file(
    pipeline: Pipeline,
    row: TaskRow,
    links: Links,
    assets: tuple[Asset, ...],
    record: AssetRecord,
) -> bool:
    folder = row.path or ""
    for asset, rendition in _candidates(assets, record):
        upload = pipeline.parts.store.begin(folder, layout.asset_stem(asset.role, asset.index))
        try:
            upload.restart()
            fetched = fetch_rendition(pipeline.parts, row, links, asset, rendition, upload)
            if fetched.sha256 != record.sha256:
                raise NotMediaError("other bytes than were archived", code="other_bytes")
            upload.identify(record.path, record.media_type, {})
            upload.publish(sha256=fetched.sha256)
        except RenditionError:
            upload.discard()
            continue
        except BaseException:
            upload.discard()
            raise
        return True
    return False


def _candidates(
    assets: tuple[Asset, ...], record: AssetRecord
) -> Iterator[tuple[Asset, Rendition]]:
    """Yield the forms that may have these bytes: the same one first."""
    for asset in assets:
        if (asset.role, asset.index) == (record.role, record.index):
            for rendition in sorted(asset.renditions, key=lambda r: r.name != record.rendition):
                yield asset, rendition
