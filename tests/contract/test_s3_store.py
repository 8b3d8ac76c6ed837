"""What only a bucket has: media types, classes, several writers, servers that die."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest

from archiver.errors import PassingError, StoreError
from archiver.stores.s3 import Credentials
from tests import s3servers
from tests.contract.storekits import BUCKET, FOLDER, PART, Line, S3Kit, content, feed, put


@pytest.mark.parametrize("size", [1000, PART + 1], ids=["small", "parts"])
def test_media_type_metadata_and_class(s3kit: S3Kit, size: int) -> None:
    """Assets bear media type, metadata and storage class; documents are STANDARD."""
    store = s3kit.connect(storage_class="STANDARD_IA")
    data = content(size)
    metadata = {"task-id": "4b3c é?x", "source": "luma", "long": "é" * 3000}

    key = put(store, data, metadata=metadata).key
    store.put_document(f"{FOLDER}/manifest.json", b"{}")

    media_type, found, storage_class = s3kit.head(key)
    assert media_type == "video/mp4"
    assert found["task-id"] == "4b3c%20%C3%A9%3Fx"
    assert found["source"] == "luma"
    assert found["long"].startswith("%C3%A9%C3%A9")
    assert len(found["long"]) <= 256
    assert found.get("sha256") == (hashlib.sha256(data).hexdigest() if size <= PART else None)
    assert storage_class == "STANDARD_IA"
    assert s3kit.head(f"{FOLDER}/manifest.json")[0::2] == ("application/json", "STANDARD")


def test_a_later_identity_counts(one_s3kit: S3Kit) -> None:
    """An upload renamed after its first part left ends under its last name only."""
    kit = one_s3kit
    data = content(PART * 2 + 5)
    upload = kit.store.begin(FOLDER, "audio")
    upload.identify("audio.mp4", "video/mp4", {"task-id": "a"})
    feed(upload, data)
    upload.identify("audio.m4a", "audio/mp4", {"task-id": "b"})
    stored = upload.publish(sha256=hashlib.sha256(data).hexdigest())

    assert stored.key == f"{FOLDER}/audio.m4a"
    assert kit.names() == {stored.key}
    assert kit.read(stored.key) == data
    media_type, metadata, _ = kit.head(stored.key)
    assert (media_type, metadata["task-id"]) == ("audio/mp4", "b")
    assert list(kit.store.entries()) != []
    assert kit.leftovers() == []


def test_a_renamed_upload_does_not_pass_through_a_good_object(one_s3kit: S3Kit) -> None:
    """When the first name is taken, nothing is written and the good object stays."""
    kit = one_s3kit
    old, new = content(100), content(PART + 5, seed=2)
    key = put(kit.store, old, name="audio.mp4").key
    upload = kit.store.begin(FOLDER, "audio")
    upload.identify("audio.mp4", "video/mp4", {})
    feed(upload, new)
    upload.identify("audio.m4a", "audio/mp4", {})

    with pytest.raises(PassingError):
        upload.publish(sha256=hashlib.sha256(new).hexdigest())
    upload.discard()

    assert kit.names() == {key}
    assert kit.read(key) == old
    assert kit.leftovers() == []


def test_a_manifest_changed_by_another_machine(one_s3kit: S3Kit) -> None:
    """Where the server honours conditions, another machine's manifest is not overwritten."""
    kit = one_s3kit
    key = f"{FOLDER}/manifest.json"
    ours, theirs = kit.store, kit.next_run()
    assert ours.read_document(key) is None
    theirs.put_document(key, b"theirs")

    if kit.server.honours_conditions:
        with pytest.raises(StoreError, match="another writer") as caught:
            ours.put_document(key, b"ours")
        assert caught.value.code == "store_conflict"
        assert kit.read(key) == b"theirs"
    else:
        ours.put_document(key, b"ours")

    assert ours.read_document(key) is not None
    ours.put_document(key, b"ours")
    ours.put_document(key, b"ours 2")
    assert kit.read(key) == b"ours 2"


def test_bookkeeping_may_be_rewritten_by_any_run(one_s3kit: S3Kit) -> None:
    """Two runs of two sources both rewrite `.archiver/pending.jsonl`; the last one counts."""
    kit = one_s3kit
    key = ".archiver/pending.jsonl"
    ours, theirs = kit.store, kit.next_run()
    ours.read_document(key)
    theirs.put_document(key, b"theirs")
    ours.put_document(key, b"ours")

    assert kit.read(key) == b"ours"


def test_clean_spares_what_is_alive(one_s3kit: S3Kit) -> None:
    """`clean` aborts other processes' uploads below its folder; its own and others' stay."""
    kit = one_s3kit
    dead, alive = kit.next_run(), kit.store
    uploads = []
    for store, folder in [(dead, FOLDER), (dead, FOLDER + "x"), (alive, FOLDER)]:
        upload = store.begin(folder, "video")
        upload.identify("video.mp4", "video/mp4", {})
        feed(upload, content(PART + 10))
        uploads.append(upload)

    alive.clean(FOLDER)

    prefix = f"{kit.prefix}/"
    left = sorted(key.removeprefix(prefix) for key in kit.leftovers())
    assert left == [f"{FOLDER}/video.mp4", f"{FOLDER}x/video.mp4"]
    data = content(PART + 10)
    stored = uploads[2].publish(sha256=hashlib.sha256(data).hexdigest())
    assert kit.read(stored.key) == data
    with pytest.raises(StoreError):
        uploads[0].publish(sha256=hashlib.sha256(data).hexdigest())
    uploads[0].discard()
    uploads[1].discard()
    assert kit.leftovers() == []


def test_stale_uploads_are_found_by_age(one_s3kit: S3Kit) -> None:
    """`clean_stale` aborts what is older than asked for, below the prefix, in any folder."""
    kit = one_s3kit
    upload = kit.next_run().begin("any/folder", "video")
    upload.identify("video.mp4", "video/mp4", {})
    feed(upload, content(PART + 10))

    assert kit.store.clean_stale(timedelta(hours=1)) == 0
    assert len(kit.leftovers()) == 1
    assert kit.store.clean_stale(timedelta(seconds=-60)) == 1
    assert kit.leftovers() == []


def test_diagnose_tries_every_right(s3kit: S3Kit) -> None:
    """All rights that a run needs are tried by name, and nothing is left behind."""
    trials = s3kit.store.diagnose()

    assert [trial.right for trial in trials if trial.ok] == [
        "s3:ListBucket",
        "s3:PutObject",
        "s3:GetObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucketMultipartUploads",
    ]
    assert s3kit.names() == set()
    assert s3kit.leftovers() == []


@pytest.mark.s3
def test_server_side_encryption(s3kit_of: Callable[[str], S3Kit]) -> None:
    """With `sse`, assets and documents are both encrypted."""
    kit = s3kit_of("seaweedfs-https")
    store = kit.connect(sse="AES256")
    small, large = content(10), content(PART + 1)
    put(store, small, name="a.mp4")
    put(store, large, name="b.mp4")
    store.put_document(f"{FOLDER}/manifest.json", b"{}")

    for name, data in {"a.mp4": small, "b.mp4": large, "manifest.json": b"{}"}.items():
        key = f"{kit.prefix}/{FOLDER}/{name}"
        head = kit.client.head_object(Bucket=BUCKET, Key=key)
        assert head["ServerSideEncryption"] == "AES256"
        assert kit.read(f"{FOLDER}/{name}") == data


# --- faults -------------------------------------------------------------------------------------

WRONG = {
    "bucket": ({"bucket": "no-such-bucket"}, "bucket does not exist"),
    "secret": (
        {"credentials": Credentials(access_key_id="AKTEST", secret_access_key="WRONGSECRET")},
        "secret access key is wrong",
    ),
    "key id": (
        {"credentials": Credentials(access_key_id="AKWRONG", secret_access_key="WRONGSECRET")},
        "does not know this access key id|denied",
    ),
    "endpoint": ({"endpoint_url": "http://127.0.0.1:9", "max_attempts": 1}, "cannot be reached"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_plain_words(
    s3kit: S3Kit, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong setting is a `StoreError` that names it, with no secret in it or in the log."""
    settings, words = WRONG[wrong]
    caplog.set_level(logging.DEBUG)
    store = s3kit.connect(**settings)  # type: ignore[arg-type]
    attempts: list[Callable[[], object]] = [
        store.check,
        lambda: put(store, content(10)),
        lambda: put(store, content(PART + 1)),
        lambda: store.put_document("a/manifest.json", b"{}"),
        lambda: store.read_document("a/manifest.json"),
        lambda: list(store.entries()),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match=words) as caught:
            attempt()
        text = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
        assert "WRONGSECRET" not in text
        assert "Signature=" not in text
        assert "uploadId" not in text
    assert not any(trial.ok for trial in store.diagnose() if trial.needed)
    assert "WRONGSECRET" not in caplog.text
    assert "Signature=" not in caplog.text


@pytest.mark.s3
@pytest.mark.parametrize(
    "kind", ["rclone-http", pytest.param("seaweedfs-http", marks=pytest.mark.slow)]
)
def test_a_server_that_dies_leaves_no_half_object(kind: str) -> None:
    """When the server dies in mid-upload it is the store's fault, and no half object appears."""
    with contextlib.ExitStack() as stack:
        server = s3servers.started(kind, stack)[kind]
        server.make_bucket(BUCKET)
        line = stack.enter_context(contextlib.closing(Line(server=server)))
        kit = S3Kit(line=line, prefix="x")
        store = kit.connect(max_attempts=2)
        old = content(1000)
        key = put(store, old).key
        upload = store.begin(FOLDER, "video")
        upload.identify("video.mp4", "video/mp4", {})
        upload.write(content(PART * 2))
        server.process.end(signal.SIGKILL)

        with pytest.raises(StoreError, match="cannot be reached"):
            upload.write(content(PART * 6))
        upload.discard()  # the failure was told
        upload.discard()

        server.process.start()
        s3servers.wait_until_ready(server)
        assert kit.names() == {key}
        assert kit.read(key) == old
        kit.next_run().clean(FOLDER)
        assert kit.leftovers() == []
