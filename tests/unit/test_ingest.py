"""Posted bodies: saved first, told by their shape, gone when they are of no more use."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from archiver import spool
from archiver.catalog import Catalog
from archiver.errors import ProviderError, TaskNotFoundError, UsageError
from archiver.foreseen import FRESH_FOR, MOST_AT_HAND, Foreseen
from archiver.ingest import source_of
from archiver.model import Answer, JsonValue, Progress, Task, TaskRef
from archiver.providers.flux import FluxProvider
from archiver.providers.luma import LumaProvider
from archiver.providers.replicate import ReplicateProvider
from archiver.providers.suno import SunoProvider
from tests.fakes import NOW, FakeApi
from tests.gatewayfixture import ManualClock

BODY: JsonValue = {
    "id": "a1",
    "state": "completed",
    "video_raw": {"url": "https://files.example/v.mp4?X-Amz-Signature=secret"},
    "created_at": "2026-11-20T08:00:00Z",
}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"nonsense", b"3", b'"a"', b"[]", b"{}", b"\xff{}", b"[" * 100_000]
)
def test_what_is_no_body_is_a_usage_error(data: bytes) -> None:
    """It says where it came from and that nothing was saved."""
    with pytest.raises(UsageError, match=r"standard input.*nothing was saved"):
        spool.parse_body(data, "standard input")


def test_a_body_is_saved_privately_and_once(tmp_path: Path) -> None:
    """Mode 0600 in a folder of 0700; the same body again is the same file; it reads as it came."""
    paths = {spool.save(tmp_path, BODY, source="luma", now=NOW) for _ in range(3)}
    (path,) = paths
    assert list(spool.paths(tmp_path)) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    posted = spool.read(path)
    assert posted is not None
    assert (posted.source, posted.saved_at, posted.body) == ("luma", NOW, BODY)
    assert "secret" not in repr(posted)
    assert "secret" not in path.name
    spool.drop(path)
    spool.drop(path)
    assert list(spool.paths(tmp_path)) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"body": 1}', '{"saved_at": 3, "source": null}'])
def test_a_damaged_file_of_the_spool_is_no_body(tmp_path: Path, text: str) -> None:
    """It is left out, not raised."""
    path = tmp_path / "x.json"
    path.write_text(text)
    assert spool.read(path) is None


def posted(source: str | None = None) -> spool.Posted:
    return spool.Posted(path=Path("-"), source=source, saved_at=NOW, body=BODY)


def luma(name: str = "luma", api: FakeApi | None = None) -> Foreseen:
    return Foreseen(LumaProvider(name, api or FakeApi()), ManualClock(NOW))


def suno() -> Foreseen:
    return Foreseen(SunoProvider("suno", FakeApi()), ManualClock(NOW))


def test_the_source_is_told_by_the_shape() -> None:
    """The only one that can read the body; a name that is given counts more."""
    with Catalog(None) as catalog:
        assert source_of(posted(), {"luma": luma(), "suno": suno()}, catalog) == "luma"
        providers = {"luma": luma(), "two": luma("two")}
        assert source_of(posted("two"), providers, catalog) == "two"


def test_replicates_shape_is_replicates() -> None:
    """One gateway gives it for Flux too: Flux has such a body only where Replicate is no source."""
    path = Path(__file__).resolve().parents[1] / "payloads" / "flux" / "replicate_shaped.json"
    body = spool.Posted(
        path=Path("-"), source=None, saved_at=NOW, body=json.loads(path.read_text())
    )
    clock = ManualClock(NOW)
    flux = Foreseen(FluxProvider("flux", FakeApi()), clock)
    replicate = Foreseen(ReplicateProvider("replicate", FakeApi()), clock)
    with Catalog(None) as catalog:
        assert source_of(body, {"flux": flux, "rep": replicate}, catalog) == "rep"
        assert source_of(body, {"flux": flux}, catalog) == "flux"


def test_in_doubt_the_sources_are_named() -> None:
    """Two accounts of one provider read the same body; the one that knows the task has it."""
    providers = {"one": luma("one"), "two": luma("two")}
    with Catalog(None) as catalog:
        with pytest.raises(UsageError, match=r"one, two.*--source"):
            source_of(posted(), providers, catalog)
        catalog.add([TaskRef(source="two", task_id="a1")], now=NOW)
        assert source_of(posted(), providers, catalog) == "two"
        with pytest.raises(UsageError, match="no configured source"):
            source_of(posted(), {"suno": suno()}, catalog)


# --- answers at hand -----------------------------------------------------------------------------


def task(task_id: str = "a1") -> Task:
    ref = TaskRef(source="luma", task_id=task_id)
    return Task(ref=ref, provider="luma", progress=Progress.FINISHED)


def test_an_answer_at_hand_is_given_once() -> None:
    """Whoever asks again gets the API's."""
    api = FakeApi(anything=Answer(status=200, body=BODY))
    foreseen = luma(api=api)
    foreseen.keep_at_hand(task())
    assert foreseen.get_task("a1").raw is None
    assert api.requests == []
    assert foreseen.get_task("a1").raw == BODY
    assert len(api.requests) == 1


def test_a_stale_answer_of_a_list_is_not_used_but_a_posted_one_is() -> None:
    """The list can be asked again; a posted body is all there is."""
    api = FakeApi(anything=Answer(status=200, body=BODY))
    clock = ManualClock(NOW)
    foreseen = Foreseen(LumaProvider("luma", api), clock)
    foreseen.keep_at_hand(task("listed"))
    foreseen.take_posted([task("posted")])
    clock.advance((FRESH_FOR + timedelta(seconds=1)).total_seconds())
    assert foreseen.get_task("posted").raw is None
    assert foreseen.get_task("listed").raw == BODY


def test_answers_at_hand_are_bounded() -> None:
    """A list of any length costs no more memory than this."""
    foreseen = luma()
    for number in range(MOST_AT_HAND + 10):
        foreseen.keep_at_hand(task(str(number)))
    with pytest.raises(ProviderError):
        foreseen.get_task(str(MOST_AT_HAND + 1))


def test_a_task_known_only_from_a_body_is_never_asked_for() -> None:
    """Its id is a digest of our own, which no provider knows."""
    api = FakeApi()
    with pytest.raises(TaskNotFoundError):
        luma(api=api).get_task("sha256-" + "0" * 32)
    assert api.requests == []


def batch(*ids: str) -> Answer:
    items: list[JsonValue] = [{"id": i, "state": "processing", "video": None} for i in ids]
    return Answer(status=200, body=items)


def test_a_batch_is_asked_for_once_and_its_gaps_singly() -> None:
    """One request for all that are planned; an id left out costs one of its own."""
    api = FakeApi(anything=Answer(status=200, body=BODY)).on("POST", "/luma/tasks", batch("b", "c"))
    foreseen = luma(api=api)
    foreseen.plan_batches(["a1", "b", "c"])
    assert [foreseen.get_task(i).progress for i in ("b", "c")] == [Progress.RUNNING] * 2
    assert foreseen.get_task("a1").progress is Progress.FINISHED
    assert [request.method for request in api.requests] == ["POST", "GET"]
    assert api.requests[0].json == {"ids": ["a1", "b", "c"]}


def test_no_batch_route_is_remembered() -> None:
    """After one refusal all tasks are asked for singly, and nothing is lost."""
    api = FakeApi(anything=Answer(status=200, body=BODY))
    api.on("POST", "/luma/tasks", Answer(status=404, body={"error": "no route"}))
    foreseen = luma(api=api)
    for _ in range(2):
        foreseen.plan_batches(["a1", "b"])
        assert foreseen.get_task("a1").raw == BODY
        assert foreseen.get_task("b").raw == BODY
    assert [request.method for request in api.requests] == ["POST", "GET", "GET", "GET", "GET"]


def test_a_body_of_several_tasks(tmp_path: Path) -> None:
    """A page of a list is as many tasks as it has."""
    page: JsonValue = {"generations": [BODY, {**json.loads(json.dumps(BODY)), "id": "a2"}]}
    assert [t.ref.task_id for t in luma().read_body(page)] == ["a1", "a2"]
