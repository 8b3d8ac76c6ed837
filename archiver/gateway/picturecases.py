"""The demo's MiniMax videos, and its pictures that are given at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.gateway import media
from archiver.gateway.cases import Case, Expected, MadeFile
from archiver.gateway.media import ImageFormat
from archiver.gateway.minimax import MinimaxTask
from archiver.gateway.pictures import IdeogramTask, OpenAiImagesTask, Picture, RecraftTask
from archiver.gateway.stage import plain, signed
from archiver.model import Dimensions, State

_WIDTH, _HEIGHT = 384, 216
_SIDE = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What a case is made of: ids and files as the real ones look."""

    number: int
    now: datetime

    @property
    def task_id(self) -> str:
        return f"{176_843_862_716_000 + self.number}"

    @property
    def created_at(self) -> datetime:
        return (self.now - timedelta(minutes=40 - self.number % 20)).replace(microsecond=0)

    def video(self, name: str = "output.mp4") -> MadeFile:
        data = media.video_bytes(width=_WIDTH, height=_HEIGHT, seed=self.number)
        path = f"/inference_output/video/{self.task_id}/{name}"
        return MadeFile(path=path, data=data, media_type="video/mp4", signed_only=True)

    def picture(self, part: int, *, form: ImageFormat = "PNG", name: str = "") -> MadeFile:
        data = media.image_bytes(
            width=_SIDE, height=_SIDE, image_format=form, seed=10 * self.number + part
        )
        path = f"/images/{self.task_id}/{name or part}"
        return MadeFile(path=path, data=data, media_type=f"image/{form.lower()}")


def _file_later(bench: _Bench) -> Case:
    video = bench.video()
    return Case(
        title="MiniMax: a video whose link is asked for when it is fetched",
        why="the task names a file; its link would be dead before a later night",
        task=MinimaxTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            file_id=f"30289238981{bench.number:04d}",
            width=_WIDTH,
            height=_HEIGHT,
            download=signed(video),
        ),
        files=(video,),
        expected=Expected(rendition="download_url", dimensions=Dimensions.MATCH),
    )


def _merged(bench: _Bench) -> Case:
    video, backup = bench.video(), bench.video("backup.mp4")
    return Case(
        title="MiniMax: task and file in one record of the gateway's",
        why="the first link is good for nothing, the backup is the same video",
        task=MinimaxTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            file_id=f"30289238981{bench.number:04d}",
            merged=True,
            row=True,
            envelopes=1,
            download=signed(video),
            backup=signed(backup),
        ),
        files=(backup,),
        expected=Expected(rendition="backup_download_url", dimensions=Dimensions.UNDECLARED),
    )


def _moderated(bench: _Bench) -> Case:
    return Case(
        title="MiniMax: a video that was held back",
        why="there is nothing to fetch; the reason is told and it is not asked for again",
        task=MinimaxTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            state="Fail",
            code=1027,
            words="output new_sensitive",
        ),
        expected=Expected(state=State.FAILED),
    )


def _at_work(bench: _Bench) -> Case:
    return Case(
        title="MiniMax: a video that waits its turn",
        why="it is asked for again later",
        task=MinimaxTask(task_id=bench.task_id, created_at=bench.created_at, state="Queueing"),
        expected=Expected(state=State.WAITING),
    )


def _recraft_two(bench: _Bench) -> Case:
    files = tuple(bench.picture(part, form="WEBP") for part in (1, 2))
    return Case(
        title="Recraft: two pictures, handed over",
        why="the answer is all there is: it is archived straight from what was saved",
        task=RecraftTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            prompt="a brass owl on a stack of maps",
            pictures=tuple(
                Picture(link=plain(file), picture_id=bench.task_id if n == 0 else f"{n}-owl")
                for n, file in enumerate(files)
            ),
        ),
        files=files,
        posted=True,
        expected=Expected(rendition="url", dimensions=Dimensions.UNDECLARED),
    )


def _recraft_edit(bench: _Bench) -> Case:
    file = bench.picture(1)
    return Case(
        title="Recraft: an edited picture, which came as base64",
        why="its bytes are in the answer; nothing is fetched",
        task=RecraftTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            prompt="the same owl, asleep",
            edited=True,
            pictures=(Picture(data=file.data, picture_id=bench.task_id),),
        ),
        posted=True,
        expected=Expected(rendition="b64_json", dimensions=Dimensions.UNDECLARED),
    )


def _ideogram_two(bench: _Bench) -> Case:
    file = bench.picture(2, name="direct")
    return Case(
        title="Ideogram: one picture of two was held back",
        why="the other one is kept, under its own number; no ending in its link is needed",
        task=IdeogramTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            prompt="a lighthouse drawn in chalk on slate",
            pictures=(
                Picture(is_safe=False, size=f"{_SIDE}x{_SIDE}", seed=4),
                Picture(link=plain(file), size=f"{_SIDE}x{_SIDE}", seed=5),
            ),
        ),
        files=(file,),
        posted=True,
        expected=Expected(rendition="url", dimensions=Dimensions.MATCH),
    )


def _ideogram_none(bench: _Bench) -> Case:
    return Case(
        title="Ideogram: every picture was held back",
        why="there is nothing to fetch; the reason is told",
        task=IdeogramTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            prompt="a lighthouse on fire",
            pictures=(Picture(is_safe=False, size=f"{_SIDE}x{_SIDE}"),),
        ),
        posted=True,
        expected=Expected(state=State.FAILED),
    )


def _openai_links(bench: _Bench) -> Case:
    file = bench.picture(1)
    return Case(
        title="OpenAI's image form: a link that is good for an hour",
        why="archived straight from the answer, which bears no id: its digest is one",
        task=OpenAiImagesTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            prompt="a map of an island shaped like a violin",
            pictures=(Picture(link=signed(file)),),
        ),
        files=(file,),
        posted=True,
        expected=Expected(rendition="url", dimensions=Dimensions.UNDECLARED),
    )


def _openai_base64(bench: _Bench) -> Case:
    files = tuple(bench.picture(part) for part in (1, 2))
    return Case(
        title="OpenAI's image form: two pictures as base64",
        why="their bytes are in the answer; nothing is fetched",
        task=OpenAiImagesTask(
            task_id=bench.task_id,
            created_at=bench.created_at,
            prompt="the island's flag",
            pictures=tuple(Picture(data=file.data) for file in files),
        ),
        posted=True,
        expected=Expected(rendition="b64_json", dimensions=Dimensions.UNDECLARED),
    )


_MINIMAX: tuple[Callable[[_Bench], Case], ...] = (_file_later, _merged, _moderated, _at_work)
_AT_ONCE: tuple[Callable[[_Bench], Case], ...] = (
    _recraft_two,
    _recraft_edit,
    _ideogram_two,
    _ideogram_none,
    _openai_links,
    _openai_base64,
)


def minimax_cases(now: datetime) -> tuple[Case, ...]:
    """Make MiniMax's cases; see `scenario.all_scenario`."""
    return tuple(make(_Bench(number=n, now=now)) for n, make in enumerate(_MINIMAX, start=801))


def picture_cases(now: datetime) -> tuple[Case, ...]:
    """Make the cases of pictures that are given at once; see `scenario.all_scenario`."""
    return tuple(make(_Bench(number=n, now=now)) for n, make in enumerate(_AT_ONCE, start=901))
