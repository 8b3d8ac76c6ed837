"""How one task is archived: the page to read first.

    ask      TaskRef ── provider ──▶ Task
    keep     Task ── rank ──▶ Rendition ── fetch ──▶ Upload ── probe ──▶ record
             journal ──▶ final name ── … ──▶ manifest (written last) ──▶ Outcome

The order of writes is the design: object, manifest, catalog row. Each object is journalled before
it gets its final name, so that a later run can finish what a killed one began (`recovery`). The
driver writes the row (`runner`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from archiver import layout, policy, verdicts
from archiver.catalog import Catalog, JournalEntry, TaskRow
from archiver.contracts import Api, Clock, Provider, Store, Upload
from archiver.draft import Draft, describe
from archiver.errors import DimensionMismatchError, PassingError, ProviderError, RenditionError
from archiver.fetch import Fetched, Fetcher, Link, Wanted
from archiver.links import Links
from archiver.manifest import Manifest
from archiver.model import Asset, Dimensions, Outcome, Progress, Rendition, Task
from archiver.recovery import recover
from archiver.redaction import Redactor


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
class Pipeline:
    """Archives tasks of one source; many workers use one at the same time."""

    provider: Provider
    api: Api
    store: Store
    catalog: Catalog
    fetcher: Fetcher
    template: layout.Template
    clock: Clock
    redactor: Redactor
    wishes: Wishes
    version: str

    def archive(self, row: TaskRow) -> Outcome:
        """Ask for a task and archive it: both halves, one after the other."""
        found = self.ask(row)
        return found if isinstance(found, Outcome) else self.keep(found, row)

    def ask(self, row: TaskRow) -> Task | Outcome:
        """Finish what a killed run left; then, unless that was all, ask the provider.

        Raises:
            KeyRefusedError, NoCreditError: The source must stop; the task stays as it is.
            StoreError, CatalogError, StoppedError: The run must end.
        """
        if not self.wishes.dry_run:
            recovered = recover(row, self.catalog, self.store, now=self.clock.now())
            if recovered and not recovered.missing and not self.wishes.again:
                return verdicts.archived(row, recovered, changed="recovered")
        try:
            return self.provider.get_task(row.ref.task_id)
        except (ProviderError, PassingError) as error:
            if error.fatal:
                raise
            held = self._manifest(row.path) if row.path else None
            return verdicts.not_asked(row, error, held, self.clock.now())

    def keep(self, task: Task, row: TaskRow) -> Outcome:
        """Archive what a finished task offers and the store does not hold yet."""
        if self.wishes.dry_run:
            return verdicts.planned(row, task, self.wishes.prefer)
        folder = self._folder(task, row)
        held = self._manifest(folder)
        if task.progress is not Progress.FINISHED:
            return verdicts.unfinished(row, task, held)
        now = self.clock.now()
        document = self.redactor.document(task.raw)
        draft = Draft(task, held=held, document=document, now=now, version=self.version)
        links, fetched_bytes = Links(self.provider, task), 0
        passing: PassingError | None = None
        for asset in self._wanted_assets(task, draft):
            try:
                fetched_bytes += self._obtain(asset, draft, links, row, folder)
            except PassingError as error:
                passing = error
                when = verdicts.retry_at(error, row, now)
                draft.miss(asset, code=error.code, next_attempt_at=when)
        if draft.has_main:
            manifest = verdicts.second_looks(row, draft.manifest(now=self.clock.now()), now)
            if verdicts.is_news(held, manifest):
                self._commit(folder, manifest, draft, is_first=row.path is None)
            changed = verdicts.what_changed(row, held, manifest)
            outcome = verdicts.archived(
                row, manifest, changed=changed, path=folder, notes=task.warnings
            )
        else:
            outcome = verdicts.nothing_stored(
                row,
                task,
                draft,
                passing=passing,
                unwatermarked_only=self.wishes.unwatermarked_only,
                folder=folder,
                now=now,
            )
        return replace(outcome, fetched_bytes=fetched_bytes)

    # --- the steps ------------------------------------------------------------------------------

    def _folder(self, task: Task, row: TaskRow) -> str:
        """Return the task's folder, fixed when it is first needed."""
        if row.path:
            return row.path
        return self.catalog.claim_folder(
            row.ref,
            lambda taken: self.template.folder(
                source=row.ref.source,
                provider=task.provider,
                task_id=row.ref.task_id,
                created_at=task.created_at,
                prompt=task.prompt,
                taken=taken,
            ),
        )

    def _manifest(self, folder: str) -> Manifest | None:
        data = self.store.read_document(f"{folder}/{layout.MANIFEST_NAME}")
        return None if data is None else Manifest.parse(data)

    def _wanted_assets(self, task: Task, draft: Draft) -> Iterator[Asset]:
        """Yield what is still to be had, main outputs first: without one, previews are no use."""
        for asset in sorted(task.assets, key=lambda asset: asset.role.is_preview):
            record = draft.record(asset)
            if asset.role.is_preview and not draft.has_main:
                return
            if record is None or self.wishes.again or record.watermarked:
                yield asset

    def _obtain(self, asset: Asset, draft: Draft, links: Links, row: TaskRow, folder: str) -> int:
        """Store the best rendition that can be had; return the bytes that came over the wire.

        Raises:
            PassingError: The best one cannot be had now: no silent downgrade to the next.
        """
        record, wire_bytes = draft.record(asset), 0
        for rendition in policy.rank(asset, self.wishes.prefer):
            if rendition.watermarked and self.wishes.unwatermarked_only:
                continue
            if record and not self.wishes.again and not policy.is_better(rendition, record):
                break
            if record and not policy.may_replace(rendition, record):
                break
            upload = self.store.begin(folder, layout.asset_stem(asset.role, asset.index))
            try:
                fetched = self.fetch(asset, rendition, links, row, upload)
                wire_bytes += fetched.wire_bytes
                self._check(rendition, fetched)
                if record and record.sha256 == fetched.sha256:
                    upload.discard()
                    return wire_bytes
                self._publish(asset, rendition, fetched, upload, draft, row, folder)
            except RenditionError as error:
                upload.discard()
                draft.refuse(asset, rendition, error)
                continue
            except BaseException:
                upload.park()
                raise
            return wire_bytes
        if record is None:
            when = policy.next_poll(row.first_seen_at, self.clock.now())
            draft.miss(asset, code=verdicts.UNAVAILABLE, next_attempt_at=when)
        return wire_bytes

    def fetch(
        self, asset: Asset, rendition: Rendition, links: Links, row: TaskRow, upload: Upload
    ) -> Fetched:
        """Bring one rendition into an upload, whole, probed and sealed."""
        content = rendition.content
        wanted = Wanted(
            role=asset.role,
            link=Link(url="") if content is not None else links.link(asset, rendition),
            renew=lambda dead: links.renew(asset, rendition, dead),
            name=lambda seen: layout.asset_name(
                asset.role, asset.index, seen.extension, watermarked=rendition.watermarked
            ),
            metadata={"source": row.ref.source, "task-id": row.ref.task_id},
            now=self.api.now,
        )
        if content is not None:
            return self.fetcher.take(content, wanted, upload)
        return self.fetcher.fetch(wanted, upload)

    def _check(self, rendition: Rendition, fetched: Fetched) -> None:
        declared, info = (rendition.width_px, rendition.height_px), fetched.info
        verdict = policy.compare_dimensions(*declared, info.width_px, info.height_px)
        if self.wishes.refuse_mismatch and verdict is Dimensions.MISMATCH:
            raise DimensionMismatchError(
                f"declared {declared[0]}x{declared[1]}, is {info.width_px}x{info.height_px}"
            )

    def _publish(
        self,
        asset: Asset,
        rendition: Rendition,
        fetched: Fetched,
        upload: Upload,
        draft: Draft,
        row: TaskRow,
        folder: str,
    ) -> None:
        """Journal the file, then give it its final name."""
        name = layout.asset_name(
            asset.role, asset.index, fetched.info.extension, watermarked=rendition.watermarked
        )
        now = self.clock.now()
        draft.store(describe(asset, rendition, fetched, name=name, now=now), now=now)
        data = draft.manifest(now=now).to_bytes()
        self.catalog.write_journal(JournalEntry(ref=row.ref, path=folder, draft=data))
        upload.publish(sha256=fetched.sha256)

    def _commit(self, folder: str, manifest: Manifest, draft: Draft, *, is_first: bool) -> None:
        """Write the manifest: the task is archived. Then remove what it replaced."""
        if not is_first or manifest.missing or manifest.refused:
            self.store.clean(folder)
        self.store.put_document(f"{folder}/{layout.MANIFEST_NAME}", manifest.to_bytes())
        self.store.delete(f"{folder}/{path}" for path in draft.doomed)
