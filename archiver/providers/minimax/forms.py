"""Reading MiniMax's bodies: the vendor's task, its file, a callback, and both in a gateway's row.

Source: providers.md section 12, and 13.10, 13.17, 13.18.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from archiver.answers import (
    Body,
    Fields,
    Notes,
    bodies_of,
    identity_of,
    merge_equal_urls,
    plain,
    raise_for_answer,
    rendition_of,
    settled,
)
from archiver.errors import KeyRefusedError, NoCreditError, RateLimitedError
from archiver.model import Answer, Asset, JsonValue, Progress, Rendition, Role, Task, TaskRef

LINKS = ("download_url", "backup_download_url")
"""The names of a file's links, best first."""

BY_FILE = "file_id"
"""The form of a file whose link must be asked for though the answer has others."""

ID_NAMES = ("task_id",)
"""What bodies call a task's id."""

_OWN = frozenset({"file_id", "video_width", "base_resp"})
_RATE_LIMIT = 1002
_KEY_CODES = (1004, 2049)
_NO_CREDIT = 1008
_MODERATED = (1026, 1027)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What `base_resp` says."""

    code: int
    words: str


def _said(body: Body) -> _Said:
    notes = Notes()
    base = Fields(body.object.get("base_resp"), notes)
    return _Said(code=base.integer("status_code") or 0, words=base.words("status_msg") or "")


def raise_for_code(answer: Answer, body: Body) -> None:
    """Raise what an error with HTTP 200 means; one about the content is the task's own failure."""
    said = _said(body)
    if said.code == 0 or said.code in _MODERATED:
        return
    words = f"the API says {said.code}: {said.words or 'nothing about it'}"
    if said.code == _RATE_LIMIT:
        raise RateLimitedError(words)
    if said.code in _KEY_CODES:
        raise KeyRefusedError(f"{words}. The key is refused")
    if said.code == _NO_CREDIT:
        raise NoCreditError(f"{words}. The account has no credit left")
    if body.object.get("status"):
        return  # a task that failed says why in the same place
    raise_for_answer(replace(answer, body={"error": f"{said.code}: {said.words}"}))


def may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one; a state alone is none."""
    value = body.object
    has_state = bool(value.get("status") or body.envelope.status)
    has_id = bool(body.ids(*ID_NAMES)) or not _OWN.isdisjoint(value) or "file" in value
    return (has_state and has_id) or _said(body).code in _MODERATED


def is_minimax(body: Body) -> bool:
    """Tell whether a body that nobody asked for is MiniMax's, and no other provider's."""
    platform, action = body.envelope.platform or "", body.envelope.action or ""
    if any(word.lower().startswith(("minimax", "hailuo")) for word in (platform, action)):
        return True
    value = body.object
    file = value.get("file")
    if isinstance(file, dict) and "download_url" in file and ("file_id" in file or "bytes" in file):
        return True
    return "task_id" in value and not _OWN.isdisjoint(value)


class _Form:
    """One body: the vendor's, a callback's, or a gateway's in which both answers are one."""

    def __init__(self, body: Body) -> None:
        self.notes = Notes()
        self._body = body
        self._fields = Fields(body.object, self.notes)
        self._file = self._fields.child("file")

    def progress(self) -> Progress:
        """Tell how far the task is; a code about the content is a failure, whatever the state."""
        if _said(self._body).code in _MODERATED:
            return Progress.FAILED
        return settled(
            self._fields.value("status"),
            self._body.envelope,
            has_output=self._file.has(*LINKS) or self._fields.has("file_id"),
            notes=self.notes,
        )

    def file_id(self) -> str | None:
        """Return the id of the file; some gateways keep it where others say why a task failed."""
        own = self._fields.ident("file_id") or self._file.ident("file_id")
        reason = (self._body.envelope.fail_reason or "").strip()
        return own or (reason if reason.isascii() and reason.isdecimal() else None)

    def assets(self) -> tuple[Asset, ...]:
        """Return the video: with links, or with what must be asked for them.

        `bytes` is 0 in real answers, and says nothing.
        """
        width = self._fields.pixels("video_width")
        height = self._fields.pixels("video_height")
        links = [(name, self._file.url(name)) for name in LINKS]
        found = [rendition_of(name, url) for name, url in links if url is not None]
        if self.file_id() is not None:
            names = (BY_FILE,) if found else LINKS
            found += [Rendition(name=name) for name in names]
        if not found:
            self.notes.add("the task is finished, but names neither a file nor a link")
            return ()
        sized = tuple(replace(r, width_px=width, height_px=height) for r in found)
        return (Asset(role=Role.VIDEO, renditions=merge_equal_urls(sized)),)

    def failure(self) -> str:
        """Return why it failed."""
        own = self._fields.words("error_message", "message")
        said, state = _said(self._body), self._fields.words("status")
        words = said.words if said.code else ""
        reason = plain(self._body.envelope.fail_reason or "")
        return own or words or reason or state or "the provider gives no reason"

    def created_at(self) -> datetime | None:
        envelope = self._body.envelope
        return (
            envelope.submitted_at
            or envelope.created_at
            or self._fields.moment("created_at")
            or self._file.moment("created_at")
        )

    def text(self, name: str) -> str | None:
        return self._fields.text(name)


def file_id_of(answer: JsonValue) -> str | None:
    """Return the id of the file that an answer about one task names."""
    found = bodies_of(answer).found
    return _Form(found[0]).file_id() if found else None


def read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    """Read one body of any form.

    Args:
        task_id: The id asked for; without one, the gateway's id, else the body's, else its file's.

    Raises:
        ProviderError: It bears no id, and none can be made of it.
    """
    form = _Form(body)
    progress = form.progress()
    ids = body.ids(*ID_NAMES)
    known_as = task_id or (ids[0] if ids else form.file_id()) or identity_of(body.raw)
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.text("prompt"),
        model=form.text("model") or body.envelope.model,
        created_at=form.created_at(),
        failure=form.failure() if progress is Progress.FAILED else None,
        assets=form.assets() if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=form.notes.texts(),
    )
