"""OpenAI's image answers, and those in their form: DALL-E 3, Flux and Recraft through gateways.

Source: providers.md section 8 and row 23.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from archiver.answers import AtOnceProvider, PictureAnswer

_OF_OTHERS = ("image_id", "is_image_safe", "style_type", "resolution")


class OpenAiImagesProvider(AtOnceProvider):
    """Answers in the form of `POST /v1/images/generations`: see `answers.AtOnceProvider`.

    They bear no id: the same answer is known again by its digest.
    """

    name = "openai-images"
    title: ClassVar[str] = "OpenAI's image API"
    # Source: OpenAI says 60 minutes (Azure 24 hours).
    link_lifetime: timedelta | None = timedelta(hours=1)

    @classmethod
    def claims(cls, answer: PictureAnswer) -> bool:
        """Tell its answers by `data` beside `created`, without what only other APIs say."""
        outer = answer.outer
        is_own = "created" in outer or answer.has("b64_json", "revised_prompt")
        return "data" in outer and is_own and "credits" not in outer and not answer.has(*_OF_OTHERS)
