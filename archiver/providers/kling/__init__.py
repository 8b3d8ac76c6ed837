"""Kling: videos, images and sounds, from the vendor or through a gateway.

`api` asks, `routes` knows where, `forms` reads, `codes` knows Kling's error numbers, `keys` signs.
"""

from archiver.providers.kling.api import KlingProvider

__all__ = ["KlingProvider"]
