"""Random scripts of faults: the numbers add up, and everything archived has the right digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from archiver import ArchiveReport, State
from archiver.gateway import Gateway
from archiver.gateway.faults import (
    Chunked,
    Cut,
    Drop,
    EmptyBody,
    Fault,
    Gzip,
    HtmlPage,
    IgnoreRange,
    NoETag,
    Pass,
    RedirectChain,
    RedirectLoop,
    Status,
    UntilClose,
    WeakETag,
    WrongLength,
    WrongStart,
    WrongTotal,
    XmlError,
)
from tests.bench import Bench, clip, picture
from tests.soundness import digests, is_part, nothing_half, sound

pytestmark = pytest.mark.slow

STATUSES = [400, 401, 403, 404, 408, 410, 416, 425, 429, 500, 502, 503, 504]
PLACES = st.integers(0, 9000)

FILE_FAULTS: st.SearchStrategy[Fault] = st.one_of(
    st.just(Pass()),
    st.builds(Status, status=st.sampled_from(STATUSES)),
    st.builds(Cut, after_bytes=PLACES, reset=st.booleans()),
    st.builds(Drop, reset=st.booleans()),
    st.sampled_from([Chunked(), UntilClose(), Gzip(), IgnoreRange(), NoETag(), WeakETag()]),
    st.sampled_from([EmptyBody(), HtmlPage(), XmlError(), RedirectLoop(), RedirectChain(hops=2)]),
    st.builds(WrongLength, by=st.integers(-500, 500)),
    st.builds(WrongStart, by=st.integers(-50, 50)),
    st.builds(WrongTotal, by=st.integers(-50, 50)),
)
API_FAULTS: st.SearchStrategy[Fault] = st.one_of(
    st.just(Pass()),
    st.builds(Status, status=st.sampled_from(STATUSES)),
    st.builds(Cut, after_bytes=st.integers(0, 300), reset=st.booleans()),
    st.builds(Drop, reset=st.booleans()),
    st.sampled_from([EmptyBody(), HtmlPage(), Chunked(), Gzip()]),
)

TASKS = ("a", "b", "c")
SCRIPTS = st.fixed_dictionaries(
    {
        **{f"/{task}/raw.mp4": st.lists(FILE_FAULTS, max_size=5) for task in TASKS},
        **{f"/{task}/thumb.jpg": st.lists(FILE_FAULTS, max_size=2) for task in TASKS},
        **{f"*/generations/{task}": st.lists(API_FAULTS, max_size=3) for task in TASKS},
    }
)


def adds_up(report: ArchiveReport) -> bool:
    tally = report.tally
    parts = (tally.archived, tally.already, tally.queued, tally.waiting, tally.retry, tally.failed)
    return tally.asked == sum(parts) + tally.gone + tally.refused + tally.forgotten


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(scripts=SCRIPTS)
def test_whatever_goes_wrong(
    tmp_path_factory: pytest.TempPathFactory, scripts: dict[str, list[Fault]]
) -> None:
    """Twice under faults, once without: each summary adds up, nothing is wrong, all comes home."""
    folder: Path = tmp_path_factory.mktemp("random")
    with Gateway() as gateway:
        bench = Bench(folder, gateway, download={"max_attempts": 1, "workers": 3})
        whole: set[str] = set()
        for number, task in enumerate(TASKS):
            video, thumb = clip(number + 1), picture(number + 1)
            whole |= digests(video, thumb)
            bench.task(
                task,
                video_raw=bench.host(f"/{task}/raw.mp4", video),
                thumbnail=bench.host(f"/{task}/thumb.jpg", thumb, "image/jpeg"),
            )
        for pattern, faults in scripts.items():
            if faults:
                gateway.script(pattern, *faults)
        for _ in range(2):
            report = bench.archive(*TASKS)
            note(str(report.tally))
            assert adds_up(report)
            assert report.tally.asked == len(TASKS)
            assert report.exit_code in (0, 3, 4, 5)
            nothing_half(bench, whole)
            for manifest in bench.store.rglob("manifest.json"):
                for record in json.loads(manifest.read_bytes())["assets"]:
                    assert record["sha256"] in whole
        gateway.clear_scripts()
        for _ in range(3):
            report = bench.archive(*TASKS, again=True)
            if report.exit_code == 0:
                break
        states = {outcome.ref.task_id: outcome.state for outcome in report.outcomes}
        assert states == dict.fromkeys(TASKS, State.ARCHIVED)
        sound(bench, *TASKS)
        assert not [path for path in bench.store.rglob("*") if is_part(path)]
