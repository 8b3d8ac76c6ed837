"""The demo's tasks of Kling, Flux, Runway and Replicate, with real videos, pictures and sounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from archiver.gateway import media
from archiver.gateway.cases import Case, Expected, MadeFile
from archiver.gateway.flux import LINK_LIFETIME_S, FluxTask
from archiver.gateway.kling import THREE, KlingForm, KlingOutput, KlingTask
from archiver.gateway.replicate import ReplicateTask
from archiver.gateway.runway import RunwayTask
from archiver.gateway.stage import plain
from archiver.gateway.tasks import Link
from archiver.model import Dimensions, State

_WIDTH, _HEIGHT = 240, 136
_SECONDS = 1.0
_GIVEN = Link(path="/uploads/what-was-given.png")
"""No file: whoever asks for it gets a 404, and shows up in the request log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What a case is made of: ids and files as the real ones look."""

    number: int
    now: datetime

    @property
    def uuid(self) -> str:
        return f"{self.number:08d}-2b57-4c8a-9f0e-0d6f3c2b1a90"

    @property
    def digits(self) -> str:
        return f"{867_283_741_759_111_000 + self.number}"

    @property
    def created_at(self) -> datetime:
        return self.now - timedelta(minutes=4, seconds=self.number % 50)

    def clip(self, name: str, *, part: int = 0) -> MadeFile:
        data = media.video_bytes(
            width=_WIDTH, height=_HEIGHT, seconds=_SECONDS, seed=10 * self.number + part
        )
        return MadeFile(path=f"/out/{self.uuid}/{name}", data=data, media_type="video/mp4")

    def picture(self, name: str, *, part: int = 0, signed_only: bool = False) -> MadeFile:
        data = media.image_bytes(width=_WIDTH, height=_WIDTH, seed=10 * self.number + part)
        return MadeFile(
            path=f"/out/{self.uuid}/{name}",
            data=data,
            media_type="image/jpeg",
            signed_only=signed_only,
        )

    def sound(self, name: str) -> MadeFile:
        data = media.audio_bytes(seconds=_SECONDS, codec="pcm", seed=self.number)
        return MadeFile(path=f"/out/{self.uuid}/{name}", data=data, media_type="audio/wav")


_UNDECLARED = Dimensions.UNDECLARED


# --- Kling ----------------------------------------------------------------------------------------


def _kling(bench: _Bench, *outputs: KlingOutput) -> KlingTask:
    return KlingTask(task_id=bench.digits, created_at=bench.created_at, outputs=outputs)


def _kling_marked(bench: _Bench) -> Case:
    clean, marked = bench.clip("clip.mp4"), bench.clip("marked.mp4", part=1)
    output = KlingOutput(link=plain(clean), marked=plain(marked), duration_s=_SECONDS)
    return Case(
        title="Kling: a video with a marked copy beside it",
        why="`url` is taken, `watermark_url` is not",
        task=_kling(bench, output),
        files=(clean, marked),
        expected=Expected(rendition="url", dimensions=_UNDECLARED),
    )


def _kling_images(bench: _Bench) -> Case:
    pictures = tuple(bench.picture(f"{n}.png", part=n) for n in range(2))
    outputs = (KlingOutput(kind="images", link=plain(file)) for file in pictures)
    return Case(
        title="Kling: two pictures under a bare id",
        why="the id does not say which action made it: each is asked, the right one remembered",
        task=replace(_kling(bench, *outputs), made_by="images/generations"),
        files=pictures,
        expected=Expected(rendition="url", dimensions=_UNDECLARED),
    )


def _kling_lip_sync(bench: _Bench) -> Case:
    clip = bench.clip("lip.mp4")
    task = replace(
        _kling(bench, KlingOutput(link=plain(clip), duration_s=_SECONDS)),
        task_id=f"lip-sync/{bench.digits}",
        made_by="videos/lip-sync",
        parent=_GIVEN,
    )
    return Case(
        title="Kling: lips moved to a text, the id with its action",
        why="the video that was given is not archived once more",
        task=task,
        files=(clip,),
        expected=Expected(rendition="url", dimensions=_UNDECLARED),
    )


def _kling_three(bench: _Bench) -> Case:
    clip = bench.clip("three.mp4")
    task = replace(
        _kling(bench, KlingOutput(link=plain(clip), duration_s=_SECONDS)),
        task_id=f"{THREE}/{bench.digits}",
        form=KlingForm.THREE,
    )
    return Case(
        title="Kling: a task of a 3.0 model",
        why="another path, another form, the same archive",
        task=task,
        files=(clip,),
        expected=Expected(rendition="url", dimensions=_UNDECLARED),
    )


def _kling_docs(bench: _Bench) -> Case:
    clip = bench.clip("docs.mp4")
    task = replace(
        _kling(bench, KlingOutput(link=plain(clip), duration_s=_SECONDS)),
        form=KlingForm.DOCS,
        width=_WIDTH,
        height=_HEIGHT,
        seed=20_231_234,
    )
    return Case(
        title="Kling: a gateway's own form of the answer",
        why="the only one with a declared size: it is compared",
        task=task,
        files=(clip,),
        expected=Expected(rendition="url", dimensions=Dimensions.MATCH),
    )


def _kling_failed(bench: _Bench) -> Case:
    words = "Failure to pass the risk control system"
    return Case(
        title="Kling: a prompt that was not let through",
        why="there is nothing to fetch; the reason is told and it is not asked for again",
        task=replace(_kling(bench), state="failed", message=words, parent=_GIVEN),
        expected=Expected(state=State.FAILED),
    )


# --- Flux -----------------------------------------------------------------------------------------


def _flux(bench: _Bench) -> FluxTask:
    return FluxTask(task_id=bench.uuid, created_at=bench.created_at)


def _flux_ready(bench: _Bench) -> Case:
    picture = bench.picture("sample.jpeg", signed_only=True)
    preview = bench.picture("progress.jpeg", part=1)
    sample = Link(path=picture.path, lifetime_s=LINK_LIFETIME_S, signed_at=bench.created_at)
    return Case(
        title="Flux: a picture whose link lives for ten minutes",
        why="fetched at once; the preview in the same answer is nobody's output",
        task=replace(_flux(bench), sample=sample, preview=plain(preview), given=_GIVEN),
        files=(picture, preview),
        expected=Expected(rendition="sample", dimensions=_UNDECLARED),
    )


def _flux_late(bench: _Bench) -> Case:
    picture = bench.picture("sample.jpeg", signed_only=True)
    sample = Link(
        path=picture.path,
        lifetime_s=LINK_LIFETIME_S,
        signed_at=bench.now - timedelta(minutes=11),
        renewed_after=1,
    )
    return Case(
        title="Flux: a link that died a minute ago",
        why="the task is asked for again, and this gateway has a fresh link",
        task=replace(_flux(bench), sample=sample),
        files=(picture,),
        expected=Expected(rendition="sample", dimensions=_UNDECLARED),
    )


def _flux_replicate(bench: _Bench) -> Case:
    picture = bench.picture("out-0.webp")
    task = replace(
        _flux(bench), sample=plain(picture), in_replicates_shape=True, given=_GIVEN, seed=7
    )
    return Case(
        title="Flux: an answer in Replicate's shape",
        why="one gateway gives it for its own Flux ids; a JPEG behind a name that says WebP",
        task=task,
        files=(picture,),
        expected=Expected(rendition="output", dimensions=_UNDECLARED),
    )


def _flux_moderated(bench: _Bench) -> Case:
    return Case(
        title="Flux: a request that was moderated",
        why="there is nothing to fetch; the state itself is the reason",
        task=replace(_flux(bench), state="Request Moderated", reasons=("Derivative Works",)),
        expected=Expected(state=State.FAILED),
    )


# --- Runway ---------------------------------------------------------------------------------------


def _runway(bench: _Bench, *files: MadeFile) -> RunwayTask:
    outputs = tuple(plain(file) for file in files)
    return RunwayTask(task_id=bench.uuid, created_at=bench.created_at, outputs=outputs)


def _runway_two(bench: _Bench) -> Case:
    files = (bench.clip("one.mp4"), bench.clip("two.mp4", part=1))
    return Case(
        title="Runway: two videos of one task",
        why="the vendor's form: every link is an output",
        task=_runway(bench, *files),
        files=files,
        expected=Expected(rendition="output", dimensions=_UNDECLARED),
    )


def _runway_fed(bench: _Bench) -> Case:
    clip = bench.clip("cat.mp4")
    poster, last = bench.picture("cat.png"), bench.picture("cat_last.png", part=1)
    task = replace(
        _runway(bench, clip),
        is_fed=True,
        poster=plain(poster),
        last_frame=plain(last),
        given=_GIVEN,
    )
    return Case(
        title="Runway: a video of the reverse feed",
        why="asked by POST where the vendor's path does not know it; states are digits",
        task=task,
        files=(clip, poster, last),
        expected=Expected(rendition="video_url", dimensions=_UNDECLARED),
    )


def _runway_throttled(bench: _Bench) -> Case:
    return Case(
        title="Runway: a task that waits for its turn",
        why="THROTTLED is no failure; it is asked for again later",
        task=replace(_runway(bench), state="THROTTLED"),
        expected=Expected(state=State.WAITING),
    )


def _runway_failed(bench: _Bench) -> Case:
    task = replace(
        _runway(bench),
        state="FAILED",
        message="The text did not pass our moderation.",
        failure_code="SAFETY.INPUT.TEXT",
    )
    return Case(
        title="Runway: a task that failed",
        why="its words and its code are told, and it is not asked for again",
        task=task,
        expected=Expected(state=State.FAILED),
    )


# --- Replicate ------------------------------------------------------------------------------------


def _replicate(bench: _Bench) -> ReplicateTask:
    task_id = f"t2s7dx10rxrgg0c{bench.number}"
    return ReplicateTask(task_id=task_id, created_at=bench.created_at, given=_GIVEN)


def _replicate_nested(bench: _Bench) -> Case:
    clip, sound, cover = bench.clip("tmp.mp4"), bench.sound("speech"), bench.picture("cover.jpg")
    return Case(
        title="Replicate: a video, a sound and a picture in a nested output",
        why="every link is an output; a name without an ending is told by its field",
        task=replace(
            _replicate(bench),
            output=lambda url: {
                "clips": [{"file": url(plain(clip))}],
                "audio": url(plain(sound)),
                "cover": url(plain(cover)),
            },
        ),
        files=(clip, sound, cover),
        expected=Expected(rendition="file", dimensions=_UNDECLARED),
    )


def _replicate_list(bench: _Bench) -> Case:
    pictures = tuple(bench.picture(f"out-{n}.jpg", part=n) for n in range(2))
    return Case(
        title="Replicate: a list of pictures",
        why="its seed is in the logs only",
        task=replace(
            _replicate(bench), output=lambda url: [url(plain(picture)) for picture in pictures]
        ),
        files=pictures,
        expected=Expected(rendition="output", dimensions=_UNDECLARED),
    )


def _replicate_words(bench: _Bench) -> Case:
    return Case(
        title="Replicate: a text, piece by piece",
        why="a result without any link is kept as text",
        task=replace(_replicate(bench), output=lambda url: ["A red ", "kite, ", "and wind."]),
        expected=Expected(rendition="output", dimensions=_UNDECLARED),
    )


def _replicate_removed(bench: _Bench) -> Case:
    return Case(
        title="Replicate: files that were removed after an hour",
        why="it says `succeeded`, but has nothing left: gone, not waited for",
        task=replace(_replicate(bench), removed=True),
        expected=Expected(state=State.GONE),
    )


_Maker = Callable[[_Bench], Case]
_KLING: tuple[_Maker, ...] = (
    _kling_marked,
    _kling_images,
    _kling_lip_sync,
    _kling_three,
    _kling_docs,
    _kling_failed,
)
_FLUX: tuple[_Maker, ...] = (_flux_ready, _flux_late, _flux_replicate, _flux_moderated)
_RUNWAY: tuple[_Maker, ...] = (_runway_two, _runway_fed, _runway_throttled, _runway_failed)
_REPLICATE: tuple[_Maker, ...] = (
    _replicate_nested,
    _replicate_list,
    _replicate_words,
    _replicate_removed,
)


def _made(makers: tuple[_Maker, ...], first: int, now: datetime) -> tuple[Case, ...]:
    return tuple(make(_Bench(number=n, now=now)) for n, make in enumerate(makers, start=first))


def kling_cases(now: datetime) -> tuple[Case, ...]:
    """Make Kling's cases; see `scenario.all_scenario`."""
    return _made(_KLING, 401, now)


def flux_cases(now: datetime) -> tuple[Case, ...]:
    """Make Flux's cases; see `scenario.all_scenario`."""
    return _made(_FLUX, 421, now)


def runway_cases(now: datetime) -> tuple[Case, ...]:
    """Make Runway's cases; see `scenario.all_scenario`."""
    return _made(_RUNWAY, 441, now)


def replicate_cases(now: datetime) -> tuple[Case, ...]:
    """Make Replicate's cases; see `scenario.all_scenario`."""
    return _made(_REPLICATE, 461, now)
