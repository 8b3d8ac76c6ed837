"""The spool: posted bodies, as they came, until their tasks are archived or their links dead.

The only place that ever holds signed links: folder 0700, files 0600, written whole and durably
before anything else is done with a body.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from archiver.documents import format_time
from archiver.errors import UsageError, system_error
from archiver.model import JsonValue

FOLDER = "spool"
MOST_BYTES = 64 << 20
_SCHEMA = "archiver.spool/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One body in the spool.

    Attributes:
        source: Whose it is; `None`: to be told by its shape.
    """

    path: Path
    source: str | None
    saved_at: datetime
    body: JsonValue = field(repr=False)


def parse_body(data: bytes, where: str) -> JsonValue:
    """Read a body.

    Raises:
        UsageError: It is no JSON, or none that could be an answer.
    """
    if len(data) > MOST_BYTES:
        raise UsageError(f"{where}: {len(data)} bytes are no answer of an API; nothing was saved")
    try:
        body: JsonValue = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: not JSON; nothing was saved") from None
    if not isinstance(body, (dict, list)) or not body:
        raise UsageError(f"{where}: JSON, but no object and no list; nothing was saved")
    return body


def save(state_dir: Path, body: JsonValue, *, source: str | None, now: datetime) -> Path:
    """Write a body down, durably; the same body twice is one file.

    Raises:
        StoreFullError, StoreError: It could not be saved.
    """
    text = json.dumps(body)
    digest = hashlib.sha256(f"{source}\n{text}".encode()).hexdigest()[:32]
    folder = state_dir / FOLDER
    path = folder / f"{digest}.json"
    part = folder / f"{digest}.{os.getpid()}.part"
    document = {"schema": _SCHEMA, "source": source, "saved_at": format_time(now), "body": body}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        _sync(folder)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        what = f"the body could not be saved in {folder}, post it again"
        raise system_error(error, what, code="state_unusable") from error
    return path


def read(path: Path) -> Posted | None:
    """Return one body of the spool; `None` when it is not there, or no body."""
    try:
        document = json.loads(path.read_bytes())
        source = document["source"]
        return Posted(
            path=path,
            source=source if isinstance(source, str) else None,
            saved_at=datetime.fromisoformat(document["saved_at"]),
            body=document["body"],
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def paths(state_dir: Path) -> Iterator[Path]:
    """Yield the files of the spool, by name."""
    folder = state_dir / FOLDER
    if folder.is_dir():
        yield from sorted(folder.glob("*.json"))


def drop(path: Path) -> None:
    """Delete one body: its tasks are archived, or it is of no more use."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        what = f"{path} cannot be removed"
        raise system_error(error, what, code="state_unusable") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
