"""A run in numbers, and the report that it leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from archiver.audit import Audit
from archiver.bulk import Result, numbers_of
from archiver.discovery import Discovered, Problem
from archiver.documents import format_time
from archiver.model import JsonObject, JsonValue
from archiver.notify import replace_file
from archiver.policy import ExitCode, exit_code
from archiver.session import Session

REPORTS_KEPT = 1000


@dataclass(slots=True, kw_only=True)
class Night:
    """How one run went.

    Attributes:
        lost_in_queue_order: Tasks that were in time only because they were taken first.
        expired: Tasks whose links were dead before their turn.
        report_path: Where the report is; empty when there is none.
    """

    started_at: datetime
    result: Result
    found: Discovered = field(default_factory=Discovered)
    audit: Audit = field(default_factory=Audit)
    duration_s: float = 0.0
    lost_in_queue_order: int = 0
    expired: int = 0
    report_path: str = ""
    signal_code: ExitCode | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The one code that says it all."""
        facts = {self.result.exit_code}
        if self.signal_code is not None:
            facts.add(self.signal_code)
        return exit_code(facts)


def report_json(session: Session, night: Night, finished_at: datetime) -> JsonObject:
    """Return a run's report, without any secret."""
    result = night.result
    problems: list[JsonValue] = [problem_json(problem) for problem in night.found.problems]
    faulty = {**result.report.refused_keys, **result.report.faulty_sources}
    told = {problem.source for problem in night.found.problems}
    problems += [
        {"source": name, "code": error.code, "message": error.message}
        for name, error in faulty.items()
        if name not in told
    ]
    if result.failure is not None:
        failure = result.failure
        problems.append({"source": None, "code": failure.code, "message": failure.message})
    report: JsonObject = {
        "schema": "archiver.report/1",
        "command": "run",
        "started_at": format_time(night.started_at),
        "finished_at": format_time(finished_at),
        "duration_s": round(night.duration_s, 3),
        "exit_code": int(night.exit_code),
        "stopped_by": result.report.stopped_by,
        "summary": numbers_of(result.tally),
        "discovered": {
            "inbox": night.found.inbox_new,
            "list": night.found.list_new,
            "bodies": night.found.bodies,
            "bad_lines": night.found.bad_lines,
        },
        "deadlines": {"expired": night.expired, "lost_in_queue_order": night.lost_in_queue_order},
        "scrub": {
            "checked": night.audit.checked,
            "checked_bytes": night.audit.checked_bytes,
            "damaged": night.audit.damaged,
            "repaired": night.audit.repaired,
            "damages": [
                {
                    "source": damage.ref.source,
                    "task_id": damage.ref.task_id,
                    "path": damage.path,
                    "code": damage.fault.code,
                    "message": damage.fault.message,
                }
                for damage in night.audit.damages
            ],
        },
        "problems": problems,
    }
    clean = session.redactor.document(report)
    return clean if isinstance(clean, dict) else report


def problem_json(problem: Problem) -> JsonObject:
    """Return what is wrong with a source."""
    fault = problem.fault
    return {"source": problem.source, "code": fault.code, "message": fault.message}


def save_report(state_dir: Path, report: JsonObject, *, started_at: datetime, number: int) -> Path:
    """Write a run's report; the oldest ones go.

    Raises:
        OSError: It cannot be written.
    """
    folder = state_dir / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"run-{started_at:%Y%m%dT%H%M%SZ}-{number}.json"
    text = json.dumps(report, indent=2, ensure_ascii=False).encode("utf-8", "replace")
    replace_file(path, text + b"\n")
    for old in sorted(folder.glob("run-*.json"))[:-REPORTS_KEPT]:
        old.unlink(missing_ok=True)
    return path
