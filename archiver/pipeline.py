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

from archiver import layout, verdicts
from archiver.catalog import TaskRow
from archiver.contracts import Provider
from archiver.draft import Draft, without_secrets
from archiver.errors import PassingError, ProviderError
from archiver.links import Links
from archiver.manifest import Manifest, read_manifest
from archiver.model import Asset, Outcome, Progress, Task
from archiver.obtain import Obtaining, Parts
from archiver.positions import in_known_order, known_outputs
from archiver.recovery import readable_manifest, recover
from archiver.redaction import Redactor


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Archives tasks of one source; many workers use one at the same time."""

    provider: Provider
    parts: Parts
    template: layout.Template
    redactor: Redactor
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
        if not self.parts.wishes.dry_run:
            recovered = recover(
                row, self.parts.catalog, self.parts.store, now=self.parts.clock.now()
            )
            if recovered and not recovered.missing and not self.parts.wishes.again:
                return verdicts.archived(row, recovered, changed="recovered")
        try:
            return self.provider.get_task(row.ref.task_id)
        except (ProviderError, PassingError) as error:
            if error.fatal:
                raise
            return verdicts.not_asked(row, error, self._held(row), self.parts.clock.now())

    def keep(self, task: Task, row: TaskRow) -> Outcome:
        """Archive what a finished task offers and the store does not hold yet."""
        task = without_secrets(task, self.redactor)
        if self.parts.wishes.dry_run:
            return verdicts.planned(row, task, self.parts.wishes.prefer)
        if task.progress is not Progress.FINISHED:
            return verdicts.unfinished(row, task, self._held(row))
        with self.parts.flights.holding(row.ref):
            return self._keep(task, row, self._folder(task, row))

    def _keep(self, task: Task, row: TaskRow, folder: str) -> Outcome:
        held = readable_manifest(self.parts.store, folder, row.ref)
        task = in_known_order(task, known_outputs(held.assets if held else ()))
        now = self.parts.clock.now()
        draft = Draft(
            task,
            held=held,
            document=self.redactor.document(task.raw),
            redact=self.redactor.text,
            now=now,
            version=self.version,
        )
        obtaining = Obtaining(self.parts, row, folder, draft, Links(self.provider, task))
        passing: PassingError | None = None
        for asset in self._wanted_assets(task, draft):
            try:
                obtaining.obtain(asset)
            except PassingError as error:
                passing = error
                when = verdicts.retry_at(error, row, now)
                draft.miss(asset, code=error.code, next_attempt_at=when)
        if draft.has_main:
            manifest = verdicts.second_looks(row, draft.manifest(now=self.parts.clock.now()), now)
            if verdicts.is_news(held, manifest):
                self._commit(folder, manifest, draft, is_first=row.path is None)
            changed = verdicts.what_changed(row, held, manifest)
            notes = (*task.warnings, *(verdicts.remarks(manifest) if changed else ()))
            outcome = verdicts.archived(row, manifest, changed=changed, path=folder, notes=notes)
            if passing is not None and self.parts.wishes.again:
                outcome = verdicts.not_renewed(outcome, passing)
        else:
            outcome = verdicts.nothing_stored(
                row,
                task,
                draft,
                passing=passing,
                left_marked=obtaining.left_marked,
                folder=folder,
                now=now,
            )
        return replace(outcome, fetched_bytes=obtaining.fetched_bytes)

    def _folder(self, task: Task, row: TaskRow) -> str:
        """Return the task's folder, fixed when it is first needed."""
        if row.path:
            return row.path
        return self.parts.catalog.claim_folder(
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

    def _held(self, row: TaskRow) -> Manifest | None:
        return read_manifest(self.parts.store, row.path) if row.path else None

    def _wanted_assets(self, task: Task, draft: Draft) -> Iterator[Asset]:
        """Yield what is still to be had, main outputs first: without one, previews are no use."""
        for asset in sorted(task.assets, key=lambda asset: asset.role.is_preview):
            record = draft.record(asset)
            if asset.role.is_preview and not draft.has_main:
                return
            if record is None or self.parts.wishes.again or record.watermarked:
                yield asset

    def _commit(self, folder: str, manifest: Manifest, draft: Draft, *, is_first: bool) -> None:
        """Write the manifest: the task is archived. Then remove what it replaced."""
        if not is_first or manifest.missing or manifest.refused:
            self.parts.store.clean(folder)
        self.parts.store.put_document(f"{folder}/{layout.MANIFEST_NAME}", manifest.to_bytes())
        self.parts.store.delete(f"{folder}/{path}" for path in draft.doomed)
