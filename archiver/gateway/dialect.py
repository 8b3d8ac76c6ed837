"""How a gateway, and how the vendor itself, says no."""

from __future__ import annotations

from typing import Protocol

from archiver.gateway.exchange import Reply, json_reply
from archiver.model import JsonValue


class Dialect(Protocol):
    """The words for what every API has to say."""

    def answer(self, body: JsonValue) -> Reply:
        """Say what was asked for."""
        ...

    def unknown_task(self) -> Reply:
        """Say that there is no such task."""
        ...

    def bad_key(self) -> Reply:
        """Say that the key is not known."""
        ...

    def bad_request(self, message: str) -> Reply:
        """Say that the request makes no sense."""
        ...

    def unknown_route(self, method: str, path: str) -> Reply:
        """Say that there is nothing at this path."""
        ...


class GatewayDialect:
    """A new-api gateway. Source: new-api, middleware/utils.go and controller/relay.go."""

    def answer(self, body: JsonValue) -> Reply:
        """Say what was asked for."""
        return json_reply(200, body)

    def unknown_task(self) -> Reply:
        """Say that there is no such task: status 400, not 404."""
        return _task_error("task_not_exist", "task_not_exist")

    def bad_key(self) -> Reply:
        """Say that the key is not known."""
        text = "Invalid token (request id: 20261123030000000000000Vw7rQ2Lp)"
        return json_reply(401, {"error": {"message": text, "type": "new_api_error", "code": ""}})

    def bad_request(self, message: str) -> Reply:
        """Say that the request makes no sense."""
        return _task_error("invalid_request", message)

    def unknown_route(self, method: str, path: str) -> Reply:
        """Say that there is nothing at this path."""
        text = f"Invalid URL ({method} {path})"
        error: JsonValue = {
            "message": text,
            "type": "invalid_request_error",
            "param": "",
            "code": "",
        }
        return json_reply(404, {"error": error})


class OfficialDialect:
    """The vendor's own API. Source: luma-openapi.yaml 1.1.0, `components.schemas.Error`."""

    def answer(self, body: JsonValue) -> Reply:
        """Say what was asked for."""
        return json_reply(200, body, like_go=False)

    def unknown_task(self) -> Reply:
        """Say that there is no such task."""
        return self._error(404, "Generation not found")

    def bad_key(self) -> Reply:
        """Say that the key is not known."""
        return self._error(401, "Invalid API key is provided")

    def bad_request(self, message: str) -> Reply:
        """Say that the request makes no sense."""
        return self._error(400, message)

    def unknown_route(self, method: str, path: str) -> Reply:
        """Say that there is nothing at this path."""
        return self._error(404, "Not Found")

    def _error(self, status: int, detail: str) -> Reply:
        return json_reply(status, {"detail": detail}, like_go=False)


def _task_error(code: str, message: str) -> Reply:
    """Return a `TaskError`. Source: new-api, dto/task.go."""
    return json_reply(400, {"code": code, "message": message, "data": None})
