"""Udio: songs, through a gateway.

`api` asks, `forms` reads.
"""

from archiver.providers.udio.api import UdioProvider

__all__ = ["UdioProvider"]
