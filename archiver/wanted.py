"""What is to be fetched of one rendition, and what came of it: the nouns of `fetch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from archiver.contracts import Sniffed
from archiver.model import MediaInfo, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a rendition's bytes are just now.

    Attributes:
        expires_at: When its signature runs out, if it says so.
        renewed: It was just given by the provider: asked once whatever the clock says.
    """

    url: str = field(repr=False)
    expires_at: datetime | None = None
    renewed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be fetched, and what the caller knows that the bytes do not say.

    Attributes:
        renew: Asks the provider for another link; `None` when it has no other.
        name: Gives the final file name for what the first bytes say.
        metadata: Goes with the object where the store keeps metadata.
        now: The time by the provider's clock.
        alone: No other form has the same link but for its query: a whole part needs no request.
    """

    role: Role
    link: Link
    renew: Callable[[Link], Link | None]
    name: Callable[[Sniffed], str]
    metadata: Mapping[str, str]
    now: Callable[[], datetime]
    alone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A whole, probed file that waits, sealed, for its final name.

    Attributes:
        link: The URL that it came from, without its query.
        wire_bytes: What came over the network in this run.
    """

    info: MediaInfo
    sha256: str
    size_bytes: int
    link: str | None
    etag: str | None
    wire_bytes: int
