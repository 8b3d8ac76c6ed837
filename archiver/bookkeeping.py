"""From what happened to a task to its row in the catalog: states, second looks, next attempts.

Nothing is given up on one look. A judgement about a task (dead files, no media, finished without
links) is `retry` until it was seen twice, a day apart; a passing fault has its own back-off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from archiver import policy
from archiver.catalog import TaskRow
from archiver.model import Fault, Outcome, State

MISSING_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long to try: from the configuration.

    Attributes:
        upgrade_for: How long a clean copy is looked for after a marked one was archived.
        give_up_waiting_after: How long an unfinished task is asked for after it was first seen.
    """

    upgrade_for: timedelta
    give_up_waiting_after: timedelta


def settle(row: TaskRow, outcome: Outcome, *, now: datetime, rules: Rules) -> tuple[TaskRow, str]:
    """Return the task's new row, and a line for its history (empty when nothing changed)."""
    if outcome.state is State.ARCHIVED and outcome.fault is not None:
        settled = _as_it_was(row, outcome.fault, now)
    elif outcome.state is State.ARCHIVED:
        settled = _archived(row, outcome, now, rules)
    else:
        settled = _not_archived(row, outcome, now, rules)
    what = outcome.changed
    if settled.state is not row.state or (settled.fault and settled.fault != row.fault):
        fault = settled.fault
        what = what or (f"{settled.state}: {fault.code}: {fault.message}" if fault else "")
        what = what or str(settled.state)
    return settled, what


def _as_it_was(row: TaskRow, fault: Fault, now: datetime) -> TaskRow:
    """An archived task of which nothing could be learnt: what was due stays due."""
    attempts = row.attempts + 1
    next_at = policy.backoff(attempts, now, None) if row.next_attempt_at else None
    # A provider's fault says nothing of what is stored.
    kept = row.fault if fault.provider_side else fault
    return replace(row, attempts=attempts, fault=kept, next_attempt_at=next_at)


def _archived(row: TaskRow, outcome: Outcome, now: datetime, rules: Rules) -> TaskRow:
    archived_at = outcome.archived_at or row.archived_at or now
    due: list[datetime] = []
    if outcome.watermarked and now < archived_at + rules.upgrade_for:
        due.append(policy.next_poll(archived_at, now))
    if outcome.missing and now < archived_at + MISSING_FOR:
        due.append(outcome.retry_at or policy.next_poll(archived_at, now))
    return replace(
        row,
        state=State.ARCHIVED,
        provider_task_id=outcome.provider_task_id,
        path=outcome.path or row.path,
        prompt=outcome.prompt,
        created_at=outcome.created_at,
        archived_at=archived_at,
        updated_at=outcome.updated_at,
        watermarked=outcome.watermarked,
        incomplete=bool(outcome.missing),
        stored_bytes=outcome.stored_bytes,
        manifest_bytes=outcome.manifest_bytes,
        attempts=0 if outcome.changed else row.attempts + 1,
        next_attempt_at=min(due, default=None),
        fault=outcome.fault,
        verdict_code=_verdict_code(outcome) if outcome.verdict else None,
        verdict_at=_verdict_at(row, outcome, now) if outcome.verdict else None,
    )


def _not_archived(row: TaskRow, outcome: Outcome, now: datetime, rules: Rules) -> TaskRow:
    state, fault = outcome.state, outcome.fault
    attempts = row.attempts + 1
    next_at: datetime | None = None
    verdict_code: str | None = None
    verdict_at: datetime | None = None
    if outcome.verdict:
        verdict_code, verdict_at = _verdict_code(outcome), _verdict_at(row, outcome, now)
        if not policy.second_look(verdict_code, row.verdict_code, row.verdict_at, now):
            state = State.RETRY
            next_at = policy.next_poll(row.first_seen_at, now)
    elif state is State.WAITING:
        next_at = policy.next_poll(row.first_seen_at, now)
        if now - row.first_seen_at >= rules.give_up_waiting_after:
            next_at = None
            fault = Fault(
                code="waited_too_long",
                message="still not finished after give_up_waiting_after; `archive` asks again",
            )
    elif state is State.RETRY:
        next_at = outcome.retry_at or policy.backoff(attempts, now, None)
    return replace(
        row,
        state=state,
        provider_task_id=outcome.provider_task_id or row.provider_task_id,
        path=outcome.path or row.path,
        prompt=outcome.prompt or row.prompt,
        created_at=outcome.created_at or row.created_at,
        attempts=attempts,
        next_attempt_at=next_at,
        fault=fault,
        verdict_code=verdict_code,
        verdict_at=verdict_at,
    )


def _verdict_code(outcome: Outcome) -> str:
    return outcome.fault.code if outcome.fault else "missing"


def _verdict_at(row: TaskRow, outcome: Outcome, now: datetime) -> datetime:
    """Return when this judgement was first made: another one in between starts anew."""
    if row.verdict_at is not None and row.verdict_code == _verdict_code(outcome):
        return row.verdict_at
    return now
