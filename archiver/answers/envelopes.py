"""Envelopes: what gateways wrap around the body of the API behind them.

Source: new-api's task API (`code`, `data`, rows with `status`, `fail_reason`, `submit_time`), and
the forms of other gateways, which nest it, give rows as a list, or leave `code` out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from archiver.answers.reading import Fields
from archiver.answers.scalars import json_of, text_of
from archiver.errors import ProviderError
from archiver.model import JsonObject, JsonValue

MAX_LAYERS = 64
"""Envelopes within envelopes; real gateways nest three."""

_ROW = frozenset({"fail_reason", "submit_time", "platform", "finish_time", "result_url"})
_RECORD = _ROW | {
    *("id", "created_at", "updated_at", "task_id", "action", "status", "start_time", "progress"),
    *("properties", "user_id", "channel_id", "group", "quota", "username", "error"),
}
"""All that a task's record may say besides its `data`; some gateways leave most of it out."""
_AROUND = frozenset(
    {"data", "code", "success", "message", "msg", "request_id", "trace_id", "timestamp", "type"}
    | {"exec_time", "status_code"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the wrapping itself says; the outermost layer that says it counts.

    Attributes:
        status: The gateway's own word for the state.
        fail_reason: As it came. No sign of a failure: on success it may hold a link or a file id.
        result_url: As it came. No sign of a link: on failure it may hold the reason.
        submitted_at: When the gateway took the task.
        created_at: When it wrote its row.
        task_id: The gateway's public id, which may differ from the one in the body.
        platform, action: Whose API it is and what was asked of it (`suno`, `MUSIC`).
        model: The name of the model that was asked for.
    """

    status: str | None = None
    fail_reason: str | None = field(default=None, repr=False)
    result_url: str | None = field(default=None, repr=False)
    submitted_at: datetime | None = None
    created_at: datetime | None = None
    task_id: str | None = None
    platform: str | None = None
    action: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A body without its envelopes, and what they said.

    Attributes:
        value: What was inside: an object, a list (of bodies, rows or clips), a text, or `None`.
    """

    value: JsonValue = field(repr=False)
    envelope: Envelope


def is_layer(body: JsonObject) -> bool:
    """Tell whether an object is an envelope around its `data`."""
    if "data" not in body:
        return False
    if "code" in body or "success" in body or not _ROW.isdisjoint(body):
        return True
    is_record = "task_id" in body or "status" in body
    return body.keys() <= (_AROUND | _RECORD if is_record else _AROUND)


def unwrap(body: JsonValue, outer: Envelope | None = None) -> Opened:
    """Take off all envelopes around a body.

    A list ends it: its entries are unwrapped one by one, with `outer` given.

    Raises:
        ProviderError: More layers than any real gateway wraps.
    """
    envelope = outer or Envelope()
    value = json_of(body)
    for _ in range(MAX_LAYERS):
        if not isinstance(value, dict) or not is_layer(value):
            return Opened(value=value, envelope=envelope)
        envelope = _and(envelope, _said(value))
        value = json_of(value["data"])
    raise ProviderError(f"the answer is wrapped in more than {MAX_LAYERS} envelopes")


def _said(layer: JsonObject) -> Envelope:
    fields = Fields(layer)
    return Envelope(
        status=text_of(layer.get("status")),
        fail_reason=fields.text("fail_reason"),
        result_url=fields.text("result_url"),
        submitted_at=fields.moment("submit_time"),
        created_at=fields.moment("created_at", "create_time"),
        task_id=fields.ident("task_id"),
        platform=fields.text("platform"),
        action=fields.text("action"),
        model=fields.child("properties").text("origin_model_name"),
    )


def _and(first: Envelope, second: Envelope) -> Envelope:
    """Return the first, with what it does not say from the second."""
    return replace(
        second,
        **{
            name: value
            for name in Envelope.__slots__
            if (value := getattr(first, name)) is not None
        },
    )
