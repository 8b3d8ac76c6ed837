"""The gateway's tasks and the links in their answers, whatever the provider."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from archiver.gateway.signing import Signer
from archiver.model import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as an answer will bear it: to a file of the assets origin, or any text.

    Attributes:
        path: Of the file, on the assets origin.
        url: This text instead, as it is: another host, or nonsense.
        lifetime_s: How long a signed link is good for; `None`: not signed.
        signed_at: The link was signed once, then, and is stored so; `None`: signed anew in each
            answer.
        renewed_after: After so many answers that bore the stored link, it is signed anew in each.
    """

    path: str = ""
    url: str | None = field(default=None, repr=False)
    lifetime_s: int | None = None
    signed_at: datetime | None = None
    renewed_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWriter:
    """Writes the links of one answer.

    Attributes:
        assets_url: The assets origin, without a slash at the end.
        answered: How many answers about this task were given before.
    """

    assets_url: str
    signer: Signer
    now: datetime
    answered: int = 0

    def url(self, link: Link) -> str:
        """Return the link as text."""
        if link.url is not None:
            return link.url
        bare = f"{self.assets_url}{link.path}"
        if link.lifetime_s is None:
            return bare
        renewed = link.renewed_after is not None and self.answered >= link.renewed_after
        at = self.now if link.signed_at is None or renewed else link.signed_at
        host = self.assets_url.partition("://")[2]
        query = self.signer.sign(link.path, host=host, at=at, lifetime_s=link.lifetime_s)
        return f"{bare}?{query}"


BodyMaker = Callable[[LinkWriter], JsonValue]
"""Makes a whole answer in place of the usual one."""


class Absent(StrEnum):
    """How an answer says that it has no such link."""

    OMIT = "omit"
    NULL = "null"
    EMPTY = "empty"


class GatewayStatus(StrEnum):
    """A task's state in the gateway's own words. Source: new-api, model/task.go."""

    NOT_START = "NOT_START"
    SUBMITTED = "SUBMITTED"
    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    FAILURE = "FAILURE"
    SUCCESS = "SUCCESS"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayTask(ABC):
    """One task that the gateway knows. Frozen: to change it, put another in its place.

    Attributes:
        task_id: The id to ask for.
        created_at: `None`: the provider never says.
        appears_at: Until then the gateway says that it does not exist.
        envelopes: How many `code`/`data` wrappers are around the provider's own answer.
        row: Whether the innermost wrapper holds the gateway's own record of the task.
        fail_reason: What that record says there, whatever the state; `None`: why it failed.
        body: Makes the provider's own answer in place of the usual one.
    """

    platform: ClassVar[str]
    action: ClassVar[str]

    task_id: str
    created_at: datetime | None = None
    appears_at: datetime | None = None
    envelopes: int = 0
    row: bool = False
    fail_reason: str | None = None
    body: BodyMaker | None = field(default=None, repr=False)

    @abstractmethod
    def document(self, links: LinkWriter) -> JsonValue:
        """Return the provider's own answer, without the gateway's wrappers."""

    @abstractmethod
    def status(self, now: datetime) -> GatewayStatus:
        """Return its state in the gateway's own words."""

    @abstractmethod
    def failure(self, now: datetime) -> str:
        """Return why it failed, or an empty text."""

    def visible(self, now: datetime) -> bool:
        """Tell whether the gateway already admits to knowing it."""
        return self.appears_at is None or now >= self.appears_at
