"""Library errors in this project's words.

Only the peer's host and port and the system's own text for an error number go into a message:
never the library's message, which may quote a link.
"""

from __future__ import annotations

import os
import ssl

from archiver.errors import PassingError


class ConnectionLostError(PassingError):
    """The connection ended before the first byte of an answer.

    On a connection that was kept open this is no fault: the server had closed it meanwhile, and
    the request is sent once more on a new one.
    """

    code = "reset"


def passing(peer: str, fault: OSError) -> PassingError:
    """Map what a socket raised.

    Args:
        peer: Host and port.
        fault: From a socket, plain or TLS.
    """
    if isinstance(fault, TimeoutError):
        return PassingError(f"{peer} sent nothing for too long", code="timeout")
    if isinstance(fault, ssl.SSLCertVerificationError):
        return PassingError(
            f"the certificate of {peer} was not accepted: {_plain(fault.verify_message)}",
            code="tls_certificate",
        )
    if isinstance(fault, ssl.SSLError):
        reason = _plain(fault.reason or "connection broken")
        return PassingError(f"TLS with {peer} failed: {reason}", code="tls")
    if isinstance(fault, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return PassingError(f"{peer} broke the connection off", code="reset")
    reason = os.strerror(fault.errno) if fault.errno else "connection broken"
    return PassingError(f"{peer} cannot be reached: {reason}", code="unreachable")


def no_meaning(peer: str, what: str) -> PassingError:
    """Make the error for bytes that are not HTTP/1.1."""
    return PassingError(f"{peer} sent an answer that is not HTTP/1.1: {what}", code="bad_http")


def ended_early(peer: str, got: int, announced: int | None) -> PassingError:
    """Make the error for a body that ends before its announced length."""
    of = f" of {announced}" if announced is not None else ""
    return PassingError(f"{peer} ended the answer early, after {got}{of} bytes", code="short_body")


def _plain(text: object) -> str:
    return "".join(char if char.isprintable() else " " for char in str(text))[:200]
