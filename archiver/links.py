"""Where the renditions of one task are just now: the provider is asked again when links die."""

from __future__ import annotations

from dataclasses import replace

from archiver.contracts import Provider
from archiver.errors import DeadLinkError, PassingError, ProviderError, TaskNotFoundError
from archiver.model import Asset, Progress, Rendition, Task
from archiver.positions import in_known_order, known_outputs
from archiver.wanted import Link

MOST_RENEWALS = 8


class Links:
    """The links of one task during one pass.

    One new answer serves all of its assets; a provider that gives the same links again is not asked
    a third time.
    """

    def __init__(self, provider: Provider, task: Task) -> None:
        self._provider = provider
        self._task = task
        self._answers = 0
        self._same_again = False
        self._given: dict[tuple[str, int, str], int] = {}
        self._on_demand: set[tuple[str, int, str]] = set()

    def resolved(self, asset: Asset, rendition: Rendition) -> Rendition:
        """Return a rendition with its link, asking where the provider gives it only on demand.

        Raises:
            DeadLinkError: There is none.
            PassingError, ProviderError: The provider cannot be asked now.
        """
        if rendition.url is not None or rendition.content is not None:
            return rendition
        self._on_demand.add(_key(asset, rendition))
        return self._provider.resolve(self._task, rendition)

    def link(self, asset: Asset, rendition: Rendition) -> Link:
        """Return the newest link of a resolved rendition.

        Raises:
            DeadLinkError: There is none.
        """
        key = _key(asset, rendition)
        self._given[key] = self._answers
        if key in self._on_demand:
            return _link(rendition, renewed=True)
        newest = self._newest(asset, rendition) or rendition
        return _link(newest, renewed=self._answers > 0)

    def renew(self, asset: Asset, rendition: Rendition) -> Link | None:
        """Return what the provider gives in place of a dead link; `None` when it has none.

        It may be the same text: stores say 403 and 404 of files that they have a moment later.

        Raises:
            PassingError, KeyRefusedError: The provider cannot be asked now.
        """
        key = _key(asset, rendition)
        if key in self._on_demand:
            found: Rendition | None = self._provider.resolve(
                self._task, replace(rendition, url=None)
            )
        else:
            if self._given.get(key, 0) == self._answers:
                self._ask_again()
            self._given[key] = self._answers
            found = self._newest(asset, rendition)
        if found is None or found.url is None:
            return None
        if found.watermarked and not rendition.watermarked:
            return None  # another file by now
        return _link(found, renewed=True)

    def _ask_again(self) -> None:
        if self._same_again or self._answers >= MOST_RENEWALS:
            return
        try:
            task = self._provider.get_task(self._task.ref.task_id)
        except TaskNotFoundError:
            self._same_again = True
            return
        except ProviderError as error:
            if error.fatal:
                raise
            raise PassingError(
                f"its link could not be renewed: {error.message}", code=error.code
            ) from None
        self._answers += 1
        self._same_again = _urls(task) == _urls(self._task)
        if task.progress is Progress.FINISHED:
            self._task = in_known_order(task, known_outputs(self._task.assets))

    def _newest(self, asset: Asset, rendition: Rendition) -> Rendition | None:
        found = self._task.asset(asset.role, asset.index)
        for other in found.renditions if found else ():
            if other.name == rendition.name:
                return other
        return None


def _key(asset: Asset, rendition: Rendition) -> tuple[str, int, str]:
    return asset.role, asset.index, rendition.name


def _link(rendition: Rendition, *, renewed: bool) -> Link:
    if rendition.url is None:
        raise DeadLinkError("the provider gives no link for it", code="unavailable")
    return Link(url=rendition.url, expires_at=rendition.expires_at, renewed=renewed)


def _urls(task: Task) -> list[str | None]:
    return [rendition.url for asset in task.assets for rendition in asset.renditions]
