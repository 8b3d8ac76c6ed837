"""Layer 2: every decision by its sentence in the contract."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from archiver import errors
from archiver.model import (
    Asset,
    Dimensions,
    Duration,
    Fault,
    Outcome,
    Rendition,
    Role,
    State,
    TaskRef,
)
from archiver.policy import (
    ExitCode,
    Tally,
    backoff,
    compare_dimensions,
    compare_duration,
    exit_code,
    exit_code_of,
    is_better,
    is_fresh,
    may_replace,
    next_poll,
    outcome_exit,
    rank,
    second_look,
)

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
REF = TaskRef(source="luma", task_id="t")
PREFER = ("video_raw", "download_url", "no_mark", "url")


def rendition(name: str, *, marked: bool = False, url: str = "") -> Rendition:
    return Rendition(name=name, watermarked=marked, url=url)


def names(asset: Asset, prefer: Iterable[str] = PREFER) -> list[str]:
    return [r.name for r in rank(asset.renditions, tuple(prefer))]


# --- renditions ---------------------------------------------------------------------------------


def test_clean_goes_before_marked_whatever_the_order() -> None:
    """A marked form comes last even when the configuration names it first."""
    asset = Asset(
        role=Role.VIDEO,
        renditions=(
            rendition("url", marked=True),
            rendition("other"),
            rendition("no_mark"),
            rendition("video_raw"),
        ),
    )
    assert names(asset) == ["video_raw", "no_mark", "other", "url"]
    assert names(asset, ["url", "no_mark"]) == ["no_mark", "other", "video_raw", "url"]
    assert names(asset, []) == ["other", "no_mark", "video_raw", "url"]
    assert names(asset, ["no_mark", "other", "no_mark"]) == ["no_mark", "other", "video_raw", "url"]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=8),
    st.lists(st.sampled_from("abcdef"), max_size=6),
)
def test_ranking_loses_nothing_and_is_stable(
    forms: list[tuple[str, bool]], prefer: list[str]
) -> None:
    """All forms stay, no marked one before a clean one, equals in the provider's order."""
    renditions = tuple(
        rendition(name, marked=marked, url=str(i)) for i, (name, marked) in enumerate(forms)
    )
    ranked = rank(renditions, prefer)
    assert sorted(r.url or "" for r in ranked) == sorted(r.url or "" for r in renditions)
    marks = [r.watermarked for r in ranked]
    assert marks == sorted(marks)
    for first, second in itertools.pairwise(ranked):
        if first.watermarked == second.watermarked and first.name == second.name:
            assert int(first.url or 0) < int(second.url or 0)
        if first.watermarked == second.watermarked and second.name in prefer:
            assert first.name in prefer
            assert prefer.index(first.name) <= prefer.index(second.name)


@pytest.mark.parametrize(
    ("new", "old", "better", "allowed"),
    [
        (False, True, True, True),
        (False, False, False, True),
        (True, True, False, True),
        (True, False, False, False),
    ],
)
def test_what_may_replace_what(new: bool, old: bool, better: bool, allowed: bool) -> None:
    """Clean is better than marked, and a marked copy never replaces a clean one."""
    assert is_better(rendition("n", marked=new), rendition("o", marked=old)) is better
    assert may_replace(rendition("n", marked=new), rendition("o", marked=old)) is allowed


# --- media --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "actual", "expected"),
    [
        ((752, 1360), (752, 1360), Dimensions.MATCH),
        ((752, 1360), (1360, 752), Dimensions.SWAPPED),
        ((752, 1360), (1504, 2720), Dimensions.SCALED),
        ((752, 1360), (376, 680), Dimensions.SCALED),
        ((1366, 768), (1280, 720), Dimensions.SCALED),
        ((1280, 720), (1280, 721), Dimensions.SCALED),
        ((1000, 3), (500, 2), Dimensions.SCALED),
        ((3, 1000), (2, 500), Dimensions.SCALED),
        ((1000, 1000), (2000, 2020), Dimensions.SCALED),
        ((1000, 1000), (2000, 2021), Dimensions.MISMATCH),
        ((1280, 720), (720, 1281), Dimensions.MISMATCH),
        ((1280, 720), (640, 480), Dimensions.MISMATCH),
        ((1280, 720), (1080, 1920), Dimensions.MISMATCH),
        ((None, None), (752, 1360), Dimensions.UNDECLARED),
        ((752, None), (752, 1360), Dimensions.UNDECLARED),
        ((None, 1360), (752, 1360), Dimensions.UNDECLARED),
        ((0, 0), (752, 1360), Dimensions.UNDECLARED),
        ((-752, 1360), (752, 1360), Dimensions.UNDECLARED),
        ((752, 1360), (None, None), Dimensions.UNDECLARED),
        ((10**400, 10**400), (1, 1), Dimensions.SCALED),
        ((10**400, 1), (1, 1), Dimensions.SCALED),
        ((10**400, 1), (100, 100), Dimensions.MISMATCH),
    ],
)
def test_dimensions(
    declared: tuple[int | None, int | None],
    actual: tuple[int | None, int | None],
    expected: Dimensions,
) -> None:
    """Equal, exchanged, of one shape, different, or not declared in full."""
    assert compare_dimensions(*declared, *actual) is expected


sides = st.integers(min_value=1, max_value=10_000)


@given(sides, sides, st.floats(min_value=0.01, max_value=10))
def test_rounded_scaling_is_recognised(width: int, height: int, factor: float) -> None:
    """A picture scaled by any factor and rounded is never a mismatch."""
    actual = (round(width * factor), round(height * factor))
    assume(min(actual) > 0)
    assert compare_dimensions(width, height, *actual) is not Dimensions.MISMATCH
    assert compare_dimensions(width, height, width, height) is Dimensions.MATCH


@given(sides, sides, sides, sides)
def test_turning_both_turns_nothing(a: int, b: int, c: int, d: int) -> None:
    """The verdict is the same for a declaration and a picture that are both turned."""
    assert compare_dimensions(a, b, c, d) is compare_dimensions(b, a, d, c)


@pytest.mark.parametrize(
    ("declared", "actual", "expected"),
    [
        (5.0, 5.04, Duration.MATCH),
        (5.0, 5.5, Duration.MATCH),
        (5.0, 4.5, Duration.MATCH),
        (5.0, 5.51, Duration.MISMATCH),
        (100.0, 105.0, Duration.MATCH),
        (100.0, 95.0, Duration.MATCH),
        (100.0, 94.9, Duration.MISMATCH),
        (0.3, 0.6, Duration.MATCH),
        (None, 5.0, Duration.UNDECLARED),
        (5.0, None, Duration.UNDECLARED),
        (0.0, 5.0, Duration.UNDECLARED),
        (-1.0, 5.0, Duration.UNDECLARED),
        (float("nan"), 5.0, Duration.UNDECLARED),
        (float("inf"), 5.0, Duration.UNDECLARED),
        (1e308, 5.0, Duration.MISMATCH),
        (10**400, 5.0, Duration.UNDECLARED),
    ],
)
def test_duration(declared: float | None, actual: float | None, expected: Duration) -> None:
    """Within half a second or 5 % of what was declared."""
    assert compare_duration(declared, actual) is expected


# --- repeats ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        (timedelta(), timedelta()),
        (timedelta(minutes=4), timedelta(minutes=1)),
        (4 * HOUR, HOUR),
        (96 * HOUR, 24 * HOUR),
        (3000 * HOUR, 24 * HOUR),
        (-5 * HOUR, timedelta()),
    ],
)
def test_polls_grow_apart(age: timedelta, pause: timedelta) -> None:
    """The next look comes after a quarter of the age, at most a day; at once when just seen."""
    assert next_poll(NOW - age, NOW) == NOW + pause


@pytest.mark.parametrize(
    ("attempts", "retry_after_s", "pause"),
    [
        (1, None, timedelta(minutes=1)),
        (2, None, timedelta(minutes=2)),
        (4, None, timedelta(minutes=8)),
        (11, None, timedelta(minutes=1024)),
        (12, None, 24 * HOUR),
        (10**9, None, 24 * HOUR),
        (0, None, timedelta(minutes=1)),
        (1, 600.0, timedelta(minutes=10)),
        (5, 10.0, timedelta(minutes=16)),
        (1, 1e300, 24 * HOUR),
        (1, float("inf"), 24 * HOUR),
        (1, float("nan"), timedelta(minutes=1)),
        (1, -5.0, timedelta(minutes=1)),
    ],
)
def test_back_off(attempts: int, retry_after_s: float | None, pause: timedelta) -> None:
    """From a minute, doubled, to a day; a longer Retry-After is honoured."""
    assert backoff(attempts, NOW, retry_after_s) == NOW + pause


@given(st.integers(0, 50), st.none() | st.floats())
def test_back_off_stays_within_its_bounds(attempts: int, retry_after_s: float | None) -> None:
    """Whatever a server asks for, the next attempt is a minute to a day away, and never sooner."""
    pause = backoff(attempts, NOW, retry_after_s) - NOW
    assert timedelta(minutes=1) <= pause <= 24 * HOUR
    assert backoff(attempts + 1, NOW, retry_after_s) - NOW >= pause


@pytest.mark.parametrize(
    ("previous", "hours", "stands"),
    [
        ("gone", 24, True),
        ("gone", 500, True),
        ("gone", 23.99, False),
        ("gone", 0, False),
        ("gone", -48, False),
        ("not_media", 48, False),
        (None, 48, False),
    ],
)
def test_nothing_is_given_up_on_one_look(previous: str | None, hours: float, stands: bool) -> None:
    """A verdict stands when the same one was first seen a day ago."""
    assert second_look("gone", previous, NOW - hours * HOUR, NOW) is stands
    assert second_look("gone", previous, None, NOW) is False


def test_a_fresh_task_may_not_exist_yet() -> None:
    """For one hour after it was first seen, "no such task" is no verdict."""
    assert is_fresh(NOW - 0.99 * HOUR, NOW)
    assert is_fresh(NOW + HOUR, NOW)
    assert not is_fresh(NOW - HOUR, NOW)


# --- exit codes ---------------------------------------------------------------------------------

ORDER = [130, 143, 1, 2, 11, 7, 13, 4, 12, 5, 10, 6, 3, 0]


def test_exit_codes_are_those_of_the_contract() -> None:
    """Every code of the contract has a name, and no other does."""
    assert {int(code) for code in ExitCode} == set(ORDER)


@given(st.sets(st.sampled_from(ExitCode)))
def test_the_first_that_applies_is_the_exit_code(facts: set[ExitCode]) -> None:
    """Of several facts the first in the contract's order counts; none is success."""
    expected = next((code for code in ORDER if code in facts), 0)
    shuffled = list(facts)
    random.Random(1).shuffle(shuffled)
    assert exit_code(shuffled) == expected


def test_the_order_of_exit_codes() -> None:
    """Of any two facts the one that the contract names first counts."""
    for first, second in itertools.combinations(ORDER, 2):
        assert exit_code([ExitCode(second), ExitCode(first)]) == first


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.LockedError("x"), 11),
        (errors.StoreError("x"), 7),
        (errors.WrongStoreError("x"), 7),
        (errors.StoreFullError("x"), 13),
        (errors.CatalogError("x"), 7),
        (errors.DamageError("x"), 12),
        (errors.KeyRefusedError("x"), 4),
        (errors.NoCreditError("x"), 4),
        (errors.SourceFaultError("x"), 5),
        (errors.RateLimitedError("x"), 5),
        (errors.DeadLinkError("x"), 3),
        (errors.StoppedError("x"), 3),
    ],
)
def test_errors_have_exit_codes(error: errors.ArchiverError, code: int) -> None:
    """An error that ends a command says so in its exit code."""
    assert exit_code_of(error) == code


def out(
    state: State,
    *,
    code: str = "",
    provider_side: bool = False,
    already: bool = False,
    missing: tuple[str, ...] = (),
    changed: str = "",
) -> Outcome:
    fault = Fault(code=code, message="m", provider_side=provider_side) if code else None
    return Outcome(
        ref=REF, state=state, fault=fault, already=already, missing=missing, changed=changed
    )


DONE = out(State.ARCHIVED, changed="archived")
THERE = out(State.ARCHIVED, already=True)
WAITING = out(State.WAITING)
DOWN = out(State.RETRY, code="unreachable", provider_side=True)
VERDICT = out(State.RETRY, code="gone")
MARKED = out(State.RETRY, code="watermarked_only")
FAILED = out(State.FAILED, code="failed")
GONE = out(State.GONE, code="not_found")
OLD_GONE = out(State.GONE, code="not_found", already=True)
REFUSED = out(State.REFUSED, code="too_large")
OLD_REFUSED = out(State.REFUSED, code="too_large", already=True)
QUEUED = out(State.QUEUED)
FORGOTTEN = out(State.FORGOTTEN, already=True)
NO_PREVIEW = replace(DONE, missing=("thumbnail", "last_frame"))
HALF = replace(DONE, missing=("audio-2",))
OLD_HALF = replace(THERE, missing=("audio-2", "thumbnail"))


def tally(*outcomes: Outcome, hours: float = 1) -> Tally:
    result = Tally()
    result.ask(len(outcomes))
    for outcome in outcomes:
        result.add(outcome, first_seen_at=NOW - hours * HOUR, now=NOW)
    return result


@pytest.mark.parametrize(
    ("outcomes", "archive", "run"),
    [
        ([], 0, 0),
        ([DONE, THERE], 0, 0),
        ([FORGOTTEN], 0, 0),
        ([NO_PREVIEW], 0, 0),
        ([HALF], 3, 3),
        ([OLD_HALF], 3, 0),
        ([WAITING], 3, 0),
        ([FAILED], 3, 0),
        ([GONE], 3, 3),
        ([OLD_GONE], 3, 0),
        ([REFUSED], 3, 3),
        ([OLD_REFUSED], 3, 0),
        ([QUEUED], 3, 3),
        ([VERDICT], 3, 0),
        ([DONE, VERDICT], 3, 0),
        ([DOWN], 5, 0),
        ([DOWN, DOWN], 5, 0),
        ([DOWN, QUEUED], 5, 3),
        ([DOWN, FORGOTTEN], 5, 0),
        ([DONE, DOWN], 3, 0),
        ([THERE, DOWN], 3, 0),
        ([DOWN, VERDICT], 3, 0),
        ([DOWN, WAITING], 3, 0),
        ([DOWN, FAILED], 3, 0),
        ([DOWN, GONE], 3, 3),
        ([DOWN, REFUSED], 3, 3),
        ([MARKED], 6, 0),
        ([MARKED, DONE], 6, 0),
        ([MARKED, DOWN], 6, 0),
        ([MARKED, WAITING], 6, 0),
    ],
)
def test_exit_codes_of_young_tasks(outcomes: list[Outcome], archive: int, run: int) -> None:
    """`archive` counts all that it was asked for, `run` what is new and cannot wait."""
    assert exit_code(outcome_exit(tally(*outcomes), nightly=False)) == archive
    assert exit_code(outcome_exit(tally(*outcomes), nightly=True)) == run


@pytest.mark.parametrize(
    ("outcomes", "run"),
    [
        ([VERDICT], 3),
        ([DONE, DOWN], 3),
        ([DOWN], 5),
        ([DOWN, WAITING], 3),
        ([DOWN, FAILED], 3),
        ([MARKED], 6),
        ([WAITING, FAILED, OLD_GONE], 0),
    ],
)
def test_exit_codes_of_old_tasks(outcomes: list[Outcome], run: int) -> None:
    """`run` counts a task that is `retry` for longer than a day."""
    assert exit_code(outcome_exit(tally(*outcomes, hours=24.1), nightly=True)) == run
    fresh = tally(*outcomes, hours=24)
    assert exit_code(outcome_exit(fresh, nightly=True)) == 0


@pytest.mark.parametrize("nightly", [True, False])
def test_faults_of_a_source_count_at_once(nightly: bool) -> None:
    """A source whose list cannot be read is no success, whatever its tasks are."""
    down = Fault(code="unreachable", message="m", provider_side=True)
    ours = Fault(code="usage", message="m")
    for outcomes, faults, code in (
        ([], [down], 5),
        ([THERE], [down], 3),
        ([], [down, ours], 3),
        ([WAITING], [down], 3),
    ):
        counted = tally(*outcomes)
        for fault in faults:
            counted.add_source_fault(fault)
        assert exit_code(outcome_exit(counted, nightly=nightly)) == code


def test_other_facts_are_told_as_well() -> None:
    """A refused key, a limit or a signal comes in the contract's order with the tasks' facts."""
    counted = tally(DONE, VERDICT)
    counted.note(ExitCode.LIMIT)
    assert outcome_exit(counted, nightly=False) == {ExitCode.LIMIT, ExitCode.PARTIAL}
    assert outcome_exit(tally(MARKED), nightly=False) == {ExitCode.WATERMARKED_ONLY}
    counted.note(ExitCode.KEY_REFUSED)
    assert exit_code(outcome_exit(counted, nightly=False)) == 4
    counted.note(ExitCode.SIGINT)
    assert exit_code(outcome_exit(counted, nightly=False)) == 130


outcomes = st.builds(
    Outcome,
    ref=st.just(REF),
    state=st.sampled_from(State),
    fault=st.none() | st.builds(Fault, code=st.text(max_size=3), message=st.just("m")),
    already=st.booleans(),
    missing=st.lists(st.sampled_from(["video", "audio-2", "thumbnail"])).map(tuple),
)


@given(st.lists(outcomes), st.integers(0, 5))
@example([], 0)
def test_every_task_that_goes_in_comes_out(told: list[Outcome], left: int) -> None:
    """Asked is the sum of all that became of the tasks; one that is lost shows."""
    counted = tally(*told)
    counted.ask(left)
    assert counted.is_balanced is (left == 0)
    counted.leave(left)
    assert counted.is_balanced
    assert counted.asked == (
        counted.archived + counted.already + counted.queued + counted.waiting + counted.retry
        + counted.failed + counted.gone + counted.refused + counted.forgotten
    )  # fmt: skip
    assert counted.found_gone <= counted.gone
    assert counted.incomplete + counted.missing_previews <= counted.archived + counted.already


@given(st.lists(outcomes), st.booleans(), st.sampled_from([1, 48]))
def test_success_means_that_nothing_new_is_wrong(
    told: list[Outcome], nightly: bool, hours: int
) -> None:
    """`archive` ends with 0 only if all is archived or forgotten; `run` is never stricter."""
    counted = tally(*told, hours=hours)
    code = exit_code(outcome_exit(counted, nightly=nightly))
    done = counted.archived + counted.already + counted.forgotten == len(told)
    if not nightly:
        assert (code == 0) == (done and not counted.incomplete and not counted.not_renewed)
    elif done and not counted.incomplete:
        assert code == 0


def test_a_tally_sums_bytes_and_changes() -> None:
    """Bytes, changes and codes are there for the report."""
    counted = tally(
        replace(DONE, stored_bytes=10, fetched_bytes=7, watermarked=True),
        replace(THERE, stored_bytes=5),
        replace(DOWN, fetched_bytes=1),
        NO_PREVIEW,
    )
    assert (counted.stored_bytes, counted.fetched_bytes, counted.watermarked) == (15, 8, 1)
    assert counted.changed == {"archived": 2}
    assert counted.codes == {"unreachable": 1}
    assert (counted.missing_previews, counted.incomplete) == (1, 0)
