"""Make a damaged task whole again: only bytes whose digest is the manifest's are accepted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from archiver import layout
from archiver.audit import Verified
from archiver.bookkeeping import settle
from archiver.catalog import TaskRow
from archiver.errors import (
    DamageError,
    KeyRefusedError,
    NoCreditError,
    NotMediaError,
    PassingError,
    ProviderError,
    RenditionError,
)
from archiver.links import Links
from archiver.manifest import AssetRecord, Manifest
from archiver.model import Asset, Rendition, State
from archiver.obtain import fetch_rendition
from archiver.pipeline import Pipeline
from archiver.positions import in_known_order, known_outputs
from archiver.recovery import sha256_of
from archiver.session import Session
from archiver.verdicts import archived

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
        except DamageError as error:
            log.warning("%s cannot be repaired: %s", row.ref, error.message)
            return False
        except (KeyRefusedError, NoCreditError):
            self._refused.add(source)
            return False
        except (ProviderError, PassingError) as error:
            log.warning("%s cannot be repaired now: %s", row.ref, error.message)
            return False
        if whole is None:
            return False
        self._write(row, verified.manifest, whole)
        return True

    def _write(self, row: TaskRow, manifest: Manifest, whole: Sequence[AssetRecord]) -> None:
        """Write the manifest again: that makes the repaired files' names durable."""
        session, now = self._session, self._session.clock.now()
        by_path = {record.path: record for record in whole}
        assets = tuple(by_path.get(record.path, record) for record in manifest.assets)
        manifest = replace(manifest, assets=assets)
        key = f"{row.path or ''}/{layout.MANIFEST_NAME}"
        session.store.put_document(key, manifest.to_bytes())
        outcome = archived(row, manifest, changed="repaired", path=row.path)
        settled, what = settle(row, outcome, now=now, rules=session.rules)
        session.catalog.put(settled, what=what, at=now)
        session.catalog.mark_verified(settled, now=now, fault=None)

    def _rebuild(self, pipeline: Pipeline, row: TaskRow) -> bool:
        """Archive a task anew whose manifest is lost."""
        outcome = pipeline.archive(replace(row, state=State.RETRY))
        now = self._session.clock.now()
        settled, what = settle(row, outcome, now=now, rules=self._session.rules)
        if outcome.state is State.ARCHIVED:
            self._session.catalog.put(settled, what=what, at=now)
        return outcome.state is State.ARCHIVED


def repair_files(
    pipeline: Pipeline, row: TaskRow, damaged: tuple[AssetRecord, ...]
) -> tuple[AssetRecord, ...] | None:
    """Make damaged files whole; return their records, `None` when one could not be mended.

    What is in the store stays as it is where the same bytes cannot be had. Where the bytes have the
    digest of the record and not its size, it is the record that is wrong.

    Raises:
        PassingError, ProviderError: The provider cannot be asked now.
        StoreError, CatalogError, StoppedError: The command must end.
    """
    store, whole = pipeline.parts.store, []
    lost: list[AssetRecord] = []
    for record in damaged:
        key = f"{row.path or ''}/{record.path}"
        found = store.stat(key)
        if found is not None and sha256_of(store, key) == record.sha256:
            whole.append(replace(record, size_bytes=found.size_bytes))
        else:
            lost.append(record)
    if lost:
        task = pipeline.provider.get_task(row.ref.task_id)
        task = in_known_order(task, known_outputs(lost))
        links = Links(pipeline.provider, task)
        mended = [_repair_file(pipeline, row, links, task.assets, record) for record in lost]
        whole += [record for record in mended if record is not None]
    return tuple(whole) if len(whole) == len(damaged) else None


def _repair_file(
    pipeline: Pipeline,
    row: TaskRow,
    links: Links,
    assets: tuple[Asset, ...],
    record: AssetRecord,
) -> AssetRecord | None:
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
        return replace(record, size_bytes=fetched.size_bytes)
    return None


def _candidates(
    assets: tuple[Asset, ...], record: AssetRecord
) -> Iterator[tuple[Asset, Rendition]]:
    """Yield the forms that may have these bytes: the same one first."""
    for asset in assets:
        if (asset.role, asset.index) == (record.role, record.index):
            for rendition in sorted(asset.renditions, key=lambda r: r.name != record.rendition):
                yield asset, rendition
