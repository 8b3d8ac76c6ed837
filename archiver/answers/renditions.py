"""Renditions from links: what a link says of itself, and links that are given several times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archiver.answers.links import is_marked_name
from archiver.answers.reading import Fields
from archiver.expiry import expires_at
from archiver.model import Rendition


def rendition_of(
    name: str, url: str | None, declared: Fields | None = None, *, watermarked: bool = False
) -> Rendition:
    """Make a rendition of a link: when it dies, and what its file name says, are read from it.

    Args:
        name: The provider's own word for the form.
        url: From `clean_url`; `None` if the provider must be asked for the link first.
        declared: The object whose `width`, `height` and `duration` are those of this form.
        watermarked: What the provider says; a file name with the mark is believed over it.
    """
    return Rendition(
        name=name,
        url=url,
        watermarked=watermarked or (url is not None and is_marked_name(url)),
        width_px=declared.pixels("width") if declared else None,
        height_px=declared.pixels("height") if declared else None,
        duration_s=declared.seconds("duration") if declared else None,
        expires_at=expires_at(url) if url is not None else None,
    )


def merge_equal_urls(renditions: Iterable[Rendition]) -> tuple[Rendition, ...]:
    """Make one rendition of those with the very same link.

    It bears the first name, declares what any of them declares, and is watermarked only if all of
    its names are those of marked forms, or its file name says so. Those without a link stay.

    Args:
        renditions: Best first.
    """
    merged: dict[str | int, Rendition] = {}
    for number, new in enumerate(renditions):
        key = number if new.url is None else new.url
        old = merged.get(key)
        merged[key] = new if old is None else _merged(old, new)
    return tuple(merged.values())


def _merged(old: Rendition, new: Rendition) -> Rendition:
    sized = old if old.width_px and old.height_px else new
    marked_name = old.url is not None and is_marked_name(old.url)
    return replace(
        old,
        watermarked=marked_name or (old.watermarked and new.watermarked),
        width_px=sized.width_px,
        height_px=sized.height_px,
        duration_s=old.duration_s or new.duration_s,
        expires_at=old.expires_at or new.expires_at,
    )
