"""Outputs keep their positions, in whatever order a later answer has them."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from archiver.model import Asset, Progress, Rendition, Role, Task, TaskRef
from archiver.positions import in_known_order, known_outputs

HOST = "https://files.example.com/"


def asset(name: str, index: int, role: Role = Role.AUDIO) -> Asset:
    form = Rendition(name="audio_url", url=f"{HOST}{name}?sig=1")
    return Asset(role=role, index=index, renditions=(form,))


def task(*assets: Asset) -> Task:
    ref = TaskRef(source="songs", task_id="1")
    return Task(ref=ref, provider="suno", progress=Progress.FINISHED, assets=assets)


def answer(*names: str) -> Task:
    return task(*(asset(name, number) for number, name in enumerate(names)))


def placed(now: Task, *before: Asset) -> list[tuple[str, int]]:
    found = in_known_order(now, known_outputs(before))
    return [((a.renditions[0].url or "")[len(HOST)], a.index) for a in found.assets]


def test_the_same_order_changes_nothing() -> None:
    now = answer("a", "b")
    assert in_known_order(now, known_outputs(now.assets)) is now
    assert in_known_order(now, ()) is now


def test_another_order() -> None:
    assert placed(answer("b", "a"), asset("a", 0), asset("b", 1)) == [("b", 1), ("a", 0)]


def test_the_one_that_was_missing_comes_first_now() -> None:
    """What has the stored one's position in the answer is not taken for it."""
    assert placed(answer("b", "a"), asset("a", 0)) == [("b", 1), ("a", 0)]
    assert placed(answer("b", "a", "c"), asset("a", 0), asset("c", 2)) == [
        ("b", 1),
        ("a", 0),
        ("c", 2),
    ]


def test_the_one_that_failed_was_first() -> None:
    """A second clip stays the second one, also where an answer leaves the first one out."""
    assert placed(answer("b"), asset("b", 1)) == [("b", 1)]


def test_a_new_one_takes_no_position_of_another() -> None:
    """That of a stored output which the answer no longer has is not free."""
    assert placed(answer("x", "a"), asset("a", 0), asset("b", 1)) == [("x", 2), ("a", 0)]


def test_links_given_anew_are_told_by_their_positions() -> None:
    assert placed(answer("x", "y"), asset("a", 0), asset("b", 1)) == [("x", 0), ("y", 1)]


def test_each_role_counts_by_itself() -> None:
    now = task(asset("a", 0), asset("v", 0, Role.VIDEO))
    assert placed(now, asset("a", 1)) == [("a", 1), ("v", 0)]


def test_files_within_the_answer_are_told_by_their_digests() -> None:
    one, two = (
        Asset(role=Role.IMAGE, index=n, renditions=(Rendition(name="b64_json", content=data),))
        for n, data in enumerate((b"one", b"two"))
    )
    before = known_outputs([one, two])
    assert hashlib.sha256(b"one").hexdigest() in before[0].marks
    turned = task(
        Asset(role=Role.IMAGE, index=0, renditions=two.renditions),
        Asset(role=Role.IMAGE, index=1, renditions=one.renditions),
    )
    assert [a.index for a in in_known_order(turned, before).assets] == [1, 0]


@given(
    st.lists(st.sampled_from("abcdef"), max_size=6),
    st.dictionaries(st.integers(0, 7), st.sampled_from("abcdef"), max_size=6),
)
def test_no_two_share_a_position(names: list[str], before: dict[int, str]) -> None:
    """Whatever was and is there: one position for each, and nobody is dropped."""
    found = placed(answer(*names), *(asset(name, index) for index, name in before.items()))
    assert [name for name, _ in found] == names
    assert len({index for _, index in found}) == len(names)
