"""Where things go: no two tasks meet, and nothing leads out of the store."""

import hashlib
import itertools
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from archiver.errors import ConfigError
from archiver.layout import (
    MANIFEST_NAME,
    MAX_PART_BYTES,
    PENDING_KEY,
    STORE_KEY,
    Template,
    asset_name,
    asset_stem,
    encode_part,
    slug,
    tombstone_key,
)
from archiver.model import Role, TaskRef

DEFAULT = "{source}/{created:%Y/%m/%d}/{task_id}"
CREATED = datetime(2024, 10, 15, 8, 56, 19, tzinfo=UTC)
UUID = "4b3c464e-94f6-4e54-bc21-12f0e6da5791"

ids = st.text(st.characters(), max_size=200) | st.text("aA.%/~- ", max_size=8)
dates = st.none() | st.datetimes(timezones=st.just(UTC))
templates = st.sampled_from(
    [
        DEFAULT,
        "{source}/{task_id}",
        "{task_id}/{source}",
        "{source}-{task_id}",
        "{source}{task_id}",
        "{source}/{task_id[:2]}/{task_id}",
        "{source}/{prompt}-{task_id}/{created:%Y}",
        "{provider}/{source}/{created:%Y-%m}x{prompt[:20]}/{task_id}.d",
        "~{{a b}}/{source}/é{task_id}é",
    ]
)


def never(folder: str) -> bool:
    return False


def folder(
    template: str = DEFAULT,
    task_id: str = UUID,
    *,
    source: str = "luma",
    created_at: datetime | None = CREATED,
    prompt: str | None = None,
    taken: Callable[[str], bool] = never,
) -> str:
    return Template.parse(template).folder(
        source=source,
        provider="luma",
        task_id=task_id,
        created_at=created_at,
        prompt=prompt,
        taken=taken,
    )


def digest(raw: str) -> str:
    return "~" + hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (DEFAULT, f"luma/2024/10/15/{UUID}"),
        ("{task_id}", UUID),
        ("{source}/{task_id}", f"luma/{UUID}"),
        ("{provider}/{source}-{task_id}", f"luma/luma-{UUID}"),
        ("{task_id[:2]}/{task_id}", f"4b/{UUID}"),
        ("{created}/{task_id}", f"2024-10-15/{UUID}"),
        ("{created[:4]}/{task_id}", f"2024/{UUID}"),
        ("{created:%Y-W%V}/{task_id}", f"2024-W42/{UUID}"),
        ("{created:%H:%M %%}/{task_id}", f"08%3A56%20%25/{UUID}"),
        ("{prompt}/{task_id}", f"a-red-cat/{UUID}"),
        ("{prompt[:5]}/{task_id}", f"a-red/{UUID}"),
        ("a b~é/{{{task_id}}}", f"a%20b%7E%C3%A9/%7B{UUID}%7D"),
        (".archiver/{task_id}", f".archiver{digest('.archiver')}/{UUID}"),
        ("x" * 121 + "/{task_id}", f"{'x' * 107}{digest('x' * 121)}/{UUID}"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    """Fields, slices, dates and literal text go where the template says."""
    assert folder(template, prompt="A red cat!") == expected


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{source}", "{task_id} whole"),
        ("{task_id[:8]}", "{task_id} whole"),
        ("", "{task_id} whole"),
        ("{{task_id}}", "{task_id} whole"),
        ("/{task_id}", "relative"),
        ("{task_id}/", "relative"),
        ("a//{task_id}", "relative"),
        ("../{task_id}", "relative"),
        ("./{task_id}", "relative"),
        ("{task_id}/{created:/%Y}", "relative"),
        ("{task_id}/{created:%Y//%m}", "relative"),
        ("{task_id}/{created:../%Y}", "relative"),
        ("{task_id", "'{'"),
        ("{task_id}}", "'}'"),
        ("{title}/{task_id}", "source, provider, task_id, created, prompt"),
        ("{task_id.__class__}", "no field"),
        ("{task_id!r}", "no field"),
        ("{task_id[0]}", "no field"),
        ("{task_id[:0]}/{task_id}", "1 or more"),
        ("{task_id:>9}", "only {created"),
        ("{created[:4]:%Y}/{task_id}", "only {created"),
        ("{created:%x}/{task_id}", "%x"),
        ("{created:%-d}/{task_id}", "%-"),
        ("{created:%Y%}/{task_id}", "directive"),
        ("{created:date}/{task_id}", "without any directive"),
        ("{created:%%}/{task_id}", "without any directive"),
        ("{\x1b[2J}/{task_id}", "\\x1b"),
    ],
)
def test_wrong_templates_are_explained(template: str, word: str) -> None:
    """A template that cannot be used is refused with a legible reason."""
    with pytest.raises(ConfigError) as caught:
        Template.parse(template)
    assert word in caught.value.message
    assert caught.value.message.isprintable()


@given(st.text("{}[]:/%.Ymd01~ ", max_size=30).map("{task_id}{created:%Y}".__add__))
def test_any_template_is_read_or_refused(text: str) -> None:
    """No template makes anything but a `ConfigError` or safe folders."""
    try:
        template = Template.parse(text)
    except ConfigError:
        return
    check(
        template.folder(
            source="s", provider="p", task_id="t", created_at=None, prompt=None, taken=never
        )
    )


def test_fields_are_known() -> None:
    """The configuration can ask whether `{source}` is there."""
    assert Template.parse(DEFAULT).fields == {"source", "created", "task_id"}


@pytest.mark.parametrize(
    ("task_id", "name"),
    [
        ("a/b\\c", "a%2Fb%5Cc"),
        ("a%2Fb", "a%252Fb"),
        ("50% é猫", "50%25%20%C3%A9%E7%8C%AB"),
        ("a\n\x00\x1b", "a%0A%00%1B"),
        ("\ud800", "%ED%A0%80"),
        ("~", "%7E"),
        ("", digest("")),
        (".", "." + digest(".")),
        ("..", ".." + digest("..")),
        ("...", "..."),
        (".hidden", ".hidden"),
        (".archiver", ".archiver" + digest(".archiver")),
        (".ARCHIVER", ".ARCHIVER" + digest(".ARCHIVER")),
        ("clip.part", "clip.part" + digest("clip.part")),
        ("clip.Part.json", "clip.Part.json" + digest("clip.Part.json")),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 107 + digest("x" * 121)),
        ("é" * 20, "%C3%A9" * 20),
        ("é" * 21, "%C3%A9" * 17 + digest("é" * 21)),
        ("xx" + "é" * 21, "xx" + "%C3%A9" * 17 + digest("xx" + "é" * 21)),
    ],
)
def test_names_of_odd_ids(task_id: str, name: str) -> None:
    """An id is encoded; a long or reserved one is cut at a whole character and gets a digest."""
    assert folder("{source}/{task_id}", task_id) == f"luma/{name}"
    assert encode_part(task_id) == name


@pytest.mark.parametrize(
    "created_at",
    [
        None,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_an_unknown_date_is_one_part(created_at: datetime | None) -> None:
    """Unknown and zero dates stand as `undated`, instead of year, month and day."""
    assert folder(created_at=created_at) == f"luma/undated/{UUID}"
    affixed = folder("x-{created:%Y/%m}/{task_id}", created_at=created_at)
    assert affixed == f"x-undated/{UUID}"
    assert folder("{created[:2]}/{task_id}", created_at=created_at) == f"undated/{UUID}"


def test_dates_are_utc() -> None:
    """A date in another zone is told in UTC; one without a zone is taken for UTC."""
    east = datetime(2024, 10, 16, 1, 0, tzinfo=timezone(timedelta(hours=3)))
    assert folder("{created:%d-%H}/{task_id}", created_at=east) == f"15-22/{UUID}"
    assert folder(created_at=datetime(2024, 10, 15)) == f"luma/2024/10/15/{UUID}"  # noqa: DTZ001


def test_a_name_that_differs_in_case_only_gets_a_digest() -> None:
    """The second of `ABC` and `abc` is told apart by the digest of its id."""
    assert folder(task_id="abc", taken=lambda f: f == "luma/2024/10/15/abc") == (
        "luma/2024/10/15/abc" + digest("abc")
    )
    taken = {"luma-x-y/d"}
    first = folder("{source}-{task_id}/d", "y", source="luma-x", taken=taken.__contains__)
    assert first == "luma-x-y" + digest("luma-x-y") + "/d"
    second = folder("{source}-{task_id}/d", "x-y", taken=(taken | {first}).__contains__)
    assert second == "luma-x-y" + digest("luma\0x-y") + "/d"


def test_a_store_that_takes_nothing_ends() -> None:
    """A `taken` that always says yes is an error, not an endless loop."""
    with pytest.raises(ValueError, match="taken"):
        folder(taken=lambda name: True)
    with pytest.raises(ValueError, match="taken"):
        tombstone_key(TaskRef(source="s", task_id="t"), taken=lambda name: True)


def check(name: str) -> None:
    assert name.isascii()
    for part in name.split("/"):
        assert 0 < len(part) <= MAX_PART_BYTES
        assert part not in (".", "..")
        assert part.casefold() != ".archiver"
        assert not part.casefold().endswith((".part", ".part.json"))
        assert re.fullmatch(r"(?:[A-Za-z0-9._-]|%[0-9A-F]{2})*(?:~[0-9a-f]{12})?", part)


@given(templates, ids, ids, dates, st.none() | st.text(st.characters(), max_size=100))
def test_every_folder_is_safe(
    template: str, source: str, task_id: str, created_at: datetime | None, prompt: str | None
) -> None:
    """Folders are relative, ASCII, without `..`, of parts up to 120 bytes, and always the same."""
    name = folder(template, task_id, source=source, created_at=created_at, prompt=prompt)
    check(name)
    assert name == folder(template, task_id, source=source, created_at=created_at, prompt=prompt)


@given(templates, st.lists(st.tuples(ids, ids, dates), max_size=12, unique_by=lambda t: t[:2]))
@example("{source}{task_id}", [("a", "bc", None), ("ab", "c", None), ("A", "BC", None)])
@example(DEFAULT, [("s", "x" * 130, None), ("s", "x" * 131, None), ("s", "X" * 131, None)])
def test_two_tasks_never_share_a_folder(
    template: str, tasks: list[tuple[str, str, datetime | None]]
) -> None:
    """Different tasks have different folders, upper and lower case being one."""
    used: set[str] = set()
    for source, task_id, created_at in tasks:
        name = folder(
            template,
            task_id,
            source=source,
            created_at=created_at,
            taken=lambda f: f.casefold() in used,
        )
        assert name.casefold() not in used
        used.add(name.casefold())


@given(st.lists(ids, min_size=2, max_size=2, unique=True), st.lists(ids, min_size=2, max_size=2))
def test_names_alone_tell_tasks_apart(task_ids: list[str], sources: list[str]) -> None:
    """Where source and id have parts of their own, nobody need ask what is taken."""
    names = [
        folder("{source}/{task_id}", task_id, source=source)
        for source, task_id in zip(sources, task_ids, strict=True)
    ]
    assert names[0] != names[1]


@given(ids)
def test_a_plain_name_can_be_read_back(task_id: str) -> None:
    """Unless it has a digest, a name is the id percent-encoded."""
    name = encode_part(task_id)
    assume("~" not in name)
    assert unquote(name, errors="surrogatepass") == task_id


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A red cat, walking!", "a-red-cat-walking"),
        ("It's Café № 5", "its-cafe-no-5"),
        ("猫", "untitled"),
        ("", "untitled"),
        ("../../etc/passwd", "etc-passwd"),
        ("see https://h/p?token=abc", "see-https-h-p"),
        ("word " * 20, "-".join(["word"] * 12)),
        ("x" * 100, "x" * 60),
        ("\ud800 a\x00b", "a-b"),
    ],
)
def test_slugs(prompt: str, expected: str) -> None:
    """A prompt becomes lower-case ASCII words, cut between words, without links' queries."""
    assert slug(prompt) == expected


@given(st.text(st.characters(), max_size=300))
def test_every_slug_is_a_name(prompt: str) -> None:
    """Whatever the prompt, its slug is words of ASCII letters and digits."""
    assert re.fullmatch("[a-z0-9]+(?:-[a-z0-9]+)*", slug(prompt))
    assert len(slug(prompt)) <= 60


def test_names_of_outputs() -> None:
    """Outputs are named by role, numbered from the second on, and marked when marked."""
    assert asset_stem(Role.VIDEO, 0) == "video"
    assert asset_stem(Role.LAST_FRAME, 1) == "last_frame-2"
    assert asset_name(Role.AUDIO, 1, "mp3", watermarked=False) == "audio-2.mp3"
    assert asset_name(Role.VIDEO, 0, "mp4", watermarked=True) == "video.watermarked.mp4"


@pytest.mark.parametrize("extension", ["", "MP4", "../x", "part", "mp4\n", "abcdefghijk"])
def test_names_of_outputs_are_guarded(extension: str) -> None:
    """An ending is a few letters or digits and never `part`."""
    with pytest.raises(ValueError, match="ending"):
        asset_name(Role.VIDEO, 0, extension, watermarked=False)
    with pytest.raises(ValueError, match="negative"):
        asset_stem(Role.VIDEO, -1)


def test_names_of_outputs_never_meet() -> None:
    """No role, position and marking share a name with another, or with the manifest."""
    names = [
        asset_name(role, index, "json", watermarked=marked)
        for role, index, marked in itertools.product(Role, range(30), (True, False))
    ]
    assert len(set(names)) == len(names)
    assert MANIFEST_NAME not in names


def test_the_stores_own_documents() -> None:
    """The store's documents lie in its own folder."""
    assert STORE_KEY == ".archiver/store.json"
    assert PENDING_KEY == ".archiver/pending.jsonl"
    ref = TaskRef(source="luma", task_id=UUID)
    assert tombstone_key(ref) == f".archiver/forgotten/luma/{UUID}.json"
    odd = TaskRef(source="..", task_id="a/b")
    assert tombstone_key(odd) == f".archiver/forgotten/..{digest('..')}/a%2Fb.json"


@given(st.lists(st.tuples(ids, ids), max_size=8, unique=True))
def test_tombstones_never_meet(tasks: list[tuple[str, str]]) -> None:
    """Each forgotten task has its own tombstone, upper and lower case being one."""
    used: set[str] = set()
    exact: set[str] = set()
    for source, task_id in tasks:
        ref = TaskRef(source=source, task_id=task_id)
        exact.add(tombstone_key(ref))
        key = tombstone_key(ref, taken=lambda k: k.casefold() in used)
        assert key.casefold() not in used
        assert len(key.split("/")) == 4
        used.add(key.casefold())
    assert len(exact) == len(tasks)
