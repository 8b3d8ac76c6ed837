"""What a container's own index says of a file, read without any decoder."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.errors import TooLargeError

MAX_FRAME_PIXELS = 1 << 26
"""8192 x 8192: twice the largest video that anybody sells."""

_THINNEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What the index says; `None` where it does not say.

    Attributes:
        has_video: Whether there is a track of moving pictures (cover art is none).
        has_audio: Whether there is a track of sound.
        width_px: Of the picture as shown: pixel aspect ratio and rotation applied.
        height_px: Likewise.
        quarter_turn: Whether that includes a rotation by 90 or 270 degrees.
        duration_s: Of the longest track.
        duration_told: Whether the file says how long it is; if not, FFmpeg's guess is of no use.
        codec: Of the first video track, else of the first audio track, in FFmpeg's words.
        frame_rate: Average, of the first video track.
        costly: Whether a decoder would need over 100 MB, or FFmpeg seconds for the index alone.
    """

    has_video: bool | None = None
    has_audio: bool | None = None
    width_px: int | None = None
    height_px: int | None = None
    quarter_turn: bool = False
    duration_s: float | None = None
    duration_told: bool = True
    codec: str | None = None
    frame_rate: float | None = None
    costly: bool = False

    def check_frame(self) -> None:
        """Refuse pictures larger than any real video's, before a decoder takes memory for them.

        Raises:
            TooLargeError: They are.
        """
        if (self.width_px or 0) * (self.height_px or 0) > MAX_FRAME_PIXELS:
            raise TooLargeError(
                f"The video says that it has {self.width_px}x{self.height_px} pixels; more than"
                f" {MAX_FRAME_PIXELS} are not unpacked."
            )


def shown_size(
    width: int, height: int, *, aspect: tuple[int, int] = (1, 1), quarter_turn: bool = False
) -> tuple[int, int] | tuple[None, None]:
    """Return width and height as a player shows them.

    Args:
        width: Coded width in pixels.
        height: Coded height in pixels.
        aspect: Width and height of one pixel; a zero, or a shape that no screen ever had, means
            square.
        quarter_turn: Whether the picture is turned by 90 or 270 degrees.
    """
    if width <= 0 or height <= 0:
        return None, None
    across, down = aspect
    if across > 0 and down > 0 and max(across, down) <= _THINNEST * min(across, down):
        # Halves go up, as players do; `round` would go to the even number.
        width = max(1, (2 * width * across + down) // (2 * down))
    return (height, width) if quarter_turn else (width, height)
