"""What damaged manifests and catalogs cost: nothing that can be had again, and never in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archiver import State
from archiver.catalog import Catalog, TaskRow
from tests.bench import FOLDER, Bench, clip
from tests.gatewayfixture import Completed


def row(bench: Bench, task_id: str) -> TaskRow | None:
    with Catalog(bench.folder / "state" / "catalog.db", read_only=True) as catalog:
        return next((one for one in catalog.rows() if one.ref.task_id == task_id), None)


def manifest_path(bench: Bench, task_id: str) -> Path:
    return bench.store / FOLDER / task_id / "manifest.json"


def change(bench: Bench, task_id: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Write a manifest as somebody else would."""
    path = manifest_path(bench, task_id)
    document = json.loads(path.read_bytes())
    edit(document)
    path.write_text(json.dumps(document))


def damages(done: Completed) -> dict[str, tuple[str, bool]]:
    """Return what `verify --json` told, by task: the code, and whether it was repaired."""
    return {
        str(one["task_id"]): (one["error"]["code"], bool(one["repaired"]))  # type: ignore[index]
        for one in done.objects()
        if one["type"] == "damage"
    }


@pytest.fixture
def three(bench: Bench) -> Bench:
    """Three archived tasks."""
    for number in range(3):
        bench.clean_task(f"t{number}", seed=number + 1)
    assert bench.archive("t0", "t1", "t2").tally.archived == 3
    return bench


BROKEN = [
    pytest.param(b"", id="empty"),
    pytest.param(b'{"schema": "archiver.manifest/1", "sou', id="cut", marks=pytest.mark.slow),
    pytest.param(b"\x93\x00\xff" * 40, id="garbage", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("data", BROKEN)
def test_a_damaged_manifest_is_found_and_mended(three: Bench, data: bytes) -> None:
    """By the quick check already; the others are looked after as if it were not there."""
    manifest_path(three, "t1").write_bytes(data)
    (three.store / FOLDER / "t2" / "video.mp4").unlink()
    found = three.cli("verify", "--json")
    assert found.code == 12
    assert damages(found) == {"t1": ("bad_manifest", False), "t2": ("lost", False)}
    shown = three.cli("show", "t1")
    assert shown.code == 12
    assert "t1/manifest.json" in shown.err
    mended = three.cli("verify", "--full", "--repair", "--json")
    assert mended.code == 0, mended
    assert damages(mended) == {"t1": ("bad_manifest", True), "t2": ("lost", True)}
    assert three.cli("verify", "--full").code == 0
    assert three.video("t1")["rendition"] == "video_raw"


def test_the_nightly_run_mends_it_too(three: Bench) -> None:
    """The scrub goes on after one that cannot be read."""
    three.configure(run={"verify_share": "100%"})
    manifest_path(three, "t0").write_bytes(b"")
    (three.store / FOLDER / "t2" / "video.mp4").write_bytes(clip(7))
    done = three.cli("run", "--json")
    assert done.code == 0, done
    assert (done.objects()[-1]["damaged"], done.objects()[-1]["repaired"]) == (2, 2)
    assert three.cli("verify", "--full").code == 0


def test_again_writes_a_damaged_manifest_anew(three: Bench) -> None:
    """What says "archived" has a manifest that can be read."""
    manifest_path(three, "t1").write_bytes(b"")
    done = three.cli("archive", "t1", "--again", "--json")
    assert (done.code, done.objects()[-1]["archived"]) == (0, 1)
    assert three.cli("verify", "--full").code == 0


def test_what_cannot_be_mended_stays_damage(three: Bench) -> None:
    """The provider does not have it any more: exit 12 each time, and nothing is lost."""
    manifest_path(three, "t1").write_bytes(b"")
    three.gateway.remove("t1")
    for args in (("verify", "--repair"), ("verify", "--full"), ("archive", "t1", "--again")):
        assert three.cli(*args).code == 12, args
    kept = row(three, "t1")
    assert kept is not None
    assert kept.state is State.ARCHIVED
    assert kept.prompt == "prompt of t1"
    assert (three.store / FOLDER / "t1" / "video.mp4").read_bytes() == clip(2)


def test_reindex_keeps_a_task_whose_manifest_is_damaged(three: Bench) -> None:
    """It was known: it is told, and still looked at."""
    manifest_path(three, "t1").write_bytes(b"[]")
    done = three.cli("reindex")
    assert done.code == 12
    assert "t1/manifest.json" in done.out
    kept = row(three, "t1")
    assert kept is not None
    assert kept.fault is not None
    assert (kept.state, kept.fault.code) == (State.ARCHIVED, "bad_manifest")
    assert three.cli("verify", "--repair").code == 0
    assert three.cli("reindex").code == 0


def test_a_newer_manifest_is_never_overwritten(three: Bench) -> None:
    """A later version wrote it: this one tells, and leaves it alone."""
    change(three, "t1", lambda document: document.update(schema="archiver.manifest/2"))
    before = manifest_path(three, "t1").read_bytes()
    for args in (("verify", "--full", "--repair"), ("archive", "t1", "--again"), ("reindex",)):
        assert three.cli(*args).code == 12, args
    assert manifest_path(three, "t1").read_bytes() == before


def test_a_lost_manifest_stays_damage_until_it_is_back(three: Bench) -> None:
    """Found once, it is not forgotten by the second look; repaired when asked."""
    path = manifest_path(three, "t1")
    data = path.read_bytes()
    path.unlink()
    for _ in range(2):
        assert three.cli("verify").code == 12
    path.write_bytes(data)
    assert three.cli("verify").code == 0
    brought_back = row(three, "t1")
    assert brought_back is not None
    assert brought_back.state is State.ARCHIVED
    path.unlink()
    assert three.cli("verify").code == 12
    assert three.cli("verify", "--repair").code == 0
    assert three.cli("verify", "--full").code == 0


def test_a_wrong_size_in_the_manifest_is_put_right(three: Bench) -> None:
    """The bytes have the digest: it is the record that is wrong, and nothing is fetched."""
    change(three, "t1", lambda document: document["assets"][0].update(size_bytes=17))
    asked = len(three.gateway.requests)
    assert three.cli("verify", "--full", "--repair").code == 0
    assert len(three.gateway.requests) == asked
    assert three.cli("verify", "--full").code == 0
    assert three.video("t1")["size_bytes"] == len(clip(2))


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.update(assets=[]),
        lambda document: document.update(task_id="t9"),
    ],
    ids=["no assets", "another task's"],
)
def test_a_manifest_that_says_nothing_of_its_task(
    three: Bench, edit: Callable[[dict[str, Any]], object]
) -> None:
    """It can be read, and is damage all the same."""
    change(three, "t1", edit)
    done = three.cli("verify", "--full", "--json")
    assert (done.code, damages(done)) == (12, {"t1": ("wrong_manifest", False)})
    assert three.cli("verify", "--full", "--repair").code == 0
    assert three.cli("verify", "--full").code == 0


def test_every_check_that_reads_the_bytes_digests_them(three: Bench) -> None:
    """Other bytes of the same length that play as well; a lesser look later takes nothing back."""
    path = three.store / FOLDER / "t1" / "video.mp4"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for args in (("--decode",), ("t1", "--full")):
        found = three.cli("verify", *args, "--json")
        assert (found.code, damages(found)) == (12, {"t1": ("wrong_digest", False)}), args
    assert three.cli("verify", "t1").code == 0
    assert three.cli("verify").code == 0
    kept = row(three, "t1")
    assert kept is not None
    assert kept.fault is not None
    assert kept.fault.code == "wrong_digest"
    assert "needs you" in three.cli("status").out
    assert three.cli("verify", "--full", "--repair").code == 0
    mended = row(three, "t1")
    assert mended is not None
    assert mended.fault is None


def test_reindex_without_doing_it(three: Bench) -> None:
    """`--dry-run` touches nothing, with a catalog and without one."""
    before = three.everything()
    done = three.cli("reindex", "--dry-run")
    assert (done.code, three.everything()) == (0, before)
    assert "would find 3 archived" in done.out
    for path in (three.folder / "state").rglob("*"):
        if path.is_file():
            path.unlink()
    before = three.everything()
    assert three.cli("reindex", "--dry-run").code == 0
    assert three.everything() == before


def test_reindex_puts_a_damaged_catalog_aside(three: Bench) -> None:
    """The one command for a lost catalog also works while its remains are there."""
    catalog = three.folder / "state" / "catalog.db"
    catalog.write_bytes(b"no database" * 500)
    broken = three.cli("status")
    assert broken.code == 7
    assert "archiver reindex" in broken.err
    done = three.cli("reindex")
    assert done.code == 0, done
    assert "3 archived" in done.out
    (aside,) = catalog.parent.glob("catalog.db.damaged-*")
    assert aside.read_bytes().startswith(b"no database")
    assert three.cli("archive", "t0", "t1", "t2").code == 0


def test_links_within_the_archive(three: Bench, tmp_path: Path) -> None:
    """A folder on another disk is followed; a link back up is no reason to walk the whole disk."""
    luma, elsewhere = three.store / "luma", tmp_path / "other-disk"
    luma.rename(elsewhere)
    luma.symlink_to(elsewhere)
    (elsewhere / "self").symlink_to(".")
    (elsewhere / "root").symlink_to("/")
    (elsewhere / "up").symlink_to(three.store)
    for args in (("reindex",), ("verify",), ("verify", "--full")):
        done = three.cli(*args)
        assert done.code == 0, done
        assert "3 " in done.out
