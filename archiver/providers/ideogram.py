"""Ideogram: pictures, given at once.

Source: providers.md section 8 and row 22.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from archiver.answers import AtOnceProvider, PictureAnswer


class IdeogramProvider(AtOnceProvider):
    """Answers of Ideogram's, from the vendor or a gateway: see `answers.AtOnceProvider`.

    A picture that was held back (`is_image_safe` is false) has no link; when all were, the task has
    failed.
    """

    name = "ideogram"
    title: ClassVar[str] = "Ideogram"
    # Source: gateways say 24 hours; the vendor says "for a limited period" and dates each link.
    link_lifetime: timedelta | None = timedelta(hours=24)

    @classmethod
    def claims(cls, answer: PictureAnswer) -> bool:
        """Tell its answers by fields of their pictures that nobody else has."""
        return answer.has("is_image_safe", "style_type", "resolution")
