"""The S3 store against a server that fails on command, and its parts alone."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config.settings import S3Config, StoreConfig
from archiver.contracts import Upload
from archiver.errors import (
    ConfigError,
    DamageError,
    PassingError,
    StoreError,
    StoreFullError,
)
from archiver.layout import STORE_KEY
from archiver.stores.s3 import Credentials, S3Store, connect
from archiver.stores.s3.buffers import KEPT, SMALL_BYTES, Buffers, Filling
from archiver.stores.s3.checks import AwsChecks, Checks, Md5Checks, checks_for
from archiver.stores.s3.diagnosis import PROBES
from archiver.stores.s3.parts import MAX_PARTS, Lanes, Multipart, base_for, part_bytes
from archiver.stores.s3.place import Identity, header_values
from archiver.stores.s3.renames import copy
from archiver.stores.s3.sweep import OpenUploads
from tests.s3fake import FakeS3, Rule, StoredThing, fake_s3

MIB = 1 << 20
PART = 5 * MIB
TIB = 1 << 40
SECRET = "SUPERSECRETVALUE"
KEY = "luma/1/video.mp4"
MANIFEST = "luma/1/manifest.json"
KEYS = Credentials(access_key_id="AKID", secret_access_key=SECRET)


class StillClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, 3, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def check_stop(self) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[FakeS3]:
    with fake_s3() as fake:
        yield fake


@pytest.fixture(scope="module")
def connection(server: FakeS3) -> S3Store:
    """Connect once: loading boto3's model of S3 takes longer than most tests."""
    return connected(server)


@pytest.fixture
def fake(server: FakeS3) -> FakeS3:
    server.forget()
    return server


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def store(fake: FakeS3, connection: S3Store, clock: StillClock) -> S3Store:
    numbers = count()
    return S3Store(
        connection._place,
        clock=clock,
        part_size_bytes=PART,
        new_token=lambda: f"token{next(numbers)}",
    )


def connected(
    fake: FakeS3,
    *,
    checks: Checks | None = None,
    **settings: str,
) -> S3Store:
    s3 = {"endpoint_url": fake.endpoint_url, **settings}
    return connect(
        StoreConfig(url="s3://bucket/pre/fix", s3=S3Config(**s3, part_size_bytes=PART)),  # type: ignore[arg-type]
        clock=StillClock(),
        credentials=KEYS,
        max_attempts=2,
        checks=checks,
    )


def begun(store: S3Store, data: bytes = b"") -> Upload:
    upload = store.begin("luma/1", "video")
    upload.identify("video.mp4", "video/mp4", {"task-id": "1"})
    upload.write(data)
    return upload


def put(store: S3Store, data: bytes) -> None:
    begun(store, data).publish(sha256=hashlib.sha256(data).hexdigest())


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def data_of(fake: FakeS3, key: str = KEY) -> bytes:
    return fake.objects[f"pre/fix/{key}"].data


# --- sizes and memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("base", [5 * MIB, 8 * MIB, 100 * MIB])
def test_ten_thousand_parts_hold_five_terabytes(base: int) -> None:
    """From any base the parts grow so far that 10,000 hold 5 TiB, and S3 takes each of them."""
    sizes = [part_bytes(number, base) for number in range(1, MAX_PARTS + 1)]

    assert sum(sizes) >= 5 * TIB
    assert sizes[0] == base
    assert len(set(sizes[:4000])) == 1
    assert all(before <= after for before, after in pairwise(sizes))
    assert max(sizes) <= 5 << 30


def test_a_known_size_makes_equal_parts() -> None:
    """A size that is announced sets the part size, but no claim can eat the memory."""
    assert base_for(10**9, 8 * MIB) == 8 * MIB
    assert base_for(200 * 10**9, 8 * MIB) == 20 * MIB
    assert base_for(10**30, 8 * MIB) == 64 * MIB
    assert base_for(-5, 8 * MIB) == 8 * MIB
    assert base_for(10**30, 100 * MIB) == 100 * MIB


@given(sizes=st.lists(st.integers(0, SMALL_BYTES), max_size=8), capacity=st.integers(1, 3 * MIB))
def test_a_part_is_what_was_appended(sizes: list[int], capacity: int) -> None:
    """Whatever the pieces, the part that is taken holds them in order and nothing else."""
    filling = Filling(Buffers(capacity))
    expected = b""
    for number, size in enumerate(sizes):
        piece = bytes([number]) * min(size, capacity - len(expected))
        filling.append(memoryview(piece), capacity=capacity)
        expected += piece
    middle = len(expected) // 2

    assert len(filling) == len(expected)
    assert filling.peek(middle, 10) == expected[middle : middle + 10]
    assert filling.take() == expected
    assert len(filling) == 0


def test_blocks_are_used_again() -> None:
    """Full blocks come back, a bounded number of them; blocks of another size do not."""
    buffers = Buffers(100)
    blocks = [buffers.take(100) for _ in range(KEPT + 5)]
    buffers.give(bytearray(7))
    for block in blocks:
        buffers.give(block)

    again = [buffers.take(100) for _ in range(KEPT + 1)]
    assert sum(any(block is old for old in blocks) for block in again) == KEPT
    assert len(buffers.take(50)) == 50


# --- what is sent -------------------------------------------------------------------------------


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=400), max_size=6))
def test_metadata_fits_every_server(metadata: dict[str, str]) -> None:
    """Any text becomes short ASCII from which its beginning can be read again."""
    values = header_values(metadata)

    assert sum(len(name) + len(value) for name, value in values.items()) <= 1024
    for name, value in values.items():
        assert name.isascii()
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value
        assert "?" not in value
        assert len(value) <= 256
    if len(metadata) == 1 and values:
        [(_, original)], [(_, value)] = metadata.items(), values.items()
        readable = unquote(value, errors="ignore")
        assert original.encode("utf-8", "replace").decode().startswith(readable)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_long_metadata_is_cut_between_characters(shift: int) -> None:
    """No escape is cut in two, and what does not fit is left out."""
    text = "x" * shift + "é" * 500

    values = header_values({f"name{number}": text for number in range(20)})

    assert 3 <= len(values) <= 4
    assert sum(len(name) + len(value) for name, value in values.items()) <= 1024
    for value in values.values():
        assert len(value) > 240
        assert text.startswith(unquote(value, errors="ignore"))


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("https://s3.eu-central-1.amazonaws.com", AwsChecks),
        ("https://s3.cn-north-1.amazonaws.com.cn", AwsChecks),
        ("https://account.r2.cloudflarestorage.com", Md5Checks),
        ("http://127.0.0.1:9000", Md5Checks),
        ("https://s3.amazonaws.com.evil.example", Md5Checks),
        ("https://evil.example/.amazonaws.com", Md5Checks),
    ],
)
def test_checksums_are_chosen_by_the_endpoint(endpoint: str, kind: type) -> None:
    """Only AWS itself is sent AWS's own checksums."""
    assert isinstance(checks_for(endpoint), kind)


@pytest.mark.parametrize("size", [10, PART + 1], ids=["small", "parts"])
def test_no_server_is_sent_trailers(fake: FakeS3, store: S3Store, size: int) -> None:
    """Every write has a Content-Length and a Content-MD5, and none of boto3's own checksums."""
    put(store, content(size))
    store.put_document(MANIFEST, b"{}")

    for seen in fake.requests("PUT"):
        headers = {name.lower(): value for name, value in seen.headers.items()}
        assert headers["content-md5"]
        assert int(headers["content-length"]) == seen.size
        assert "aws-chunked" not in headers.get("content-encoding", "")
        assert not [name for name in headers if "checksum" in name or "trailer" in name]
        assert "expect" not in headers
    assert data_of(fake) == content(size)


def test_aws_is_sent_its_own_checksums(fake: FakeS3) -> None:
    """On AWS a single put bears the digest, and each part and the whole a CRC-32."""
    store = connected(fake, checks=AwsChecks())
    put(store, b"x")
    put(store, content(PART + 1))

    single, *parts = fake.requests("PUT", "video.mp4")
    assert single.headers["x-amz-checksum-sha256"] == "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
    assert [len(part.headers["x-amz-checksum-crc32"]) for part in parts] == [8, 8]
    complete = fake.requests("POST", "uploadId=")[0].headers
    assert len(complete["x-amz-checksum-crc32"]) == 8
    assert complete["x-amz-checksum-type"] == "FULL_OBJECT"
    assert complete["x-amz-mp-object-size"] == str(PART + 1)


def test_class_and_encryption(fake: FakeS3) -> None:
    """Encryption is asked for on every write, the storage class on assets only."""
    store = connected(
        fake, checks=AwsChecks(), storage_class="STANDARD_IA", sse="aws:kms", sse_kms_key_id="k1"
    )
    put(store, b"x")
    put(store, content(PART + 1))
    store.put_document(MANIFEST, b"{}")
    queue = store.begin(".archiver", "pending")
    queue.identify("pending.jsonl", "application/jsonl", {})
    queue.write(b"{}")
    queue.publish(sha256="")

    single = fake.requests("PUT", "video.mp4")[0].headers
    begin = fake.requests("POST", "uploads")[0].headers
    document = fake.requests("PUT", "manifest.json")[0].headers
    bookkeeping = fake.requests("PUT", "pending.jsonl")[0].headers
    for headers in (single, begin, document, bookkeeping):
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "k1"
    assert single["x-amz-storage-class"] == begin["x-amz-storage-class"] == "STANDARD_IA"
    assert "x-amz-storage-class" not in document
    assert "x-amz-storage-class" not in bookkeeping
    assert bookkeeping["x-amz-meta-sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert len(bookkeeping["x-amz-checksum-sha256"]) == 44


def test_the_usual_class_is_not_mentioned(fake: FakeS3, store: S3Store) -> None:
    """A server that knows no storage classes is not asked for STANDARD."""
    put(store, b"x")

    assert "x-amz-storage-class" not in fake.requests("PUT")[0].headers


def test_a_small_file_is_one_put(fake: FakeS3, store: S3Store) -> None:
    """Up to the part size there is one put, and one look at the result."""
    put(store, content(PART))

    assert [(seen.method, seen.size) for seen in fake.seen] == [("PUT", PART), ("HEAD", 0)]


# --- passing faults -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        Rule("PUT", "partNumber=1", status=500, code="InternalError"),
        Rule("PUT", "partNumber=1", status=503, code="SlowDown"),
        Rule("PUT", "partNumber=2", reset=True),
        Rule("PUT", "partNumber=2", reset=True, after_doing=True),
        Rule("POST", "uploads", status=503, code="SlowDown"),
        Rule("POST", "uploadId", status=500, code="InternalError"),
        Rule("POST", "uploadId", raw=b"<Error><Code>InternalError</Code></Error>"),
        Rule("POST", "uploadId", reset=True, after_doing=True),
        Rule("HEAD", status=500),
    ],
    ids=lambda rule: f"{rule.method}-{rule.having}-{rule.status or 'reset'}",
)
def test_passing_faults_are_ridden_out(fake: FakeS3, store: S3Store, rule: Rule) -> None:
    """A fault that a second try mends is not seen outside; a lost answer counts as none."""
    fake.rules.append(rule)
    data = content(PART * 2 + 10)

    put(store, data)

    assert data_of(fake) == data
    assert fake.rules == []


def test_a_lost_completion_is_known_by_capitalised_metadata(fake: FakeS3, store: S3Store) -> None:
    """Names of metadata X."""

    def capitalise(fake: FakeS3) -> None:
        thing = fake.objects[f"pre/fix/{KEY}"]
        thing.headers = {name.title(): value for name, value in thing.headers.items()}

    fake.rules.append(
        Rule("POST", "uploadId", status=404, code="NoSuchUpload", after_doing=True, then=capitalise)
    )
    data = content(PART + 1)

    put(store, data)

    assert data_of(fake) == data


@pytest.mark.parametrize(
    "rule",
    [
        Rule("PUT", "partNumber=1", times=9, status=500, code="InternalError"),
        Rule("PUT", "partNumber=3", times=9, reset=True),
        Rule("POST", "uploadId", times=9, status=503, code="SlowDown"),
        Rule("POST", "uploadId", times=9, status=404, code="NoSuchUpload"),
    ],
    ids=lambda rule: f"{rule.method}-{rule.having}-{rule.status or 'reset'}",
)
def test_lasting_faults_leave_the_old_object(fake: FakeS3, store: S3Store, rule: Rule) -> None:
    """A fault that stays is the store's; nothing new is visible and the old object is whole."""
    put(store, b"old")
    upload = begun(store)
    fake.rules.append(rule)

    with pytest.raises(StoreError):
        written_and_published(upload, content(PART * 2 + 10))
    fake.rules.clear()
    with pytest.raises(StoreError):
        upload.publish(sha256="0" * 64)
    upload.discard()

    assert data_of(fake) == b"old"
    assert fake.uploads == {}


def written_and_published(upload: Upload, data: bytes) -> None:
    upload.write(data)
    upload.publish(sha256=hashlib.sha256(data).hexdigest())


def test_a_failed_put_cannot_be_repeated_without_its_bytes(fake: FakeS3, store: S3Store) -> None:
    """After a put that failed, a second `publish` does not write an empty object."""
    put(store, b"old")
    upload = begun(store, b"new")
    fake.rules.append(Rule("PUT", times=2, status=500, code="InternalError"))

    with pytest.raises(StoreError, match="500"):
        upload.publish(sha256="0" * 64)
    with pytest.raises(StoreError, match="failed before"):
        upload.publish(sha256="0" * 64)

    assert data_of(fake) == b"old"


def test_another_upload_of_the_same_name_is_not_taken_for_ours(
    fake: FakeS3, store: S3Store
) -> None:
    """An object that another writer completed does not hide that our completion failed."""
    data = content(PART + 1)
    upload = begun(store, data)
    put(store, data)
    fake.rules.append(Rule("POST", "uploadId", status=404, code="NoSuchUpload"))

    with pytest.raises(StoreError, match="one prefix has one writer"):
        upload.publish(sha256=hashlib.sha256(data).hexdigest())


def test_an_object_replaced_at_once_is_not_ours(fake: FakeS3, store: S3Store) -> None:
    """When another writer's object stands there after our completion, it is not removed."""
    theirs = StoredThing(b"theirs", {"x-amz-meta-upload": "another"})

    def replace(fake: FakeS3) -> None:
        fake.objects[f"pre/fix/{KEY}"] = theirs

    fake.rules.append(Rule("POST", "uploadId", then=replace))

    with pytest.raises(StoreError, match="another writer replaced") as caught:
        put(store, content(PART + 1))

    assert caught.value.code == "store_conflict"
    assert data_of(fake) == b"theirs"


def test_parts_that_are_missing_are_not_left_out(fake: FakeS3, store: S3Store) -> None:
    """An upload of which a part failed is never completed from the others."""
    multipart = Multipart(
        store._place,
        KEY,
        Identity(name="video.mp4", media_type="video/mp4", metadata={}),
        token="t",
        lanes=Lanes(),
        buffers=Buffers(PART),
        open_uploads=OpenUploads(store._place, StillClock()),
    )
    fake.rules.append(Rule("PUT", "partNumber=1", times=9, status=403, code="AccessDenied"))
    multipart.send(bytearray(PART))
    with pytest.raises(StoreError):
        multipart.complete()
    with pytest.raises(StoreError, match="a part of it could not be written"):
        multipart.complete()

    assert fake.objects == {}


@pytest.mark.parametrize("size", [100, PART + 1], ids=["small", "parts"])
def test_a_server_that_keeps_less_is_caught(fake: FakeS3, store: S3Store, size: int) -> None:
    """An object of another size than was sent is an error and does not stay."""
    fake.rules.append(Rule("PUT", "" if size < PART else "partNumber=1", keep=50))

    with pytest.raises(StoreError, match="cannot be trusted"):
        put(store, content(size))

    assert fake.objects == {}


def test_a_server_that_forgets_is_caught(fake: FakeS3, store: S3Store) -> None:
    """An object that is not there after it was written is an error."""
    fake.rules.append(Rule("HEAD", status=404))

    with pytest.raises(StoreError, match="is not in s3://bucket/pre/fix after"):
        put(store, b"x")


# --- plain words --------------------------------------------------------------------------------

FULL = [
    (403, "QuotaExceeded", ""),
    (507, "XMinioStorageFull", ""),
    (507, "Whatever", ""),
    (400, "XMinioAdminBucketQuotaExceeded", ""),
    (403, "AccessDenied", "Cannot upload files, storage cap exceeded"),
    (400, "EntityTooLarge", "the bucket's quota allows no more"),
    (500, "InternalError", "write /data/x: no space left on device"),
]


@pytest.mark.parametrize(("status", "code", "message"), FULL)
def test_a_full_bucket_is_told_apart(
    fake: FakeS3, store: S3Store, status: int, code: str, message: str
) -> None:
    """Full disks and quotas are `StoreFullError`, whatever a server calls them."""
    fake.rules.append(Rule("PUT", times=3, status=status, code=code, message=message))

    with pytest.raises(StoreFullError, match="full"):
        put(store, b"x")


REFUSED = [
    ("PUT", 403, "AccessDenied", "no", "needs the right s3:PutObject .*the server says: no"),
    ("PUT", 403, "InvalidAccessKeyId", "", "does not know this access key id"),
    ("PUT", 403, "SignatureDoesNotMatch", "", "secret access key is wrong"),
    ("PUT", 403, "RequestTimeTooSkewed", "", "clock is wrong, the server's says .*GMT"),
    ("PUT", 404, "NoSuchBucket", "", "bucket does not exist"),
    ("PUT", 400, "ExpiredToken", "", "token has run out"),
    ("PUT", 400, "AuthorizationHeaderMalformed", "", r"set \[store.s3\] region"),
    ("PUT", 400, "KMS.SomethingException", "key x", "KMS key cannot be used"),
    ("PUT", 429, "TooManyRequests", "request quota", "answered 429"),
    ("PUT", 418, "Teapot", "\u202ehttps://a.example/x?sig=SECRET1", "answered 418"),
    ("HEAD", 403, "", "", "needs the right s3:GetObject"),
    ("GET", 403, "AccessDenied", "", "needs the right s3:ListBucket"),
    ("DELETE", 403, "AccessDenied", "", "needs the right s3:DeleteObject"),
]


@pytest.mark.parametrize(("method", "status", "code", "message", "words"), REFUSED)
def test_refusals_say_what_to_do(
    fake: FakeS3, store: S3Store, method: str, status: int, code: str, message: str, words: str
) -> None:
    """A refusal names the setting, the right or the clock, and no secret."""
    fake.rules.append(Rule(method, times=9, status=status, code=code, message=message))
    attempts: dict[str, Callable[[], object]] = {
        "PUT": lambda: put(store, b"x"),
        "HEAD": lambda: store.stat(KEY),
        "GET": lambda: list(store.entries()),
        "DELETE": lambda: store.delete([KEY]),
    }

    with pytest.raises(StoreError, match=words) as caught:
        attempts[method]()

    assert not isinstance(caught.value, StoreFullError)
    assert "s3://bucket/pre/fix" in caught.value.message
    assert caught.value.message.isprintable()
    assert "SECRET1" not in caught.value.message
    assert SECRET not in repr(caught.value)


def test_an_answer_that_is_not_xml(fake: FakeS3, store: S3Store) -> None:
    """A login page where S3 should be is the endpoint's fault, and is not quoted."""
    fake.rules.append(Rule("GET", times=3, raw=b"<html><form>Sign in, please<form></html>"))

    with pytest.raises(StoreError, match=r"endpoint_url") as caught:
        list(store.entries())

    assert "Sign in" not in caught.value.message


def test_without_credentials(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """When boto3 finds no keys anywhere, the message says where they can be put."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    config = StoreConfig(url="s3://bucket", s3=S3Config(endpoint_url=fake.endpoint_url))
    store = connect(config, clock=StillClock())

    with pytest.raises(StoreError, match=r"no credentials were found; set .*access_key_id_env"):
        store.check()
    assert fake.seen == []


def test_boto3_finds_credentials_itself(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the environment are found by boto3's own chain."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKFROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    config = StoreConfig(url="s3://bucket", s3=S3Config(endpoint_url=fake.endpoint_url))
    connect(config, clock=StillClock()).check()

    assert "AKFROMENV" in fake.seen[0].headers["Authorization"]


def test_a_wrong_endpoint_is_a_matter_of_configuration() -> None:
    """An endpoint that is no URL is refused at once, without repeating it."""
    config = StoreConfig(url="s3://bucket", s3=S3Config(endpoint_url="user:pw@nowhere"))

    with pytest.raises(ConfigError, match="endpoint_url") as caught:
        connect(config, clock=StillClock(), credentials=KEYS)
    assert "pw" not in str(caught.value)


def test_keys_are_never_shown(store: S3Store) -> None:
    """Neither credentials nor the store show a key."""
    credentials = Credentials(access_key_id="AKID", secret_access_key=SECRET, session_token="TOK")

    for shown in (repr(credentials), repr(store), repr(store._place), store.label):
        assert SECRET not in shown
        assert "TOK" not in shown


@pytest.mark.parametrize(
    ("region", "signed"),
    [("auto", "/us-east-1/s3/"), ("", "/us-east-1/s3/"), ("eu-west-3", "/eu-west-3/s3/")],
)
def test_region(fake: FakeS3, region: str, signed: str) -> None:
    """Requests are signed for the configured region, or for one that every server takes."""
    connected(fake, region=region).stat(KEY)

    assert signed in fake.seen[0].headers["Authorization"]


# --- documents ----------------------------------------------------------------------------------


def test_a_manifest_is_written_on_condition(fake: FakeS3, store: S3Store) -> None:
    """What was read absent is only created, what was read is only replaced, once each."""
    assert store.read_document(MANIFEST) is None
    store.put_document(MANIFEST, b"1")
    store.read_document(MANIFEST)
    store.put_document(MANIFEST, b"2")
    store.put_document(MANIFEST, b"3")

    create, replace, again = (seen.headers for seen in fake.requests("PUT"))
    assert create["If-None-Match"] == "*"
    assert replace["If-Match"] == f'"{hashlib.md5(b"1").hexdigest()}"'
    assert not {"If-Match", "If-None-Match"} & set(again)
    assert data_of(fake, MANIFEST) == b"3"


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_a_server_without_conditions(fake: FakeS3, store: S3Store, status: int, code: str) -> None:
    """A server that refuses the condition is served without, from then on."""
    fake.rules.append(Rule("PUT", "If-None-Match", status=status, code=code))
    store.read_document(MANIFEST)
    store.put_document(MANIFEST, b"1")
    store.read_document(MANIFEST)
    store.put_document(MANIFEST, b"2")

    assert data_of(fake, MANIFEST) == b"2"
    assert "If-Match" not in fake.requests("PUT")[-1].headers


def test_a_condition_refused_for_nothing(fake: FakeS3, store: S3Store) -> None:
    """A 412 although nobody wrote is the server's weakness, not a conflict."""
    put_document(fake, b"1")
    store.read_document(MANIFEST)
    fake.rules.append(Rule("PUT", "If-Match", status=412, code="PreconditionFailed"))

    store.put_document(MANIFEST, b"2")

    assert data_of(fake, MANIFEST) == b"2"


def test_a_lost_answer_is_no_conflict(fake: FakeS3, store: S3Store) -> None:
    """When our own first try got through, the 412 of the second one is no conflict."""
    store.read_document(MANIFEST)
    fake.rules.append(Rule("PUT", "If-None-Match", reset=True, after_doing=True))

    store.put_document(MANIFEST, b"1")

    assert data_of(fake, MANIFEST) == b"1"
    assert len(fake.requests("PUT")) == 2


def test_a_real_conflict_keeps_the_other_document(fake: FakeS3, store: S3Store) -> None:
    """A manifest that another machine wrote meanwhile stays, and the message says so."""
    store.read_document(MANIFEST)
    put_document(fake, b"theirs")

    with pytest.raises(StoreError, match="another writer") as caught:
        store.put_document(MANIFEST, b"ours")

    assert caught.value.code == "store_conflict"
    assert data_of(fake, MANIFEST) == b"theirs"


def test_a_bucket_that_vanished_is_not_taken_for_a_conflict(fake: FakeS3, store: S3Store) -> None:
    """`NoSuchBucket` on a conditional put is said as it is."""
    store.read_document(MANIFEST)
    fake.rules.append(Rule("PUT", status=404, code="NoSuchBucket"))

    with pytest.raises(StoreError, match="bucket does not exist"):
        store.put_document(MANIFEST, b"1")


def put_document(fake: FakeS3, data: bytes) -> None:
    fake.objects[f"pre/fix/{MANIFEST}"] = StoredThing(data, {})


# --- reading ------------------------------------------------------------------------------------


def stored(fake: FakeS3, size: int = 3 * MIB) -> bytes:
    data = content(size)
    fake.objects[f"pre/fix/{KEY}"] = StoredThing(data, {})
    return data


@pytest.mark.parametrize("cuts", [1, 4])
def test_a_cut_read_goes_on_where_it_broke(fake: FakeS3, store: S3Store, cuts: int) -> None:
    """A body that breaks is continued by range, on condition that the object is the same."""
    data = stored(fake)
    fake.rules.append(Rule("GET", times=cuts, cut_at=400_000))

    with store.open(KEY) as file:
        assert file.read() == data

    ranged = fake.requests("GET")[1:]
    assert len(ranged) == cuts
    etag = fake.objects[f"pre/fix/{KEY}"].etag
    assert all(seen.headers["If-Match"] == etag for seen in ranged)
    assert ranged[0].headers["Range"].startswith("bytes=4") or cuts > 1


def test_a_server_that_ignores_ranges(fake: FakeS3, store: S3Store) -> None:
    """A whole object in answer to a range is read past what is known already."""
    data = stored(fake)
    fake.rules += [Rule("GET", cut_at=400_000), Rule("GET", times=9, as_whole=True)]

    with store.open(KEY) as file:
        assert file.read() == data
        file.seek(2 * MIB)
        assert file.read(100) == data[2 * MIB : 2 * MIB + 100]


@pytest.mark.parametrize("unconditional", [True, False])
def test_an_object_replaced_while_it_is_read(
    fake: FakeS3, store: S3Store, unconditional: bool
) -> None:
    """Bytes of two objects are never mixed, whether the server honours `If-Match` or not."""
    stored(fake)
    fake.rules += [Rule("GET", cut_at=400_000), Rule("GET", unconditional=unconditional)]

    with store.open(KEY) as file:
        file.read(10)
        fake.objects[f"pre/fix/{KEY}"] = StoredThing(content(3 * MIB + 1), {})
        with pytest.raises(DamageError, match="replaced while"):
            file.read()


def test_a_read_that_never_gets_on(fake: FakeS3, store: S3Store) -> None:
    """A server that always breaks off without a byte is the store's fault, after some tries."""
    stored(fake)
    fake.rules.append(Rule("GET", times=50, cut_at=0))

    with store.open(KEY) as file, pytest.raises(StoreError, match="cannot read"):
        file.read()
    assert len(fake.requests("GET")) < 10


def test_a_cut_document_is_whole(fake: FakeS3, store: S3Store) -> None:
    """A manifest whose transfer breaks is completed, not cut."""
    data = content(MIB)
    put_document(fake, data)
    fake.rules.append(Rule("GET", cut_at=1000))

    assert store.read_document(MANIFEST) == data


def test_sequential_reading_is_one_request(fake: FakeS3, store: S3Store) -> None:
    """A file that is read from its beginning to its end costs one GET."""
    stored(fake)

    with store.open(KEY) as file:
        while file.read(100_000):
            pass

    assert len(fake.seen) == 1


# --- listing, deleting, cleaning ----------------------------------------------------------------


def test_listings_are_paged_and_show_only_what_is_final(fake: FakeS3, store: S3Store) -> None:
    """All pages are read; placeholders, parts and other prefixes are left out."""
    keys = [f"luma/{number}/video.mp4" for number in range(7)]
    others = ["luma/", "luma/1/video.part", "luma/1/video.part.json"]
    for key in [*keys, *others]:
        fake.objects[f"pre/fix/{key}"] = StoredThing(b"x", {})
    for key in ["pre/fixed/video.mp4", "pre/fix", "pre/fix/luma/33", "other"]:
        fake.objects[key] = StoredThing(b"x", {})
    fake.page_size = 3

    assert [entry.key for entry in store.entries()] == [*keys[:4], "luma/33", *keys[4:]]
    assert [entry.key for entry in store.entries("luma/3")] == ["luma/3/video.mp4"]


@pytest.mark.parametrize("status", [400, 501])
def test_a_server_without_batched_deletes(fake: FakeS3, store: S3Store, status: int) -> None:
    """Where deletes cannot be batched, objects go one by one, and it is not tried again."""
    fake.rules.append(Rule("POST", "?delete", times=9, status=status, code="MissingContentMD5"))
    for round_ in range(2):
        keys = [f"luma/{round_}/{number}.mp4" for number in range(3)]
        for key in keys:
            fake.objects[f"pre/fix/{key}"] = StoredThing(b"x", {})
        store.delete(keys)

    assert fake.objects == {}
    assert len(fake.requests("POST", "?delete")) == 1


def test_deletes_that_fail_are_not_hidden(fake: FakeS3, store: S3Store) -> None:
    """An error for one key of a batch is raised although the request went through."""
    xml = (
        b"<DeleteResult><Error><Key>pre/fix/a</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    )
    fake.rules.append(Rule("POST", "?delete", raw=xml))

    with pytest.raises(StoreError, match=r"cannot delete a in .*AccessDenied.*1 of 2"):
        store.delete(["a", "b"])


def test_many_deletes_are_few_requests(fake: FakeS3, store: S3Store) -> None:
    """A thousand keys go in one request."""
    for number in range(2001):
        fake.objects[f"pre/fix/{number}"] = StoredThing(b"x", {})

    store.delete(str(number) for number in range(2001))

    assert fake.objects == {}
    assert len(fake.seen) == 3


def test_one_listing_serves_many_cleanings(fake: FakeS3, store: S3Store, clock: StillClock) -> None:
    """Cleaning task after task asks the server once a minute, and aborts each folder's own."""
    fake.uploads["u1"] = (f"pre/fix/{KEY}", {}, {})
    fake.uploads["u2"] = ("pre/fix/luma/10/video.mp4", {}, {})
    for number in range(20, 30):
        store.clean(f"luma/{number}")
    store.clean("luma/1")
    assert list(fake.uploads) == ["u2"]
    assert len(fake.requests("GET", "?uploads")) == 1

    fake.uploads["u3"] = (f"pre/fix/{KEY}", {}, {})
    clock.seconds += 61
    store.clean("luma/1")
    assert list(fake.uploads) == ["u2"]


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (403, "AccessDenied")])
def test_a_server_that_cannot_list_uploads(
    fake: FakeS3,
    store: S3Store,
    clock: StillClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str,
) -> None:
    """Cleaning is tolerant: one warning that names the remedy, and the run goes on."""
    fake.rules.append(Rule("GET", "?uploads", times=9, status=status, code=code))
    caplog.set_level(logging.WARNING)

    for _ in range(3):
        store.clean("luma/1")
        clock.seconds += 100
    assert store.clean_stale(timedelta(days=1)) == 0

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "lifecycle rule" in caplog.text
    trials = {trial.right: trial for trial in store.diagnose()}
    assert not trials["s3:ListBucketMultipartUploads"].ok
    assert not trials["s3:ListBucketMultipartUploads"].needed
    store.check()


def test_a_lost_beginning_leaves_no_upload(fake: FakeS3, store: S3Store) -> None:
    """The answer to the beginning is lost, and it begins again: the first one does not stay."""
    fake.rules.append(Rule("POST", "uploads", status=500, code="InternalError", after_doing=True))
    upload = begun(store, content(PART + 1))
    assert len(fake.uploads) == 1
    upload.publish(sha256="")
    assert fake.uploads == {}
    assert len(fake.requests("POST", "?uploads")) == 2


def test_probes_of_killed_runs_go(fake: FakeS3, store: S3Store) -> None:
    """The store is tried at the beginning of a run: what an earlier try left is removed."""
    fake.rules.append(Rule("DELETE", times=9, status=403, code="AccessDenied"))
    with pytest.raises(StoreError):
        store.check()
    assert len(fake.objects) == 1
    fake.rules.clear()
    key = f"pre/fix/{PROBES}killed"
    fake.uploads["killed"] = (key, {}, {})
    store.check()
    assert (fake.objects, fake.uploads) == ({}, {})


def test_a_probe_that_another_run_took_is_written_again(fake: FakeS3, store: S3Store) -> None:
    """Two runs that begin at once take each other's probes for left ones."""
    fake.rules.append(Rule("PUT", "/probe-", then=lambda server: server.objects.clear()))
    store.check()
    assert len(fake.requests("PUT", "/probe-")) == 2
    assert fake.objects == {}


def test_the_storage_class_is_tried_at_once(fake: FakeS3) -> None:
    """A class that the server does not know is found before any task is asked for."""
    rule = Rule("POST", "x-amz-storage-class: BOGUS", times=9, status=400)
    rule.code = "InvalidStorageClass"
    fake.rules.append(rule)
    with pytest.raises(StoreError, match="storage_class"):
        connected(fake, storage_class="BOGUS").check()


@pytest.mark.parametrize("size", [100, PART + 1], ids=["small", "parts"])
@pytest.mark.parametrize("held", [True, False])
def test_a_task_archived_by_another_machine_is_not_touched(
    fake: FakeS3, store: S3Store, size: int, held: bool
) -> None:
    """Its manifest came, or changed, since it was read: no object is replaced."""
    if held:
        store.put_document(MANIFEST, b"{}")
    store.read_document(MANIFEST)
    upload = begun(store, content(size))
    other = connected(fake)
    other.put_document(MANIFEST, b'{"theirs": 1}')
    with pytest.raises(PassingError, match="one writer"):
        upload.publish(sha256="")
    upload.discard()
    assert list(fake.objects) == [f"pre/fix/{MANIFEST}"]
    assert fake.uploads == {}


def test_a_store_has_one_identity(fake: FakeS3, store: S3Store) -> None:
    """Two machines make a store at the same moment: the second is told."""
    other = connected(fake)
    assert store.read_document(STORE_KEY) is None
    assert other.read_document(STORE_KEY) is None
    store.put_document(STORE_KEY, b"first")
    with pytest.raises(StoreError) as caught:
        other.put_document(STORE_KEY, b"second")
    assert caught.value.code == "store_conflict"
    assert other.read_document(STORE_KEY) == b"first"


def test_stale_uploads(fake: FakeS3, store: S3Store) -> None:
    """Uploads begun longer ago than asked are aborted, those of other prefixes never."""
    fake.uploads["u1"] = (f"pre/fix/{KEY}", {}, {})
    fake.uploads["u2"] = ("pre/fixed/video.mp4", {}, {})

    assert store.clean_stale(timedelta(days=2)) == 0
    assert store.clean_stale(timedelta(hours=23)) == 1
    assert list(fake.uploads) == ["u2"]


# --- check and diagnose -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        (Rule("GET", "list-type", times=9, status=403, code="AccessDenied"), "s3:ListBucket"),
        (Rule("PUT", "probe", times=9, status=403, code="AccessDenied"), "s3:PutObject"),
        (Rule("GET", "/probe-", times=9, status=403, code="AccessDenied"), "s3:GetObject"),
        (Rule("DELETE", "probe", times=9, status=403, code="AccessDenied"), "s3:DeleteObject"),
        (
            Rule("DELETE", "uploadId", times=9, status=403, code="AccessDenied"),
            "s3:AbortMultipartUpload",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_missing_right_is_named(fake: FakeS3, store: S3Store, rule: Rule, right: str) -> None:
    """`check` fails, and `diagnose` says which right is missing and that others are there."""
    fake.rules.append(rule)

    with pytest.raises(StoreError, match=right):
        store.check()
    trials = {trial.right: trial for trial in store.diagnose()}

    assert not trials[right].ok
    assert right in trials[right].message
    assert trials["s3:ListBucketMultipartUploads"].ok


def test_a_store_that_gives_back_other_bytes(fake: FakeS3, store: S3Store) -> None:
    """`check` compares what it reads with what it wrote, and removes it all the same."""
    fake.rules.append(Rule("PUT", "probe", keep=3))

    with pytest.raises(StoreError, match="does not give back"):
        store.check()
    assert fake.objects == {}


# --- other names --------------------------------------------------------------------------------


def renamed(store: S3Store, data: bytes) -> Upload:
    """Write an upload that is an `.m4a` only at its end."""
    upload = store.begin("luma/1", "audio")
    upload.identify("audio.mp4", "video/mp4", {"task-id": "1"})
    upload.write(data)
    upload.identify("audio.m4a", "audio/mp4", {})
    return upload


def test_a_renamed_upload_leaves_no_early_name(fake: FakeS3, store: S3Store) -> None:
    """Only the last name is there in the end, without the note that was kept meanwhile."""
    data = content(PART + 1)
    renamed(store, data).publish(sha256=hashlib.sha256(data).hexdigest())

    assert list(fake.objects) == ["pre/fix/luma/1/audio.m4a"]
    assert data_of(fake, "luma/1/audio.m4a") == data
    assert fake.objects["pre/fix/luma/1/audio.m4a"].headers["Content-Type"] == "audio/mp4"


def test_a_failed_rename_is_discarded_whole(fake: FakeS3, store: S3Store) -> None:
    """When the copy fails, neither the early object nor its note outlives `discard`."""
    upload = renamed(store, content(PART + 1))
    fake.rules.append(Rule("PUT", "x-amz-copy-source", status=403, code="AccessDenied"))

    with pytest.raises(StoreError, match="s3:GetObject and s3:PutObject"):
        upload.publish(sha256="0" * 64)
    upload.discard()

    assert fake.objects == {}
    assert fake.uploads == {}


@pytest.mark.parametrize("cleaned", [True, False])
def test_what_a_killed_rename_left_is_no_good_object(
    fake: FakeS3, store: S3Store, cleaned: bool
) -> None:
    """An early name left by a killed run is removed by `clean`, and in nobody's way without."""
    data = content(PART + 1)
    upload = renamed(store, data)
    fake.rules.append(Rule("PUT", "x-amz-copy-source", status=403, code="AccessDenied"))
    with pytest.raises(StoreError):
        upload.publish(sha256="0" * 64)
    assert sorted(fake.objects) == [
        "pre/fix/luma/1/audio.mp4",
        "pre/fix/luma/1/audio.mp4.part.json",
    ]

    if cleaned:
        store.clean("luma/1")
        assert fake.objects == {}
    renamed(store, data).publish(sha256=hashlib.sha256(data).hexdigest())

    assert list(fake.objects) == ["pre/fix/luma/1/audio.m4a"]


def test_a_rename_killed_twice_is_still_no_good_object(fake: FakeS3, store: S3Store) -> None:
    """What the first run left goes before the note speaks of the second one's object."""
    for rule in [Rule("PUT", "x-amz-copy-source"), Rule("POST", "uploadId")]:
        rule.status, rule.code = 403, "AccessDenied"
        fake.rules.append(rule)
        with pytest.raises(StoreError):
            renamed(store, content(PART + 1)).publish(sha256="0" * 64)

    assert list(fake.objects) == ["pre/fix/luma/1/audio.mp4.part.json"]


def test_cleaning_spares_a_good_object_beside_a_note(fake: FakeS3, store: S3Store) -> None:
    """A note of another upload does not cost the object that has the name now."""
    put(store, content(PART + 1))
    fake.objects[f"pre/fix/{KEY}.part.json"] = StoredThing(b"another", {})
    fake.objects["pre/fix/luma/1/audio.part"] = StoredThing(b"x", {})
    fake.objects["pre/fix/luma/1/deeper/x.part"] = StoredThing(b"x", {})

    store.clean("luma/1")

    assert sorted(fake.objects) == ["pre/fix/luma/1/deeper/x.part", f"pre/fix/{KEY}"]


def test_another_media_type_is_a_copy_in_place(fake: FakeS3, store: S3Store) -> None:
    """When only the media type turned out otherwise, the object gets it where it lies."""
    data = content(PART + 1)
    upload = begun(store, data)
    upload.identify("video.mp4", "video/quicktime", {})
    upload.publish(sha256=hashlib.sha256(data).hexdigest())

    assert fake.objects[f"pre/fix/{KEY}"].headers["Content-Type"] == "video/quicktime"
    assert data_of(fake) == data
    assert list(fake.objects) == [f"pre/fix/{KEY}"]


def test_other_metadata_are_not_worth_a_copy(fake: FakeS3, store: S3Store) -> None:
    """A repair that names the same file again does not copy it."""
    data = content(PART + 1)
    upload = begun(store, data)
    upload.identify("video.mp4", "video/mp4", {})
    upload.publish(sha256=hashlib.sha256(data).hexdigest())

    assert not [seen for seen in fake.requests("PUT") if "x-amz-copy-source" in seen.headers]
    assert fake.objects[f"pre/fix/{KEY}"].headers["x-amz-meta-task-id"] == "1"


def test_a_large_object_is_copied_in_ranges(fake: FakeS3, store: S3Store) -> None:
    """Above the limit of one copy, ranges that cover every byte are put together."""
    data = stored(fake, 1000)
    identity = Identity(name="video.webm", media_type="video/webm", metadata={"task-id": "1"})

    copy(
        store._place,
        KEY,
        "luma/1/video.webm",
        identity,
        size_bytes=1000,
        token="t",
        copy_bytes=300,
    )

    assert data_of(fake, "luma/1/video.webm") == data
    assert len(fake.requests("PUT", "partNumber")) == 4
    assert fake.objects["pre/fix/luma/1/video.webm"].headers["x-amz-meta-upload"] == "t"


def test_a_copy_that_fails_leaves_no_upload(fake: FakeS3, store: S3Store) -> None:
    """When a range cannot be copied, nothing of the copy stays."""
    stored(fake, 1000)
    fake.rules.append(Rule("PUT", "partNumber=2", status=403, code="AccessDenied"))
    identity = Identity(name="a.webm", media_type="video/webm", metadata={})

    with pytest.raises(StoreError):
        copy(store._place, KEY, "a.webm", identity, size_bytes=1000, token="t", copy_bytes=300)

    assert fake.uploads == {}
    assert "pre/fix/a.webm" not in fake.objects


# --- misuse -------------------------------------------------------------------------------------


def test_misuse_is_a_bug_not_a_fault_of_the_store(store: S3Store) -> None:
    """Bytes after the end and publishing without a name are errors of the program."""
    upload = store.begin("luma/1", "video")
    with pytest.raises(RuntimeError, match="identify"):
        upload.publish(sha256="0" * 64)
    upload.discard()
    with pytest.raises(RuntimeError, match="ended"):
        upload.write(b"x")
    with pytest.raises(RuntimeError, match="ended"):
        upload.restart()
    with pytest.raises(ValueError, match="not a key"):
        store.begin("../up", "video")
    with pytest.raises(ValueError, match="not a key"):
        store.begin("luma", "video").identify("../../x.mp4", "video/mp4", {})
