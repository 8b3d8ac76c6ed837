"""The demo's tasks: one for each thing that happens to people, with real media made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from archiver.gateway import media
from archiver.gateway.cases import Case, Expected, MadeFile
from archiver.gateway.exchange import LOGIN_PAGE
from archiver.gateway.faults import Cut
from archiver.gateway.lumatask import LumaForm, LumaTask
from archiver.gateway.stage import HEIGHT, WIDTH, Stage, plain, signed
from archiver.gateway.tasks import Absent, Link
from archiver.model import Dimensions, Role, State

_LARGE_BIT_RATE = 6_000_000


def _raw(stage: Stage) -> Case:
    task, files = stage.usual()
    data = stage.clip()
    clean, stored = stage.public("video.mp4", data), stage.private(data)
    return Case(
        title="a clean original (video_raw)",
        why="the best of three forms is taken; the answer bears another id than the one asked for",
        task=replace(
            task,
            answer_id="32ec5549-7b7a-4111-a43b-445b3a89c8ef",
            video_raw=plain(clean),
            download_url=signed(stored),
        ),
        files=(*files, clean, stored),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


def _download_url(stage: Stage) -> Case:
    task, files = stage.usual()
    stored = stage.private(stage.clip())
    return Case(
        title="a clean copy under download_url only",
        why="without video_raw, the signed link is the next best",
        task=replace(task, download_url=signed(stored), absent=Absent.OMIT),
        files=(*files, stored),
        expected=Expected(rendition="download_url", dimensions=Dimensions.MATCH),
    )


def _only_marked(stage: Stage) -> Case:
    task, files = stage.usual()
    return Case(
        title="only the watermarked copy is left",
        why="it is archived as what it is, and a clean one asked for again on later nights",
        task=replace(task, absent=Absent.EMPTY),
        files=files,
        expected=Expected(rendition="url", watermarked=True, dimensions=Dimensions.MATCH),
    )


def _no_mark(stage: Stage) -> Case:
    task, files = stage.usual()
    stored = stage.private(stage.clip())
    return Case(
        title="a clean copy from the no-watermark endpoint",
        why="the answer has the marked copy only, but asking for the other one helps",
        task=replace(task, no_mark=signed(stored)),
        files=(*files, stored),
        expected=Expected(rendition="no_mark", dimensions=Dimensions.MATCH),
    )


def _official_video(stage: Stage) -> Case:
    task, _ = stage.usual()
    clean = stage.public("ray_2.mp4", stage.clip())
    progress = stage.public("progress.mp4", stage.marked)
    return Case(
        title="Luma's own answer, a video (assets.video)",
        why="the progress video in it is nobody's output and stays where it is",
        task=_official(task, video=plain(clean), progress_video=plain(progress)),
        files=(clean, progress),
        expected=Expected(rendition="video", dimensions=Dimensions.UNDECLARED),
    )


def _official_image(stage: Stage) -> Case:
    task, _ = stage.usual()
    data = media.image_bytes(width=HEIGHT, height=WIDTH, seed=stage.number)
    image = stage.public("photon.jpg", data, "image/jpeg")
    return Case(
        title="Luma's own answer, an image (assets.image)",
        why="here the image is the output, not a preview",
        task=_official(task, image=plain(image), model="photon-1", aspect_ratio="16:9"),
        files=(image,),
        expected=Expected(rendition="image", dimensions=Dimensions.UNDECLARED),
    )


def _official(
    task: LumaTask,
    *,
    video: Link | None = None,
    image: Link | None = None,
    progress_video: Link | None = None,
    model: str = "ray-2",
    aspect_ratio: str = "9:16",
) -> LumaTask:
    """Return the task as the vendor reports it: no sizes, no previews, nothing marked."""
    return replace(
        task,
        form=LumaForm.OFFICIAL,
        absent=Absent.OMIT,
        video=video,
        image=image,
        progress_video=progress_video,
        model=model,
        aspect_ratio=aspect_ratio,
    )


def _expired(stage: Stage) -> Case:
    task, files = stage.usual()
    stored = stage.private(stage.clip())
    old = replace(signed(stored), signed_at=stage.now - timedelta(hours=3), renewed_after=1)
    return Case(
        title="a link that died two hours ago",
        why="the task is asked for again, and the answer has a fresh link",
        task=replace(task, download_url=old),
        files=(*files, stored),
        expected=Expected(rendition="download_url", dimensions=Dimensions.MATCH),
    )


def _cut(stage: Stage) -> Case:
    task, files = stage.usual()
    data = media.video_bytes(
        width=WIDTH, height=HEIGHT, seed=stage.number, bit_rate=_LARGE_BIT_RATE
    )
    clean = stage.public("video.mp4", data)
    return Case(
        title="a connection that drops in the middle of the video",
        why="the download goes on where it stopped: same file by its ETag, not from the beginning",
        task=replace(task, video_raw=plain(clean)),
        files=(*files, clean),
        scripts=((clean.path, (Cut(after_bytes=len(data) * 3 // 5),)),),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


def _failed(stage: Stage) -> Case:
    task, _ = stage.usual()
    return Case(
        title="a generation that failed",
        why="there is nothing to fetch; Luma's reason is told and it is not asked for again",
        task=replace(task, state="failed", failure_reason="Frame moderation failed"),
        expected=Expected(state=State.FAILED),
    )


def _running(stage: Stage) -> Case:
    task, _ = stage.usual()
    return Case(
        title="a generation that still runs",
        why="it is asked for again later",
        task=replace(task, state="processing"),
        expected=Expected(state=State.WAITING),
    )


def _wrong_size(stage: Stage) -> Case:
    task, files = stage.usual()
    clean = stage.public("video.mp4", stage.clip())
    return Case(
        title="a declared size that is not the video's",
        why=f"declared 1024x1024, in truth {WIDTH}x{HEIGHT}: kept, and both sizes written down",
        task=replace(task, video_raw=plain(clean), width=1024, height=1024),
        files=(*files, clean),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MISMATCH),
    )


def _no_thumbnail(stage: Stage) -> Case:
    task, files = stage.usual()
    clean = stage.public("video.mp4", stage.clip())
    kept = tuple(file for file in files if not file.path.endswith("_thumb.jpg"))
    return Case(
        title="a thumbnail that is not there (404)",
        why="a preview never costs the video: archived, the thumbnail is noted as missing",
        task=replace(task, video_raw=plain(clean)),
        files=(*kept, clean),
        expected=Expected(
            rendition="video_raw", dimensions=Dimensions.MATCH, missing=(Role.THUMBNAIL,)
        ),
    )


def _rotated(stage: Stage) -> Case:
    task, files = stage.usual()
    data = media.video_bytes(width=HEIGHT, height=WIDTH, rotation=90, seed=stage.number)
    clean = stage.public("video.mp4", data)
    return Case(
        title="a video stored lying on its side",
        why=f"a player turns it, so its size is {WIDTH}x{HEIGHT} as declared",
        task=replace(task, video_raw=plain(clean)),
        files=(*files, clean),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


def _webm(stage: Stage) -> Case:
    task, files = stage.usual()
    data = media.video_bytes(
        width=WIDTH, height=HEIGHT, codec="vp9", container="webm", seed=stage.number
    )
    clean = stage.public("video.mp4", data)
    return Case(
        title="a WebM behind a name that says MP4",
        why="the bytes say what it is: archived as video.webm",
        task=replace(task, video_raw=plain(clean)),
        files=(*files, clean),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


def _one_url_three_times(stage: Stage) -> Case:
    task, (_, _, last_frame) = stage.usual()
    clean = stage.public("generation.mp4", stage.clip())
    picture = media.image_bytes(width=WIDTH, height=HEIGHT, image_format="WEBP", seed=stage.number)
    path = f"/1KomXrSWiTojGGip43n0SQ/{stage.task_id}/public"
    thumbnail = MadeFile(path=path, data=picture, media_type="image/webp")
    link = plain(clean)
    return Case(
        title="the newer answer: one URL three times, no date",
        why="fetched once and not taken for a marked copy; filed under `undated`",
        task=replace(
            task,
            form=LumaForm.NEWER,
            created_at=None,
            duration_s=1.0,
            video=link,
            download_url=link,
            video_raw=link,
            thumbnail=plain(thumbnail),
        ),
        files=(clean, thumbnail, last_frame),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


def _envelope(stage: Stage) -> Case:
    task, files = stage.usual()
    clean = stage.public("video.mp4", stage.clip())
    return Case(
        title="an answer inside two envelopes and the gateway's own record",
        why="unwrapped to the body within, which has its own form again",
        task=replace(
            task, form=LumaForm.OWN, video_raw=plain(clean), envelopes=2, row=True, duration_s=1.0
        ),
        files=(*files, clean),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


def _html(stage: Stage) -> Case:
    task, files = stage.usual()
    page = stage.public("video.mp4", LOGIN_PAGE.encode())
    stored = stage.private(stage.clip())
    return Case(
        title="a clean file that is really a sign-in page",
        why="refused by its bytes, whatever it is called; the next form is a video",
        task=replace(task, video_raw=plain(page), download_url=signed(stored)),
        files=(*files, page, stored),
        expected=Expected(
            rendition="download_url", dimensions=Dimensions.MATCH, refused=("video_raw",)
        ),
    )


def _hybrid(stage: Stage) -> Case:
    task, files = stage.usual()
    clean = stage.public("video.mp4", stage.clip())
    return Case(
        title="an answer of two forms at once (assets and artifact)",
        why="each output is taken once",
        task=replace(task, form=LumaForm.HYBRID, video_raw=plain(clean), duration_s=1.0),
        files=(*files, clean),
        expected=Expected(rendition="video_raw", dimensions=Dimensions.MATCH),
    )


_MAKERS: tuple[Callable[[Stage], Case], ...] = (
    _raw,
    _download_url,
    _only_marked,
    _no_mark,
    _official_video,
    _official_image,
    _expired,
    _cut,
    _failed,
    _running,
    _wrong_size,
    _no_thumbnail,
    _rotated,
    _webm,
    _one_url_three_times,
    _envelope,
    _html,
    _hybrid,
)


def luma_cases(now: datetime) -> tuple[Case, ...]:
    """Make Luma's cases; see `scenario.demo_scenario`."""
    marked = media.video_bytes(width=WIDTH, height=HEIGHT, seed=900)
    return tuple(
        make(Stage(number=number, now=now, marked=marked))
        for number, make in enumerate(_MAKERS, start=1)
    )
