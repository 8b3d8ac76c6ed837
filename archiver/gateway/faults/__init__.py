"""What can go wrong with an answer, one small type each."""

from archiver.gateway.faults.answers import (
    EmptyBody,
    HtmlPage,
    Redirect,
    RedirectChain,
    RedirectLoop,
    Status,
    XmlError,
)
from archiver.gateway.faults.base import Fault, Meanwhile, Pass, Together
from archiver.gateway.faults.sending import (
    Chunked,
    Cut,
    Delay,
    Drop,
    Endless,
    Stall,
    Trickle,
    UntilClose,
)
from archiver.gateway.faults.views import (
    ChangedFile,
    Gzip,
    Headers,
    IgnoreRange,
    NoETag,
    WeakETag,
    WrongLength,
    WrongStart,
    WrongTotal,
)

__all__ = [
    "ChangedFile",
    "Chunked",
    "Cut",
    "Delay",
    "Drop",
    "EmptyBody",
    "Endless",
    "Fault",
    "Gzip",
    "Headers",
    "HtmlPage",
    "IgnoreRange",
    "Meanwhile",
    "NoETag",
    "Pass",
    "Redirect",
    "RedirectChain",
    "RedirectLoop",
    "Stall",
    "Status",
    "Together",
    "Trickle",
    "UntilClose",
    "WeakETag",
    "WrongLength",
    "WrongStart",
    "WrongTotal",
    "XmlError",
]
