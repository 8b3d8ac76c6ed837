"""APIs that give pictures while one waits: Recraft, Ideogram, and OpenAI's form.

Nothing of theirs can be asked for by its id: the answer to the request itself is all there is.

Source: providers.md section 8, rows 21 to 23.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.newapi import epoch_s
from archiver.gateway.routing import Call, Route
from archiver.gateway.tasks import GatewayStatus, GatewayTask, Link, LinkWriter
from archiver.model import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of an answer: a link, or the file itself.

    Attributes:
        size: As declared: `1024x768`.
        is_safe: `False`: held back; it has no link.
    """

    link: Link | None = None
    data: bytes | None = field(default=None, repr=False)
    picture_id: str = ""
    size: str = ""
    seed: int | None = None
    is_safe: bool = True

    def place(self, links: LinkWriter) -> JsonObject:
        """Return where its bytes are."""
        if self.data is not None:
            return {"b64_json": base64.b64encode(self.data).decode("ascii")}
        return {"url": None if self.link is None else links.url(self.link)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _PictureTask(GatewayTask):
    """One request and its answer."""

    action: ClassVar[str] = "image"

    prompt: str = ""
    pictures: tuple[Picture, ...] = ()

    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words: it is done when it can be seen."""
        return GatewayStatus.SUCCESS

    def failure(self, now: datetime) -> str:
        """Return an empty text."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecraftTask(_PictureTask):
    """Recraft's answer.

    Attributes:
        edited: Whether it is that of an edit endpoint: one picture, as `image`.
    """

    platform: ClassVar[str] = "recraft"

    edited: bool = False

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the answer."""
        pictures: list[JsonValue] = [
            {"image_id": picture.picture_id, **picture.place(links)} for picture in self.pictures
        ]
        outer: JsonObject = {"created": epoch_s(self.created_at), "credits": 40}
        return outer | ({"image": pictures[0]} if self.edited else {"data": pictures})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdeogramTask(_PictureTask):
    """Ideogram's answer."""

    platform: ClassVar[str] = "ideogram"

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the answer."""
        created = None if self.created_at is None else self.created_at.isoformat()
        pictures: list[JsonValue] = [
            {
                "prompt": self.prompt,
                "resolution": picture.size,
                "is_image_safe": picture.is_safe,
                "seed": picture.seed,
                "style_type": "GENERAL",
                **picture.place(links),
            }
            for picture in self.pictures
        ]
        return {"created": created, "data": pictures}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiImagesTask(_PictureTask):
    """An answer in OpenAI's form."""

    platform: ClassVar[str] = "openai-images"

    def document(self, links: LinkWriter) -> JsonValue:
        """Return the answer."""
        pictures: list[JsonValue] = [
            {**picture.place(links), "revised_prompt": self.prompt} for picture in self.pictures
        ]
        return {"created": epoch_s(self.created_at), "data": pictures}


_KINDS: tuple[tuple[str, type[_PictureTask]], ...] = (
    ("/v1/images/generations", OpenAiImagesTask),
    ("/recraft/v1/images/generations", RecraftTask),
    ("/ideogram/generate", IdeogramTask),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureService:
    """A gateway's endpoints of all three: a prompt gives the answer that was put there for it."""

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return tuple(
            Route(method="POST", path=path, answer=_Generate(kind).answer) for path, kind in _KINDS
        )


@dataclass(frozen=True, slots=True)
class _Generate:
    kind: type[_PictureTask]

    def answer(self, call: Call) -> Reply:
        prompt = _prompt(call.request.body)
        for task in call.site.tasks():
            if isinstance(task, self.kind) and task.prompt == prompt:
                return json_reply(200, call.site.document(task)).about((task.task_id,))
        return call.site.dialect.bad_request("no picture was made for this prompt")


def _prompt(body: bytes) -> str | None:
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    said = asked.get("prompt") if isinstance(asked, dict) else None
    return said if isinstance(said, str) else None
