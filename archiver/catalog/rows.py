"""The rows of the catalog, typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from archiver.model import Fault, JsonObject, State, TaskRef

COLUMNS = (
    "source, task_id, state, provider_task_id, path, prompt, created_at, archived_at, updated_at,"
    " watermarked, incomplete, stored_bytes, first_seen_at, attempts, next_attempt_at,"
    " error_code, error_message, verdict_code, verdict_at, verified_at, manifest_bytes"
)
MARKS = ", ".join("?" for _ in COLUMNS.split(","))


def encode_time(moment: datetime | None) -> str | None:
    """Write a time so that its text sorts as the times do."""
    if moment is None:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def decode_time(text: str | None) -> datetime | None:
    """Read what `encode_time` wrote."""
    return None if text is None else datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """What the catalog says of one task.

    Attributes:
        path: The task's folder, fixed when first written.
        incomplete: Whether an output is still missing.
        attempts: Asked so often since the last success.
        next_attempt_at: When `run` tries again; `None`: never by itself.
        verdict_code, verdict_at: A judgement that waits for its second look.
        verified_at: When the stored files were last compared with the manifest.
        manifest_bytes: Size of the manifest; `None`: written down by an older version.
    """

    ref: TaskRef
    state: State
    first_seen_at: datetime
    provider_task_id: str | None = None
    path: str | None = None
    prompt: str | None = None
    created_at: datetime | None = None
    archived_at: datetime | None = None
    updated_at: datetime | None = None
    watermarked: bool = False
    incomplete: bool = False
    stored_bytes: int = 0
    attempts: int = 0
    next_attempt_at: datetime | None = None
    fault: Fault | None = None
    verdict_code: str | None = None
    verdict_at: datetime | None = None
    verified_at: datetime | None = None
    manifest_bytes: int | None = None

    def values(self) -> tuple[str | int | None, ...]:
        """Return the row in the order of the table's columns."""
        return (
            self.ref.source,
            self.ref.task_id,
            self.state.value,
            self.provider_task_id,
            self.path,
            self.prompt,
            encode_time(self.created_at),
            encode_time(self.archived_at),
            encode_time(self.updated_at),
            self.watermarked,
            self.incomplete,
            self.stored_bytes,
            encode_time(self.first_seen_at),
            self.attempts,
            encode_time(self.next_attempt_at),
            self.fault.code if self.fault else None,
            self.fault.message if self.fault else None,
            self.verdict_code,
            encode_time(self.verdict_at),
            encode_time(self.verified_at),
            self.manifest_bytes,
        )

    @classmethod
    def read(cls, row: Sequence[Any]) -> Self:
        """Read the columns of a table's row."""
        return cls(
            ref=TaskRef(source=row[0], task_id=row[1]),
            state=State(row[2]),
            provider_task_id=row[3],
            path=row[4],
            prompt=row[5],
            created_at=decode_time(row[6]),
            archived_at=decode_time(row[7]),
            updated_at=decode_time(row[8]),
            watermarked=bool(row[9]),
            incomplete=bool(row[10]),
            stored_bytes=row[11],
            first_seen_at=datetime.fromisoformat(row[12]),
            attempts=row[13],
            next_attempt_at=decode_time(row[14]),
            fault=Fault(code=row[15], message=row[16] or "") if row[15] else None,
            verdict_code=row[17],
            verdict_at=decode_time(row[18]),
            verified_at=decode_time(row[19]),
            manifest_bytes=row[20],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a run had stored of a task before its manifest was written: the manifest so far."""

    ref: TaskRef
    path: str
    draft: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One line of the log of runs."""

    id: int
    command: str
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    summary: JsonObject
