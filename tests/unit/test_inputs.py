"""Reading task ids."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from archiver.errors import UsageError
from archiver.inputs import Naming, one_by_one, read_refs, refs_of_lines
from archiver.model import TaskRef

ONE = Naming(["luma"])
TWO = Naming(["luma", "suno"])


def ref(source: str, task_id: str) -> TaskRef:
    return TaskRef(source=source, task_id=task_id)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", ref("luma", "abc")),
        ("luma:abc", ref("luma", "abc")),
        ("other:abc", ref("luma", "other:abc")),
        ("luma:luma:abc", ref("luma", "luma:abc")),
        ("../../etc/passwd", ref("luma", "../../etc/passwd")),
        ("%2e%2e%2f", ref("luma", "%2e%2e%2f")),
        ("x" * 3000, ref("luma", "x" * 3000)),
    ],
)
def test_a_prefix_is_a_source_only_if_configured(text: str, expected: TaskRef) -> None:
    """`X:` belongs to the id unless a source is called X."""
    assert ONE.ref(text) == expected


def test_a_bare_id_with_several_sources_names_them() -> None:
    """The message says which sources there are."""
    with pytest.raises(UsageError, match=r"configured: luma, suno"):
        TWO.ref("abc")


def test_source_option_settles_bare_ids() -> None:
    """`--source` is the source of bare ids and filters the others."""
    naming = Naming(["luma", "suno"], only="suno")
    assert naming.ref("abc") == ref("suno", "abc")
    assert not naming.wanted(naming.ref("luma:abc"))


@pytest.mark.parametrize("text", ["", "luma:", "\udcff"])
def test_what_cannot_be_an_id_is_a_usage_error(text: str) -> None:
    """Empty ids and bytes that are not UTF-8 are refused before anything is done."""
    with pytest.raises(UsageError):
        ONE.ref(text)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("ids.txt", "a\n\n# all\n b # why\nluma:c\r\nd#e\n", ["a", "b", "c", "d#e"]),
        ("ids.txt", "\ufeffa\nb", ["a", "b"]),
        ("ids.csv", "when,task_id\n1,a\n2,b\n", ["a", "b"]),
        ("ids.csv", "\ufeffID,source\na,luma\nb,\n\n#c,\n", ["a", "b"]),
        ("ids.jsonl", '{"id": "a"}\n\n{"task_id": "b", "source": "luma"}\n{"id": 7}\n', "ab7"),
    ],
)
def test_each_form_of_file(tmp_path: Path, name: str, content: str, expected: list[str]) -> None:
    """Text, CSV and JSON Lines name the same tasks."""
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    found = list(one_by_one(read_refs(str(path), ONE, stdin=io.StringIO())))
    assert [one.task_id for one in found] == list(expected)


@pytest.mark.parametrize(
    "content", ["a\nb\n", "id\na\nb\n", "source,id\nluma,a\nluma,b\n", '{"id":"a"}\n{"id":"b"}\n']
)
def test_standard_input_is_told_by_its_first_line(content: str) -> None:
    """No name says what comes through a pipe."""
    found = list(one_by_one(read_refs("-", ONE, stdin=io.StringIO(content))))
    assert [one.task_id for one in found] == ["a", "b"]


@pytest.mark.parametrize(
    ("form", "content", "words"),
    [
        ("csv", "name,when\na,b\n", "must name a column"),
        ("jsonl", '{"id": "a"}\nnot json\n', "f:2: not a JSON object"),
        ("jsonl", '{"name": "a"}\n', "f:1: needs a text"),
        ("jsonl", "[" * 100_000 + "\n", "f:1: not a JSON object"),
        ("jsonl", '{"id": "a", "source": "sora"}\n', "no source is called"),
        ("csv", "id,source\na,sora\n", "f:2: no source is called"),
    ],
)
def test_a_wrong_line_is_named(form: str, content: str, words: str) -> None:
    """File, line and what is wrong."""
    with pytest.raises(UsageError, match=words):
        list(refs_of_lines(iter(content.splitlines(keepends=True)), ONE, name="f", form=form))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(UsageError, match=r"missing\.txt: cannot be read"):
        list(one_by_one(read_refs(str(tmp_path / "missing.txt"), ONE, stdin=io.StringIO())))


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    """A picture given by mistake is no traceback."""
    path = tmp_path / "ids.txt"
    path.write_bytes(b"a\n\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        list(one_by_one(read_refs(str(path), ONE, stdin=io.StringIO())))
