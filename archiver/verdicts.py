"""What became of a task, in words for the catalog and for people: builds every `Outcome`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from archiver import layout, policy
from archiver.catalog import TaskRow
from archiver.draft import Draft
from archiver.errors import (
    ArchiverError,
    ForbiddenAddressError,
    PassingError,
    ProviderError,
    TaskNotFoundError,
    TooLargeError,
)
from archiver.manifest import Manifest, Refusal
from archiver.model import (
    Asset,
    Dimensions,
    Duration,
    Fault,
    Outcome,
    Progress,
    State,
    Task,
)

UNAVAILABLE = "unavailable"
"""Code of an output all of whose renditions were refused: looked at again a day later."""

_MISSING = "missing"
# A file that killed two runs and a process of its own had its second look.
_FINAL = frozenset({TooLargeError.code, ForbiddenAddressError.code, policy.CRASHES_DECODER})
_NOT_MEDIA = _FINAL | {
    "not_media",
    "empty",
    "wrong_kind",
    "undecodable",
    "truncated",
    "redirect_loop",
    "dimension_mismatch",
}


def fault_of(error: ArchiverError) -> Fault:
    """Return an error as the catalog keeps it."""
    provider_side = isinstance(error, (PassingError, ProviderError))
    provider_side = provider_side and not isinstance(error, TaskNotFoundError)
    return Fault(code=error.code, message=error.message, provider_side=provider_side)


def retry_at(error: ArchiverError, row: TaskRow, now: datetime) -> datetime:
    """Return when to try again after a passing fault."""
    pause = error.retry_after_s if isinstance(error, PassingError) else None
    return policy.backoff(row.attempts + 1, now, pause)


def not_asked(
    row: TaskRow, error: ProviderError | PassingError, held: Manifest | None, now: datetime
) -> Outcome:
    """The provider gave no task: an archived one stays so, another is tried again or gone."""
    fault = fault_of(error)
    if held is not None:
        words = f"the provider was asked for what is missing: {fault.message}"
        return archived(row, held, changed="", notes=(words,), retry=retry_at(error, row, now))
    if not isinstance(error, TaskNotFoundError):
        return Outcome(
            ref=row.ref, state=State.RETRY, fault=fault, retry_at=retry_at(error, row, now)
        )
    if error.may_be_fresh and policy.is_fresh(row.first_seen_at, now):
        when = row.first_seen_at + policy.FRESH_FOR
        return Outcome(ref=row.ref, state=State.RETRY, fault=fault, retry_at=when)
    return Outcome(ref=row.ref, state=State.GONE, fault=fault, path=row.path)


def not_renewed(outcome: Outcome, error: PassingError) -> Outcome:
    """What is archived stays so, and what was wanted anew could not be had now."""
    if not outcome.already:
        words = f"not all of it could be fetched anew: {error.message}"
        return replace(outcome, notes=(*outcome.notes, words))
    return replace(outcome, fault=fault_of(error))


def unfinished(row: TaskRow, task: Task, held: Manifest | None) -> Outcome:
    """The provider has no files: still at work, failed, or removed."""
    if held is not None:
        words = f"the provider now says that it is {task.progress}"
        return archived(row, held, changed="", notes=(*task.warnings, words))
    words = task.failure or ""
    state, fault = {
        Progress.FAILED: (
            State.FAILED,
            Fault(code="generation_failed", message=words or "the provider gives no reason"),
        ),
        Progress.GONE: (
            State.GONE,
            Fault(code="data_removed", message=words or "the provider removed its files"),
        ),
    }.get(task.progress, (State.WAITING, None))
    return replace(_of_task(row, task, state), fault=fault)


def planned(row: TaskRow, task: Task, prefer: tuple[str, ...]) -> Outcome:
    """What would be done, for a dry run."""
    if task.progress is not Progress.FINISHED:
        return unfinished(row, task, None)
    best = [
        f"{layout.asset_stem(asset.role, asset.index)} from {ranked[0].name}"
        for asset in task.assets
        if (ranked := policy.rank(asset.renditions, prefer))
    ]
    words = "would fetch " + ", ".join(best[:20]) if best else "the answer holds no link to a file"
    return replace(_of_task(row, task, State.QUEUED), notes=(*task.warnings, words))


def _of_task(row: TaskRow, task: Task, state: State) -> Outcome:
    return Outcome(
        ref=row.ref,
        state=state,
        provider_task_id=task.provider_task_id,
        prompt=task.prompt,
        created_at=task.created_at,
        path=row.path,
        notes=task.warnings,
    )


def nothing_stored(
    row: TaskRow,
    task: Task,
    draft: Draft,
    *,
    passing: PassingError | None,
    left_marked: bool,
    folder: str,
    now: datetime,
) -> Outcome:
    """No main output could be had: postponed, marked only, or a verdict about the task.

    Args:
        passing: The passing fault of the best rendition, if that is why.
        left_marked: Marked copies were to be had, and none was wanted.
    """
    refusals = [r for asset in _main(task) for r in draft.refusals(asset)]
    outcome = replace(
        _of_task(row, task, State.RETRY), path=folder, refused=tuple(r.code for r in refusals)
    )
    if passing is not None:
        return replace(outcome, fault=fault_of(passing), retry_at=retry_at(passing, row, now))
    if left_marked:
        fault = Fault(
            code=policy.WATERMARKED_ONLY,
            message="only a watermarked copy can be had now, and --require-unwatermarked was given",
        )
        return replace(outcome, fault=fault, retry_at=policy.next_poll(row.first_seen_at, now))
    telling = [refusal for refusal in refusals if refusal.code != UNAVAILABLE]
    if not telling:
        fault = Fault(code="no_links", message="finished, but the answer holds no link to a file")
        return replace(outcome, state=State.GONE, fault=fault, verdict=True)
    codes = {refusal.code for refusal in telling}
    state = State.REFUSED if codes & _NOT_MEDIA else State.GONE
    fault = Fault(code=telling[0].code, message=_words(refusals))
    return replace(outcome, state=state, fault=fault, verdict=not codes <= _FINAL)


def _main(task: Task) -> list[Asset]:
    return [asset for asset in task.assets if not asset.role.is_preview]


def _words(refusals: list[Refusal]) -> str:
    shown = [f"{r.rendition}: {r.message}" for r in refusals[:6]]
    more = f"; and {len(refusals) - 6} more" if len(refusals) > 6 else ""
    return "no rendition was accepted: " + "; ".join(shown) + more


def second_looks(row: TaskRow, manifest: Manifest, now: datetime) -> Manifest:
    """Give up outputs that were not to be had at two looks a day apart."""
    if not policy.second_look(_MISSING, row.verdict_code, row.verdict_at, now):
        return manifest
    left = tuple(missing for missing in manifest.missing if missing.code != UNAVAILABLE)
    return replace(manifest, missing=left)


def is_news(held: Manifest | None, manifest: Manifest) -> bool:
    """Whether a manifest says anything that the one in the store does not."""
    if held is None or manifest.assets != held.assets:
        return True
    return {(m.role, m.index) for m in manifest.missing} != {
        (m.role, m.index) for m in held.missing
    }


def what_changed(row: TaskRow, held: Manifest | None, manifest: Manifest) -> str:
    """Name what this pass did to an archived task; empty when it did nothing."""
    if held is None:
        return "archived"
    before = {(record.role, record.index): record for record in held.assets}
    changed = ""
    for record in manifest.assets:
        old = before.get((record.role, record.index))
        if old is None:
            changed = changed or "completed"
        elif old.sha256 != record.sha256 or old.path != record.path:
            better = old.watermarked and not record.watermarked
            changed = "upgraded" if better or changed == "upgraded" else "replaced"
    return changed or ("" if row.state is State.ARCHIVED else "recovered")


def remarks(manifest: Manifest) -> tuple[str, ...]:
    """Say which files are not what was declared."""
    words = []
    for record in manifest.assets:
        declared, actual = record.declared, record.actual
        if record.dimensions in (Dimensions.MISMATCH, Dimensions.SWAPPED):
            words.append(
                f"{record.path}: declared {declared.width_px}x{declared.height_px},"
                f" is {actual.width_px}x{actual.height_px} ({record.dimensions})"
            )
        if record.duration is Duration.MISMATCH:
            words.append(
                f"{record.path}: declared {declared.duration_s} s, is {actual.duration_s} s"
            )
    return tuple(words)


def archived(
    row: TaskRow,
    manifest: Manifest,
    *,
    changed: str,
    path: str | None = None,
    notes: tuple[str, ...] = (),
    retry: datetime | None = None,
) -> Outcome:
    """The task's manifest is in the store."""
    return Outcome(
        ref=row.ref,
        state=State.ARCHIVED,
        already=not changed and row.state is State.ARCHIVED,
        changed=changed or ("" if row.state is State.ARCHIVED else "recovered"),
        provider_task_id=manifest.provider_task_id,
        watermarked=manifest.watermarked,
        path=path or row.path,
        prompt=manifest.prompt,
        created_at=manifest.created_at,
        archived_at=manifest.archived_at,
        updated_at=manifest.updated_at,
        missing=manifest.missing_words,
        refused=tuple(refusal.code for refusal in manifest.refused),
        notes=notes,
        stored_bytes=manifest.stored_bytes,
        manifest_bytes=manifest.document_bytes,
        retry_at=retry,
        verdict=any(missing.code == UNAVAILABLE for missing in manifest.missing),
    )
