"""What a person, a pipe or a script sees: lines, a bar, a summary, JSON."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

from archiver.catalog import TaskRow
from archiver.cli import streams
from archiver.config import format_duration, format_size
from archiver.model import JsonObject, Outcome, State
from archiver.policy import Tally
from archiver.redaction import printable

MOST_LINES_KEPT = 200
WIDEST_WORDS = 400
DEFAULT_COLUMNS, DEFAULT_ROWS = 80, 24
REDRAW_S = 0.5


# Ends of lines, turns of direction and controls that JSON lets through as they are.
_UNSHOWN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def iso(moment: Any) -> str | None:
    """Write a time as the contract does: UTC, RFC 3339."""
    from archiver.documents import format_time

    return None if moment is None else format_time(moment)


def row_json(row: TaskRow) -> JsonObject:
    """Return a catalog row as `list --json` prints it."""
    error: JsonObject | None = None
    if row.fault is not None:
        error = {"code": row.fault.code, "message": row.fault.message}
    return {
        "type": "task",
        "source": row.ref.source,
        "task_id": row.ref.task_id,
        "state": row.state.value,
        "watermarked": row.watermarked,
        "path": row.path,
        "prompt": row.prompt,
        "attempts": row.attempts,
        "next_attempt_at": iso(row.next_attempt_at),
        "error": error,
        "created_at": iso(row.created_at),
        "archived_at": iso(row.archived_at),
    }


def short(text: str, width: int = WIDEST_WORDS) -> str:
    """Return text for a terminal: control characters escaped, not too long."""
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def outcome_line(outcome: Outcome, row: TaskRow) -> str:
    """Return a line about a task that is not plainly archived; empty for one that is."""
    words: list[str] = []
    if outcome.state is State.ARCHIVED:
        if outcome.watermarked:
            words.append("only the watermarked copy; `run` looks for a clean one")
        if outcome.missing:
            words.append("missing: " + ", ".join(outcome.missing))
        if outcome.changed in ("upgraded", "replaced", "recovered", "completed"):
            words.append(outcome.changed)
        words.extend(outcome.notes)
        if outcome.fault is not None:
            words.append(f"{outcome.fault.code}: {outcome.fault.message}")
        if not words:
            return ""
    elif outcome.fault is not None:
        words.append(f"{outcome.fault.code}: {outcome.fault.message}")
        if row.next_attempt_at is not None:
            words.append(f"next try from {iso(row.next_attempt_at)}")
    elif outcome.state is State.WAITING:
        words.append("still being generated")
        words.extend(outcome.notes)
    else:
        words.extend(outcome.notes)
    return f"{short(str(outcome.ref), 120)}  {outcome.state}: {short('; '.join(words))}"


def summary_words(tally: Tally) -> str:
    """Return the numbers of a run, which add up, in one line."""
    parts = [
        ("archived", tally.archived),
        ("already there", tally.already),
        ("waiting", tally.waiting),
        ("to be tried again", tally.retry),
        ("failed at the provider", tally.failed),
        ("gone", tally.gone),
        ("refused", tally.refused),
        ("forgotten", tally.forgotten),
        ("not reached", tally.queued),
    ]
    shown = ", ".join(f"{number} {word}" for word, number in parts if number) or "nothing to do"
    return f"{tally.asked} {'task' if tally.asked == 1 else 'tasks'}: {shown}"


@dataclass(slots=True, kw_only=True)
class Output:
    """Where a command's results go.

    Attributes:
        as_json: One object a line.
        quiet: Keep lines back until something is wrong.
        progress: Draw a bar; only ever on a terminal.
        received_bytes: Tells how much has come so far: a large file moves the bar too.
    """

    as_json: bool = False
    quiet: bool = False
    progress: bool = True
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    _kept: list[str] = field(default_factory=list)
    _dropped: int = 0
    received_bytes: Callable[[], int] = lambda: 0
    _bar: Any = None
    _drawing: threading.Lock = field(default_factory=threading.Lock)
    _drawn: threading.Event = field(default_factory=threading.Event)
    _drawer: threading.Thread | None = None

    def line(self, text: str) -> None:
        """Print a line of results, or keep it until it is known whether anything is wrong."""
        if self.as_json or not text:
            return
        if self.quiet:
            if len(self._kept) < MOST_LINES_KEPT:
                self._kept.append(text)
            else:
                self._dropped += 1
            return
        self._write(text)

    def _write(self, text: str) -> None:
        with self._drawing:
            if self._bar is not None:
                self._bar.clear()
            streams.write(self.out, text + "\n", flush=True)
            if self._bar is not None:
                self._bar.refresh()

    def complain(self, text: str) -> None:
        """Print on stderr what went wrong as a whole."""
        streams.write(self.err, text + "\n", flush=True)

    def record(self, value: JsonObject) -> None:
        """Print an object, under `--json`."""
        if self.as_json:
            text = _UNSHOWN.sub(_escaped, json.dumps(value, ensure_ascii=False))
            streams.write(self.out, text + "\n")

    def start(self, total: int) -> None:
        """Draw the bar, if there is anyone to see it."""
        wanted = self.progress and not self.quiet and not self.as_json
        if not wanted or not total or not self.err.isatty():
            return
        import os

        from tqdm import tqdm

        # A terminal that does not know its own size says 0, with which tqdm draws nothing.
        sized = os.get_terminal_size(self.err.fileno()).columns > 0
        self._bar = tqdm(
            total=total,
            unit="task",
            file=self.err,
            dynamic_ncols=sized,
            ncols=None if sized else DEFAULT_COLUMNS,
            nrows=None if sized else DEFAULT_ROWS,
            leave=False,
            smoothing=0.1,
        )
        self._drawn.clear()
        self._drawer = threading.Thread(target=self._redraw, name="bar", daemon=True)
        self._drawer.start()

    def _redraw(self) -> None:
        while not self._drawn.wait(REDRAW_S):
            self._draw()

    def _draw(self) -> None:
        with self._drawing:
            received = self.received_bytes()
            elapsed_s = max(self._bar.format_dict["elapsed"], 0.001)
            rate = format_size(int(received / elapsed_s))
            self._bar.set_postfix_str(f"{format_size(received)}, {rate}/s")

    def advance(self) -> None:
        """Move the bar by one task."""
        if self._bar is not None:
            with self._drawing:
                self._bar.update(1)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is None:
            return
        self._drawn.set()
        if self._drawer is not None:
            self._drawer.join()
        self._draw()  # a short run ends before anything but zero was drawn
        self._bar.close()
        self._bar = None

    def finish(self, lines: list[str], summary: JsonObject, *, exit_code: int) -> None:
        """Print the end: what was kept back if anything is wrong, then the summary."""
        self.stop()
        if self.as_json:
            self.record({"type": "summary", **summary, "exit_code": exit_code})
        elif not self.quiet or exit_code:
            for text in self._kept:
                self._write(text)
            if self._dropped:
                self._write(f"… and {self._dropped} more lines like these")
            for text in lines:
                self._write(text)
        streams.write(self.out, "", flush=True)


def elapsed_words(seconds: float) -> str:
    """Return a span for people."""
    return f"{seconds:.1f} s" if seconds < 60 else format_duration(round(seconds))
