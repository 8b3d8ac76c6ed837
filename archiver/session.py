"""What a command works with: one configuration's store, catalog, sources, clock, and their guards.

Reading commands take no lock. Writing ones go through `Session.writing`: the store is tried and
its identity compared before anything is changed and before any provider is asked.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from archiver import layout
from archiver.bookkeeping import Rules
from archiver.catalog import Catalog
from archiver.config import Config
from archiver.contracts import Api, Clock, Prober, Store
from archiver.errors import LockedError, StoreError, WrongStoreError, system_error
from archiver.flights import Flights
from archiver.manifest import StoreIdentity
from archiver.model import State, TaskRef
from archiver.pipeline import Pipeline
from archiver.redaction import Redactor
from archiver.turns import Turns

STORE_ID = "store_id"
STORE_CONFLICT = "store_conflict"
"""Code of the error that another machine wrote meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """All the parts of one command, put together by `app`.

    Attributes:
        open_sources: Makes the pipelines of these sources, by name; it needs their keys.
        open_list: Makes the API of a gateway's list of tasks for one source; it has a credential of
            its own.
        interrupt: Makes the clock say "stop" to every worker.
        received_bytes: Tells how much of files has come so far.
        turns: Taken while a large document is at hand.
        dry_run: Ask the API for documents and touch nothing else.
    """

    config: Config
    store: Store
    catalog: Catalog
    clock: Clock
    prober: Prober
    flights: Flights
    open_sources: Callable[[Collection[str]], Mapping[str, Pipeline]]
    open_list: Callable[[str], Api]
    redactor: Redactor
    rules: Rules
    interrupt: Callable[[], None]
    received_bytes: Callable[[], int]
    turns: Turns
    dry_run: bool = False

    @contextmanager
    def writing(
        self, sources: Collection[str], *, adopt: Callable[[Session], object]
    ) -> Iterator[None]:
        """Hold the locks of these sources and of the store, with the right store at hand.

        Args:
            adopt: Called when the catalog is new and the store is not: rebuilds the catalog.

        Raises:
            LockedError: Another run is at work.
            WrongStoreError: Not the store that the catalog knows.
            StoreError: The store cannot be used.
        """
        with ExitStack() as held:
            if self.dry_run:
                self._identity()
                yield
                return
            for source in sorted(sources):
                held.enter_context(source_lock(self.config.state_dir, source))
            found = self._identity()
            held.enter_context(self.store.lock())
            self.store.check()
            if self.catalog.fact(STORE_ID) is None:
                if found is None:
                    found = self._made_identity()
                else:
                    adopt(self)
                self.catalog.remember_fact(STORE_ID, found.id)
            self._take_note(held.enter_context(self.flights.opened(sources)))
            yield

    def _take_note(self, left: list[TaskRef]) -> None:
        """Remember what was in flight when a run died, and remove what it left of archived tasks.

        What it left of others is continued by whoever fetches them.
        """
        for ref in left:
            row = self.catalog.row(ref)
            if row and row.path and row.state is State.ARCHIVED and not self.catalog.journal(ref):
                self.store.clean(row.path)
        if left:
            self.catalog.note_deaths(left)
        self.flights.begin()
        self.flights.deaths = self.catalog.deaths()

    def _identity(self) -> StoreIdentity | None:
        """Return what the store says it is, if that is what the catalog expects."""
        known = self.catalog.fact(STORE_ID)
        found = read_identity(self.store)
        if known is not None and found is None:
            raise WrongStoreError(
                f"{self.store.label} is not the archive that the catalog knows:"
                f" {layout.STORE_KEY} is missing. Is the disk mounted, is the bucket right?"
                " Nothing was written"
            )
        if known is not None and found is not None and found.id != known:
            raise WrongStoreError(
                f"{self.store.label} is another archive than the one that the catalog in"
                f" {self.config.state_dir} belongs to; for a new archive use a state_dir of its"
                " own. Nothing was written"
            )
        return found

    def _made_identity(self) -> StoreIdentity:
        """Give a new store its identity; if another machine just did so, that one counts."""
        made = StoreIdentity(id=str(uuid.uuid4()), created_at=self.clock.now())
        try:
            self.store.put_document(layout.STORE_KEY, made.to_bytes())
        except StoreError as error:
            if error.code != STORE_CONFLICT:
                raise
        return read_identity(self.store) or made

    def check_identity(self) -> None:
        """Raise `WrongStoreError` unless the store is the one that the catalog knows."""
        self._identity()


def read_identity(store: Store) -> StoreIdentity | None:
    """Return a store's identity; `None` when it has none.

    Raises:
        StoreError: It cannot be read, or is of a newer format.
    """
    data = store.read_document(layout.STORE_KEY)
    return None if data is None else StoreIdentity.parse(data)


@contextmanager
def source_lock(state_dir: Path, source: str) -> Iterator[None]:
    """Hold a source's lock; the kernel lets go of it when the process dies.

    Raises:
        LockedError: Another run holds it; the message says which process, where that is known.
    """
    from filelock import FileLock, Timeout

    folder = state_dir / "locks"
    owner = folder / f"{source}.json"
    held = FileLock(folder / f"{source}.lock")
    with ExitStack() as opened:
        with _state_errors(state_dir):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.acquire(timeout=0)
            except Timeout:
                raise LockedError(
                    f"another run{_owner_words(owner)} is at work on source {source};"
                    " nothing was changed"
                ) from None
            opened.callback(held.release)
            opened.callback(_let_go, owner)
            owner.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")
        yield


@contextmanager
def _state_errors(state_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"state_dir {state_dir} cannot be used"
        raise system_error(error, what, code="state_unusable") from error


def _let_go(owner: Path) -> None:
    # It only tells a second run whom it meets: not worth an error at the end of this one.
    with suppress(OSError):
        owner.unlink(missing_ok=True)


def _owner_words(owner: Path) -> str:
    try:
        return f" (process {int(json.loads(owner.read_text(encoding='utf-8'))['pid'])})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
