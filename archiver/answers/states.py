"""State words: what each API calls running, finished, failed."""

from __future__ import annotations

import re

from archiver.answers.envelopes import Envelope
from archiver.answers.reading import Notes
from archiver.answers.scalars import plain
from archiver.model import JsonValue, Progress

_SEPARATORS = re.compile(r"[\s_-]+")

# Runway's second API has digits: 0 and 1 run, 2 failed and was paid back, 3 is done.
_WORDS = {
    Progress.RUNNING: (
        "pending, processing, queued, dreaming, submitted, not start, in progress, streaming, "
        "modal, reasoning, generating, throttled, running, starting, preparing, queueing, staged, "
        "unknown, 0, 1"
    ),
    Progress.FINISHED: "completed, complete, succeeded, succeed, success, ready, finished, 3",
    Progress.FAILED: (
        "failed, fail, failure, error, canceled, cancelled, cancel, aborted, "
        "request moderated, content moderated, 2"
    ),
    Progress.GONE: "task not found",
}
_PROGRESS = {
    word.strip(): progress for progress, words in _WORDS.items() for word in words.split(",")
}


def progress_of(word: JsonValue, notes: Notes) -> Progress | None:
    """Read a state in any spelling and case.

    Args:
        word: A word, one of Runway's digits, or whether it is finished (Udio's `finished`).

    Returns:
        `None` for no word at all (or for what is no word, with a warning); `RUNNING` with a
        warning for a word that is not known, so that a new word loses nothing.
    """
    known = _known(word)
    if known is not None or word is None or (isinstance(word, str) and not word.strip()):
        return known
    if isinstance(word, str):
        notes.add(f"the state \u201c{plain(word, 60)}\u201d is not known; taken as still running")
        return Progress.RUNNING
    notes.add("the state is not a word; taken as absent")
    return None


def _known(word: JsonValue) -> Progress | None:
    if isinstance(word, bool):
        return Progress.FINISHED if word else Progress.RUNNING
    if isinstance(word, int):
        word = str(word) if 0 <= word < 10 else None
    if not isinstance(word, str) or len(word) > 60:
        return None
    return _PROGRESS.get(_SEPARATORS.sub(" ", word.strip()).lower())


def settled(word: JsonValue, envelope: Envelope, *, has_output: bool, notes: Notes) -> Progress:
    """Tell how far a task is, from its body's word, the envelope's, and its files.

    The body's word counts; the envelope's where the body has none that is known. A gateway that
    gave up on a body which still ran has the last word too, since it never asks again. Without any
    word a task with finished files is finished, any other still running.

    Args:
        word: The state in the body.
        has_output: Whether the body holds links of finished outputs (previews are none).
    """
    own, outer = _known(word), _known(envelope.status)
    if own is Progress.RUNNING and outer is Progress.FAILED:
        notes.add("the body says that the task still runs, its envelope that it failed")
        return outer
    if own is None and outer is not None and isinstance(word, str) and word.strip():
        notes.add(f"the state “{plain(word, 60)}” is not known; the envelope's counts")
    told = own or outer or progress_of(word, notes) or progress_of(envelope.status, notes)
    if told is not None:
        return told
    taken = Progress.FINISHED if has_output else Progress.RUNNING
    notes.add(f"the answer names no state; taken as {taken.value}")
    return taken
