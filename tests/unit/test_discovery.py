"""Inboxes and lists: what is new is found once, and nothing of the user's is changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from archiver.catalog import InboxPlace
from archiver.discovery import gateway_tasks
from archiver.errors import ProviderError, RateLimitedError, SourceFaultError
from archiver.inboxes import InboxFile, inbox_files, read_body_file
from archiver.inputs import Naming
from archiver.model import Answer, JsonValue
from archiver.providers.luma import LumaProvider
from tests.fakes import NOW, Asked, FakeApi

NAMING = Naming(["luma", "other"], only="luma")


def read(path: Path, place: InboxPlace | None = None) -> tuple[list[str], InboxFile]:
    inbox = InboxFile(path, place, NAMING)
    return [str(ref) for ref in inbox.refs()], inbox


def test_a_growing_file_is_read_from_where_it_was_left(tmp_path: Path) -> None:
    """The second time, only what was appended; the file itself stays as it is."""
    path = tmp_path / "ids.txt"
    path.write_text("a\n# no\n\nother:b # why\n")
    before = path.stat()
    ids, inbox = read(path)
    assert ids == ["luma:a", "other:b"]
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert read(path, inbox.place)[0] == []
    with path.open("a") as file:
        file.write("c\n")
    assert read(path, inbox.place)[0] == ["luma:c"]


@pytest.mark.parametrize("text", ["x\n", "x\ny\nz\nmore than before\n"])
def test_a_rewritten_file_is_read_from_its_beginning(tmp_path: Path, text: str) -> None:
    """Truncated, or truncated and grown beyond the old place, with the same inode."""
    path = tmp_path / "ids.txt"
    path.write_text("a\nb\nc\n")
    _, inbox = read(path)
    path.write_text(text)
    assert read(path, inbox.place)[0] == [f"luma:{line}" for line in text.splitlines()]


def test_a_rotated_file_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Another file under the same name, though it begins the same."""
    path = tmp_path / "ids.txt"
    path.write_text("a\nb\n")
    _, inbox = read(path)
    path.rename(tmp_path / "ids.old")
    path.write_text("a\nb\n")
    assert read(path, inbox.place)[0] == ["luma:a", "luma:b"]


def test_an_incomplete_last_line_waits(tmp_path: Path) -> None:
    """It is read once it has its end, or once the file is found unchanged; never half."""
    path = tmp_path / "ids.txt"
    path.write_text("a\nhal")
    ids, first = read(path)
    assert ids == ["luma:a"]
    assert read(path, first.place)[0] == ["luma:hal"]
    with path.open("a") as file:
        file.write("f\n")
    ids, second = read(path, first.place)
    assert ids == ["luma:half"]
    assert read(path, second.place)[0] == []


def test_bad_lines_cost_no_good_one_and_are_told_once(tmp_path: Path) -> None:
    """Each is named by file and line; the next pass says nothing of them."""
    path = tmp_path / "ids.jsonl"
    path.write_bytes(b'{"id": "a"}\nnonsense\n\xff\xfe\n{"task_id": "b", "source": "other"}\n{}\n')
    ids, inbox = read(path)
    assert ids == ["luma:a", "other:b"]
    assert [bad.where.rpartition(":")[2] for bad in inbox.bad] == ["2", "3", "5"]
    again = read(path, inbox.place)[1]
    assert again.bad == []


def test_csv_keeps_its_header_when_it_is_taken_up_again(tmp_path: Path) -> None:
    """Appended rows are read by the first line's columns."""
    path = tmp_path / "ids.csv"
    path.write_text("name,task_id,source\nx,a,\n")
    ids, inbox = read(path)
    assert ids == ["luma:a"]
    with path.open("a") as file:
        file.write("y,b,other\nz,,\n")
    ids, inbox = read(path, inbox.place)
    assert ids == ["other:b"]
    assert [bad.where.rpartition(":")[2] for bad in inbox.bad] == ["4"]


def test_a_line_without_end_costs_no_memory(tmp_path: Path) -> None:
    """Megabytes without a line end are one bad line."""
    path = tmp_path / "ids.txt"
    path.write_bytes(b"a\n" + b"x" * (3 << 20) + b"\nb\n")
    ids, inbox = read(path)
    assert ids == ["luma:a", "luma:b"]
    assert inbox.bad_lines == 1


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe without a writer would hold the night up for ever."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="regular"):
        read(path)
    with pytest.raises(OSError, match="regular"):
        read_body_file(path, None, 1000)


def test_patterns_and_folders(tmp_path: Path) -> None:
    """A pattern names files, a folder its saved bodies; each comes once."""
    for name in ("b.txt", "a.txt", "c.csv", "saved/1.json", "saved/2.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = inbox_files((f"{tmp_path}/*.txt", f"{tmp_path}/a.*", f"{tmp_path}/saved"))
    assert [path.name for path in found] == ["a.txt", "b.txt", "1.json"]


# --- the gateway's list --------------------------------------------------------------------------


def row(task_id: str, platform: str = "luma") -> dict[str, JsonValue]:
    data: dict[str, JsonValue] = {"id": task_id, "state": "completed", "video_raw": None}
    if platform != "luma":
        data = {"clips": []}
    made = int((NOW - timedelta(days=1)).timestamp())
    return {
        "task_id": task_id,
        "platform": platform,
        "status": "SUCCESS",
        "fail_reason": "",
        "submit_time": made,
        "data": data,
    }


def page(items: Sequence[JsonValue], total: int | None = None) -> Answer:
    data: dict[str, JsonValue] = {"items": list(items)}
    if total is not None:
        data["total"] = total
    return Answer(status=200, body={"success": True, "message": "", "data": data})


def listed(*replies: Answer) -> tuple[list[str], FakeApi]:
    api = FakeApi()
    api.on("GET", "/api/task/self", *replies)
    provider = LumaProvider("luma", FakeApi())
    return [task.ref.task_id for task in gateway_tasks(api, provider)], api


def test_the_gateways_list_is_read_to_its_end() -> None:
    """All pages, other platforms' rows left out, what comes twice given once."""
    first = [row(f"t{n}") for n in range(60)] + [row(f"s{n}", "suno") for n in range(40)]
    second = [row("t59"), row("new")]
    ids, api = listed(page(first, 102), page(second, 102))
    assert ids == [f"t{n}" for n in range(60)] + ["new"]
    assert [dict(r.params)["p"] for r in api.requests] == ["1", "2"]


def test_a_list_without_total_ends_with_a_short_page() -> None:
    """Nothing is left out, and nothing asked for beyond the end."""
    ids, api = listed(page([row(f"t{n}") for n in range(100)]), page([row("last")]))
    assert len(ids) == 101
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Answer(status=200, body={"success": False, "message": "no such user"}),
        Answer(status=200, body={"success": True, "data": {"other": 1}}),
        Answer(status=404, text="404 page not found"),
    ],
)
def test_a_list_that_fails_is_the_sources_fault(reply: Answer) -> None:
    """Never an empty list."""
    with pytest.raises(ProviderError) as caught:
        listed(reply)
    assert not isinstance(caught.value, RateLimitedError)
    assert isinstance(caught.value, SourceFaultError) or caught.value.code


def test_the_path_of_midjourney() -> None:
    """Its tasks are in a list of their own."""
    seen: list[str] = []

    def note(asked: Asked) -> Answer:
        seen.append(asked.path)
        return page([], 0)

    provider = LumaProvider("luma", FakeApi())
    provider.name = "midjourney"
    assert list(gateway_tasks(FakeApi(anything=note), provider)) == []
    assert seen == ["/api/mj/self"]
