"""Reading Suno's bodies: a task is a list of clips, and each clip is told apart by its own state.

A musician asks for songs: the audio is a main output, the clip's video as well, its cover is a
preview. The position of an output is the number of its clip, so that `audio-2` is the second clip
also when the first one failed.

Source: providers.md section 4: rows of gateways (`data` is the list of clips, or an object for
lyrics), `clips[]`, piapi (`output[]`), ttapi (`data.musics[]`, camel case, durations as texts),
gcui-art (bare clips).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from archiver.answers import (
    Body,
    Fields,
    Notes,
    encodable,
    identity_of,
    merge_equal_urls,
    plain,
    progress_of,
    rendition_of,
    settled,
)
from archiver.model import Asset, JsonValue, Progress, Rendition, Role, Task, TaskRef

ID_NAMES = ("task_id", "id", "jobId")
"""What bodies call a task's id, best first."""

_CLIP_ID_NAMES = ("id", "clip_id", "musicId", "task_id")
_LISTS = ("clips", "musics", "output", "data")
_AUDIO = ("audio_url", "audioUrl")
_VIDEO = ("video_url", "videoUrl")
_CLIP_NAMES = frozenset(
    {*_AUDIO, "clip_id", "musicId", "is_video_pending", "image_large_url", "major_model_version"}
)
_OWN_NAMES = (_CLIP_NAMES - {*_AUDIO}) | {"audioUrl", "mv", "model_name", "gpt_description_prompt"}
_ACTIONS = ("MUSIC", "LYRICS")
_STREAM_HOST = "audiopipe"


def may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one."""
    parts = _Parts(body, Notes())
    has_state = bool(parts.outer.value("status", "state") or body.envelope.status)
    return bool(parts.clips) or (has_state and bool(ids_of(body)))


def is_suno(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Suno's, and no other provider's."""
    platform, action = body.envelope.platform or "", body.envelope.action or ""
    if platform.lower() == "suno" or (not platform and action.upper() in _ACTIONS):
        return True
    parts = _Parts(body, Notes())
    return any(
        (clip.has("title") and clip.has("tags", "error_message"))
        if _is_lyrics(clip, said=parts.is_lyrics)
        else (clip.has(*_AUDIO) and clip.has(*_OWN_NAMES))
        for clip in parts.clips
    )


def ids_of(body: Body) -> tuple[str, ...]:
    """Return the ids that a body bears, the gateway's first; those of clips only if it is one."""
    parts = _Parts(body, Notes())
    names = _CLIP_ID_NAMES if parts.is_clip else ID_NAMES
    found = (body.envelope.task_id, *(parts.named.ident(name) for name in names))
    return tuple(dict.fromkeys(id_ for id_ in found if id_ is not None))


def read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    """Read one body of any form.

    Args:
        task_id: The id asked for; without one, the gateway's id, else the body's, else its digest.

    Raises:
        ProviderError: It bears no id, and none can be made of it.
    """
    form = _Form(body)
    progress = form.progress()
    ids = ids_of(body)
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    assets = form.assets() if progress is Progress.FINISHED else ()
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.prompt(),
        model=form.model(),
        created_at=form.created_at(),
        failure=form.failure() if progress is Progress.FAILED else None,
        assets=assets,
        raw=body.raw,
        warnings=form.notes.texts(),
    )


class _Parts:
    """A body taken apart.

    Attributes:
        clips: Its clips, or the texts of a lyrics task, in their order.
        outer: What is around them and speaks of the whole task; empty in a bare list.
        is_clip: The body is one clip, or one text, and nothing else.
        is_lyrics: It says itself that texts were asked for.
        named: What bears the ids of the task.
    """

    def __init__(self, body: Body, notes: Notes) -> None:
        value = body.value
        self.is_clip = False
        self.is_lyrics = (body.envelope.action or "").upper() == "LYRICS"
        self.outer = Fields(value if isinstance(value, dict) else None, notes)
        if isinstance(value, list):
            self.clips = Fields({"data": value}, notes).items("data")
        else:
            self.clips = self._listed()
        is_text = isinstance(value, dict) and "text" in value
        if not self.clips and (self.outer.has(*_CLIP_NAMES) or is_text):
            self.is_clip, self.is_lyrics = True, self.is_lyrics or is_text
            self.clips = (self.outer,)
        self.named = self.outer
        if self.is_clip:
            self.outer = Fields(None, notes)

    def _listed(self) -> tuple[Fields, ...]:
        # ttapi keeps its list in `data`, some of piapi's answers theirs in `output`.
        for place in (self.outer, *(_child(self.outer, name) for name in ("data", "output"))):
            for name in _LISTS:
                if isinstance(place.value(name), list):
                    return place.items(name)
        return ()


class _Form:
    """One body, whichever form it has."""

    def __init__(self, body: Body) -> None:
        self.notes = Notes()
        self._envelope = body.envelope
        parts = _Parts(body, self.notes)
        self._outer = parts.outer
        self._clips = tuple(
            _Clip(number, fields, is_lyrics=_is_lyrics(fields, said=parts.is_lyrics))
            for number, fields in enumerate(parts.clips)
        )

    def progress(self) -> Progress:
        """Tell how far the task is: finished when no clip is at work and one is complete.

        A gateway that says itself that it is still at work is believed: another clip may come.
        Its `UNKNOWN` says nothing.
        """
        outer = self._outer_progress()
        states = [clip.settle(outer) for clip in self._clips]
        if not states:
            if outer is None:
                self.notes.add("the answer names no state that says anything; taken as running")
            return outer or Progress.RUNNING
        if outer is Progress.RUNNING or (
            Progress.RUNNING in states and outer is not Progress.FAILED
        ):
            return Progress.RUNNING
        if Progress.FINISHED in states:
            self._tell_failed_clips(outer)
            return Progress.FINISHED
        return Progress.GONE if outer is Progress.GONE else Progress.FAILED

    def _outer_progress(self) -> Progress | None:
        word, envelope = self._outer.value("status", "state"), self._envelope
        if _is_unknown(word):
            word = None
        if _is_unknown(envelope.status):
            envelope = replace(envelope, status=None)
        if word is None and envelope.status is None:
            return None
        return settled(word, envelope, has_output=False, notes=self.notes)

    def _tell_failed_clips(self, outer: Progress | None) -> None:
        if outer is Progress.FAILED:
            self.notes.add("the answer says that the task failed, but a clip of it is complete")
        for clip in self._clips:
            if clip.progress is not Progress.FINISHED:
                said = clip.failure() or "the provider gives no reason"
                self.notes.add(f"clip {clip.number + 1} of {len(self._clips)} failed: {said}")

    def assets(self) -> tuple[Asset, ...]:
        """Return the outputs of all complete clips, main ones first."""
        found = [asset for clip in self._clips for asset in clip.assets()]
        return tuple(sorted(found, key=lambda asset: asset.role.is_preview))

    def prompt(self) -> str | None:
        own = [clip.prompt() for clip in self._clips]
        asked = _child(self._outer, "input").text("prompt", "gpt_description_prompt")
        return next((text for text in own if text), None) or asked or self._outer.text("prompt")

    def model(self) -> str | None:
        own = next((name for clip in self._clips if (name := clip.model())), None)
        return own or _child(self._outer, "data").text("mv") or self._envelope.model

    def created_at(self) -> datetime | None:
        own = next((date for clip in self._clips if (date := clip.created_at())), None)
        outer = self._outer.moment("created_at", "createdAt", "submit_time")
        return own or outer or self._envelope.submitted_at or self._envelope.created_at

    def failure(self) -> str | None:
        """Return why the whole task failed; what its clips say is told as well."""
        own = self._outer.words("fail_reason", "error_message", "failReason")
        error = _child(self._outer, "error").words("raw_message", "message")
        said = [plain(self._envelope.fail_reason or ""), own, error]
        said += [clip.failure() for clip in self._clips]
        return "; ".join(dict.fromkeys(words for words in said if words)) or None


class _Clip:
    """One clip of a task, or one text of a lyrics task.

    Attributes:
        number: From 0, in the order of the answer.
        progress: How far it is, once `settle` was told what the task as a whole is.
    """

    def __init__(self, number: int, fields: Fields, *, is_lyrics: bool) -> None:
        self.number = number
        self._fields = fields
        self._notes = fields.notes
        self._more = _child(fields, "metadata")
        self._is_lyrics = is_lyrics
        text = fields.value("text")
        # All of it, however long: it is the output, not a quotation.
        self._text = encodable(text) if is_lyrics and isinstance(text, str) else ""
        self.progress = Progress.RUNNING

    def settle(self, outer: Progress | None) -> Progress:
        """Tell how far it is: its own word counts, else the task's, else whether it has a file."""
        own = progress_of(self._fields.value("status", "state"), self._notes)
        if own is None and outer is None:
            has_file = bool(self._text or self._file(*_AUDIO))
            own = Progress.FINISHED if has_file else Progress.RUNNING
            self._notes.add(f"a clip names no state; taken as {own.value}")
        self.progress = own or outer or Progress.RUNNING
        is_empty = self._is_lyrics and not self._text
        if self.progress is Progress.FINISHED and is_empty and self.failure():
            self.progress = Progress.FAILED
        return self.progress

    def assets(self) -> tuple[Asset, ...]:
        """Return its outputs; one that is promised and has no link yet has no renditions."""
        if self.progress is not Progress.FINISHED:
            return ()
        if self._is_lyrics:
            text = Rendition(name="text", content=self._text.encode())
            return (self._asset(Role.TEXT, text),) if self._text else ()
        audio, video = self._rendition(*_AUDIO), self._rendition(*_VIDEO)
        assets = []
        if audio is not None:
            length = self._fields.seconds("duration") or self._more.seconds("duration")
            assets.append(self._asset(Role.AUDIO, replace(audio, duration_s=length)))
        elif video is None or self._fields.has(*_AUDIO):
            assets.append(self._asset(Role.AUDIO))
        if video is not None:
            assets.append(self._asset(Role.VIDEO, video))
        elif self._fields.flag("is_video_pending"):
            assets.append(self._asset(Role.VIDEO))
        covers = (
            self._rendition("image_large_url", "imageLargeUrl"),
            self._rendition("image_url", "imageUrl"),
        )
        known = merge_equal_urls(cover for cover in covers if cover is not None)
        return (*assets, self._asset(Role.THUMBNAIL, *known)) if known else tuple(assets)

    def prompt(self) -> str | None:
        names = ("prompt", "gpt_description_prompt")
        places = [(self._fields, name) for name in names] + [(self._more, name) for name in names]
        return next((text for place, name in places if (text := place.text(name))), None)

    def model(self) -> str | None:
        return self._fields.text("mv", "model_name", "major_model_version")

    def created_at(self) -> datetime | None:
        return self._fields.moment("created_at", "createdAt")

    def failure(self) -> str | None:
        own = self._fields.words("error_message", "fail_reason")
        return self._more.words("error_message", "error_type") or own

    def _asset(self, role: Role, *renditions: Rendition) -> Asset:
        return Asset(role=role, index=self.number, renditions=renditions)

    def _rendition(self, *names: str) -> Rendition | None:
        url = self._file(*names)
        return None if url is None else rendition_of(names[0], url)

    def _file(self, *names: str) -> str | None:
        """Return the link of a whole file; a stream's is none."""
        url = self._fields.url(*names)
        if url is None or not _is_stream(url):
            return url
        self._notes.add(f"clip {self.number + 1}: `{names[0]}` is a stream, not a file")
        return None


def _child(fields: Fields, name: str) -> Fields:
    """Return an object within, without a warning where something else stands in its place."""
    value: JsonValue = fields.value(name)
    return Fields(value if isinstance(value, dict) else None, fields.notes, name)


def _is_lyrics(clip: Fields, *, said: bool) -> bool:
    return (said or clip.has("text")) and not clip.has(*_CLIP_NAMES)


def _is_unknown(word: JsonValue) -> bool:
    return isinstance(word, str) and word.strip().upper() == "UNKNOWN"


def _is_stream(url: str) -> bool:
    """Tell whether a link gives the song as it comes into being, and is dead afterwards.

    Source: gcui-art/suno-api issue 105: `https://audiopipe.suno.ai/?item_id=…`.
    """
    parts = urlsplit(url)
    is_pipe = (parts.hostname or "").lower().startswith(_STREAM_HOST)
    return is_pipe or "item_id" in parse_qs(parts.query, keep_blank_values=True)
