"""Reading Luma's bodies: one path has many forms, told apart by their keys and never by the path.

All of them are read by one rule: look for each thing at every place where some form has it, nearest
first. What was given to a generation (`request`, `media_request`, `input`) is never an output.

Source: the API page of the gateway (web form: `video`, `video_raw`, `thumbnail`, `last_frame`);
other gateways' pages (own form: `artifact`, `request`; newer form: one link three times, a zero
date); Luma's OpenAPI 1.1.0 (`assets`, `request`); Luma's Agents API (`output[]`); piapi (`output`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

from archiver.answers import (
    Body,
    Fields,
    Notes,
    identity_of,
    merge_equal_urls,
    plain,
    rendition_of,
    settled,
)
from archiver.model import Asset, Progress, Rendition, Role, Task, TaskRef

ID_NAMES = ("id", "task_id")
"""What bodies call their id, best first."""

_SHAPES = frozenset(
    {"video", "video_raw", "artifact", "assets", "generation_type"}
    | {"queue_state", "estimate_wait_seconds", "media_request", "failure_reason", "failure_code"}
)
_KINDS = {
    Role.VIDEO: ("video", ".mp4", ".mov", ".webm"),
    Role.IMAGE: ("image", ".png", ".jpg", ".jpeg", ".webp"),
    Role.AUDIO: ("audio", ".mp3", ".wav", ".m4a"),
}


def may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one.

    A state alone is none: `{"status": "success"}` is what any service says of itself.
    """
    value = body.object
    if "generations" in value or "items" in value:
        return False
    has_state = bool(value.get("state") or value.get("status") or body.envelope.status)
    return not _SHAPES.isdisjoint(value) or (has_state and bool(body.ids(*ID_NAMES)))


def is_luma(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Luma's, and no other provider's."""
    value, envelope = body.object, body.envelope
    if any(
        (word or "").lower().startswith("luma") for word in (envelope.platform, envelope.action)
    ):
        return True
    if "video_raw" in value or "artifact" in value or value.get("model") == "luma":
        return True
    output = value.get("output")
    if isinstance(output, dict):
        return "video_raw" in output or "video" in output
    return "state" in value and (not _SHAPES.isdisjoint(value) or isinstance(output, list))


def unlike(body: Body) -> str:
    """Say what an answer that is no task has instead."""
    names = plain(", ".join(list(body.object)[:8]), 200)
    return f"the answer is JSON, but no Luma task; it has the names: {names or 'none'}"


def read_task(
    body: Body, *, source: str, provider: str, task_id: str | None, has_no_mark: bool
) -> Task:
    """Read one body of any form.

    Args:
        task_id: The id asked for; without one, the gateway's id, else the body's, else its digest.
        has_no_mark: Whether this API can be asked for a link without watermark.

    Raises:
        ProviderError: It bears no id, and none can be made of it.
    """
    form = _Form(body, has_no_mark=has_no_mark)
    outputs = form.outputs()
    progress = settled(
        form.fields.value("state", "status"),
        body.envelope,
        has_output=any(r.url for asset in outputs for r in asset.renditions),
        notes=form.notes,
    )
    # What a task shows while it runs is a preview of the outputs to come.
    assets = (*outputs, *form.previews()) if progress is Progress.FINISHED else ()
    ids = body.ids(*ID_NAMES)
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.prompt(),
        model=form.model(),
        seed=form.seed(),
        created_at=form.created_at(),
        failure=form.failure() if progress is Progress.FAILED else None,
        assets=assets,
        raw=body.raw,
        warnings=form.notes.texts(),
    )


class _Form:
    """One body, whichever form it has."""

    def __init__(self, body: Body, *, has_no_mark: bool) -> None:
        self.notes = Notes()
        self.fields = Fields(body.object, self.notes)
        self._envelope = body.envelope
        self._request = self.fields.child("request")
        output = self.fields.value("output")
        self._is_agents = isinstance(output, list) or self.fields.has("failure_code")
        self._has_no_mark = has_no_mark and not self._is_agents
        # Where web forms keep their parts, nearest first: on top, in piapi's `output`, in the own
        # form's `artifact`.
        within = ("output", "artifact") if isinstance(output, dict) else ("artifact",)
        self._places = (self.fields, *(self.fields.child(name) for name in within))

    def prompt(self) -> str | None:
        places = (*self._places, self._request, self.fields.child("input"))
        return next((text for place in places if (text := place.text("prompt"))), None)

    def model(self) -> str | None:
        return self.fields.text("model") or self._request.text("model") or self._envelope.model

    def seed(self) -> int | None:
        own = self.fields.integer("seed")
        return self._request.integer("seed") if own is None else own

    def created_at(self) -> datetime | None:
        dates = (place.moment("created_at") for place in self._places)
        own = next((date for date in dates if date), None)
        return own or self._envelope.submitted_at or self._envelope.created_at

    def failure(self) -> str | None:
        reason = [self.fields.words("failure_code"), self.fields.words("failure_reason")]
        said = ": ".join(word for word in reason if word)
        error = self.fields.value("error")
        if not said and isinstance(error, dict):
            said = self.fields.child("error").words("raw_message", "message") or ""
        elif not said and error is not None:
            said = self.fields.words("error") or ""
        return said or plain(self._envelope.fail_reason or "") or None

    def outputs(self) -> tuple[Asset, ...]:
        """Return what was asked to be generated."""
        if self._is_agents:
            return self._agents_outputs()
        image = self.fields.child("assets").url("image")
        is_image = image is not None or self.fields.value("generation_type") == "image"
        assets = []
        renditions = self._video_renditions(may_lack_links=not is_image)
        if renditions:
            assets.append(Asset(role=Role.VIDEO, renditions=renditions))
        if image is not None:
            assets.append(Asset(role=Role.IMAGE, renditions=(rendition_of("image", image),)))
        return tuple(assets)

    def previews(self) -> tuple[Asset, ...]:
        """Return thumbnail and last frame."""
        assets = []
        for role in (Role.THUMBNAIL, Role.LAST_FRAME):
            on_top = [place.link(role.value) for place in self._places]
            in_video = [place.link("video").link(role.value) for place in self._places]
            url, declared = _first_link([*on_top, *in_video], "url")
            if url is not None:
                form = rendition_of(role.value, url, declared)
                assets.append(Asset(role=role, renditions=(form,)))
        return tuple(assets)

    def _video_renditions(self, *, may_lack_links: bool) -> tuple[Rendition, ...]:
        """Return the forms of the video, clean ones first.

        Source: the API page: `video.url` bears a watermark; `video.download_url` (added by the
        gateway) and `video_raw` bear none. Luma's OpenAPI knows no watermark.
        """
        videos = [place.link("video") for place in self._places]
        raw, raw_size = _first_link([place.link("video_raw") for place in self._places], "url")
        download, download_size = _first_link(videos, "download_url")
        marked, marked_size = _first_link(videos, "url")
        official = self.fields.child("assets").url("video")
        forms = []
        if raw is not None:
            forms.append(rendition_of("video_raw", raw, raw_size))
        if download is not None:
            forms.append(rendition_of("download_url", download, download_size))
        if official is not None and official != marked:
            forms.append(rendition_of("video", official))
        # The vendor's own link is clean at hand; those of gateways may be dead by now.
        is_vendors = official not in (None, raw, download, marked)
        has_clean = is_vendors and not forms[-1].watermarked
        has_links = (raw or download or marked or official) is not None
        if self._has_no_mark and not has_clean and (has_links or may_lack_links):
            size = download_size or marked_size or raw_size
            forms.append(rendition_of("no_mark", None, size))
        if marked is not None:
            forms.append(rendition_of("url", marked, marked_size, watermarked=True))
        return merge_equal_urls(forms)

    def _agents_outputs(self) -> tuple[Asset, ...]:
        assets: list[Asset] = []
        counts: dict[Role, int] = {}
        said = self.fields.text("type")
        for entry in self.fields.links("output"):
            url = entry.url("url")
            if url is None:
                continue
            role = _role_of(entry.text("type") or said or "", url)
            index = counts.get(role, 0)
            counts[role] = index + 1
            form = rendition_of("output", url, entry)
            assets.append(Asset(role=role, index=index, renditions=(form,)))
        return tuple(assets)


def _first_link(places: Sequence[Fields], name: str) -> tuple[str | None, Fields | None]:
    """Return the first link of this name, and the object that declares its size."""
    for place in places:
        url = place.url(name)
        if url is not None:
            return url, place
    return None, None


def _role_of(said: str, url: str) -> Role:
    """Tell what an output of the Agents API is: by its `type`, else by its file name."""
    for role, (word, *_) in _KINDS.items():
        if word in said.lower():
            return role
    path = urlsplit(url).path.lower()
    for role, (_, *endings) in _KINDS.items():
        if path.endswith(tuple(endings)):
            return role
    return Role.VIDEO
