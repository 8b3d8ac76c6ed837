"""Where things go: the folder of a task, the names in it, the store's own documents.

The same names are used on disk and in S3. They are ASCII, relative and never longer than
`MAX_PART_BYTES` between two slashes, whatever an id looks like; two tasks never share a folder,
not even on a file system that ignores case. Only a shortened part ever holds a `~`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from archiver.errors import ConfigError
from archiver.model import Role, TaskRef
from archiver.redaction import printable, redact_text

MAX_PART_BYTES = 120
"""Longest name between two slashes."""

MANIFEST_NAME = "manifest.json"
"""A task is archived exactly when this is in its folder."""

STORE_FOLDER = ".archiver"
"""The store's own folder."""

STORE_KEY = f"{STORE_FOLDER}/store.json"
"""Identity and format of the store."""

PENDING_KEY = f"{STORE_FOLDER}/pending.jsonl"
"""The queue as the last run that left work wrote it."""

FORGOTTEN_PREFIX = f"{STORE_FOLDER}/forgotten/"
"""Where the tombstones of forgotten tasks lie, one folder for each source."""

FIELDS = ("source", "provider", "task_id", "created", "prompt")
"""What a template may name."""

UNDATED = "undated"
"""What stands for an unknown date."""

UNTITLED = "untitled"
"""What stands for a prompt without any word of ASCII letters or digits."""

_DEFAULT_DATE = "%Y-%m-%d"
_DIRECTIVES = "YymdHIMSfjUWVGuw%"
_MAX_SLUG = 60
_DIGEST_DIGITS = 12
_MAX_TRIES = 1000
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_FIELD = re.compile(r"([a-z_]+)(?:\[:([0-9]{1,4})\])?(?::(.*))?", re.S)
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_ROLES = "|".join(role.value for role in Role)
_ASSET_NAME = re.compile(rf"(?:{_ROLES})(?:-[1-9][0-9]*)?(?:\.watermarked)?\.[a-z0-9]{{1,10}}")
_RESERVED = re.compile(r"\.{0,2}|\.archiver|.*\.part(?:\.json)?", re.I)
_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A piece of a template: literal text (`field` empty) or a field."""

    text: str = ""
    field: str = ""
    limit: int | None = None

    @property
    def is_whole_id(self) -> bool:
        return self.field == "task_id" and self.limit is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What stands between two slashes, not yet encoded."""

    raw: str
    holds_id: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How a task's folder is named: `{source}/{created:%Y/%m/%d}/{task_id}`.

    Attributes:
        text: The template as it was written.
        fields: Names of the fields in it.
    """

    text: str
    fields: frozenset[str]
    pieces: tuple[_Piece, ...]

    @staticmethod
    def parse(text: str) -> Template:
        """Read a template.

        Args:
            text: Parts separated by slashes. `{name}` is a field of `FIELDS`, `{name[:n]}` its
                first `n` characters, `{created:%Y/%m}` a date (UTC) whose slashes make parts;
                `{{` and `}}` are braces.

        Raises:
            ConfigError: It cannot be read, lacks `{task_id}`, or leads out of the store. The
                message names neither key nor file.
        """
        pieces = tuple(_pieces(text))
        if not any(piece.is_whole_id for piece in pieces):
            raise ConfigError("must contain {task_id} whole, or tasks would overwrite each other")
        template = Template(
            text=text, pieces=pieces, fields=frozenset(p.field for p in pieces if p.field)
        )
        for created in (datetime(2024, 10, 15, tzinfo=UTC), None):
            values = {"source": "s", "provider": "p", "task_id": "t", "prompt": "w"}
            for part in template._parts(values, created):
                if part.raw in ("", ".", ".."):
                    raise ConfigError(
                        "must be a relative path: no slash at its beginning or end, "
                        "and no part that is empty, '.' or '..'"
                    )
        return template

    def folder(
        self,
        *,
        source: str,
        provider: str,
        task_id: str,
        created_at: datetime | None,
        prompt: str | None,
        taken: Callable[[str], bool],
    ) -> str:
        """Return the folder of a task that has none yet, relative to the store.

        Args:
            source: The configured account's name.
            provider: The provider's name.
            task_id: Any text.
            created_at: When the provider made the task; `None` and 1970 and before are undated.
            prompt: Any text; becomes a slug.
            taken: Tells whether another task has this folder, upper and lower case being one.

        Returns:
            ASCII parts, separated by slashes, none longer than `MAX_PART_BYTES`.
        """
        values = {
            "source": source,
            "provider": provider,
            "task_id": task_id,
            "prompt": slug(prompt or "") if "prompt" in self.fields else "",
        }
        parts = self._parts(values, created_at)
        last = max(i for i, part in enumerate(parts) if part.holds_id)
        for salt in _salts(source, task_id, parts[last].raw):
            folder = "/".join(
                encode_part(part.raw, salt=salt if i == last else None)
                for i, part in enumerate(parts)
            )
            if not taken(folder):
                return folder
        raise ValueError(f"every folder for {printable(task_id)[:60]} is said to be taken")

    def _parts(self, values: dict[str, str], created_at: datetime | None) -> list[_Part]:
        texts, holds_id = [""], [False]
        for piece in self.pieces:
            if piece.field == "created":
                chunks = _date(created_at, piece).split("/")
            elif piece.field:
                chunks = [values[piece.field][: piece.limit]]
            else:
                chunks = piece.text.split("/")
            texts[-1] += chunks[0]
            holds_id[-1] |= piece.is_whole_id
            texts += chunks[1:]
            holds_id += [False] * (len(chunks) - 1)
        return [_Part(raw=t, holds_id=h) for t, h in zip(texts, holds_id, strict=True)]


def _pieces(text: str) -> Iterator[_Piece]:
    for match in _PIECE.finditer(text):
        word = match[0]
        if word in ("{{", "}}"):
            yield _Piece(text=word[0])
        elif match[1] is not None:
            yield _field(match[1])
        elif word in "{}":
            raise ConfigError(f"has a single '{word}'; write '{word * 2}' for a brace")
        else:
            yield _Piece(text=word)


def _field(text: str) -> _Piece:
    match = _FIELD.fullmatch(text)
    shown = printable(text)[:60]
    if match is None or match[1] not in FIELDS:
        raise ConfigError(f"has no field {{{shown}}}; the fields are {', '.join(FIELDS)}")
    name, limit, date = match.groups()
    if limit is not None and int(limit) == 0:
        raise ConfigError(f"takes no characters of {{{shown}}}; the number must be 1 or more")
    if date is not None:
        if name != "created" or limit is not None:
            raise ConfigError(f"has {{{shown}}}; only {{created:…}} takes a format, and no slice")
        _check_date(date)
    return _Piece(
        field=name,
        limit=int(limit) if limit else None,
        text=date if date is not None else _DEFAULT_DATE,
    )


def _check_date(text: str) -> None:
    for directive in re.findall(r"%(.?)", text, re.S):
        if directive not in _DIRECTIVES or not directive:
            known = " ".join(f"%{d}" for d in _DIRECTIVES)
            raise ConfigError(
                f"has the date directive %{printable(directive)}; those that read the same "
                f"everywhere are {known}"
            )
    if not re.search(r"%[^%]", text.replace("%%", "")):
        raise ConfigError("has a {created:…} without any directive such as %Y")


def _date(created_at: datetime | None, piece: _Piece) -> str:
    if created_at is None:
        return UNDATED
    try:
        date = created_at.replace(tzinfo=UTC) if created_at.tzinfo is None else created_at
        date = date.astimezone(UTC)
    except OverflowError:  # the first or last day of all years, in another zone
        return UNDATED
    if date.timestamp() <= 0:
        return UNDATED
    text = re.sub("%(.)", lambda match: date.strftime(match[0]), piece.text, flags=re.S)
    return text[: piece.limit]


def _salts(source: str, task_id: str, raw: str) -> Iterator[str | None]:
    """Yield what the digest in the part with the id is made of, until a folder is free."""
    yield None
    yield raw
    # Two tasks with one raw part (`a-b` + `c`, `a` + `b-c`), or with one digest: 48 bits are few.
    for number in range(_MAX_TRIES):
        yield f"{source}\0{task_id}" + (f"\0{number}" if number else "")


def encode_part(raw: str, *, salt: str | None = None) -> str:
    """Return any text as a name between two slashes.

    Args:
        raw: Any text, lone surrogates included; different texts give different names.
        salt: Forces a digest, of this text. Without it only a reserved or long name has one.

    Returns:
        The text percent-encoded outside `A-Z a-z 0-9 . _ -`; shortened if needed, with `~` and the
        first 12 hex digits of a SHA-256, of the raw text by default.
    """
    units = [_encoded(char) for char in raw]
    name = "".join(units)
    if salt is None:
        if len(name) <= MAX_PART_BYTES and not _RESERVED.fullmatch(name):
            return name
        salt = raw
    tail = "~" + hashlib.sha256(salt.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_DIGITS]
    head = ""
    for unit in units:
        if len(head) + len(unit) + len(tail) > MAX_PART_BYTES:
            break
        head += unit
    return head + tail


def _encoded(char: str) -> str:
    data = char.encode("utf-8", "surrogatepass")
    return "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in data)


def slug(prompt: str) -> str:
    """Return a prompt's first words: lower-case ASCII, joined by `-`, at most 60 characters."""
    text = redact_text(prompt[:2000])
    folded = unicodedata.normalize("NFKD", re.sub("['\u2019]", "", text))
    words = re.findall("[a-z0-9]+", "".join(c for c in folded if c.isascii()).lower())
    joined = "-".join(words)
    if len(joined) > _MAX_SLUG:
        whole, _, _ = joined[: _MAX_SLUG + 1].rpartition("-")
        joined = whole or joined[:_MAX_SLUG]
    return joined or UNTITLED


def asset_stem(role: Role, index: int) -> str:
    """Return an output's file name without ending: `video`, then `video-2`.

    Raises:
        ValueError: A negative index.
    """
    if index < 0:
        raise ValueError(f"index {index} is negative")
    return role.value if index == 0 else f"{role.value}-{index + 1}"


def asset_name(role: Role, index: int, extension: str, *, watermarked: bool) -> str:
    """Return an output's file name: `audio-2.mp3`, `video.watermarked.mp4`.

    Raises:
        ValueError: An extension that is not one to ten lower-case letters and digits.
    """
    if not _EXTENSION.fullmatch(extension) or extension == "part":
        raise ValueError(f"{extension!r} is no file name ending")
    return asset_stem(role, index) + (".watermarked." if watermarked else ".") + extension


def is_asset_name(name: str) -> bool:
    """Whether a file of a task's folder is one of its outputs, by its name."""
    return _ASSET_NAME.fullmatch(name) is not None


def tombstone_key(ref: TaskRef, *, taken: Callable[[str], bool] | None = None) -> str:
    """Return where the tombstone of a forgotten task lies.

    Args:
        ref: The task; its exact id stands in the document.
        taken: Tells whether another task has this key, upper and lower case being one; needed only
            for stores on file systems that ignore case.
    """
    folder = FORGOTTEN_PREFIX + encode_part(ref.source)
    for salt in _salts(ref.source, ref.task_id, ref.task_id):
        key = f"{folder}/{encode_part(ref.task_id, salt=salt)}.json"
        if taken is None or not taken(key):
            return key
    raise ValueError(f"every tombstone for {printable(ref.task_id)[:60]} is said to be taken")
