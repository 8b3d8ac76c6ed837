"""Many workers write the journal at once: each entry is there when its call returns."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from archiver.catalog import Catalog, JournalEntry
from archiver.errors import CatalogError
from archiver.model import TaskRef


def entry(number: int) -> JournalEntry:
    ref = TaskRef(source="luma", task_id=f"t{number}")
    return JournalEntry(ref=ref, path=f"luma/t{number}", draft=b"{}")


def test_each_entry_is_there_when_its_writer_goes_on(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    with Catalog(tmp_path / "c.db") as catalog:

        def work(first: int) -> None:
            start.wait()
            for number in range(first, first + 20):
                catalog.write_journal(entry(number))
                assert catalog.journal(entry(number).ref) == [entry(number)]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(0, 160, 20)))
        assert len(catalog.journal()) == 160


def test_a_failure_is_raised_by_every_writer(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "c.db")
    catalog.close()
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(catalog.write_journal, entry(number)) for number in range(8)]
    for future in futures:
        with pytest.raises(CatalogError):
            future.result()
