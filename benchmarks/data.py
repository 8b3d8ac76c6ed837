"""The data, made on the spot: documents of finished tasks, real MP4s, real JPEGs, all different."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from archiver.gateway import media

WIDTH, HEIGHT = 720, 1280
VARIANTS = 4
DOCUMENTS = "dream-machine/v1/generations"
"""Where the documents lie below the server's root: Luma's official route."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A number of tasks of one size.

    Attributes:
        root: What the web server serves.
        paths: Every file and document, relative to the root.
    """

    root: Path
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    total_bytes: int


def make_workload(
    root: Path, bases: Sequence[str], *, tasks: int, video_bytes: int, picture_bytes: int
) -> list[Workload]:
    """Write the files once, and the documents once for each base URL.

    Returns:
        One workload for each base, in its order.
    """
    root.mkdir()
    videos = [_video(video_bytes - 1024, number) for number in range(VARIANTS)]
    pictures = [_picture(picture_bytes - 64, number) for number in range(VARIANTS)]
    ids = tuple(f"{number:08x}-0000-4000-8000-{tasks:012x}" for number in range(tasks))
    files = []
    total_bytes = 0
    for number, task_id in enumerate(ids):
        folder = root / "files" / task_id
        folder.mkdir(parents=True)
        made = {
            "video.mp4": _with_box(videos[number % VARIANTS], video_bytes, number),
            "thumbnail.jpg": _with_comment(pictures[number % VARIANTS], f"t{number}"),
            "last_frame.jpg": _with_comment(pictures[number % VARIANTS], f"l{number}"),
        }
        for name, data in made.items():
            (folder / name).write_bytes(data)
            files.append(f"files/{task_id}/{name}")
            total_bytes += len(data)
    workloads = []
    for number, base in enumerate(bases):
        place = f"{number}/{DOCUMENTS}"
        (root / place).mkdir(parents=True)
        for task_id in ids:
            (root / place / task_id).write_bytes(document(task_id, f"{base}/files/{task_id}"))
        paths = (*(f"{place}/{task_id}" for task_id in ids), *files)
        workloads.append(Workload(root=root, ids=ids, paths=paths, total_bytes=total_bytes))
    return workloads


def make_large(root: Path, base: str, *, size_bytes: int) -> Workload:
    """Write one task whose only file is large."""
    task_id = "large000-0000-4000-8000-000000000000"
    folder = root / "files" / task_id
    folder.mkdir(parents=True)
    clip = media.video_bytes(width=320, height=240, seconds=1)
    block = random.Random(0).randbytes(1 << 20)
    left = size_bytes - len(clip) - 16
    with (folder / "video.mp4").open("wb") as file:
        # A box of 64 bits of length: ISO/IEC 14496-12, 4.2.
        file.write(clip + b"\0\0\0\1free" + (left + 16).to_bytes(8, "big"))
        while left > 0:
            left -= file.write(block[:left])
    place = f"0/{DOCUMENTS}"
    (root / place).mkdir(parents=True)
    body = json.dumps(
        {
            "id": task_id,
            "state": "completed",
            "video_raw": {"url": f"{base}/files/{task_id}/video.mp4", "width": 320, "height": 240},
        }
    )
    (root / place / task_id).write_text(body)
    paths = (f"{place}/{task_id}", f"files/{task_id}/video.mp4")
    return Workload(root=root, ids=(task_id,), paths=paths, total_bytes=size_bytes)


def document(task_id: str, files: str) -> bytes:
    """Return a finished task's body: the shape of the gateway's page, with values of our own."""
    size = {"width": WIDTH, "height": HEIGHT}
    body = {
        "id": task_id,
        "prompt": "a paper boat on a rainy street, close to the ground",
        "state": "completed",
        "created_at": "2024-10-15T08:56:19.325Z",
        "video_raw": {"url": f"{files}/video.mp4", **size},
        "thumbnail": {"url": f"{files}/thumbnail.jpg", **size},
        "last_frame": {"url": f"{files}/last_frame.jpg", **size},
    }
    return json.dumps(body).encode()


def _video(size_bytes: int, number: int) -> bytes:
    """Encode noise so that the file has about this size; half of them with the index in front."""
    seconds = 15.0 if size_bytes > 1 << 20 else 2.0
    rate = int(size_bytes * 8 * 0.97 / seconds)
    for _ in range(6):
        data = media.video_bytes(
            width=WIDTH,
            height=HEIGHT,
            seconds=seconds,
            bit_rate=rate,
            seed=number,
            faststart=number % 2 == 0,
        )
        if len(data) <= size_bytes:
            return data
        rate = int(rate * 0.97 * size_bytes / len(data))
    raise SystemExit(f"the encoder cannot make a video of {size_bytes} bytes")


def _with_box(video: bytes, size_bytes: int, number: int) -> bytes:
    """Fill a video up to a size with a last box that makes each file another."""
    filling = size_bytes - len(video)
    words = random.Random(number).randbytes(min(64, filling - 8))
    return video + filling.to_bytes(4, "big") + b"free" + words.ljust(filling - 8, b"\0")


def _picture(size_bytes: int, number: int) -> bytes:
    """Encode a grained picture, as good as the size allows, and fill it up with comments."""
    chance = random.Random(number)
    columns, rows = (90, 160) if size_bytes > 50_000 else (18, 32)
    tile = Image.frombytes("RGB", (columns, rows), chance.randbytes(columns * rows * 3))
    grained = tile.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    best = b""
    for quality in range(5, 96, 5):
        target = io.BytesIO()
        grained.save(target, format="JPEG", quality=quality)
        if target.tell() > size_bytes:
            break
        best = target.getvalue()
    if not best:
        raise SystemExit(f"no picture of {size_bytes} bytes can be made")
    while (left := size_bytes - len(best)) >= 4:
        best = _with_comment(best, "x" * min(left - 4, 60_000))
    return best


def _with_comment(picture: bytes, words: str) -> bytes:
    """Put a comment behind a JPEG's first marker (ITU T.81, B.2.4.5)."""
    content = words.encode()
    return picture[:2] + b"\xff\xfe" + (len(content) + 2).to_bytes(2, "big") + content + picture[2:]
