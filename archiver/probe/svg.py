"""SVG: whether the document is whole and well-formed, and how large it says it is."""

from __future__ import annotations

import re
from xml.parsers import expat

from archiver.errors import TruncatedError
from archiver.probe.pictures import broken
from archiver.probe.structure import Structure

_LENGTH = re.compile(r"\s*\+?([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:px)?\s*")
_UNFINISHED = frozenset((3, 5, 6, 20))
"""expat's codes: no element found, unclosed token, partial character, unclosed CDATA section."""


def examine_svg(data: bytes | bytearray) -> Structure:
    """Parse the whole document; nothing outside it is ever read.

    Raises:
        TruncatedError: It ends before its root element does.
        NotMediaError: It is not well-formed.
    """
    sizes: list[tuple[int, int] | tuple[None, None]] = []

    def begin(_name: str, attributes: dict[str, str]) -> None:
        if not sizes:
            sizes.append(_size(attributes))

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        if error.code in _UNFINISHED:
            raise TruncatedError("The picture is cut: its XML ends too early.") from error
        raise broken(f"its XML is wrong in line {error.lineno}") from error
    width, height = sizes[0] if sizes else (None, None)
    return Structure(width_px=width, height_px=height)


def _size(attributes: dict[str, str]) -> tuple[int, int] | tuple[None, None]:
    """Source: SVG 2, 8.2 (`viewBox`) and 5.1 (`width` and `height` of the root)."""
    lengths = [_LENGTH.fullmatch(attributes.get(name, "")) for name in ("width", "height")]
    numbers = [float(length[1]) for length in lengths if length]
    if len(numbers) < 2:
        box = attributes.get("viewBox", "").replace(",", " ").split()
        found = [_LENGTH.fullmatch(part) for part in box[2:4]]
        numbers = [float(length[1]) for length in found if length]
    if len(numbers) < 2 or min(numbers) < 1:
        return None, None
    return round(numbers[0]), round(numbers[1])
