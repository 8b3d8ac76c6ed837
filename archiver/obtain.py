"""Obtain the outputs of one task: the best rendition of each that can be had, journalled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archiver import layout, policy, verdicts
from archiver.catalog import Catalog, JournalEntry, TaskRow
from archiver.contracts import Api, Clock, Store, Upload
from archiver.draft import Draft, describe
from archiver.errors import DimensionMismatchError, RenditionError
from archiver.fetch import Fetcher
from archiver.flights import Flights
from archiver.links import Links
from archiver.manifest import AssetRecord
from archiver.model import Asset, Dimensions, Rendition
from archiver.redaction import redact_url
from archiver.wanted import Fetched, Link, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What this run wants of a task.

    Attributes:
        prefer: Names of renditions, best first.
        refuse_mismatch: Take the next rendition when dimensions are a `mismatch`.
        unwatermarked_only: Archive no marked copy.
        again: Fetch what is archived already anew.
        dry_run: Ask for documents and touch nothing else.
    """

    prefer: tuple[str, ...]
    refuse_mismatch: bool = False
    unwatermarked_only: bool = False
    again: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every task of a source is archived with; many workers use them at the same time.

    Attributes:
        fetcher: For almost every task.
        careful: For those that were in flight in two runs that died: it probes apart.
        flights: Which those are, and what is in flight now.
    """

    api: Api
    store: Store
    catalog: Catalog
    fetcher: Fetcher
    careful: Fetcher
    flights: Flights
    clock: Clock
    wishes: Wishes


class Obtaining:
    """One pass over one task's outputs.

    Args:
        folder: The task's folder in the store.

    Attributes:
        fetched_bytes: What came over the wire so far.
        left_marked: Marked copies were to be had and left, since none is wanted.
    """

    def __init__(self, parts: Parts, row: TaskRow, folder: str, draft: Draft, links: Links) -> None:
        self._parts = parts
        self._row = row
        self._folder = folder
        self._draft = draft
        self._links = links
        self.fetched_bytes = 0
        self.left_marked = False

    def obtain(self, asset: Asset) -> None:
        """Store the best rendition of one output that can be had.

        Raises:
            PassingError: The best one cannot be had now: no silent downgrade to the next.
        """
        record, wishes = self._draft.record(asset), self._parts.wishes
        for rendition in self._in_order(asset, record):
            if rendition.watermarked and wishes.unwatermarked_only:
                self.left_marked = True
            elif self._try(asset, rendition):
                return
        when = policy.next_poll(self._row.first_seen_at, self._parts.clock.now())
        self._draft.miss(asset, code=verdicts.UNAVAILABLE, next_attempt_at=when)

    def _in_order(self, asset: Asset, record: AssetRecord | None) -> Iterator[Rendition]:
        """Yield the renditions that would be better than what is stored, best first.

        A link that is given only on demand is asked for when its turn comes. One that turns out to
        be of a marked copy waits for the turn of those; one that has another name as well is left
        to that name.
        """
        wishes, known = self._parts.wishes, {r.url for r in asset.renditions}
        waiting = list(policy.rank(asset.renditions, wishes.prefer))
        while waiting:
            ranked = waiting.pop(0)
            if record and not wishes.again and not policy.is_better(ranked, record):
                return
            if record and not policy.may_replace(ranked, record):
                return
            try:
                found = self._links.resolved(asset, ranked)
            except RenditionError as error:
                self._draft.refuse(asset, ranked, error)
                continue
            if ranked.url is None and found.url is not None and found.url in known:
                continue
            if found.watermarked and not ranked.watermarked:
                waiting = list(policy.rank([*waiting, found], wishes.prefer))
                continue
            yield found

    def _try(self, asset: Asset, rendition: Rendition) -> bool:
        """Fetch one rendition and store it; tell whether it was accepted."""
        record = self._draft.record(asset)
        upload = self._parts.store.begin(self._folder, layout.asset_stem(asset.role, asset.index))
        try:
            fetched = fetch_rendition(self._parts, self._row, self._links, asset, rendition, upload)
            self.fetched_bytes += fetched.wire_bytes
            self._check(rendition, fetched)
            if record is not None and record.sha256 == fetched.sha256:
                upload.discard()
            else:
                self._publish(asset, rendition, fetched, upload)
        except RenditionError as error:
            upload.discard()
            self._draft.refuse(asset, rendition, error)
            return False
        except BaseException:
            upload.park()
            raise
        return True

    def _check(self, rendition: Rendition, fetched: Fetched) -> None:
        declared, info = (rendition.width_px, rendition.height_px), fetched.info
        verdict = policy.compare_dimensions(*declared, info.width_px, info.height_px)
        if self._parts.wishes.refuse_mismatch and verdict is Dimensions.MISMATCH:
            raise DimensionMismatchError(
                f"declared {declared[0]}x{declared[1]}, is {info.width_px}x{info.height_px}"
            )

    def _publish(
        self, asset: Asset, rendition: Rendition, fetched: Fetched, upload: Upload
    ) -> None:
        """Journal the file, then give it its final name."""
        name = layout.asset_name(
            asset.role, asset.index, fetched.info.extension, watermarked=rendition.watermarked
        )
        now = self._parts.clock.now()
        record = describe(asset, rendition, fetched, name=name, now=now)
        with self._draft.storing(record, now=now):
            data = self._draft.manifest(now=now).to_bytes(compact=True)
            entry = JournalEntry(ref=self._row.ref, path=self._folder, draft=data)
            self._parts.catalog.write_journal(entry)
            upload.publish(sha256=fetched.sha256)


def fetch_rendition(
    parts: Parts, row: TaskRow, links: Links, asset: Asset, rendition: Rendition, upload: Upload
) -> Fetched:
    """Bring one rendition into an upload, whole, probed and sealed.

    Raises:
        PassingError: Time may mend it; what came is in the upload.
        RenditionError: This rendition is of no use.
        StoreError, StoppedError, ProviderError: As they come.
    """
    rendition = links.resolved(asset, rendition)
    content = rendition.content
    others = [r.url for r in asset.renditions if r.url and r.name != rendition.name]
    wanted = Wanted(
        role=asset.role,
        link=Link(url="") if content is not None else links.link(asset, rendition),
        renew=lambda dead: links.renew(asset, rendition),
        name=lambda seen: layout.asset_name(
            asset.role, asset.index, seen.extension, watermarked=rendition.watermarked
        ),
        metadata={"source": row.ref.source, "task-id": row.ref.task_id},
        now=parts.api.now,
        alone=redact_url(rendition.url or "") not in {redact_url(url) for url in others},
    )
    fetcher = parts.careful if parts.flights.is_suspect(row.ref) else parts.fetcher
    if content is not None:
        return fetcher.take(content, wanted, upload)
    return fetcher.fetch(wanted, upload)
