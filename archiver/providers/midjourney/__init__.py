"""Midjourney: pictures and videos, through a gateway or a proxy of one's own.

`api` asks, `forms` reads.
"""

from archiver.providers.midjourney.api import MidjourneyProvider

__all__ = ["MidjourneyProvider"]
