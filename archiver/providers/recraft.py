"""Recraft: pictures and vector graphics, given at once.

Source: providers.md section 8 and row 21.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from archiver.answers import AtOnceProvider, Fields, PictureAnswer


class RecraftProvider(AtOnceProvider):
    """Answers of Recraft's, from the vendor or a gateway: see `answers.AtOnceProvider`."""

    name = "recraft"
    title: ClassVar[str] = "Recraft"
    # Source: a third party's schema only: "signed, about 24 hours".
    link_lifetime: timedelta | None = timedelta(hours=24)

    @classmethod
    def claims(cls, answer: PictureAnswer) -> bool:
        """Tell its answers by `image_id`, `credits`, or `image` in place of `data`."""
        outer = answer.outer
        is_edited = "image" in outer and "created" in outer
        return is_edited or "credits" in outer or answer.has("image_id")

    @classmethod
    def own_id(cls, answer: PictureAnswer) -> str | None:
        """Return the gateway's id of the request, else the first picture's."""
        request = Fields(answer.outer).child("metadata").ident("request_id")
        ids = (Fields(entry).ident("image_id") for entry in answer.entries)
        return request or next((id_ for id_ in ids if id_ is not None), None)
