"""Finish what a killed run left: from the journal and the bytes that are there, without network."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from datetime import datetime

from archiver import layout
from archiver.catalog import Catalog, JournalEntry, TaskRow
from archiver.contracts import Store
from archiver.manifest import AssetRecord, Manifest, ManifestError, Missing, read_manifest
from archiver.model import TaskRef

READ_BYTES = 1 << 20

log = logging.getLogger("archiver")


def recover(row: TaskRow, catalog: Catalog, store: Store, *, now: datetime) -> Manifest | None:
    """Write the manifest that a killed run did not come to write.

    Every object of the journal's draft is hashed again; a complete part that never got its name
    gets it. What is not there is `missing` in the manifest.

    Returns:
        The manifest that is in the store now; `None` when there was nothing to recover.
    """
    for entry in catalog.journal(row.ref):
        return _recover(entry, catalog, store, now)
    return None


def _recover(entry: JournalEntry, catalog: Catalog, store: Store, now: datetime) -> Manifest | None:
    draft = Manifest.parse(entry.draft)
    held = readable_manifest(store, entry.path, entry.ref)
    if held is not None and all(record in held.assets for record in draft.assets):
        store.clean(entry.path)
        _remove_superseded(entry.path, held, store)
        return held
    before = {record.path: record for record in held.assets} if held else {}
    there: list[AssetRecord] = []
    lost: list[Missing] = []
    for record in draft.assets:
        if before.get(record.path) == record or _is_there(entry.path, record, store):
            there.append(record)
        else:
            lost.append(
                Missing(role=record.role, index=record.index, code="lost", next_attempt_at=now)
            )
    if held is not None and lost:
        # What was to replace something is not there: what it was to replace still is.
        store.clean(entry.path)
        catalog.drop_journal(entry.ref)
        return held
    manifest = replace(draft, assets=tuple(there), missing=(*draft.missing, *lost), updated_at=now)
    store.clean(entry.path)
    if not manifest.has_main:
        catalog.drop_journal(entry.ref)
        return None
    store.put_document(f"{entry.path}/{layout.MANIFEST_NAME}", manifest.to_bytes())
    kept = {record.path for record in there}
    store.delete(f"{entry.path}/{path}" for path in before if path not in kept)
    return manifest


def readable_manifest(store: Store, folder: str, ref: TaskRef) -> Manifest | None:
    """Return a task's manifest from its folder, or `None` where a new one may be written.

    Raises:
        ManifestError: It is of a newer version of archiver, and must not be overwritten.
    """
    try:
        found = read_manifest(store, folder)
    except ManifestError as error:
        if error.is_newer:
            raise
        log.warning("%s; it is written anew", error.message)
        return None
    if found is not None and found.ref != ref:
        log.warning("%s: the manifest is that of another task; it is written anew", folder)
        return None
    return found


def _remove_superseded(folder: str, manifest: Manifest, store: Store) -> None:
    """Remove replaced files that a kill left: by their digest, so that nothing else can go."""
    replaced = {(old.size_bytes, old.sha256) for old in manifest.superseded}
    if not replaced:
        return
    sizes = {size for size, _ in replaced}
    kept = {f"{folder}/{record.path}" for record in manifest.assets}
    own = (e for e in store.entries(folder) if layout.is_asset_name(e.key[len(folder) + 1 :]))
    left = [e for e in own if e.key not in kept and e.size_bytes in sizes]
    store.delete(e.key for e in left if (e.size_bytes, sha256_of(store, e.key)) in replaced)


def _is_there(folder: str, record: AssetRecord, store: Store) -> bool:
    """Whether an object's bytes are in the store, under their final name in the end."""
    stem = layout.asset_stem(record.role, record.index)
    if store.adopt_part(folder, stem, record.path, sha256=record.sha256) is not None:
        return True
    found = store.stat(f"{folder}/{record.path}")
    if found is None or found.size_bytes != record.size_bytes:
        return False
    return sha256_of(store, f"{folder}/{record.path}") == record.sha256


def sha256_of(store: Store, key: str) -> str:
    """Return the digest of an object's bytes, read from the store.

    Raises:
        DamageError: It is not there.
    """
    digest = hashlib.sha256()
    with store.open(key) as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
