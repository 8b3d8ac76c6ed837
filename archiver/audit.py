"""`verify`: what is stored against what the manifests say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from archiver import layout
from archiver.catalog import AUDITED, MANIFEST_LOST, TaskRow
from archiver.contracts import StoredEntry
from archiver.errors import DamageError, RenditionError
from archiver.manifest import AssetRecord, Manifest, read_manifest
from archiver.model import Fault, State, TaskRef
from archiver.recovery import sha256_of
from archiver.reindex import row_of
from archiver.session import Session

FOLDERS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How thoroughly to compare.

    Attributes:
        full: Digest every file.
        decode: Decode every frame too; with `full` only.
        share: Of the archived tasks, those never verified and longest ago verified first; 1: all.
        max_bytes: Stop after so many; `None`: no limit.
    """

    full: bool = False
    decode: bool = False
    share: float = 1.0
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One file that is not what its manifest says, or a manifest that is not there.

    Attributes:
        record: The file; `None`: the manifest itself.
    """

    ref: TaskRef
    path: str
    fault: Fault
    record: AssetRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One task's result; without damages it is as its manifest says."""

    row: TaskRow
    manifest: Manifest | None
    damages: tuple[Damage, ...]
    checked_bytes: int = 0


@dataclass(slots=True, kw_only=True)
class Audit:
    """What `verify` found, in numbers."""

    checked: int = 0
    damaged: int = 0
    repaired: int = 0
    checked_bytes: int = 0
    damages: list[Damage] = field(default_factory=list)

    @property
    def open_damage(self) -> int:
        """Damaged tasks that are not repaired."""
        return self.damaged - self.repaired


def check_task(session: Session, row: TaskRow, check: Check) -> Verified:
    """Compare one task's files with its manifest."""
    folder = row.path or ""
    try:
        manifest = _manifest(session, row, folder)
    except DamageError as error:
        fault = Fault(code=error.code, message=error.message)
        return Verified(
            row=row, manifest=None, damages=(Damage(ref=row.ref, path=folder, fault=fault),)
        )
    damages: list[Damage] = []
    for record in manifest.assets:
        session.clock.check_stop()
        try:
            _check_file(session, f"{folder}/{record.path}", record, check)
        except (DamageError, RenditionError) as error:
            path = f"{folder}/{record.path}"
            fault = Fault(code=error.code, message=error.message)
            damages.append(Damage(ref=row.ref, path=path, fault=fault, record=record))
    checked_bytes = manifest.stored_bytes if check.full or check.decode else 0
    return Verified(row=row, manifest=manifest, damages=tuple(damages), checked_bytes=checked_bytes)


def _manifest(session: Session, row: TaskRow, folder: str) -> Manifest:
    manifest = read_manifest(session.store, folder)
    if manifest is None:
        raise DamageError("the manifest is not there", code=MANIFEST_LOST)
    if manifest.ref != row.ref:
        raise DamageError(
            f"the manifest is that of another task, {manifest.ref}", code="wrong_manifest"
        )
    if not manifest.has_main:
        raise DamageError("the manifest names no output that is stored", code="wrong_manifest")
    return manifest


def _check_file(session: Session, key: str, record: AssetRecord, check: Check) -> None:
    found = session.store.stat(key)
    if found is None:
        raise DamageError("the file is not there", code="lost")
    if found.size_bytes != record.size_bytes:
        words = f"{found.size_bytes} bytes instead of {record.size_bytes}"
        raise DamageError(words, code="wrong_size")
    if check.full and sha256_of(session.store, key) != record.sha256:
        raise DamageError("other bytes than were archived", code="wrong_digest")
    if check.decode:
        with session.store.open(key) as file:
            session.prober.decode(file, role=record.role)


def rows_to_check(
    session: Session, refs: Iterable[TaskRef] | None, share: float
) -> Iterator[TaskRow]:
    """Yield the archived tasks to compare: the named ones, or a share, longest unchecked first."""
    if refs is not None:
        for ref in refs:
            row = session.catalog.row(ref)
            if row is not None and is_audited(row):
                yield row
        return
    left = math.ceil(session.catalog.number(AUDITED) * share)
    order = "" if share >= 1 else "verified_at"
    for row in session.catalog.rows(AUDITED, order=order):
        if left <= 0:
            return
        left -= 1
        yield row


def is_audited(row: TaskRow) -> bool:
    """Whether a task is archived, or was until its manifest was lost."""
    is_lost = row.fault is not None and row.fault.code == MANIFEST_LOST
    return row.state is State.ARCHIVED or (row.state is State.RETRY and is_lost)


def quick_check(session: Session) -> Iterator[TaskRow]:
    """Yield the archived tasks that one listing of the store shows to be not as they must be."""
    return session.catalog.compare_folders(_listed_folders(session.store.entries()))


def _listed_folders(entries: Iterable[StoredEntry]) -> Iterator[tuple[str, int, int | None]]:
    sizes: dict[str, tuple[int, int | None]] = {}
    for entry in entries:
        folder, _, name = entry.key.rpartition("/")
        if folder not in sizes and len(sizes) > FOLDERS_AT_ONCE:
            # A folder's files come one after the other, but for folders within it.
            yield from ((path, *seen) for path, seen in sizes.items())
            sizes.clear()
        size, manifest_size = sizes.get(folder, (0, None))
        if name == layout.MANIFEST_NAME:
            sizes[folder] = (size, entry.size_bytes)
        else:
            sizes[folder] = (size + entry.size_bytes, manifest_size)
    yield from ((path, *seen) for path, seen in sizes.items())


def verify(
    session: Session,
    refs: Iterable[TaskRef] | None,
    check: Check,
    *,
    repair: Callable[[Verified], bool] | None = None,
    on_result: Callable[[Verified, bool], None] = lambda verified, repaired: None,
    audit: Audit | None = None,
) -> Audit:
    """Compare what is stored with the manifests.

    Args:
        refs: These tasks; `None`: the archive, or a share of it.
        repair: Tries to make a damaged task whole; tells whether it is.
        on_result: Called for each task with damage, and for each that was looked at by itself.
        audit: Counts into this one, which also holds what was done if the work is stopped.
    """
    session.check_identity()
    audit = Audit() if audit is None else audit
    thorough = check.full or check.decode or check.share < 1 or refs is not None
    if thorough:
        rows = rows_to_check(session, refs, check.share)
    else:
        rows = quick_check(session)
        audit.checked = session.catalog.number(AUDITED)
    for row in rows:
        verified = check_task(session, row, check)
        audit.checked += thorough
        audit.checked_bytes += verified.checked_bytes
        repaired = _book(session, verified, check, repair, audit)
        on_result(verified, repaired)
        if check.max_bytes is not None and audit.checked_bytes >= check.max_bytes:
            break
    if not thorough and not session.dry_run:
        session.catalog.mark_all_verified(now=session.clock.now())
    return audit


def _book(
    session: Session,
    verified: Verified,
    check: Check,
    repair: Callable[[Verified], bool] | None,
    audit: Audit,
) -> bool:
    fault = verified.damages[0].fault if verified.damages else None
    repaired = False
    if fault is not None:
        audit.damaged += 1
        audit.damages.extend(verified.damages[: 100 - len(audit.damages)])
        repaired = repair is not None and repair(verified)
        audit.repaired += repaired
    if not repaired and not session.dry_run:
        row, now = verified.row, session.clock.now()
        if row.state is not State.ARCHIVED and verified.manifest is not None and fault is None:
            # The manifest was lost, and somebody brought it back.
            row = row_of(session, verified.manifest, row.path or "")
            session.catalog.put(row, what="archived", at=now)
        # A look at the size says nothing of bytes that a digest found to be others.
        if fault is not None or check.full or row.fault is None:
            session.catalog.mark_verified(row, now=now, fault=fault)
    return repaired
