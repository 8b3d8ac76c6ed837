"""Outputs of any shape: a link, a list, an object, nested, a text, or no media at all.

Source: providers.md section 11 (Replicate: `output` is "any JSON-serializable value") and 13.11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from archiver.answers.envelopes import Envelope
from archiver.answers.links import clean_url, embedded
from archiver.answers.reading import Notes
from archiver.answers.renditions import rendition_of
from archiver.answers.scalars import encodable, integer_of
from archiver.model import Asset, JsonValue, Rendition, Role

MAX_OUTPUTS = 1000
"""Most outputs of one task that are taken."""

OUTPUT = "output"
"""What a form is called that has no name of its own."""

RESULT = "result_url"
"""What the form is called that only a gateway's row names."""

_MAX_VALUES = 100_000
_ENDINGS = {
    ending: role
    for role, endings in (
        (Role.VIDEO, ("mp4", "mov", "m4v", "webm", "mkv", "avi", "mpg", "mpeg")),
        (Role.AUDIO, ("mp3", "wav", "flac", "ogg", "oga", "opus", "m4a", "aac", "aif", "aiff")),
        (Role.IMAGE, ("png", "jpg", "jpeg", "webp", "gif", "avif", "bmp", "tif", "tiff")),
        (Role.IMAGE, ("heic", "heif", "svg")),
        (Role.TEXT, ("txt", "json", "jsonl", "srt", "vtt", "csv", "md")),
    )
    for ending in endings
}
_WORDS = (
    ("video", Role.VIDEO),
    ("audio", Role.AUDIO),
    ("image", Role.IMAGE),
    ("text", Role.TEXT),
)
_NAME = re.compile(r"[A-Za-z][\w-]{0,59}", re.ASCII)
_SEED = re.compile(r"\bseed\b(?:\s+(?:is|set to|of))?[\s:=]{1,5}(\d{1,20})\b", re.I)
_DATA_TYPE = re.compile(r"data:([a-z]{1,20})/", re.I)


def role_of(url: str, *, said: str = "", default: Role = Role.IMAGE) -> Role:
    """Tell what a file is for, from its name; the bytes themselves are judged when they come.

    Args:
        said: A word of the API about it: a media type, or the name of the field.
        default: For a name without any known ending, about which nothing is said.
    """
    try:
        path = urlsplit(url).path
    except ValueError:
        path = ""
    ending = unquote(path).rpartition("/")[2].rpartition(".")[2].lower()
    found = _ENDINGS.get(ending)
    if found is not None:
        return found
    return next((role for word, role in _WORDS if word in said[:80].lower()), default)


def outputs_of(
    value: JsonValue, notes: Notes, *, name: str = OUTPUT, default: Role = Role.IMAGE
) -> tuple[Asset, ...]:
    """Return the outputs that a value of any shape holds.

    Every link in it, and every file as a `data:` URI, is one; each link once. What holds neither is
    a result nevertheless: texts in a list are the pieces of one text, any other value is kept as
    JSON. `null`, and texts and lists without anything in them, are no output.

    Args:
        name: What its forms are called where no field within has a name.
        default: The role of a file whose name and field say nothing.
    """
    found: dict[str, tuple[Role, Rendition]] = {}
    for field, text in _texts(value, name, notes):
        url = clean_url(text)
        if url is not None:
            form = rendition_of(field, url)
            found.setdefault(url, (role_of(url, said=field, default=default), form))
        elif text[:5].lower() == "data:":
            content = embedded(text)
            kind = _DATA_TYPE.match(text)
            if content is not None:
                said = kind[1] if kind else ""
                form = Rendition(name=field, content=content)
                found.setdefault(text, (role_of("", said=said, default=default), form))
    if len(found) > MAX_OUTPUTS:
        notes.add(f"{len(found):,} outputs; only the first {MAX_OUTPUTS:,} are taken")
    if not found:
        return _as_text(value, name, notes)
    return numbered(list(found.values())[:MAX_OUTPUTS])


def numbered(found: list[tuple[Role, Rendition]]) -> tuple[Asset, ...]:
    """Make one output of each form, numbered among those of its role."""
    counts: dict[Role, int] = {}
    assets = []
    for role, form in found:
        index = counts.get(role, 0)
        counts[role] = index + 1
        assets.append(Asset(role=role, index=index, renditions=(form,)))
    return tuple(assets)


def result_in(envelope: Envelope, *, default: Role) -> tuple[Asset, ...]:
    """Return the output that a gateway's own row names, for a finished task whose body names none.

    Source: providers.md section 2: on success `fail_reason` can hold the link of the result, or the
    file itself as a `data:` URI; `result_url` falls back to it.
    """
    for text in (envelope.result_url, envelope.fail_reason):
        url = clean_url(text)
        if url is not None:
            form = rendition_of(RESULT, url)
            return (Asset(role=role_of(url, default=default), renditions=(form,)),)
        content = embedded(text) if text and text[:5].lower() == "data:" else None
        if content is not None:
            form = Rendition(name=RESULT, content=content)
            return (Asset(role=role_of("", said=text or "", default=default), renditions=(form,)),)
    return ()


def seed_in(logs: str | None) -> int | None:
    """Return the seed that a model's log names, as in `Using seed: 60392`."""
    match = _SEED.search(logs or "")
    return integer_of(match[1]) if match else None


def _texts(value: JsonValue, name: str, notes: Notes) -> Iterator[tuple[str, str]]:
    """Yield every text within a value, in order, with the name of the nearest field."""
    waiting: list[tuple[str, JsonValue]] = [(name, value)]
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        field, one = waiting.pop()
        if isinstance(one, str):
            yield field, one
        elif isinstance(one, list):
            waiting.extend((field, entry) for entry in reversed(one))
        elif isinstance(one, dict):
            waiting.extend(
                (key if _NAME.fullmatch(key) else field, entry)
                for key, entry in reversed(one.items())
            )
    notes.add(f"`{name}` has more than {_MAX_VALUES:,} values; the rest is not looked at")


def _as_text(value: JsonValue, name: str, notes: Notes) -> tuple[Asset, ...]:
    if isinstance(value, list) and value and all(isinstance(piece, str) for piece in value):
        value = "".join(piece for piece in value if isinstance(piece, str))
    if value is None or value in ("", [], {}):
        return ()
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, indent=1)
        except (ValueError, RecursionError):
            notes.add(f"`{name}` is nested too deep; the answer itself keeps it")
            return ()
    if not text.strip():
        return ()
    form = Rendition(name=name, content=encodable(text).encode())
    return (Asset(role=Role.TEXT, renditions=(form,)),)
