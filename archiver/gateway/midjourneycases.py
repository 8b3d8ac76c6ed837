"""The demo's Midjourney tasks: a grid, an upscale, videos, words, and one at work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.gateway import media
from archiver.gateway.cases import Case, Expected, MadeFile
from archiver.gateway.media import ImageFormat
from archiver.gateway.midjourney import MidjourneyTask
from archiver.gateway.stage import plain
from archiver.gateway.tasks import Link
from archiver.model import Dimensions, State

_SIDE = 256
_DAY = timedelta(hours=24)
_TYPES: dict[ImageFormat, str] = {"PNG": "image/png", "WEBP": "image/webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Easel:
    """What a case is made of: ids and files as the real ones look."""

    number: int
    now: datetime

    @property
    def task_id(self) -> str:
        return f"{1_730_621_826_053_000 + self.number}"

    @property
    def created_at(self) -> datetime:
        return self.now - timedelta(minutes=60 - self.number % 50, milliseconds=53)

    def picture(
        self, name: str, *, width: int, height: int, part: int = 0, form: ImageFormat = "PNG"
    ) -> MadeFile:
        seed = 10 * self.number + part
        data = media.image_bytes(width=width, height=height, image_format=form, seed=seed)
        return MadeFile(
            path=f"/attachments/{self.task_id}/{name}", data=data, media_type=_TYPES[form]
        )

    def discord(self, file: MadeFile) -> Link:
        """Return a link as Discord signs it: for 24 hours, its dates in hexadecimal."""
        signed = int(self.created_at.timestamp()) + 30
        until = signed + int(_DAY.total_seconds())
        return Link(path=f"{file.path}?ex={until:08x}&is={signed:08x}&hm=5f{self.number:06x}&")


def _grid(easel: _Easel) -> Case:
    grid = easel.picture("reader_pig.png", width=2 * _SIDE, height=2 * _SIDE)
    singles = tuple(
        easel.picture(f"0_{n}.png", width=_SIDE, height=_SIDE, part=n + 1) for n in range(4)
    )
    return Case(
        title="Midjourney: a grid of four, and the four by themselves",
        why="all five pictures are kept; the seed is asked for, since the answer has none",
        task=MidjourneyTask(
            task_id=easel.task_id,
            created_at=easel.created_at,
            image=easel.discord(grid),
            images=tuple(plain(file) for file in singles),
            seed=2_871_634_417,
        ),
        files=(grid, *singles),
        expected=Expected(rendition="imageUrl", dimensions=Dimensions.UNDECLARED),
    )


def _upscale(easel: _Easel) -> Case:
    picture = easel.picture("u1.png", width=_SIDE, height=2 * _SIDE, form="WEBP")
    return Case(
        title="Midjourney: an upscale, a WebP behind a name that says PNG",
        why="a task of its own; it is named by its bytes, and as large as declared",
        task=MidjourneyTask(
            task_id=easel.task_id,
            created_at=easel.created_at,
            kind="UPSCALE",
            image=easel.discord(picture),
            images=(easel.discord(picture),),
            width=_SIDE,
            height=2 * _SIDE,
            seed=99,
            seed_in_answer=True,
        ),
        files=(picture,),
        expected=Expected(rendition="imageUrl", dimensions=Dimensions.MATCH),
    )


def _videos(easel: _Easel) -> Case:
    clips = tuple(
        MadeFile(
            path=f"/video/{easel.task_id}/0_{n}.mp4",
            data=media.video_bytes(width=240, height=136, seed=10 * easel.number + n),
            media_type="video/mp4",
        )
        for n in range(2)
    )
    covers = tuple(
        easel.picture(f"0_{n}_640_N.webp", width=240, height=136, part=n, form="WEBP")
        for n in range(2)
    )
    return Case(
        title="Midjourney: two videos, which the answer calls images as well",
        why="each is kept once, with its cover as a preview",
        task=MidjourneyTask(
            task_id=easel.task_id,
            created_at=easel.created_at,
            kind="VIDEO",
            image=Link(path="/attachments/first-frame.png"),
            images=tuple(plain(file) for file in clips),
            thumbnails=tuple(plain(file) for file in covers),
            video=plain(clips[0]),
            videos=tuple(plain(file) for file in clips),
        ),
        files=(*clips, *covers),
        expected=Expected(rendition="videoUrl", dimensions=Dimensions.UNDECLARED),
    )


def _words(easel: _Easel) -> Case:
    return Case(
        title="Midjourney: a picture described",
        why="the picture is what was given; the words are what came of it",
        task=MidjourneyTask(
            task_id=easel.task_id,
            created_at=easel.created_at,
            kind="DESCRIBE",
            prompt=None,
            prompt_en="1. a pig among tall shelves --ar 3:2\n2. a reader with a snout",
            image=Link(path="/attachments/what-is-this.png"),
        ),
        expected=Expected(rendition="promptEn", dimensions=Dimensions.UNDECLARED),
    )


def _running(easel: _Easel) -> Case:
    blurry = easel.picture("progress_46.webp", width=_SIDE, height=_SIDE, form="WEBP")
    return Case(
        title="Midjourney: a blurry preview of a job at work",
        why="nothing is fetched before it is done",
        task=MidjourneyTask(
            task_id=easel.task_id,
            created_at=easel.created_at,
            state="IN_PROGRESS",
            preview=plain(blurry),
        ),
        files=(blurry,),
        expected=Expected(state=State.WAITING),
    )


def _banned(easel: _Easel) -> Case:
    return Case(
        title="Midjourney: a prompt that was not let through",
        why="there is nothing to fetch; the reason is told and it is not asked for again",
        task=MidjourneyTask(
            task_id=easel.task_id,
            created_at=easel.created_at,
            state="FAILURE",
            fail_text="[Banned prompt] a word of it is not let through",
        ),
        expected=Expected(state=State.FAILED),
    )


_MAKERS: tuple[Callable[[_Easel], Case], ...] = (
    _grid,
    _upscale,
    _videos,
    _words,
    _running,
    _banned,
)


def midjourney_cases(now: datetime) -> tuple[Case, ...]:
    """Make Midjourney's cases; see `scenario.all_scenario`."""
    return tuple(make(_Easel(number=n, now=now)) for n, make in enumerate(_MAKERS, start=301))
