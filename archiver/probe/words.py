"""Judging text: UTF-8 to the end, and no error page."""

from __future__ import annotations

import codecs

from archiver.contracts import Sniffed
from archiver.errors import NotMediaError
from archiver.model import MediaInfo
from archiver.probe.gathering import GatheredMedia
from archiver.probe.known import KnownBytes
from archiver.probe.mislabelled import looks_like

_PIECE_BYTES = 1 << 20
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))


def judge_text(gathered: GatheredMedia, known: KnownBytes, sniffed: Sniffed | None) -> MediaInfo:
    """Judge a text.

    Raises:
        NotMediaError: It is media, a web page, an error document, or not UTF-8 text.
    """
    if sniffed is not None and sniffed.extension != "svg":
        raise NotMediaError(
            f"A text was asked for; the file is {sniffed.media_type}.", code="wrong_kind"
        )
    seems = looks_like(gathered.head)
    if seems == "an HTML page" or seems.startswith("an XML error"):
        raise NotMediaError(f"The file is no text that was generated: it is {seems}.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    try:
        while piece := known.read(at, _PIECE_BYTES):
            if piece.translate(None, _CONTROL) != piece:
                raise NotMediaError(f"The file is no text: it looks like {seems}.")
            decoder.decode(piece)
            at += len(piece)
        decoder.decode(b"", final=at >= known.size_bytes)
    except UnicodeDecodeError as error:
        raise NotMediaError(f"The file is no UTF-8 text: it looks like {seems}.") from error
    return MediaInfo(kind="text", media_type="text/plain", extension="txt")
