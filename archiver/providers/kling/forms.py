"""Reading Kling's bodies: the vendor's (`task_result`), its callback, the 3.0 form, a gateway's.

What was given to a task (`task_info.parent_video`) is never an output. A copy with the mark, if it
was ordered, is in `watermark_url`; `url` bears none.

Source: providers.md section 10 and rows 16 and 17; the vendor's pages for sounds (`url_mp3`,
`url_wav`) and for the 3.0 models (`id`, `status`, `outputs[]`).
"""

from __future__ import annotations

from datetime import datetime

from archiver.answers import (
    Body,
    Fields,
    Notes,
    identity_of,
    merge_equal_urls,
    plain,
    rendition_of,
    result_in,
    settled,
)
from archiver.model import Asset, Progress, Rendition, Role, Task, TaskRef

ID_NAMES = ("task_id", "id")
"""What bodies call their id, best first."""

_RESULTS = ((Role.VIDEO, "videos"), (Role.IMAGE, "images"), (Role.AUDIO, "audios"))
_SOUNDS = (("url_wav", "duration_wav"), ("url_mp3", "duration_mp3"))
_ROLES = {"video": Role.VIDEO, "image": Role.IMAGE, "audio": Role.AUDIO}
_FORMATS = {
    **dict.fromkeys(("png", "jpg", "jpeg", "webp"), Role.IMAGE),
    **dict.fromkeys(("mp3", "wav", "m4a"), Role.AUDIO),
}


def may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one.

    A state alone is none: `{"status": "success"}` is what any service says of itself.
    """
    value = body.object
    if "task_status" in value or "task_result" in value:
        return True
    has_state = bool(value.get("status") or value.get("state") or body.envelope.status)
    return has_state and bool(body.ids(*ID_NAMES))


def is_kling(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Kling's, and no other provider's."""
    value, envelope = body.object, body.envelope
    if any(
        (word or "").lower().startswith("kling") for word in (envelope.platform, envelope.action)
    ):
        return True
    if "task_status" in value or "task_result" in value:
        return True
    has_state = bool(value.get("status"))
    is_three = "id" in value and "create_time" in value and "video_url" not in value
    is_gateways = "task_id" in value and "format" in value and "url" in value
    return has_state and (is_three or is_gateways)


def read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    """Read one body of any form.

    Args:
        task_id: The id asked for; without one, the gateway's id, else the body's, else its digest.

    Raises:
        ProviderError: It bears no id, and none can be made of it.
    """
    form = _Form(body)
    outputs = form.outputs()
    progress = settled(
        form.fields.value("task_status", "status", "state"),
        body.envelope,
        has_output=bool(outputs),
        notes=form.notes,
    )
    if progress is Progress.FINISHED:
        outputs = outputs or result_in(body.envelope, default=Role.VIDEO)
    ids = body.ids(*ID_NAMES)
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.fields.text("prompt"),
        model=form.fields.text("model_name", "model") or body.envelope.model,
        seed=form.seed(),
        created_at=form.created_at(),
        failure=form.failure() if progress is Progress.FAILED else None,
        assets=outputs if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=form.notes.texts(),
    )


class _Form:
    """One body, whichever form it has."""

    def __init__(self, body: Body) -> None:
        self.notes = Notes()
        self.fields = Fields(body.object, self.notes)
        self._envelope = body.envelope
        self._metadata = self.fields.child("metadata")

    def seed(self) -> int | None:
        own = self.fields.integer("seed")
        return self._metadata.integer("seed") if own is None else own

    def created_at(self) -> datetime | None:
        own = self.fields.moment("created_at", "create_time")
        return own or self._envelope.submitted_at or self._envelope.created_at

    def failure(self) -> str | None:
        said = self.fields.words("task_status_msg")
        error = self.fields.value("error")
        if not said and isinstance(error, dict):
            inner = self.fields.child("error")
            parts = (inner.ident("code"), inner.words("message"))
            said = plain(": ".join(part for part in parts if part))
        elif not said and error is not None:
            said = self.fields.words("error")
        return (
            said or self.fields.words("message") or plain(self._envelope.fail_reason or "") or None
        )

    def outputs(self) -> tuple[Asset, ...]:
        """Return what was asked to be generated, from the first form that has anything."""
        return self._results() or self._listed() or self._alone()

    def _results(self) -> tuple[Asset, ...]:
        """Read the vendor's form: `task_result.videos[]`, `.images[]`, `.audios[]`."""
        result = self.fields.child("task_result")
        assets = []
        for role, name in _RESULTS:
            for index, entry in enumerate(result.items(name)):
                forms = _pair(entry)
                if role is Role.AUDIO:
                    forms = (*forms, *_sounds(entry))
                if forms:
                    renditions = merge_equal_urls(forms)
                    assets.append(Asset(role=role, index=index, renditions=renditions))
        return tuple(assets)

    def _listed(self) -> tuple[Asset, ...]:
        """Read the 3.0 form: `outputs[]` with a `type` each."""
        assets = []
        counts: dict[Role, int] = {}
        for entry in self.fields.links("outputs"):
            role = _ROLES.get((entry.text("type") or "").lower(), Role.VIDEO)
            index = counts.get(role, 0)
            counts[role] = index + 1
            forms = _pair(entry)
            if forms:
                renditions = merge_equal_urls(forms)
                assets.append(Asset(role=role, index=index, renditions=renditions))
        return tuple(assets)

    def _alone(self) -> tuple[Asset, ...]:
        """Read a gateway's form: one `url`, and `metadata` about it."""
        url = self.fields.url("url", "video_url")
        if url is None:
            return ()
        ending = (self.fields.text("format") or "").lower()
        form = rendition_of("url", url, self._metadata)
        return (Asset(role=_FORMATS.get(ending, Role.VIDEO), renditions=(form,)),)


def _pair(entry: Fields) -> tuple[Rendition, ...]:
    """Return the clean form and the marked one of an output, as far as they are there."""
    url, marked = entry.url("url"), entry.url("watermark_url")
    forms = []
    if url is not None:
        forms.append(rendition_of("url", url, entry))
    if marked is not None:
        forms.append(rendition_of("watermark_url", marked, entry, watermarked=True))
    return tuple(forms)


def _sounds(entry: Fields) -> tuple[Rendition, ...]:
    """Return the forms of a sound, the one without loss first."""
    forms = []
    for name, duration in _SOUNDS:
        url = entry.url(name)
        if url is not None:
            declared = Fields({"duration": entry.seconds(duration)}, entry.notes)
            forms.append(rendition_of(name, url, declared))
    return tuple(forms)
