"""Which rendition is the best, and whether the bytes are what was declared."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeGuard

from archiver.model import Dimensions, Duration, Rendition

_EPSILON = 1e-9


class Marked(Protocol):
    """Anything that is watermarked or not: a rendition, an asset's record."""

    @property
    def watermarked(self) -> bool:
        """Whether the provider marks it."""
        ...


def rank(renditions: Iterable[Rendition], prefer: Sequence[str]) -> tuple[Rendition, ...]:
    """Return an asset's renditions in order, the one to fetch first in front.

    Clean goes before marked whatever the order says; then the position in `prefer`; names that are
    not in it come after, as the provider ordered them.
    """
    place = {name: number for number, name in reversed(list(enumerate(prefer)))}
    return tuple(sorted(renditions, key=lambda r: (r.watermarked, place.get(r.name, len(prefer)))))


def is_better(new: Marked, old: Marked) -> bool:
    """Whether a copy is worth replacing what is stored: a clean one for a marked one."""
    return old.watermarked and not new.watermarked


def may_replace(new: Marked, old: Marked) -> bool:
    """Whether other bytes may take the place of what is stored: never a marked for a clean one."""
    return old.watermarked or not new.watermarked


def compare_dimensions(
    declared_width_px: int | None,
    declared_height_px: int | None,
    actual_width_px: int | None,
    actual_height_px: int | None,
) -> Dimensions:
    """Compare declared with actual width and height.

    `scaled` is the same shape within rounding: with the longer side as the measure, the other is
    within one pixel or 1 % of where it should be. Half a declaration is none.
    """
    sides = (declared_width_px, declared_height_px, actual_width_px, actual_height_px)
    known = [side for side in sides if side is not None and side > 0]
    if len(known) < len(sides):
        return Dimensions.UNDECLARED
    width, height, actual_width, actual_height = known
    if (width, height) == (actual_width, actual_height):
        return Dimensions.MATCH
    if (width, height) == (actual_height, actual_width):
        return Dimensions.SWAPPED
    if (actual_width, width) >= (actual_height, height):
        other, measure, actual_other, actual_measure = height, width, actual_height, actual_width
    else:
        other, measure, actual_other, actual_measure = width, height, actual_width, actual_height
    # In whole numbers, multiplied by `measure` and 100: a hostile declaration overflows a float.
    expected = other * actual_measure
    off = abs(actual_other * measure - expected)
    if off <= measure or off * 100 <= expected:
        return Dimensions.SCALED
    return Dimensions.MISMATCH


def compare_duration(declared_s: float | None, actual_s: float | None) -> Duration:
    """Compare declared with actual duration: `match` within 0.5 s or 5 % of the declared one."""
    if not (_is_length(declared_s) and _is_length(actual_s)):
        return Duration.UNDECLARED
    off = abs(declared_s - actual_s)
    allowed = max(0.5, 0.05 * declared_s)
    return Duration.MATCH if off <= allowed + _EPSILON else Duration.MISMATCH


def _is_length(value: float | None) -> TypeGuard[float]:
    return value is not None and 0 < value <= sys.float_info.max
