"""One suite for every store: a folder, and real S3 servers over http and https.

What a store did is looked at from outside (the file tree, a client of its own) and hashed: neither
the store's word nor a server's checksum is trusted.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archiver.contracts import ResumeProof
from archiver.errors import DamageError
from archiver.model import StoredObject
from tests.contract.storekits import FOLDER, PART, SIZES, Kit, LocalKit, content, feed, put

ODD_NAMES = [
    "a b.mp4",
    "%C3%A9%2F.mp4",
    "~0123456789ab.mp4",
    "q?x=1&y#z+.mp4",
    "é\u4e2d.mp4",
    "'\".m",
]


# --- uploads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_bytes_come_back(kit: Kit, size: int) -> None:
    """What was written, and nothing else, is there under the final name."""
    data = content(size)

    stored = put(kit.store, data)

    assert stored.key == f"{FOLDER}/video.mp4"
    assert stored.size_bytes == size
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert hashlib.sha256(kit.read(stored.key)).hexdigest() == stored.sha256
    assert kit.names() == {stored.key}
    assert kit.leftovers() == []


@pytest.mark.parametrize("size", [1000, SIZES["3.5 parts"]], ids=["small", "parts"])
def test_invisible_until_published(kit: Kit, size: int) -> None:
    """Until `publish` returns there is nothing under any name that a reader sees."""
    data = content(size)
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    feed(upload, data)
    upload.seal()

    assert kit.names() == set()
    assert list(kit.store.entries()) == []
    assert kit.store.stat(f"{FOLDER}/video.mp4") is None
    assert upload.offset == size

    upload.publish(sha256=hashlib.sha256(data).hexdigest())
    assert kit.names() == {f"{FOLDER}/video.mp4"}


@pytest.mark.parametrize("size", [1000, SIZES["3.5 parts"]], ids=["small", "parts"])
def test_old_object_stays_until_the_new_one_takes_its_place(kit: Kit, size: int) -> None:
    """The last good copy is whole until the moment at which the new one is."""
    old, new = content(size, seed=1), content(size + 5, seed=2)
    key = put(kit.store, old).key
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    feed(upload, new)
    upload.seal()
    assert kit.read(key) == old

    upload.publish(sha256=hashlib.sha256(new).hexdigest())
    assert kit.read(key) == new


@pytest.mark.parametrize("size", [1000, SIZES["3.5 parts"]], ids=["small", "parts"])
def test_discard_leaves_nothing(kit: Kit, size: int) -> None:
    """A discarded upload leaves no trace and does not touch what was there before."""
    old = content(size, seed=1)
    key = put(kit.store, old).key
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    feed(upload, content(size, seed=2))

    upload.discard()
    upload.discard()

    assert kit.leftovers() == []
    assert kit.names() == {key}
    assert kit.read(key) == old


def test_restart_forgets_the_bytes_before(kit: Kit) -> None:
    """After `restart` only what came later counts, under the last name given."""
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    upload.expect(ResumeProof(etag='"a"', total_bytes=PART * 3, link="https://a.example/v"))
    feed(upload, content(PART * 2 + 10))
    upload.restart()
    assert upload.offset == 0
    assert upload.proof is None

    data = content(PART + 10, seed=3)
    upload.identify("video.webm", "video/webm", {})
    feed(upload, data)
    upload.seal()
    stored = upload.publish(sha256=hashlib.sha256(data).hexdigest())

    assert stored.key == f"{FOLDER}/video.webm"
    assert kit.read(stored.key) == data
    assert kit.names() == {stored.key}
    assert kit.leftovers() == []


def test_ends_can_be_called_again(kit: Kit) -> None:
    """After `publish`, a second one says the same, and `discard` and `park` do nothing."""
    data = content(1000)
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    feed(upload, data)
    upload.seal()
    stored = upload.publish(sha256=hashlib.sha256(data).hexdigest())

    assert upload.publish(sha256=hashlib.sha256(data).hexdigest()) == stored
    upload.discard()
    upload.park()

    assert kit.read(stored.key) == data


def test_parked_bytes_are_offered_again_or_gone(kit: Kit) -> None:
    """A store keeps all of what was parked, with its proof, or nothing at all."""
    data = content(PART + 1000)
    proof = ResumeProof(etag='"e"', total_bytes=len(data), link="https://a.example/v.mp4")
    first = kit.store.begin(FOLDER, "video")
    first.identify("video.mp4", "video/mp4", {})
    first.expect(proof)
    feed(first, data[: PART + 100])
    first.vouch(hashlib.sha256(data[: PART + 100]).hexdigest())
    first.park()
    first.park()
    assert kit.names() == set()

    again = kit.next_run().begin(FOLDER, "video")
    held = b"".join(again.held())

    assert held == data[: again.offset]
    assert again.offset in (0, PART + 100)
    if again.offset:
        assert again.proof is not None
        assert replace(again.proof, vouched_bytes=0, vouched_sha256="", boot="") == proof
        assert again.proof.vouched_bytes == again.offset
    else:
        assert again.proof is None
    again.identify("video.mp4", "video/mp4", {})
    feed(again, data[again.offset :])
    again.seal()
    stored = again.publish(sha256=hashlib.sha256(data).hexdigest())
    assert kit.read(stored.key) == data
    assert kit.leftovers() == []


def test_peek_gives_what_is_held_or_says_that_it_is_gone(kit: Kit) -> None:
    """`peek` returns right bytes or `None`, and never wrong ones."""
    data = content(PART * 2 + 1000)
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    upload.write(data[:1000])
    assert upload.peek(10, 20) == data[10:30]

    feed(upload, data[1000:])
    for offset in (0, 10, PART - 5, PART * 2 + 900):
        assert upload.peek(offset, 50) in (None, data[offset : offset + 50])
    upload.discard()


def test_many_uploads_at_once(kit: Kit) -> None:
    """Eight threads do not mix up each other's bytes."""

    def work(number: int) -> tuple[str, str]:
        data = content([100, PART + 17, PART * 2 + 3][number % 3], seed=number)
        stored = put(kit.store, data, folder=f"luma/{number}")
        return stored.key, hashlib.sha256(data).hexdigest()

    with ThreadPoolExecutor(8) as pool:
        written = dict(pool.map(work, range(12)))

    assert kit.names() == set(written)
    for key, digest in written.items():
        assert hashlib.sha256(kit.read(key)).hexdigest() == digest
    assert kit.leftovers() == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names(kit: Kit, name: str) -> None:
    """Whatever stands in a name or a folder comes back as it is."""
    folder = f"luma/{name}"
    data = content(50)

    stored = put(kit.store, data, folder=folder, name=name)

    key = f"{folder}/{name}"
    assert stored.key == key
    assert kit.names() == {key}
    assert [entry.key for entry in kit.store.entries(folder)] == [key]
    assert kit.store.stat(key) is not None
    with kit.store.open(key) as file:
        assert file.read() == data
    kit.store.delete([key])
    assert kit.names() == set()


# --- documents, listing, reading, deleting ------------------------------------------------------


def test_documents(kit: Kit) -> None:
    """A document is replaced whole; one that is not there is `None`; a huge one is damage."""
    key = f"{FOLDER}/manifest.json"
    assert kit.store.read_document(key) is None
    kit.store.put_document(key, b'{"a": 1}')
    assert kit.store.read_document(key) == b'{"a": 1}'
    kit.store.put_document(key, b"{}")
    kit.store.put_document(key, b"[]")

    assert kit.read(key) == b"[]"
    assert kit.store.read_document(key, max_bytes=2) == b"[]"
    with pytest.raises(DamageError):
        kit.store.read_document(key, max_bytes=1)
    assert kit.leftovers() == []


def test_entries_stay_below_their_folder(kit: Kit) -> None:
    """A listing yields all final objects of a folder, none of its neighbours, with their sizes."""
    keys = ["luma/a/video.mp4", "luma/a/manifest.json", "luma/ab/video.mp4", ".archiver/store.json"]
    for size, key in enumerate(keys):
        kit.store.put_document(key, b"x" * size)
    upload = kit.store.begin("luma/a", "audio")
    upload.identify("audio.mp3", "audio/mpeg", {})
    feed(upload, content(PART + 1))

    def listed(prefix: str) -> dict[str, int]:
        return {entry.key: entry.size_bytes for entry in kit.store.entries(prefix)}

    assert listed("") == {key: size for size, key in enumerate(keys)}
    assert listed("luma/a") == {"luma/a/video.mp4": 0, "luma/a/manifest.json": 1}
    assert listed("luma/nothing") == {}
    assert listed("lum") == {}
    upload.discard()


def test_stat(kit: Kit) -> None:
    """`stat` tells the size and a date; of what is not there it tells nothing."""
    key = put(kit.store, content(1234)).key

    found = kit.store.stat(key)

    assert found is not None
    assert (found.key, found.size_bytes) == (key, 1234)
    assert found.modified_at is not None
    assert abs(found.modified_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert kit.store.stat(f"{FOLDER}/nothing.mp4") is None
    assert kit.store.stat(FOLDER) is None or isinstance(kit, LocalKit)


def test_open_reads_and_seeks(kit: Kit) -> None:
    """An object is read like a file, in any order."""
    data = content(3 << 20)
    key = put(kit.store, data).key

    with kit.store.open(key) as file:
        assert file.seekable()
        assert file.read(10) == data[:10]
        assert file.seek(-7, os.SEEK_END) == len(data) - 7
        assert file.read() == data[-7:]
        assert file.seek(1000) == 1000
        assert file.read(5000) == data[1000:6000]
        assert file.seek(2 << 20) == 2 << 20
        assert file.tell() == 2 << 20
        assert file.read(5) == data[2 << 20 : (2 << 20) + 5]
        assert file.seek(len(data) + 5) == len(data) + 5
        assert file.read(1) == b""
        file.seek(0)
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data).digest()


def test_open_of_nothing_is_damage(kit: Kit) -> None:
    """An object that should be there and is not is damage, not a fault of the store."""
    with pytest.raises(DamageError):
        kit.store.open(f"{FOLDER}/video.mp4").__enter__()


def test_delete(kit: Kit) -> None:
    """Deleting removes what is named and nothing else; what is not there is no error."""
    for name in ("a", "b", "c", "d"):
        kit.store.put_document(f"{FOLDER}/{name}.json", b"{}")

    kit.store.delete([f"{FOLDER}/a.json"])
    kit.store.delete(iter([f"{FOLDER}/b.json", f"{FOLDER}/nothing.json", f"{FOLDER}/c.json"]))
    kit.store.delete([])
    kit.store.delete([f"{FOLDER}/nothing.json"])

    assert kit.names() == {f"{FOLDER}/d.json"}


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "a/./b", "a\0b"])
def test_keys_cannot_leave_the_store(kit: Kit, key: str) -> None:
    """A key that is no plain relative path is refused before anything is done."""
    with pytest.raises(ValueError, match="not a key"):
        kit.store.put_document(key, b"{}")
    with pytest.raises(ValueError, match="not a key"):
        kit.store.stat(key)


def test_check_leaves_nothing_behind(kit: Kit) -> None:
    """Trying the store changes nothing that anybody sees."""
    kit.store.check()

    assert kit.names() == set()
    assert kit.leftovers() == []


def test_adopting_needs_the_digest(kit: Kit) -> None:
    """What a killed run left complete is taken up under its name only by its digest."""
    data = content(PART + 100)
    digest = hashlib.sha256(data).hexdigest()
    upload = kit.store.begin(FOLDER, "video")
    upload.identify("video.mp4", "video/mp4", {})
    upload.expect(ResumeProof(etag='"e"', total_bytes=len(data), link="https://a.example/v"))
    feed(upload, data)
    upload.seal()
    if isinstance(kit, LocalKit):
        upload.park()
    else:
        upload.publish(sha256=digest)

    store = kit.next_run()
    assert store.adopt_part(FOLDER, "video", "video.mp4", sha256="0" * 64) is None
    assert store.adopt_part(FOLDER, "audio", "audio.mp3", sha256=digest) is None
    adopted = store.adopt_part(FOLDER, "video", "video.mp4", sha256=digest)

    assert adopted == StoredObject(key=f"{FOLDER}/video.mp4", size_bytes=len(data), sha256=digest)
    assert kit.read(adopted.key) == data
    assert kit.leftovers() == []


KILLED = """
import sys
{connect}
upload = store.begin({folder!r}, "video")
upload.identify("video.mp4", "video/mp4", {{}})
upload.write(bytes({size}))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("size", [1000, SIZES["3.5 parts"]], ids=["small", "parts"])
def test_a_killed_process_leaves_nothing_that_clean_does_not_find(kit: Kit, size: int) -> None:
    """After SIGKILL in mid-upload nothing is visible, and `clean` removes the rest."""
    code = KILLED.format(connect=kit.connect_code(), folder=FOLDER, size=size)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
        finally:
            process.send_signal(signal.SIGKILL)
    assert kit.names() == set()
    if size > PART:
        assert kit.leftovers() != []

    kit.next_run().clean(FOLDER)

    assert kit.leftovers() == []
    assert kit.names() == set()


def test_label_has_no_secret(kit: Kit) -> None:
    """What people are shown of a store holds no key."""
    assert "SKTEST" not in kit.store.label
    assert "SKTEST" not in repr(kit.store)
    assert kit.store.is_local == isinstance(kit, LocalKit)
    assert (kit.store.free_bytes() is None) != kit.store.is_local
