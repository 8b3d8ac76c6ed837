"""Where Kling's tasks are asked for: one path for each action, and one for its 3.0 models.

Source: providers.md rows 16 and 17; the vendor's pages of `multi-image2video` and `omni-video`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from archiver.answers import path_segment

_NAMED = re.compile(r"(?:(videos|images|audio)/)?([a-z0-9][a-z0-9-]{0,60})/([^/]+)", re.ASCII)
_OTHER_NAMES = {"extend": "video-extend", "tryon": "kolors-virtual-try-on"}
_OFFICIAL = "klingai.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One kind of task.

    Attributes:
        kind: `videos`, `images` or `audio`; empty for the 3.0 form, whose tasks are in one place.
    """

    kind: str
    name: str

    @property
    def words(self) -> str:
        """Return it as it stands before an id: `videos/text2video`, `tasks`."""
        return f"{self.kind}/{self.name}" if self.kind else self.name

    def path(self, prefix: str, ident: str) -> str:
        """Return where a task of it is."""
        return f"{self.listing(prefix)}/{path_segment(ident)}"

    def listing(self, prefix: str) -> str:
        """Return where the list of its tasks is."""
        return f"{prefix}/{self.kind}/{self.name}"


ACTIONS = (
    *(
        Action(kind="videos", name=name)
        for name in ("text2video", "image2video", "video-extend", "lip-sync", "effects")
    ),
    *(Action(kind="images", name=name) for name in ("generations", "kolors-virtual-try-on")),
    *(Action(kind="videos", name=name) for name in ("multi-image2video", "omni-video")),
)
"""In the order in which a bare id is looked for."""

THREE = Action(kind="", name="tasks")
"""Tasks of the 3.0 models, all in one place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What stands where below a base URL.

    Attributes:
        prefixes: What may stand before `videos/…`, best first.
        tasks: Where the 3.0 models' tasks are: a path, or a URL of the same origin.
    """

    prefixes: tuple[str, ...]
    tasks: str
    is_official: bool


def places(base_url: str) -> Places:
    """Tell what stands where below a base URL."""
    parts = urlsplit(base_url)
    host, path = (parts.hostname or "").lower(), parts.path.rstrip("/")
    official = host == _OFFICIAL or host.endswith(f".{_OFFICIAL}")
    if path.endswith("/v1"):
        above = base_url.rstrip("/").removesuffix("/v1")
        return Places(prefixes=("",), tasks=f"{above}/tasks", is_official=official)
    if official or path.endswith("/kling"):
        return Places(prefixes=("/v1",), tasks="/tasks", is_official=official)
    return Places(prefixes=("/kling/v1", "/v1"), tasks="/tasks", is_official=False)


def split_id(task_id: str) -> tuple[Action | None, str]:
    """Take an id apart that carries its action: `text2video/ID`, `images/generations/ID`.

    Returns:
        The action, or `None` when the id names none that is known; and the bare id.
    """
    match = _NAMED.fullmatch(task_id)
    if match is None or not match[3].strip("."):
        return None, task_id
    kind, name, ident = match[1], _OTHER_NAMES.get(match[2], match[2]), match[3]
    if kind:
        return Action(kind=kind, name=name), ident
    for action in (*ACTIONS, THREE):
        if action.name == name:
            return action, ident
    return None, task_id
