"""The documents of a store: written the same always, read strictly, unknown fields kept."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.documents import MAX_DEPTH, DocumentError, format_time, parse_time
from archiver.manifest import (
    Actual,
    AssetRecord,
    Declared,
    Manifest,
    ManifestError,
    Missing,
    Refusal,
    StoreDocumentError,
    StoreIdentity,
    Superseded,
    Tombstone,
    schema,
)
from archiver.model import (
    Dimensions,
    Duration,
    JsonObject,
    JsonValue,
    MediaInfo,
    Rendition,
    Role,
    TaskRef,
)
from archiver.redaction import redact_document, redact_url

NOW = datetime(2026, 11, 23, 3, 0, 12, tzinfo=UTC)
VALIDATOR = jsonschema.Draft202012Validator(schema())

# As in the contract, the ellipses filled.
EXAMPLE = """\
{
  "schema": "archiver.manifest/1",
  "source": "luma",
  "provider": "luma",
  "task_id": "4b3c464e-94f6-4e54-bc21-12f0e6da5791",
  "provider_task_id": "32ec5549-0000",
  "created_at": "2024-10-15T08:56:19.325Z",
  "archived_at": "2026-11-23T03:00:12Z",
  "updated_at": "2026-11-23T03:00:12Z",
  "prompt": "…",
  "model": null,
  "seed": null,
  "assets": [
    {
      "role": "video",
      "index": 0,
      "rendition": "video_raw",
      "watermarked": false,
      "path": "video.mp4",
      "media_type": "video/mp4",
      "size_bytes": 5242880,
      "sha256": "HASH",
      "declared": {
        "width": 752,
        "height": 1360,
        "duration_s": null
      },
      "actual": {
        "width": 752,
        "height": 1360,
        "duration_s": 5.04,
        "codec": "h264",
        "frame_rate": 24.0
      },
      "dimensions": "match",
      "duration": "undeclared",
      "url": "https://storage.cdn-luma.com/lit_video.mp4",
      "etag": "\\"abc\\"",
      "fetched_at": "2026-11-23T03:00:11Z"
    }
  ],
  "refused": [
    {
      "role": "video",
      "index": 0,
      "rendition": "download_url",
      "code": "gone",
      "message": "HTTP 403"
    }
  ],
  "missing": [
    {
      "role": "thumbnail",
      "index": 0,
      "code": "unavailable",
      "next_attempt_at": "2026-11-23T04:00:12Z"
    }
  ],
  "superseded": [
    {
      "role": "video",
      "index": 0,
      "rendition": "url",
      "sha256": "HASH",
      "size_bytes": 4718592,
      "fetched_at": "2026-11-22T03:00:11Z",
      "replaced_at": "2026-11-23T03:00:12Z"
    }
  ],
  "task": {
    "id": "32ec5549-0000",
    "prompt": "…"
  },
  "archiver": {
    "version": "0.1.0"
  }
}
""".replace("HASH", "0123456789abcdef" * 4)

text = st.text(max_size=12)
names = st.text("abcxyz_", min_size=1, max_size=6).map("x_".__add__)
times = st.datetimes(timezones=st.just(UTC))
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
integers = st.none() | st.integers()
answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
).map(redact_document)
extras = st.dictionaries(names, answers, max_size=2)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
index = st.integers(0, 50)
links = (
    st.none()
    | st.text(max_size=40).map(redact_url)
    | text.map("https://h/".__add__).map(redact_url)
)
assets = st.builds(
    AssetRecord,
    role=st.sampled_from(Role),
    index=index,
    rendition=text,
    watermarked=st.booleans(),
    path=st.sampled_from(["video.mp4", "audio-2.mp3", "video.watermarked.mp4"]),
    media_type=text,
    size_bytes=st.integers(0, 1 << 50),
    sha256=hashes,
    declared=st.builds(
        Declared, width_px=integers, height_px=integers, duration_s=numbers, extra=extras
    ),
    actual=st.builds(
        Actual,
        width_px=integers,
        height_px=integers,
        duration_s=numbers,
        codec=st.none() | text,
        frame_rate=numbers,
        extra=extras,
    ),
    dimensions=st.sampled_from(Dimensions),
    duration=st.sampled_from(Duration),
    url=links,
    etag=st.none() | text,
    fetched_at=times,
    extra=extras,
)
manifests = st.builds(
    Manifest,
    ref=st.builds(TaskRef, source=text, task_id=text),
    provider=text,
    provider_task_id=st.none() | text,
    created_at=st.none() | times,
    archived_at=times,
    updated_at=times,
    prompt=st.none() | text,
    model=st.none() | text,
    seed=integers,
    assets=st.lists(assets, max_size=3).map(tuple),
    refused=st.lists(
        st.builds(
            Refusal,
            role=st.sampled_from(Role),
            index=index,
            rendition=text,
            code=text,
            message=text,
            extra=extras,
        ),
        max_size=2,
    ).map(tuple),
    missing=st.lists(
        st.builds(
            Missing,
            role=st.sampled_from(Role),
            index=index,
            code=text,
            next_attempt_at=st.none() | times,
            extra=extras,
        ),
        max_size=2,
    ).map(tuple),
    superseded=st.lists(
        st.builds(
            Superseded,
            role=st.sampled_from(Role),
            index=index,
            rendition=text,
            sha256=hashes,
            size_bytes=st.integers(0, 1 << 50),
            fetched_at=times,
            replaced_at=times,
            extra=extras,
        ),
        max_size=2,
    ).map(tuple),
    task=answers,
    version=text,
    archiver_extra=extras,
    extra=extras,
)


def record(role: Role = Role.VIDEO, index: int = 0, **changes: object) -> AssetRecord:
    values: dict[str, object] = {
        "role": role,
        "index": index,
        "rendition": "video_raw",
        "watermarked": False,
        "path": "video.mp4",
        "media_type": "video/mp4",
        "size_bytes": 10,
        "sha256": "a" * 64,
        "declared": Declared(),
        "actual": Actual(),
        "dimensions": Dimensions.UNDECLARED,
        "duration": Duration.UNDECLARED,
        "url": "https://h/v.mp4",
        "etag": None,
        "fetched_at": NOW,
    }
    return AssetRecord(**(values | changes))  # type: ignore[arg-type]


def document(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "ref": TaskRef(source="luma", task_id="t"),
        "provider": "luma",
        "archived_at": NOW,
        "updated_at": NOW,
        "version": "0.1.0",
    }
    return Manifest(**(values | changes))  # type: ignore[arg-type]


def test_the_contracts_example_is_read_and_written_letter_by_letter() -> None:
    """The contract's own example survives reading and writing, in its order."""
    data = EXAMPLE.encode()
    manifest = Manifest.parse(data)
    assert manifest.to_bytes() == data
    VALIDATOR.validate(json.loads(data))
    assert manifest.ref == TaskRef(source="luma", task_id="4b3c464e-94f6-4e54-bc21-12f0e6da5791")
    assert manifest.created_at == datetime(2024, 10, 15, 8, 56, 19, 325000, tzinfo=UTC)
    assert manifest.assets[0].actual.frame_rate == 24.0
    assert manifest.missing_words == ("thumbnail",)


@given(manifests)
def test_every_manifest_is_read_back_and_valid(manifest: Manifest) -> None:
    """What can be written can be read, is the same, and fits the JSON Schema."""
    data = manifest.to_bytes()
    read = Manifest.parse(data)
    assert read == manifest
    assert read.to_bytes() == data == manifest.to_bytes()
    assert data.endswith(b"}\n")
    VALIDATOR.validate(json.loads(data))


def paths(value: JsonValue, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of every known field."""
    if isinstance(value, dict):
        members: list[tuple[str | int, JsonValue]] = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    else:
        return
    for key, item in members:
        yield (*path, key)
        if key != "task":
            yield from paths(item, (*path, key))


def holder(value: JsonValue, path: tuple[str | int, ...]) -> dict[str | int, JsonValue]:
    for key in path[:-1]:
        value = value[key]  # type: ignore[index,call-overload]
    return value  # type: ignore[return-value]


PATHS = list(paths(json.loads(EXAMPLE)))
WRONG: list[JsonValue] = [
    None, True, -1, 1.5, 10**30, "", "x", "../x", "a.part", "manifest.json", [], {}, [1], "https://h/?q",
    "https://u@h/", "2024-10-15 08:56:19", "2024-10-15T08:56:19+00:00", "A" * 64, "MATCH",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda p: ".".join(map(str, p)))
def test_reader_and_schema_agree_on_every_field(path: tuple[str | int, ...]) -> None:
    """A wrong or absent value is refused by the reader exactly where the JSON Schema refuses it."""
    refused = 0
    for wrong in WRONG:
        changed = json.loads(EXAMPLE)
        holder(changed, path)[path[-1]] = wrong
        fits = VALIDATOR.is_valid(changed)
        try:
            Manifest.parse(json.dumps(changed).encode())
        except ManifestError:
            assert not fits, (path, wrong)
            refused += 1
        else:
            assert fits, (path, wrong)
    assert refused or path == ("task",)
    if isinstance(path[-1], str):
        changed = json.loads(EXAMPLE)
        del holder(changed, path)[path[-1]]
        assert not VALIDATOR.is_valid(changed)
        with pytest.raises(ManifestError, match="missing"):
            Manifest.parse(json.dumps(changed).encode())


def test_unknown_fields_are_kept_on_every_level() -> None:
    """What a later version added stays when this one rewrites the manifest."""
    changed = json.loads(EXAMPLE)
    count = 0
    for path in [("schema",), *PATHS]:
        inner = holder(changed, path)
        if isinstance(inner, dict) and "x_new" not in inner:
            inner["x_new"] = {"a": [1, None, "…"]}
            count += 1
    assert count == 8
    manifest = Manifest.parse(json.dumps(changed).encode())
    assert json.loads(manifest.to_bytes()) == changed
    later = replace(manifest, updated_at=NOW, prompt="other")
    assert later.to_bytes().count(b"x_new") == count
    VALIDATOR.validate(changed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"schema": 1}',
        b'{"schema": "archiver.store/1"}',
        b'{"schema": "archiver.manifest/0"}',
        b'{"schema": "archiver.manifest/x"}',
        b'{"schema": "archiver.manifest/\xd9\xa1"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        EXAMPLE.encode()[:-100],
        EXAMPLE.replace("5242880", "NaN").encode(),
        EXAMPLE.replace("5.04", "1e999").encode(),
        EXAMPLE.replace("5.04", "Infinity").encode(),
        EXAMPLE.replace("5242880", "9" * 5000).encode(),
        EXAMPLE.replace("h264", "\\ud800").encode(),
        EXAMPLE.replace("2024-10-15T", "2024-13-45T").encode(),
    ],
)
def test_anything_else_is_damage(data: bytes) -> None:
    """Cut, foreign, or hostile bytes are reported as a damaged manifest, never as a bug."""
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(data)
    assert caught.value.code == "bad_manifest"
    assert not caught.value.is_newer
    assert caught.value.message.startswith("manifest: ")
    assert caught.value.message.isprintable()


@given(st.binary(max_size=60) | answers.map(lambda a: json.dumps(a).encode()))
def test_no_bytes_make_another_error(data: bytes) -> None:
    """Whatever the bytes are, the reader reports damage."""
    with pytest.raises(ManifestError):
        Manifest.parse(data)


def test_depth_is_bounded_when_reading() -> None:
    """A manifest holds an answer of any depth that redaction leaves, and not much more."""
    deep: JsonValue = "x"
    for _ in range(300):
        deep = [deep]
    manifest = document(task=redact_document(deep))
    assert Manifest.parse(manifest.to_bytes()) == manifest
    too_deep = json.dumps({"schema": "archiver.manifest/1", "task": deep}).encode()
    with pytest.raises(ManifestError, match=str(MAX_DEPTH)):
        Manifest.parse(too_deep)


def test_a_newer_manifest_is_told_apart() -> None:
    """A later version's document is no damage, and says that it must be left alone."""
    with pytest.raises(ManifestError, match="use a newer archiver") as caught:
        Manifest.parse(EXAMPLE.replace("manifest/1", "manifest/2").encode())
    assert caught.value.is_newer
    assert caught.value.code == "newer_document"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "https://h/p?X-Amz-Signature=1"},
        {"url": "https://user:pw@h/p"},
        {"url": "https://h/p#x"},
        {"path": "../video.mp4"},
        {"path": "a/video.mp4"},
        {"path": "manifest.json"},
        {"path": "video.mp4.part"},
        {"path": ".video"},
        {"path": "video.mp4\n"},
        {"path": ""},
        {"sha256": "A" * 64},
        {"sha256": "a" * 63},
        {"size_bytes": -1},
        {"index": -1},
    ],
)
def test_a_record_refuses_what_must_never_be_written(changes: dict[str, object]) -> None:
    """A signed link or a path that leads elsewhere is a bug of the caller, found before writing."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        record(**changes)


def test_what_cannot_be_written_is_no_silent_loss() -> None:
    """A time without a zone and an answer that skipped redaction are errors."""
    with pytest.raises(ValueError, match="zone"):
        document(archived_at=datetime(2024, 1, 1)).to_bytes()  # noqa: DTZ001
    with pytest.raises(ValueError, match="JSON compliant"):
        document(task=[math.nan]).to_bytes()
    with pytest.raises(ValueError, match="sha256"):
        replace(Superseded.of(record(), NOW), sha256="x")


def test_odd_values_of_a_provider_never_stop_a_commit() -> None:
    """Infinite lengths, huge numbers and half characters still make a valid manifest."""
    declared = Declared.of(Rendition(name="r", width_px=-(10**40), duration_s=math.inf))
    info = MediaInfo(kind="video", media_type="video/mp4", extension="mp4", frame_rate=math.nan)
    manifest = document(
        assets=(record(declared=declared, actual=Actual.of(info), etag="\ud800"),),
        prompt="half \udc00",
        seed=10**40,
    )
    read = Manifest.parse(manifest.to_bytes())
    assert read.assets[0].declared.duration_s is None
    assert read.assets[0].actual.frame_rate is None
    assert read.prompt == "half ?"
    VALIDATOR.validate(json.loads(manifest.to_bytes()))


def test_the_schema_is_a_sound_schema() -> None:
    """It ships in the package, is of draft 2020-12 and is a fresh copy each time."""
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    changed = schema()
    changed.clear()
    assert schema()
    for enum, name in ((Dimensions, "dimensions"), (Duration, "duration")):
        asset: JsonObject = schema()["$defs"]["asset"]["properties"]  # type: ignore[index,call-overload,assignment]
        assert asset[name] == {"enum": [word.value for word in enum]}


# --- what a catalog row is made of --------------------------------------------------------------


def test_facts_of_a_manifest() -> None:
    """Everything that a catalog row needs can be told from the manifest alone."""
    manifest = document(
        assets=(
            record(watermarked=True),
            record(Role.THUMBNAIL, path="thumbnail.jpg", size_bytes=5),
        ),
        missing=(
            Missing(role=Role.AUDIO, index=1, code="unavailable", next_attempt_at=NOW),
            Missing(role=Role.LAST_FRAME, index=0, code="gone", next_attempt_at=None),
        ),
    )
    assert manifest.watermarked
    assert manifest.has_main
    assert manifest.stored_bytes == 15
    assert manifest.missing_words == ("audio-2", "last_frame")
    assert manifest.next_attempt_at == NOW
    assert manifest.asset(Role.THUMBNAIL, 0) == manifest.assets[1]
    assert manifest.asset(Role.THUMBNAIL, 1) is None


def test_a_marked_preview_marks_nothing() -> None:
    """Only main outputs make a task watermarked."""
    assert not document(assets=(record(), record(Role.THUMBNAIL, watermarked=True))).watermarked


@pytest.mark.parametrize(
    ("stored", "missing", "has_main"),
    [
        ([], [], False),
        ([Role.THUMBNAIL, Role.LAST_FRAME], [], False),
        ([Role.AUDIO], [Role.VIDEO], True),
        ([Role.IMAGE], [], True),
        ([Role.TEXT], [], True),
        ([Role.TEXT], [Role.THUMBNAIL], True),
        ([Role.TEXT], [Role.AUDIO], False),
    ],
)
def test_has_main(stored: list[Role], missing: list[Role], has_main: bool) -> None:
    """Previews are no main output; lyrics are one only where no song belongs to them."""
    manifest = document(
        assets=tuple(record(role) for role in stored),
        missing=tuple(Missing(role=r, index=0, code="c", next_attempt_at=None) for r in missing),
    )
    assert manifest.has_main is has_main


def test_a_replaced_file_is_remembered() -> None:
    """An upgrade takes the old file's place, and its record goes to `superseded`."""
    old = record(sha256="1" * 64, watermarked=True, rendition="url")
    other = record(Role.AUDIO, path="audio.mp3")
    later = NOW + timedelta(days=1)
    new = record(sha256="2" * 64, fetched_at=later)
    before = document(
        assets=(old, other),
        missing=(Missing(role=Role.THUMBNAIL, index=0, code="c", next_attempt_at=None),),
    )
    after = before.with_asset(new, replaced_at=later)
    assert after.assets == (new, other)
    assert after.superseded == (Superseded.of(old, later),)
    assert after.superseded[0].rendition == "url"
    thumbnail = record(Role.THUMBNAIL, path="thumbnail.jpg")
    completed = after.with_asset(thumbnail, replaced_at=later)
    assert completed.assets == (new, other, thumbnail)
    assert completed.missing == ()
    assert completed.superseded == after.superseded


def test_the_same_bytes_supersede_nothing() -> None:
    """A file fetched anew with the same digest replaces only its record."""
    old, new = record(rendition="url"), record(rendition="video_raw")
    assert document(assets=(old,)).with_asset(new, replaced_at=NOW) == document(assets=(new,))


# --- times and the store's own documents --------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (datetime(2024, 10, 15, 8, 56, 19, tzinfo=UTC), "2024-10-15T08:56:19Z"),
        (datetime(2024, 10, 15, 8, 56, 19, 325000, tzinfo=UTC), "2024-10-15T08:56:19.325Z"),
        (datetime(2024, 10, 15, 8, 56, 19, 5, tzinfo=UTC), "2024-10-15T08:56:19.000005Z"),
        (
            datetime(2024, 10, 15, 1, 0, tzinfo=timezone(timedelta(hours=3))),
            "2024-10-14T22:00:00Z",
        ),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_times(time: datetime, written: str) -> None:
    """Times are RFC 3339 in UTC and come back the same."""
    assert format_time(time) == written
    assert parse_time(written) == time


@pytest.mark.parametrize(
    "written", ["", "2024-10-15", "2024-10-15T08:56:19", "2024-02-30T00:00:00Z"]
)
def test_other_times_are_none(written: str) -> None:
    """What is no such time is `None`."""
    assert parse_time(written) is None


store_documents = st.builds(StoreIdentity, id=text, created_at=times, extra=extras) | st.builds(
    Tombstone,
    ref=st.builds(TaskRef, source=text, task_id=text),
    reason=text,
    forgotten_at=times,
    path=st.none() | text,
    delete=st.booleans(),
    extra=extras,
)


@given(store_documents)
def test_store_documents_are_read_back(written: StoreIdentity | Tombstone) -> None:
    """Identity and tombstones survive writing and reading, unknown fields included."""
    assert type(written).parse(written.to_bytes()) == written


def test_store_documents_are_read_strictly() -> None:
    """A document of another kind or a newer version is refused by name."""
    identity = StoreIdentity(id="a", created_at=NOW)
    tombstone = Tombstone(ref=TaskRef(source="s", task_id="t"), reason="r", forgotten_at=NOW)
    assert json.loads(identity.to_bytes())["schema"] == "archiver.store/1"
    with pytest.raises(StoreDocumentError, match=r"archiver\.store/1"):
        StoreIdentity.parse(tombstone.to_bytes())
    with pytest.raises(StoreDocumentError, match="newer") as caught:
        StoreIdentity.parse(identity.to_bytes().replace(b"store/1", b"store/9"))
    assert caught.value.is_newer
    with pytest.raises(DocumentError, match="delete must be true or false"):
        Tombstone.parse(tombstone.to_bytes().replace(b"false", b"0"))
