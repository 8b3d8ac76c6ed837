"""Luma: videos and images of the Dream Machine, through a gateway or from the vendor.

`api` asks, `forms` reads.
"""

from archiver.providers.luma.api import LumaProvider

__all__ = ["LumaProvider"]
