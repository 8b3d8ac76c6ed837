"""Suno: songs, their video clips and lyrics, through a gateway or a wrapper of one's own account.

`api` asks, `forms` reads.
"""

from archiver.providers.suno.api import SunoProvider

__all__ = ["SunoProvider"]
