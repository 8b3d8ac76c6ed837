"""An upload that gets another name after its first part left.

S3 fixes an object's key with its first part. What was uploaded under the early name is copied
within the server, and the early name removed. It is never one that holds a good object; and a note
beside it (`….part.json`, as a folder has for its parts) lets the next run remove what a killed one
left in between.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/copy-object.html
"""

from __future__ import annotations

import math

from archiver.errors import PassingError, StoreError
from archiver.stores.s3.documents import Documents
from archiver.stores.s3.parts import MAX_PARTS
from archiver.stores.s3.place import TOKEN, Identity, Place

NOTE = ".part.json"

COPY_BYTES = 512 << 20
"""Above this a copy goes range by range: S3 copies 5 GiB at most, and each answer must come before
the time-out."""


def begin_rename(place: Place, early_key: str, *, token: str) -> None:
    """Take the early name for an upload that will not keep it.

    Raises:
        PassingError: An object of that name is there, and not what a killed run left.
    """
    found = place.head(early_key)
    if found is not None:
        if found.token is None or found.token != _noted(place, early_key):
            raise PassingError(
                f"an upload begun as {early_key} got another name, and an object of the first name"
                f" is in {place.label}; nothing was changed",
                code="store_conflict",
            )
        place.remove(early_key)
    Documents(place).write(early_key + NOTE, token.encode(), media_type="text/plain")


def finish_rename(place: Place, early_key: str) -> None:
    """Let go of the early name."""
    place.remove(early_key)
    place.remove(early_key + NOTE)


def clean_rename(place: Place, early_key: str) -> None:
    """Remove what a killed run left under an early name that has a note."""
    found = place.head(early_key)
    if found is not None and found.token is not None and found.token == _noted(place, early_key):
        place.remove(early_key)
    place.remove(early_key + NOTE)


def _noted(place: Place, early_key: str) -> str:
    data = Documents(place).read(early_key + NOTE, max_bytes=1024) or b""
    return data.decode("ascii", "replace")


def copy(
    place: Place,
    source: str,
    target: str,
    identity: Identity,
    *,
    size_bytes: int,
    token: str,
    copy_bytes: int = COPY_BYTES,
) -> None:
    """Copy an object, under another identity; the source stays. They may be the same key."""
    if size_bytes > copy_bytes:
        _copy_ranges(place, source, target, identity, size_bytes, token, copy_bytes)
        return
    with place.faults("rename", target):
        place.client.copy_object(
            Bucket=place.bucket,
            Key=place.full(target),
            CopySource={"Bucket": place.bucket, "Key": place.full(source)},
            MetadataDirective="REPLACE",
            ContentType=identity.media_type,
            Metadata={**identity.metadata, TOKEN: token},
            **place.of_upload(target),
        )


def _copy_ranges(
    place: Place,
    source: str,
    target: str,
    identity: Identity,
    size_bytes: int,
    token: str,
    copy_bytes: int,
) -> None:
    step = max(copy_bytes, math.ceil(size_bytes / MAX_PARTS))
    full = place.full(target)
    with place.faults("rename", target):
        upload_id = place.client.create_multipart_upload(
            Bucket=place.bucket,
            Key=full,
            ContentType=identity.media_type,
            Metadata={**identity.metadata, TOKEN: token},
            **place.of_upload(target),
        )["UploadId"]
    try:
        with place.faults("rename", target):
            etags = [
                place.client.upload_part_copy(
                    Bucket=place.bucket,
                    Key=full,
                    UploadId=upload_id,
                    PartNumber=number,
                    CopySource={"Bucket": place.bucket, "Key": place.full(source)},
                    CopySourceRange=f"bytes={start}-{min(start + step, size_bytes) - 1}",
                )["CopyPartResult"]["ETag"]
                for number, start in enumerate(range(0, size_bytes, step), start=1)
            ]
            place.client.complete_multipart_upload(
                Bucket=place.bucket,
                Key=full,
                UploadId=upload_id,
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": number, "ETag": etag}
                        for number, etag in enumerate(etags, start=1)
                    ]
                },
            )
    except StoreError:
        with place.faults("remove an unfinished upload of"):
            place.client.abort_multipart_upload(Bucket=place.bucket, Key=full, UploadId=upload_id)
        raise
