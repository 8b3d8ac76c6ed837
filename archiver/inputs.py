"""Reading task ids: from the command line, from files, from standard input, from inboxes.

One id a line (`id` or `source:id`, `#` starts a comment), CSV with a header that names `id` or
`task_id` and optionally `source`, or JSON Lines with the same keys. Everything streams: the number
of ids costs no memory.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from archiver.errors import UsageError
from archiver.model import TaskRef, TaskRefs
from archiver.redaction import printable

MOST_ID_CHARACTERS = 65536
_COMMENT = re.compile(r"(^|\s)#.*")
_BARE_IDS = re.compile(r"[A-Za-z0-9_.-]{1,200}(?:\n[A-Za-z0-9_.-]{1,200})*")
_PAGE = 4096
_ID_KEYS = ("task_id", "id")


class Naming:
    """Turns what people write into references.

    Args:
        sources: Names of the configured sources.
        only: The one to use for bare ids (`--source`).
    """

    def __init__(self, sources: Collection[str], *, only: str | None = None) -> None:
        if only is not None and only not in sources:
            known = ", ".join(sorted(sources))
            raise UsageError(f"no source is called {printable(only)!r}; configured: {known}")
        self._sources = sources
        self._only = only

    def ref(self, text: str, *, source: str | None = None, where: str = "") -> TaskRef:
        """Return the task that a text names.

        Args:
            text: `id` or `source:id`; the part before the colon is a source only if one of that
                name is configured.
            source: Named beside the id (a column).
            where: File and line, for messages.

        Raises:
            UsageError: Empty, not encodable, or without a source when several are configured.
        """
        at = f"{where}: " if where else ""
        head, colon, tail = text.partition(":")
        if not source and colon and head in self._sources:
            source, text = head, tail
        if source and source not in self._sources:
            known = ", ".join(sorted(self._sources))
            raise UsageError(f"{at}no source is called {printable(source)!r}; configured: {known}")
        if not text:
            raise UsageError(f"{at}an empty task id")
        if len(text) > MOST_ID_CHARACTERS:
            raise UsageError(f"{at}an id of {len(text)} characters; is this the right file?")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{at}{printable(text)[:60]!r} is not UTF-8 text") from None
        source = source or self._only
        if source is None:
            if len(self._sources) != 1:
                known = ", ".join(sorted(self._sources))
                raise UsageError(
                    f"{at}{printable(text)[:60]!r} does not say which source it belongs to;"
                    f" write source:id or give --source (configured: {known})"
                )
            (source,) = self._sources
        return TaskRef(source=source, task_id=text)

    @property
    def source_of_bare_ids(self) -> str | None:
        """The source that an id alone belongs to, if that is told."""
        if self._only is None and len(self._sources) == 1:
            return next(iter(self._sources))
        return self._only

    def wanted(self, ref: TaskRef | TaskRefs) -> bool:
        """Whether `--source` lets this task through."""
        return self._only is None or ref.source == self._only


def read_refs(path: str, naming: Naming, *, stdin: TextIO) -> Iterator[TaskRef | TaskRefs]:
    """Yield the tasks that a file names.

    Args:
        path: `.csv`, `.jsonl` (or `.ndjson`), anything else is text; `-` is standard input, whose
            form is told by its first line.

    Raises:
        UsageError: The file cannot be read, or a line is wrong; it names file and line.
    """
    if path == "-":
        yield from _refs_of_file(stdin, naming, name="standard input", form=None)
        return
    try:
        with Path(path).expanduser().open(encoding="utf-8-sig", newline="") as file:
            yield from _refs_of_file(file, naming, name=path, form=_form_of(path))
    except OSError as error:
        raise UsageError(f"{printable(path)}: cannot be read: {error.strerror}") from None


def _form_of(path: str) -> str:
    ending = Path(path).suffix.lower()
    return {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(ending, "txt")


def _refs_of_file(
    lines: Iterable[str], naming: Naming, *, name: str, form: str | None
) -> Iterator[TaskRef | TaskRefs]:
    with _decoding(name):
        lines = iter(lines)
        if form is None:
            first = next(lines, "")
            form = _guess(first)
            lines = itertools.chain([first], lines)
        if form != "txt":
            yield from refs_of_lines(lines, naming, name=name, form=form)
            return
        number = 0
        while page := list(itertools.islice(lines, _PAGE)):
            yield from _refs_of_page(page, number, naming, printable(name))
            number += len(page)


def _refs_of_page(
    page: Sequence[str], before: int, naming: Naming, name: str
) -> Iterator[TaskRef | TaskRefs]:
    """Yield the tasks that lines of text name; at once where all are ids and nothing else."""
    source, text = naming.source_of_bare_ids, "".join(page).removesuffix("\n")
    if source is not None and _BARE_IDS.fullmatch(text):
        yield TaskRefs(source=source, task_ids=text.split("\n"))
    else:
        yield from _text_refs(page, naming, name, before=before)


def one_by_one(refs: Iterable[TaskRef | TaskRefs]) -> Iterator[TaskRef]:
    """Yield each task by itself."""
    for ref in refs:
        if isinstance(ref, TaskRef):
            yield ref
        else:
            yield from (TaskRef(source=ref.source, task_id=task_id) for task_id in ref.task_ids)


def refs_of_lines(
    lines: Iterable[str], naming: Naming, *, name: str, form: str
) -> Iterator[TaskRef]:
    """Yield the tasks that lines of text name; `form` is `txt`, `csv` or `jsonl`."""
    with _decoding(name):
        readers = {"csv": _csv_refs, "jsonl": _json_refs, "txt": _text_refs}
        yield from readers[form](iter(lines), naming, printable(name))


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise UsageError(f"{printable(name)}: not UTF-8 text (byte {error.start})") from None


def _guess(first: str) -> str:
    line = first.lstrip("\ufeff").strip()
    if line.startswith("{"):
        return "jsonl"
    columns = {column.strip().lower() for column in line.split(",")}
    if columns & set(_ID_KEYS) and ("," in line or columns <= set(_ID_KEYS)):
        return "csv"
    return "txt"


def _text_refs(
    lines: Iterable[str], naming: Naming, name: str, *, before: int = 0
) -> Iterator[TaskRef]:
    for number, line in enumerate(lines, before + 1):
        text = line.lstrip("\ufeff").strip()
        if "#" in text:
            text = _COMMENT.sub("", text).strip()
        if text:
            yield naming.ref(text, where=f"{name}:{number}")


def _csv_refs(lines: Iterator[str], naming: Naming, name: str) -> Iterator[TaskRef]:
    reader = csv.reader(line.lstrip("\ufeff").replace("\0", "\ufffd") for line in lines)
    try:
        header = next(reader, None)
        if header is None:
            return
        columns = [column.strip().lower() for column in header]
        key = next((key for key in _ID_KEYS if key in columns), None)
        if key is None:
            raise UsageError(
                f"{name}:1: the header must name a column `id` or `task_id`;"
                f" it names {printable(', '.join(header))[:120]}"
            )
        place = columns.index(key)
        source_place = columns.index("source") if "source" in columns else None
        for row in reader:
            text = row[place].strip() if place < len(row) else ""
            if not "".join(row).strip() or row[0].lstrip().startswith("#"):
                continue
            source = None
            if source_place is not None and source_place < len(row):
                source = row[source_place].strip() or None
            yield naming.ref(text, source=source, where=f"{name}:{reader.line_num}")
    except csv.Error as error:
        raise UsageError(f"{name}:{reader.line_num}: not CSV: {error}") from None


def _json_refs(lines: Iterator[str], naming: Naming, name: str) -> Iterator[TaskRef]:
    for number, line in enumerate(lines, 1):
        text = line.lstrip("\ufeff").strip()
        if not text or text.startswith("#"):
            continue
        where = f"{name}:{number}"
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise UsageError(f"{where}: not a JSON object") from None
        if not isinstance(value, dict):
            raise UsageError(f"{where}: not a JSON object")
        found = next((value[key] for key in _ID_KEYS if value.get(key) is not None), None)
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        if not isinstance(found, str):
            raise UsageError(f"{where}: needs a text `id` or `task_id`")
        source = value.get("source")
        if source is not None and not isinstance(source, str):
            raise UsageError(f"{where}: `source` must be text")
        yield naming.ref(found, source=source or None, where=where)
