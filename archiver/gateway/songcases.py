"""The demo's songs: Suno's and Udio's tasks, with real audio, video and covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from archiver.gateway import media
from archiver.gateway.cases import Case, Expected, MadeFile
from archiver.gateway.stage import plain
from archiver.gateway.suno import SunoClip, SunoLyricsTask, SunoTask
from archiver.gateway.tasks import Link
from archiver.gateway.udio import UdioForm, UdioSong, UdioTask
from archiver.model import Dimensions, State

SECONDS = 2.0
"""Length of the demo's songs."""

_VERSE = "[Verse]\nA lamp goes on across the bay\nAnd nobody is home\n\n[Chorus]\nLeave it on\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """What a case is made of: ids and files as the real ones look."""

    number: int
    now: datetime

    @property
    def task_id(self) -> str:
        return f"{self.number:08d}-50e9-4c1b-9f6a-6d1f0a2b7c33"

    @property
    def created_at(self) -> datetime:
        return self.now - timedelta(minutes=90 - self.number)

    def part_id(self, part: int) -> str:
        return f"{self.number:08d}-0000-4000-8000-{part:012d}"

    def song(self, part: int) -> bytes:
        return media.audio_bytes(seconds=SECONDS, seed=10 * self.number + part)

    def clip(self, part: int) -> tuple[SunoClip, tuple[MadeFile, ...]]:
        """Return a complete clip of Suno's and its files."""
        seed, name = 10 * self.number + part, self.part_id(part)
        audio = MadeFile(path=f"/suno/{name}.mp3", data=self.song(part), media_type="audio/mp3")
        movie = media.video_bytes(width=240, height=240, seconds=SECONDS, audio=True, seed=seed)
        video = MadeFile(path=f"/suno/{name}.mp4", data=movie, media_type="video/mp4")
        small, large = (
            MadeFile(
                path=f"/suno/{word}_{name}.jpeg",
                data=media.image_bytes(width=side, height=side, seed=seed),
                media_type="image/jpeg",
            )
            for word, side in (("image", 160), ("image_large", 480))
        )
        clip = SunoClip(
            clip_id=name,
            duration_s=SECONDS,
            audio=plain(audio),
            video=plain(video),
            image=plain(small),
            image_large=plain(large),
        )
        return clip, (audio, video, small, large)

    def udio_song(self, part: int) -> tuple[UdioSong, tuple[MadeFile, ...]]:
        """Return a finished song of Udio's and its files."""
        name = self.part_id(part)
        # As the real ones are: encoded once in the store's name, and once more in the link.
        path = f"/udio-artifacts/samples/{name}/2/The%2520Untitled.mp3"
        audio = MadeFile(path=path, data=self.song(part), media_type="audio/mpeg")
        picture = media.image_bytes(
            width=240, height=240, image_format="WEBP", seed=10 * self.number + part
        )
        cover = MadeFile(path=f"/C9yUr1FL/{name}/public", data=picture, media_type="image/webp")
        song = UdioSong(
            song_id=name,
            duration_s=SECONDS,
            audio=plain(audio),
            image=plain(cover),
            artist_image=Link(path="/a/QuietValve0337=s96-c"),
        )
        return song, (audio, cover)


def _two_songs(desk: _Desk) -> Case:
    (first, files), (second, more) = desk.clip(1), desk.clip(2)
    return Case(
        title="Suno: two songs with videos and covers",
        why="each song is kept as audio and as video, its cover as a preview",
        task=SunoTask(
            task_id=desk.task_id, created_at=desk.created_at, prompt=_VERSE, clips=(first, second)
        ),
        files=(*files, *more),
        expected=Expected(rendition="video_url", dimensions=Dimensions.UNDECLARED),
    )


def _one_failed(desk: _Desk) -> Case:
    clip, files = desk.clip(2)
    failed = SunoClip(
        clip_id=desk.part_id(1), status="error", error="the lyrics were not let through"
    )
    return Case(
        title="Suno: a success of which one song failed",
        why="the good song keeps its number, the other is told, and None.mp3 is not fetched",
        task=SunoTask(
            task_id=desk.task_id,
            created_at=desk.created_at,
            prompt=_VERSE,
            clips=(failed, replace(clip, video=None)),
        ),
        files=files,
        expected=Expected(rendition="audio_url", dimensions=Dimensions.UNDECLARED),
    )


def _lyrics(desk: _Desk) -> Case:
    return Case(
        title="Suno: words without a song",
        why="there is no link; the text itself is what was asked for",
        task=SunoLyricsTask(task_id=desk.task_id, created_at=desk.created_at, text=_VERSE),
        expected=Expected(rendition="text", dimensions=Dimensions.UNDECLARED),
    )


def _streaming(desk: _Desk) -> Case:
    stream = Link(path=f"/?item_id={desk.part_id(1)}")
    clips = tuple(
        SunoClip(clip_id=desk.part_id(part), status="streaming", stream=stream) for part in (1, 2)
    )
    return Case(
        title="Suno: songs that can be heard already, and are not finished",
        why="a stream is no file: asked for again later",
        task=SunoTask(task_id=desk.task_id, created_at=desk.created_at, clips=clips),
        expected=Expected(state=State.WAITING),
    )


def _udio_songs(desk: _Desk) -> Case:
    (first, files), (second, more) = desk.udio_song(1), desk.udio_song(2)
    return Case(
        title="Udio: two songs behind doubly encoded links",
        why="the links are sent as they came; the picture of the artist is no output",
        task=UdioTask(task_id=desk.task_id, created_at=desk.created_at, songs=(first, second)),
        files=(*files, *more),
        expected=Expected(rendition="song_path", dimensions=Dimensions.UNDECLARED),
    )


def _udio_in_data(desk: _Desk) -> Case:
    song, files = desk.udio_song(1)
    movie = media.video_bytes(
        width=240, height=240, seconds=SECONDS, audio=True, seed=10 * desk.number
    )
    video = MadeFile(
        path=f"/udio-artifacts/{desk.part_id(1)}/video.mp4", data=movie, media_type="video/mp4"
    )
    return Case(
        title="Udio: a song with a video, in another gateway's answer",
        why="songs are found wherever the row has them",
        task=UdioTask(
            task_id=desk.task_id,
            created_at=desk.created_at,
            form=UdioForm.DATA_SONGS,
            songs=(replace(song, video=plain(video)),),
        ),
        files=(*files, video),
        expected=Expected(rendition="video_path", dimensions=Dimensions.UNDECLARED),
    )


def _udio_half(desk: _Desk) -> Case:
    song, files = desk.udio_song(1)
    other = UdioSong(song_id=desk.part_id(2), finished=False)
    return Case(
        title="Udio: one of two songs is finished",
        why="the task is finished only when both are",
        task=UdioTask(task_id=desk.task_id, created_at=desk.created_at, songs=(song, other)),
        files=files,
        expected=Expected(state=State.WAITING),
    )


def _udio_moderated(desk: _Desk) -> Case:
    songs = tuple(
        UdioSong(song_id=desk.part_id(part), finished=False, error="the words were not let through")
        for part in (1, 2)
    )
    return Case(
        title="Udio: a generation that was not let through",
        why="there is nothing to fetch; the reason is told and it is not asked for again",
        task=UdioTask(task_id=desk.task_id, created_at=desk.created_at, songs=songs),
        expected=Expected(state=State.FAILED),
    )


_SUNO: tuple[Callable[[_Desk], Case], ...] = (_two_songs, _one_failed, _lyrics, _streaming)
_UDIO: tuple[Callable[[_Desk], Case], ...] = (
    _udio_songs,
    _udio_in_data,
    _udio_half,
    _udio_moderated,
)


def suno_cases(now: datetime) -> tuple[Case, ...]:
    """Make Suno's cases; see `scenario.all_scenario`."""
    return tuple(make(_Desk(number=n, now=now)) for n, make in enumerate(_SUNO, start=101))


def udio_cases(now: datetime) -> tuple[Case, ...]:
    """Make Udio's cases; see `scenario.all_scenario`."""
    return tuple(make(_Desk(number=n, now=now)) for n, make in enumerate(_UDIO, start=201))
