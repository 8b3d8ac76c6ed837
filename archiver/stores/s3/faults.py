"""What S3 servers and boto3 say when something fails, in plain words.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what MinIO, Ceph,
SeaweedFS, rclone, R2 and B2 were seen to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from archiver.errors import StoreError, StoreFullError
from archiver.redaction import printable, redact_text

LIBRARY_ERRORS = (BotoCoreError, ResponseParserError, HTTPError, OSError)
"""All that boto3 raises apart from `ClientError`, also while a body is read."""

_RIGHTS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CopyObject": "s3:GetObject and s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject (and s3:ListBucket, to tell what is not there)",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "UploadPartCopy": "s3:GetObject and s3:PutObject",
}
_PUT_RIGHT = "s3:PutObject"

_WORDS = {
    "NoSuchBucket": "the bucket does not exist; check [store] url",
    "AccountProblem": "there is a problem with the account; ask its provider",
    "AllAccessDisabled": "all access to this bucket is disabled",
    "InvalidAccessKeyId": "the server does not know this access key id",
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "ExpiredToken": "the session token has run out",
    "InvalidToken": "the session token is not valid",
    "TokenRefreshRequired": "the session token has run out",
    "InvalidStorageClass": "the server does not know this [store.s3] storage_class",
    "InvalidObjectState": "the object lies in an archive class and must be restored there first",
    "NoSuchUpload": "the unfinished upload was removed by someone else; one prefix has one writer",
    "KMS.DisabledException": "the KMS key is disabled",
    "KMS.NotFoundException": "the KMS key does not exist; check [store.s3] sse_kms_key_id",
    "NotImplemented": "the server cannot do this; check [store.s3] sse and storage_class",
    "SlowDown": "the server asks for fewer requests, again and again",
    "RequestTimeout": "the server waited too long for the bytes",
}
_WRONG_REGION = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidRegionName",
        "PermanentRedirect",
    }
)
_DENIED = frozenset({"AccessDenied", "Forbidden", "Unauthorized", "UnauthorizedAccess", "403"})
_FULL = frozenset(
    {
        "BucketQuotaExceeded",
        "InsufficientStorage",
        "InsufficientStorageSpace",
        "QuotaExceeded",
        "ServiceQuotaExceeded",
        "StorageCapExceeded",
        "StorageQuotaExceeded",
        "XMinioAdminBucketQuotaExceeded",
        "XMinioStorageFull",
    }
)
_RATE = re.compile(r"SlowDown|Throttl|TooManyRequests|RequestLimit|RateExceeded|429")
_FULL_WORDS = re.compile(
    r"quota|cap exceeded|no space left|storage (?:is )?full|disk (?:is )?full"
    r"|insufficient storage|not enough (?:free )?space|no (?:free|writable) volume",
    re.IGNORECASE,
)
_FULL_STATUS = 507


def code_of(error: ClientError) -> str:
    """Return the server's own code; of an answer without a body, its status (`404`)."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of a refusal."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def is_missing(error: ClientError) -> bool:
    """Tell whether the server says that there is no such object."""
    return code_of(error) in ("NoSuchKey", "NotFound", "404")


@contextmanager
def store_faults(what: str) -> Iterator[None]:
    """Map errors where they enter.

    boto3's own texts hold URLs with queries: they are neither quoted nor chained.

    Args:
        what: Completes "cannot …": `write luma/1/video.mp4 in s3://bucket/prefix`.
    """
    try:
        yield
    except ClientError as error:
        raise of_answer(error, what) from None
    except LIBRARY_ERRORS as error:
        raise of_library(error, what) from None


def of_answer(error: ClientError, what: str) -> StoreError:
    """Return what a refusal of the server means."""
    code = code_of(error)
    message = str(error.response.get("Error", {}).get("Message") or "")
    if _is_full(code, message, status_of(error)):
        return StoreFullError(
            f"cannot {what}: the bucket or its quota is full ({_quoted(code, message)}); what is"
            " archived is safe: make room and run again"
        )
    return StoreError(f"cannot {what}: {_reason(error, code, message)}")


def _is_full(code: str, message: str, status: int) -> bool:
    if _RATE.search(code):
        return False
    return code in _FULL or status == _FULL_STATUS or _FULL_WORDS.search(message) is not None


def _reason(error: ClientError, code: str, message: str) -> str:
    if code in _WORDS:
        return f"{_WORDS[code]} ({code})"
    if code == "RequestTimeTooSkewed":
        date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        there = f", the server's says {printable(str(date))[:40]}" if date else ""
        return f"this machine's clock is wrong{there} (RequestTimeTooSkewed)"
    if code in _WRONG_REGION:
        region = error.response.get("Error", {}).get("Region")
        right = f' to "{printable(str(region))[:64]}"' if region else ""
        return f"the region is wrong: set [store.s3] region{right} ({code})"
    if code in _DENIED:
        right = _RIGHTS.get(error.operation_name, _PUT_RIGHT)
        said = f"; the server says: {_quoted('', message)}" if message else ""
        return f"access is denied: the key needs the right {right} ({code}){said}"
    if code == str(status_of(error)):
        return f"the server answered {code} and does not say why; check [store.s3] endpoint_url"
    if code.startswith("KMS."):
        return f"the KMS key cannot be used ({_quoted(code, message)})"
    return f"the server answered {status_of(error)} ({_quoted(code, message)})"


def _quoted(code: str, message: str) -> str:
    """Return the server's own words, short and fit for a log."""
    words = ": ".join(word for word in (code, message) if word)
    return printable(redact_text(words[:400]))[:240]


def of_library(error: Exception, what: str) -> StoreError:
    """Return what an error of boto3 or of the network means."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        reason = (
            "no credentials were found; set [store.s3] access_key_id_env and"
            " secret_access_key_env, or what boto3 reads (AWS_ACCESS_KEY_ID, a profile, a role)"
        )
    elif isinstance(error, CredentialRetrievalError | TokenRetrievalError):
        reason = "the credentials could not be got from where boto3 was told to look"
    elif isinstance(error, SSLError):
        reason = "the server's certificate is not trusted; AWS_CA_BUNDLE can name another CA"
    elif isinstance(error, ProxyConnectionError):
        reason = "the proxy cannot be reached"
    elif isinstance(error, ConnectTimeoutError | ReadTimeoutError):
        reason = "the server does not answer in time"
    elif isinstance(error, ParamValidationError):
        reason = "boto3 refuses the request; check the bucket's name in [store] url"
    elif isinstance(error, ResponseParserError):
        reason = "the answer is not one of S3; check [store.s3] endpoint_url"
    else:
        reason = "the server cannot be reached, or broke the connection"
    return StoreError(f"cannot {what}: {reason} ({type(error).__name__})")
