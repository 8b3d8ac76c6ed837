"""MiniMax: videos (Hailuo), whose task names a file, and whose file has the link.

`api` asks, `forms` reads.
"""

from archiver.providers.minimax.api import MinimaxProvider

__all__ = ["MinimaxProvider"]
