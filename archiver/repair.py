"""Make a damaged task whole again: only bytes whose digest is the manifest's are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from archiver import layout
from archiver.catalog import TaskRow
from archiver.errors import NotMediaError, RenditionError
from archiver.links import Links
from archiver.manifest import AssetRecord, Manifest
from archiver.model import Asset, Rendition, State
from archiver.pipeline import Pipeline


def repair_files(pipeline: Pipeline, row: TaskRow, damaged: tuple[AssetRecord, ...]) -> bool:
    """Fetch damaged files again; tell whether all of them are whole now.

    What is in the store stays as it is where the same bytes cannot be had.

    Raises:
        PassingError, ProviderError: The provider cannot be asked now.
        StoreError, CatalogError, StoppedError: The command must end.
    """
    task = pipeline.provider.get_task(row.ref.task_id)
    links = Links(pipeline.provider, task)
    return all([_repair_file(pipeline, row, links, task.assets, record) for record in damaged])


def _repair_file(
    pipeline: Pipeline,
    row: TaskRow,
    links: Links,
    assets: tuple[Asset, ...],
    record: AssetRecord,
) -> bool:
    folder = row.path or ""
    for asset, rendition in _candidates(assets, record):
        upload = pipeline.store.begin(folder, layout.asset_stem(asset.role, asset.index))
        try:
            upload.restart()
            fetched = pipeline.fetch(asset, rendition, links, row, upload)
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


def rebuild_task(pipeline: Pipeline, row: TaskRow) -> Manifest | None:
    """Archive a task anew whose manifest is lost; `None` if it could not be done.

    Raises:
        ProviderError: The key was refused.
    """
    outcome = pipeline.archive(replace(row, state=State.RETRY))
    if outcome.state is not State.ARCHIVED:
        return None
    data = pipeline.store.read_document(f"{outcome.path}/{layout.MANIFEST_NAME}")
    return None if data is None else Manifest.parse(data)
