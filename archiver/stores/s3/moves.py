"""Give a finished object another name or identity, by copies within the server.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/copy-object.html
"""

from __future__ import annotations

import math

from archiver.errors import StoreError
from archiver.stores.s3.place import TOKEN, Identity, Place

COPY_BYTES = 512 << 20
"""Above this a copy goes range by range: S3 copies 5 GiB at most, and each answer must come before
the time-out."""

_MAX_PARTS = 10_000


def move(
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
            **place.of_assets,
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
    step = max(copy_bytes, math.ceil(size_bytes / _MAX_PARTS))
    full = place.full(target)
    with place.faults("rename", target):
        upload_id = place.client.create_multipart_upload(
            Bucket=place.bucket,
            Key=full,
            ContentType=identity.media_type,
            Metadata={**identity.metadata, TOKEN: token},
            **place.of_assets,
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
