"""Kling's error numbers: what they mean, whatever HTTP status they come with.

Source: providers.md section 10. What an unknown task gives is not documented (1203 is likely), so
no number alone says that a task is gone.
"""

from __future__ import annotations

from archiver.answers import Fields, account_fault, integer_of, is_layer, json_of, raise_for_answer
from archiver.errors import ArchiverError, KeyRefusedError, NoCreditError, ProviderError
from archiver.model import Answer, JsonValue

_MAX_LAYERS = 64
_FIRST, _LAST = 1000, 5999
_KEY = frozenset({1000, 1001, 1002, 1003, 1004})
_CREDIT = frozenset({1100, 1101, 1102})
_NO_ACCESS = 1103
_NO_SUCH = frozenset({1202, 1203})
_ADDRESS = 1304


def raise_for_kling(answer: Answer) -> None:
    """Do nothing if an answer may hold what was asked for; else say what it means.

    Raises:
        ProviderError: As `answers.raise_for_answer`, and by Kling's own numbers.
    """
    fault = fault_of(answer.body)
    if fault is not None:
        raise fault
    raise_for_answer(answer)


def classify(answer: Answer) -> ArchiverError | None:
    """Read an answer of status 400 and up before its status is: 429 may mean "no credit"."""
    return fault_of(answer.body) or account_fault(answer.body)


def fault_of(body: JsonValue) -> ProviderError | None:
    """Return the error that a number in a body means; `None`: none that is known here."""
    value = json_of(body)
    for _ in range(_MAX_LAYERS):
        if not isinstance(value, dict):
            return None
        number = integer_of(value.get("code"))
        if number is not None and _FIRST <= number <= _LAST and not value.get("data"):
            return _fault(number, Fields(value).words("message", "msg") or "nothing about it")
        value = json_of(value["data"]) if is_layer(value) else None
    return None


def _fault(number: int, words: str) -> ProviderError | None:
    said = f"Kling says {number}: {words}"
    if number in _KEY:
        return KeyRefusedError(f"the key is refused; {said}")
    if number in _CREDIT:
        return NoCreditError(f"the account has no credit; {said}")
    if number == _ADDRESS:
        return KeyRefusedError(f"this machine's address is not on the key's list; {said}")
    if number == _NO_ACCESS:
        return ProviderError(f"the account may not use this action; {said}", code="no_access")
    if number in _NO_SUCH:
        return ProviderError(
            f"{said}; it may be an id of another account, or cleared after 30 days",
            code="no_such_task",
        )
    return None
