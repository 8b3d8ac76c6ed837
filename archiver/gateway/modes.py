"""Whole origins out of order."""

from __future__ import annotations

from enum import Enum

from archiver.gateway.dialect import Dialect
from archiver.gateway.exchange import (
    API,
    Delivery,
    Reply,
    Request,
    html_page,
    json_reply,
    xml_error,
)


class Mode(Enum):
    """What state a whole origin is in."""

    UP = "up"
    DOWN = "refuses connections"
    DROPPING = "accepts connections and ends them without an answer"
    FAILING = "answers 500 to everything"
    KEY_REFUSED = "refuses every key; files are forbidden"
    LOGIN_PAGE = "answers everything with a sign-in page and status 200"
    UNKNOWN_ROUTE = "knows no path"


def answer_in_mode(mode: Mode, request: Request, dialect: Dialect) -> Reply | None:
    """Return what an origin in this mode answers to anything; `None` when it is up."""
    api = request.origin == API
    if mode is Mode.UP:
        return None
    if mode in (Mode.DOWN, Mode.DROPPING):
        # While an origin goes down, a request may still be on its way through it.
        return Reply(status=0, delivery=Delivery(silent=True))
    if mode is Mode.LOGIN_PAGE:
        return html_page(200)
    if mode is Mode.FAILING:
        error = {"message": "Internal Server Error", "type": "new_api_error", "code": ""}
        if api:
            return json_reply(500, {"error": dict(error)})
        return xml_error(500, "InternalError", "We encountered an internal error.")
    if mode is Mode.KEY_REFUSED:
        return dialect.bad_key() if api else xml_error(403, "AccessDenied", "Access Denied")
    if api:
        return dialect.unknown_route(request.method, request.path)
    return xml_error(404, "NoSuchKey", "The specified key does not exist.")
