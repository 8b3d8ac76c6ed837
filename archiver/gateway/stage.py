"""What the demo's cases are made of: ids, file names as the real ones look, a usual task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from archiver.gateway import media
from archiver.gateway.cases import MadeFile
from archiver.gateway.lumatask import LumaTask
from archiver.gateway.tasks import Link

WIDTH, HEIGHT = 376, 680
"""Of the demo's videos, in pixels: half of the API page's example on each side."""

_SIGNED_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the cases are made of: an id, file names as the real ones look, a usual task."""

    number: int
    now: datetime
    marked: bytes = field(repr=False)

    @property
    def task_id(self) -> str:
        """The case's number, and the rest as in the API page's example."""
        return f"{self.number:08d}-94f6-4e54-bc21-12f0e6da5791"

    def clip(self) -> bytes:
        """Make a video of the usual size, unlike all others."""
        return media.video_bytes(width=WIDTH, height=HEIGHT, seed=self.number)

    def public(self, name: str, data: bytes, media_type: str = "video/mp4") -> MadeFile:
        """Return a file of the CDN, whose links are not signed."""
        path = f"/lit_lite_inference_v1.6-xl/{self.task_id}/{name}"
        return MadeFile(path=path, data=data, media_type=media_type)

    def picture(self, name: str, *, seed: int) -> MadeFile:
        """Return a picture of the CDN, as large as the video."""
        data = media.image_bytes(width=WIDTH, height=HEIGHT, seed=seed)
        return self.public(name, data, "image/jpeg")

    def private(self, data: bytes) -> MadeFile:
        """Return a file of the bucket, whose links are signed for an hour."""
        path = f"/ai-lumalabs-storage/lit_lite_inference_v1.6-xl/{self.task_id}/video.mp4"
        return MadeFile(path=path, data=data, media_type="video/mp4", signed_only=True)

    def usual(self) -> tuple[LumaTask, tuple[MadeFile, ...]]:
        """Return a finished task of which only the marked copy is left, and its files."""
        marked = self.public("watermarked_video.mp4", self.marked)
        thumbnail = self.picture("video_0_thumb.jpg", seed=2 * self.number)
        last_frame = self.picture("video_0_last_frame.jpg", seed=2 * self.number + 1)
        task = LumaTask(
            task_id=self.task_id,
            created_at=self.now - timedelta(minutes=200 - 7 * self.number, milliseconds=675),
            prompt=f"A paper boat on a river of light, take {self.number}",
            video=plain(marked),
            thumbnail=plain(thumbnail),
            last_frame=plain(last_frame),
            width=WIDTH,
            height=HEIGHT,
        )
        return task, (marked, thumbnail, last_frame)


def plain(file: MadeFile) -> Link:
    """Return a link that is good for ever."""
    return Link(path=file.path)


def signed(file: MadeFile) -> Link:
    """Return a link that is good for an hour."""
    return Link(path=file.path, lifetime_s=_SIGNED_S)
