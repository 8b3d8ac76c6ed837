"""A prefix of a bucket: AWS, R2, MinIO, Ceph, B2, SeaweedFS and the like.

Bytes go out as they arrive, in parts held in memory; nothing touches the local disk. Small files
are one put, larger ones a multipart upload; both happen only when the pipeline publishes, so that
an object under its final name is always whole.

What is guaranteed on any server: an object is visible whole or not at all, and the last good one
stays until the new one takes its place. What is not: one prefix has one writer. A second machine is
told so (`store_conflict`) when a task's manifest is another one than was read before its objects
are replaced and, where the server honours conditions on puts, when it rewrites the manifest;
elsewhere the last manifest wins. No check that a server makes is relied on: sizes are looked at
after every write, digests are the pipeline's own.

Importing this package is cheap next to `connect`, which loads boto3.
"""

from archiver.stores.s3.connection import Credentials, connect
from archiver.stores.s3.diagnosis import Trial
from archiver.stores.s3.store import S3Store

__all__ = ["Credentials", "S3Store", "Trial", "connect"]
