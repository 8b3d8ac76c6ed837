"""Reading Udio's bodies: a task is a list of songs, and finished only when every one of them is.

The audio of each song is a main output, its video as well, its cover is a preview. `artist_image`
is a picture of the account, no output. Links are sent as they came: a path with `%2520` in it is
right, and would be wrong with `%20`.

Source: providers.md section 5: `songs[]` in the gateway's row, in the row's `data`, or alone (the
query by ids of songs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from archiver.answers import (
    Body,
    Envelope,
    Fields,
    Notes,
    identity_of,
    plain,
    progress_of,
    rendition_of,
    settled,
)
from archiver.model import Asset, JsonObject, JsonValue, Progress, Role, Task, TaskRef

_ID_NAMES = ("task_id", "id")
_GENERATION = "generation_id"
_ERRORS = ("error_type", "error_code", "error_detail", "error_id")
_SONG_NAMES = ("song_path", "finished", "image_path", _GENERATION)
_OUTPUTS = ((Role.AUDIO, "song_path"), (Role.VIDEO, "video_path"), (Role.THUMBNAIL, "image_path"))


def may_be_task(body: Body) -> bool:
    """Tell whether an answer to "give me this task" is one."""
    outer = Fields(body.object)
    has_state = bool(outer.value("status", "state") or body.envelope.status)
    return bool(songs_in(body)) or (has_state and bool(ids_of(body)))


def is_udio(body: Body) -> bool:
    """Tell whether a body that nobody asked for is Udio's, and no other provider's."""
    said = (body.envelope.platform, body.envelope.action, Fields(body.object).text("action"))
    if any((word or "").lower().startswith("udio") for word in said):
        return True
    return any("song_path" in song for song in songs_in(body))


def songs_in(body: Body) -> list[JsonObject]:
    """Return the songs of a body: a list, an object that holds them, or one song alone."""
    value = body.value
    if isinstance(value, dict):
        inner = value.get("data")
        places = (value, inner if isinstance(inner, dict) else {})
        listed = next((s for p in places if isinstance(s := p.get("songs"), list)), None)
        if listed is None:
            return [value] if Fields(value).has(*_SONG_NAMES) else []
        value = listed
    entries = value if isinstance(value, list) else []
    return [song for song in entries if isinstance(song, dict)]


def ids_of(body: Body) -> tuple[str, ...]:
    """Return the ids that a body bears, the gateway's first; last that of the generation.

    Those of single songs are the task's only where a song is all that there is.
    """
    songs = songs_in(body)
    own = Fields(body.value if isinstance(body.value, dict) else None)
    found = [body.envelope.task_id, *(own.ident(name) for name in _ID_NAMES)]
    if songs != [body.value]:
        generations = {Fields(song).ident(_GENERATION) for song in songs}
        found += generations if len(generations) == 1 else []
    return tuple(dict.fromkeys(id_ for id_ in found if id_ is not None))


def by_generation(body: Body) -> tuple[Body, ...]:
    """Take the songs of a query apart that are of several generations, so of several tasks."""
    songs = songs_in(body)
    groups: dict[str | None, list[JsonObject]] = {}
    for song in songs:
        groups.setdefault(Fields(song).ident(_GENERATION), []).append(song)
    if len(groups) < 2 or body.envelope != Envelope() or ids_of(body):
        return (body,)
    return tuple(with_songs(group) for group in groups.values())


def with_songs(songs: Sequence[JsonObject]) -> Body:
    """Return a body that holds these songs alone, in the shape of a query's answer."""
    value: JsonObject = {"songs": list(songs)}
    return Body(raw=value, value=value, envelope=Envelope())


def read_task(body: Body, *, source: str, provider: str, task_id: str | None) -> Task:
    """Read one body of any form.

    Args:
        task_id: The id asked for; without one, the gateway's id, else the generation's, else the
            body's digest.

    Raises:
        ProviderError: It bears no id, and none can be made of it.
    """
    form = _Form(body)
    progress = form.progress()
    ids = ids_of(body)
    known_as = task_id or (ids[0] if ids else identity_of(body.raw))
    return Task(
        ref=TaskRef(source=source, task_id=known_as),
        provider=provider,
        progress=progress,
        provider_task_id=next((i for i in reversed(ids) if i != known_as), None),
        prompt=form.prompt(),
        model=body.envelope.model,
        created_at=form.created_at(),
        failure=form.failure() if progress is Progress.FAILED else None,
        assets=form.assets() if progress is Progress.FINISHED else (),
        raw=body.raw,
        warnings=form.notes.texts(),
    )


class _Form:
    """One body, whichever form it has."""

    def __init__(self, body: Body) -> None:
        self.notes = Notes()
        self._envelope = body.envelope
        songs = songs_in(body)
        is_around = isinstance(body.value, dict) and songs != [body.value]
        self._outer = Fields(body.value if is_around else None, self.notes)
        self._songs = tuple(
            Fields(song, self.notes, f"songs[{number}]") for number, song in enumerate(songs)
        )
        self._states: tuple[Progress, ...] = ()

    def progress(self) -> Progress:
        """Tell how far the task is: finished when each song is, and one of them has a file.

        A gateway that says itself that it is still at work is believed: another song may come.
        Its `UNKNOWN` says nothing.
        """
        outer = self._outer_progress()
        self._states = tuple(self._state(song, outer) for song in self._songs)
        if not self._songs:
            if outer is None:
                self.notes.add("the answer names no state that says anything; taken as running")
            return outer or Progress.RUNNING
        if outer is Progress.RUNNING or (
            Progress.RUNNING in self._states and outer is not Progress.FAILED
        ):
            return Progress.RUNNING
        if Progress.FINISHED in self._states:
            self._tell_failed_songs(outer)
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

    def _state(self, song: Fields, outer: Progress | None) -> Progress:
        finished = song.flag("finished")
        if not finished and any(song.value(name) for name in _ERRORS):
            return Progress.FAILED
        if finished is None and outer is None:
            self.notes.add("a song does not say whether it is finished; taken as running")
        return progress_of(finished, self.notes) or outer or Progress.RUNNING

    def _tell_failed_songs(self, outer: Progress | None) -> None:
        if outer is Progress.FAILED:
            self.notes.add("the answer says that the task failed, but a song of it is finished")
        for number, (song, state) in enumerate(zip(self._songs, self._states, strict=True), 1):
            if state is not Progress.FINISHED:
                said = _why(song) or "the provider gives no reason"
                self.notes.add(f"song {number} of {len(self._songs)} failed: {said}")

    def assets(self) -> tuple[Asset, ...]:
        """Return the outputs of all finished songs, main ones first.

        A finished song always has audio: without a link it is an output still to be had.
        """
        found = []
        for role, name in _OUTPUTS:
            for number, (song, state) in enumerate(zip(self._songs, self._states, strict=True)):
                if state is not Progress.FINISHED:
                    continue
                url = song.url(name)
                if url is not None:
                    length = song.seconds("duration") if role is Role.AUDIO else None
                    form = replace(rendition_of(name, url), duration_s=length)
                    found.append(Asset(role=role, index=number, renditions=(form,)))
                elif role is Role.AUDIO:
                    found.append(Asset(role=role, index=number, renditions=()))
        return tuple(found)

    def prompt(self) -> str | None:
        own = [song.text("prompt") for song in self._songs]
        return next((text for text in own if text), None) or self._outer.text("prompt")

    def created_at(self) -> datetime | None:
        own = next((date for song in self._songs if (date := song.moment("created_at"))), None)
        outer = self._outer.moment("created_at", "submit_time")
        return own or outer or self._envelope.submitted_at or self._envelope.created_at

    def failure(self) -> str | None:
        """Return why the whole task failed; what its songs say is told as well."""
        own = self._outer.words("fail_reason", "error_message")
        said = [plain(self._envelope.fail_reason or ""), own, *map(_why, self._songs)]
        return "; ".join(dict.fromkeys(words for words in said if words)) or None


def _why(song: Fields) -> str | None:
    said = [song.words("error_type"), song.ident("error_code"), song.words("error_detail")]
    return ": ".join(dict.fromkeys(plain(words) for words in said if words)) or None


def _is_unknown(word: JsonValue) -> bool:
    return isinstance(word, str) and word.strip().upper() == "UNKNOWN"
