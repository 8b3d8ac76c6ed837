"""Reading Midjourney's bodies: one flat object, whose `action` says what its links are.

A picture is a main output: the 2x2 grid (`imageUrl`) first, then the single pictures
(`imageUrls`). An upscale is a task of its own with one picture. Thumbnails of pictures are not
fetched, since the pictures are; those of videos are previews. DESCRIBE and SHORTEN give a text, and
their `imageUrl` is what was given to them.

Source: providers.md section 6: the proxy protocol (camel case, times in milliseconds), new-api's
own list (snake case, `video_urls` as a JSON text), apimart (`grid_image_url`, `image_urls`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from archiver.answers import (
    Body,
    Fields,
    Notes,
    encodable,
    identity_of,
    json_of,
    merge_equal_urls,
    plain,
    rendition_of,
    settled,
)
from archiver.model import Asset, Progress, Rendition, Role, Task, TaskRef

ID_NAMES = ("mj_id", "id", "task_id")
"""What bodies call their id, best first: in new-api's own list `id` is the number of a row."""

_TEXT_ACTIONS = frozenset({"DESCRIBE", "SHORTEN"})
_IMAGE = ("imageUrl", "image_url", "grid_image_url")
_IMAGES = ("imageUrls", "image_urls")
_VIDEO = ("videoUrl", "video_url")
_VIDEOS = ("videoUrls", "video_urls")
_SHAPES = frozenset(
    {"imageUrl", "promptEn", "failReason", "submitTime", "buttons", "mj_id", "grid_image_url"}
    | {"prompt_en"}
)
_OWN = frozenset({"mj_id", "grid_image_url"})
_VIDEO_ENDINGS = (".mp4", ".webm", ".mov", ".m4v")
_IMAGE_ENDINGS = (".png", ".webp", ".jpg", ".jpeg", ".gif")


def may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one."""
    value = body.object
    has_state = bool(value.get("status") or value.get("state") or body.envelope.status)
    return not _SHAPES.isdisjoint(value) or (has_state and bool(body.ids(*ID_NAMES)))


def is_midjourney(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Midjourney's, and no other provider's."""
    if (body.envelope.platform or "").lower() in ("mj", "midjourney"):
        return True
    value = body.object
    if not _OWN.isdisjoint(value):
        return True
    return "action" in value and len(_SHAPES & value.keys()) >= 2


def read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    """Read one body of any form.

    Args:
        task_id: The id asked for; without one, the body's, else its digest.

    Raises:
        ProviderError: It bears no id, and none can be made of it.
    """
    form = _Form(body)
    progress = form.progress()
    ids = [i for i in (body.envelope.task_id, form.fields.ident(*ID_NAMES)) if i is not None]
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.prompt(),
        model=body.envelope.model,
        seed=form.fields.integer("seed"),
        created_at=form.created_at(),
        failure=form.failure() if progress is Progress.FAILED else None,
        # While it runs, `imageUrl` is a blurry preview: nothing before SUCCESS.
        assets=form.assets() if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=form.notes.texts(),
    )


class _Form:
    """One body, whichever form it has."""

    def __init__(self, body: Body) -> None:
        self.notes = Notes()
        self.fields = Fields(body.object, self.notes)
        self._envelope = body.envelope
        properties = json_of(self.fields.value("properties"))
        self._properties = Fields(properties, self.notes, "properties")
        self._action = (self.fields.text("action") or body.envelope.action or "").strip().upper()

    def progress(self) -> Progress:
        """Tell how far the task is; a link without a word for the state says nothing."""
        word = self.fields.value("status", "state")
        return settled(word, self._envelope, has_output=False, notes=self.notes)

    def prompt(self) -> str | None:
        own = self.fields.text("prompt") or self.fields.text("promptEn", "prompt_en")
        return own or self._properties.text("finalPrompt")

    def created_at(self) -> datetime | None:
        own = self.fields.moment("submitTime", "submit_time")
        other = self.fields.moment("startTime", "start_time", "created_at")
        return own or other or self._envelope.submitted_at or self._envelope.created_at

    def failure(self) -> str | None:
        own = self.fields.words("failReason", "fail_reason")
        error = self.fields.value("error")
        said = self.fields.child("error").words("message") if isinstance(error, dict) else None
        word = self.fields.words("status")
        is_cancel = word is not None and word.upper().startswith("CANCEL")
        return (
            own
            or said
            or plain(self._envelope.fail_reason or "")
            or ("the task was cancelled" if is_cancel else None)
        )

    def assets(self) -> tuple[Asset, ...]:
        """Return the outputs, main ones first."""
        if self._action in _TEXT_ACTIONS:
            return self._text()
        images = () if "VIDEO" in self._action else self._images()
        return (*images, *self._videos())

    def _text(self) -> tuple[Asset, ...]:
        """Return the words that a picture or a prompt was turned into."""
        places = [(self._properties, "finalPrompt")]
        places += [(self.fields, name) for name in ("promptEn", "prompt_en")]
        # A picture is described for nobody's prompt; what is shortened is one.
        places += [(self.fields, "prompt")] if self._action == "DESCRIBE" else []
        for place, name in places:
            value = place.value(name)
            if isinstance(value, str):
                text = Rendition(name=name, content=encodable(value).encode())
                return (Asset(role=Role.TEXT, renditions=(text,)),)
        return ()

    def _images(self) -> tuple[Asset, ...]:
        alone = self._alone("imageUrl", *_IMAGE)
        if alone is not None and _ends(alone.url, _VIDEO_ENDINGS):
            alone = None
        elif alone is not None:
            width, height = self.fields.pixels("width"), self.fields.pixels("height")
            alone = replace(alone, width_px=width, height_px=height)
        listed = [
            rendition_of("imageUrls", url, entry)
            for entry in self.fields.links(*_IMAGES)
            if (url := entry.url("url")) and not _ends(url, _VIDEO_ENDINGS)
        ]
        # An upscale has one picture, so that two links to it are two forms of the same.
        return _outputs(Role.IMAGE, alone, listed, is_same=self._action == "UPSCALE")

    def _videos(self) -> tuple[Asset, ...]:
        """Return the clips with their covers; some answers have their links under `imageUrls`."""
        entries = [
            *self.fields.links(*_VIDEOS),
            *(e for e in self.fields.links(*_IMAGES) if _ends(e.url("url"), _VIDEO_ENDINGS)),
        ]
        listed: dict[str, Rendition] = {}
        covers: dict[str | None, str] = {}
        for entry in entries:
            url, cover = entry.url("url"), entry.url("thumbnail")
            if url is not None:
                listed.setdefault(url, rendition_of("videoUrls", url, entry))
                covers |= {url: cover} if cover is not None else {}
        alone = self._alone("videoUrl", *_VIDEO)
        if alone is None and not listed:
            alone = self._video_of_image_link()
        videos = _outputs(Role.VIDEO, alone, [*listed.values()], is_same=True)
        return (*videos, *self._covers(videos, covers))

    def _covers(
        self, videos: Sequence[Asset], covers: Mapping[str | None, str]
    ) -> tuple[Asset, ...]:
        """Return the previews of videos, each with the number of its video.

        Args:
            covers: Of each video, by its link.
        """
        first = self.fields.url("thumbnailUrl", "thumbnail_url")
        found = []
        for video in videos:
            url = next((u for form in video.renditions if (u := covers.get(form.url))), None)
            url = url or (first if video.index == 0 else None)
            if url is not None:
                form = rendition_of("thumbnail", url)
                found.append(Asset(role=Role.THUMBNAIL, index=video.index, renditions=(form,)))
        return tuple(found)

    def _video_of_image_link(self) -> Rendition | None:
        """Return what `imageUrl` holds if that is a video, or may be one in a task of videos.

        Source: new-api rewrites that link to one of its own without an ending; the bytes tell.
        """
        form = self._alone("imageUrl", *_IMAGE)
        if form is not None and _ends(form.url, _VIDEO_ENDINGS):
            return form
        if "VIDEO" not in self._action:
            return None
        if form is None or _ends(form.url, _IMAGE_ENDINGS):
            self.notes.add("a task of videos, and no link to a video")
            return None
        return form

    def _alone(self, name: str, *names: str) -> Rendition | None:
        url = self.fields.url(*names)
        return None if url is None else rendition_of(name, url)


def _outputs(
    role: Role, alone: Rendition | None, listed: Sequence[Rendition], *, is_same: bool
) -> tuple[Asset, ...]:
    """Return one output for each link; the one that stands alone first, each link once.

    Args:
        is_same: If there is one link of each kind, they are two forms of one output.
    """
    forms = merge_equal_urls([*([alone] if alone else []), *listed])
    if is_same and alone is not None and len(listed) <= 1:
        return (Asset(role=role, renditions=forms),)
    return tuple(
        Asset(role=role, index=number, renditions=(form,)) for number, form in enumerate(forms)
    )


def _ends(url: str | None, endings: tuple[str, ...]) -> bool:
    return url is not None and urlsplit(url).path.lower().endswith(endings)
