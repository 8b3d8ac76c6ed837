"""Answers of APIs that give pictures while one waits: a list of links, or of files as base64.

Source: providers.md section 8: Recraft (`data`, or `image` of edit endpoints and one gateway),
Ideogram, and the DALL-E 3 form, in which other makers' pictures come as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from archiver.answers.envelopes import MAX_LAYERS, is_layer
from archiver.answers.identity import identity_of
from archiver.answers.links import clean_url, embedded
from archiver.answers.reading import Fields, Notes
from archiver.answers.renditions import rendition_of
from archiver.answers.scalars import json_of
from archiver.errors import ProviderError
from archiver.model import Asset, JsonObject, JsonValue, Progress, Rendition, Role, Task, TaskRef

MAX_PICTURES = 1000
"""Most pictures of one answer that are taken."""

_LISTS = ("data", "image", "images")
_FILES = ("b64_json", "url")
_SIZES = ("upscaled_resolution", "resolution", "size")
_TASK_NAMES = frozenset({"task_id", "status", "state", "task_status", "base_resp", "generations"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureAnswer:
    """One answer taken apart.

    Attributes:
        raw: As it came.
        outer: What is around the pictures; empty around a bare list.
        entries: The pictures, in their order; what is none is an empty object.
        left_out: How many more than `MAX_PICTURES` there are.
    """

    raw: JsonValue = field(repr=False)
    outer: JsonObject = field(repr=False)
    entries: tuple[JsonObject, ...] = field(repr=False)
    left_out: int = 0

    def has(self, *names: str) -> bool:
        """Tell whether any picture has any of these fields."""
        return any(not entry.keys().isdisjoint(names) for entry in self.entries)


def picture_answers(body: JsonValue) -> tuple[PictureAnswer, ...]:
    """Return the answers that a body holds: one, or a list of them; none if it holds no picture.

    A body that names a state or a task is a task's, and none of these.

    Raises:
        ProviderError: It is wrapped in more envelopes than any real answer.
    """
    value = json_of(body)
    if isinstance(value, list):
        whole = [e for e in value if isinstance(e, dict) and not e.keys().isdisjoint(_LISTS)]
        if whole:
            return tuple(found for entry in whole if (found := _answer(entry)) is not None)
    found = _answer(body)
    return () if found is None else (found,)


def _answer(raw: JsonValue) -> PictureAnswer | None:
    value = _opened(raw)
    outer = value if isinstance(value, dict) else {}
    held: JsonValue = value
    if isinstance(value, dict):
        inners = [json_of(value.get(name)) for name in _LISTS]
        # One gateway adds `image` beside a `data` that may be empty.
        held = next((inner for inner in inners if inner and isinstance(inner, (dict, list))), None)
    listed = held if isinstance(held, list) else [held]
    entries = tuple(_entry(entry) for entry in listed[:MAX_PICTURES])
    answer = PictureAnswer(
        raw=raw,
        outer=outer,
        entries=entries,
        left_out=max(0, len(listed) - MAX_PICTURES),
    )
    is_task = not _TASK_NAMES.isdisjoint(outer) or answer.has(*_TASK_NAMES)
    return answer if answer.has(*_FILES) and not is_task else None


def _opened(body: JsonValue) -> JsonValue:
    """Take off the envelopes around an answer; one around a list is the answer itself."""
    value = json_of(body)
    for _ in range(MAX_LAYERS):
        if not isinstance(value, dict) or not is_layer(value):
            return value
        inner = json_of(value["data"])
        if isinstance(inner, list):
            return value
        value = inner
    raise ProviderError(f"the answer is wrapped in more than {MAX_LAYERS} envelopes")


def _entry(entry: JsonValue) -> JsonObject:
    if isinstance(entry, str) and entry:
        return {"url": entry}
    return entry if isinstance(entry, dict) else {}


def read_pictures(
    answer: PictureAnswer,
    *,
    source: str,
    provider: str,
    task_id: str | None,
    own_id: str | None = None,
) -> Task:
    """Read one answer: finished, or failed if every picture was held back.

    The position of a picture is its number in the answer, also where one before it is missing.

    Args:
        task_id: The id asked for; without one, `own_id`, else the answer's digest.
        own_id: The id that the answer bears.

    Raises:
        ProviderError: It holds neither a picture nor a word about one.
    """
    notes = Notes()
    if answer.left_out:
        notes.add(f"only the first {MAX_PICTURES:,} pictures are taken; {answer.left_out:,} more")
    outer = Fields(answer.outer, notes)
    pictures = [
        Fields(entry, notes, f"data[{number}]") for number, entry in enumerate(answer.entries)
    ]
    size = outer.size("size") or _metadata_size(outer)
    assets = [
        Asset(role=Role.IMAGE, index=number, renditions=forms)
        for number, picture in enumerate(pictures)
        if (forms := _forms(picture, size))
    ]
    held_back = [n for n, picture in enumerate(pictures) if picture.flag("is_image_safe") is False]
    if not assets and not held_back:
        raise ProviderError("the answer holds no picture that can be fetched")
    taken = {asset.index for asset in assets}
    for number in range(len(pictures)):
        if assets and number not in taken:
            why = "held back as not safe" if number in held_back else "neither a link nor a file"
            notes.add(f"picture {number + 1} of {len(pictures)}: {why}")
    known_as = task_id or own_id or identity_of(answer.raw)
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=Progress.FINISHED if assets else Progress.FAILED,
        provider_task_id=own_id if own_id != known_as else None,
        prompt=outer.text("prompt") or _text(pictures, "prompt", "revised_prompt"),
        model=outer.text("model"),
        seed=_seed(outer, pictures),
        created_at=outer.moment("created", "created_at"),
        failure=None if assets else "held back as not safe (`is_image_safe` is false)",
        assets=tuple(assets),
        raw=answer.raw,
        warnings=notes.texts(),
    )


def _forms(picture: Fields, size: tuple[int, int] | None) -> tuple[Rendition, ...]:
    """Return a picture's forms: the file that came along first, since its bytes are at hand."""
    declared = picture.size(*_SIZES) or size
    width, height = declared or (None, None)
    found: list[Rendition] = []
    for name in _FILES:
        value = picture.value(name)
        if value is None:
            continue
        url = clean_url(value)
        content = (
            embedded(value) if url is None and (name == "b64_json" or _is_uri(value)) else None
        )
        if url is not None:
            form = rendition_of(name, url)
        elif content is not None:
            form = Rendition(name=name, content=content)
        else:
            picture.url(name)  # leaves the warning
            continue
        found.append(
            Rendition(
                name=form.name,
                url=form.url,
                content=form.content,
                watermarked=form.watermarked,
                width_px=width,
                height_px=height,
                expires_at=form.expires_at,
            )
        )
    return tuple(found)


def _is_uri(value: JsonValue) -> bool:
    return isinstance(value, str) and value[:5].lower() == "data:"


def _metadata_size(outer: Fields) -> tuple[int, int] | None:
    metadata = outer.child("metadata")
    width, height = metadata.pixels("width"), metadata.pixels("height")
    return (width, height) if width and height else None


def _text(pictures: list[Fields], *names: str) -> str | None:
    texts = [picture.text(*names) for picture in pictures]  # all of them, for their warnings
    return next((text for text in texts if text), None)


def _seed(outer: Fields, pictures: list[Fields]) -> int | None:
    own = [picture.integer("seed") for picture in pictures]
    more = outer.child("metadata").integer("random_seed")
    return next((seed for seed in (*own, more) if seed is not None), None)
