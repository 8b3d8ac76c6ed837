"""What an answer without a task means. The rule: in doubt, nothing is said about any task."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.answers import account_fault, raise_for_answer
from archiver.errors import (
    KeyRefusedError,
    NoCreditError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
)
from archiver.model import Answer, JsonValue
from archiver.redaction import printable
from tests.fakes import json_answer, text_answer


def error_of(answer: Answer) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        raise_for_answer(answer)
    return caught.value


NOT_FOUND: list[tuple[int, JsonValue, bool]] = [
    # status, body, may be fresh
    (400, {"code": "task_not_exist", "message": "task_not_exist", "data": None}, True),
    (200, {"code": "task_not_exist", "message": "task_not_exist", "data": None}, True),
    (200, {"code": "success", "data": {"code": "task_not_exist", "data": None}}, True),
    (400, {"description": "task_no_found ", "type": "upstream_error", "code": 4}, True),
    (400, {"error": "midjourney_task_not_found"}, True),
    (400, {"error": {"message": "task_not_exist", "type": "new_api_error", "code": ""}}, True),
    (400, {"code": "fail_to_fetch_task", "message": "task not found"}, True),
    (400, {"code": "fail_to_fetch_task", "message": "任务不存在"}, True),
    (400, {"code": 400, "message": "未找到该任务"}, True),
    (404, {"detail": "Generation not found"}, False),
    (404, {"detail": "Generation 4b3c464e-94f6-4e54-bc21-12f0e6da5791 not found"}, False),
    (404, {"detail": "Generation with id '4b3c464e' does not exist."}, False),
    (404, {"error": "No such generation"}, False),
    (404, {"error": {"message": "The task you asked for: task 12 was not found."}}, False),
    (404, {"message": "Could not find generation with id 12"}, False),
    (404, {"title": "Not Found", "detail": "The prediction has been deleted"}, False),
    (404, {"error": "Task d2e3 does not exist, or was deleted or canceled"}, False),
    (410, {"detail": "This generation was deleted"}, False),
    (200, {"success": False, "message": "task not exist"}, True),
    (200, {"error": {"message": "Task not found: does not exist or has expired"}}, False),
    (404, {"errors": [{"message": "unknown task id"}]}, False),
    (404, "Task not found", False),
    (404, {"error": "Task not found"}, False),
    (404, {"code": 404, "error": "Task not found"}, True),
    (404, {"detail": "Not found."}, True),
    (400, {"detail": "Invalid generation id"}, True),
    (404, {"message": "invalid UUID: 'abc'"}, True),
    (422, {"detail": [{"loc": ["path", "id"], "msg": "bad", "type": "uuid_parsing"}]}, True),
    (400, {"message": "task_id is malformed"}, True),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "may_be_fresh"), NOT_FOUND)
def test_the_providers_own_words_about_a_task(
    status: int, body: JsonValue, may_be_fresh: bool
) -> None:
    """A provider that says in words that it has no such task is believed."""
    error = error_of(json_answer(body, status))
    assert isinstance(error, TaskNotFoundError)
    assert error.may_be_fresh is may_be_fresh


SOURCE_FAULTS: list[Answer] = [
    json_answer({"error": {"message": "Invalid URL (GET /dream-machine/v1/generations/12)",
                           "type": "invalid_request_error", "param": "", "code": ""}}, 404),
    json_answer({"detail": "Not Found"}, 404),
    json_answer({"detail": "Not Found"}),
    json_answer({"message": "Not Found"}, 404),
    json_answer({"error": "Not Found"}, 404),
    json_answer({"error": "not found"}, 404),
    json_answer({"message": "Cannot GET /dream-machine/v1/generations/12", "error": "Not Found",
                 "statusCode": 404}, 404),
    json_answer({"message": "Route GET:/dream-machine/v1/generations/12 not found",
                 "error": "Not Found", "statusCode": 404}, 404),
    json_answer({"timestamp": 1, "status": 404, "error": "Not Found",
                 "path": "/dream-machine/v1/generations/12"}, 404),
    json_answer({"status": 404, "error": "Not Found",
                 "message": "No static resource dream-machine/v1/generations/12."}, 404),
    json_answer({"message": "no Route matched with those values"}, 404),
    json_answer({"message": "Missing Authentication Token"}, 403),
    json_answer({"code": 5, "message": "Not Found", "details": []}, 404),
    json_answer({"kind": "Status", "reason": "NotFound", "code": 404,
                 "message": "the server could not find the requested resource"}, 404),
    json_answer({"error": {"code": 404, "message": "Requested entity was not found."}}, 404),
    json_answer({"error": "The requested URL /luma/task/12 was not found on this server."}, 404),
    json_answer({"error": {"message": "The video model `x` does not exist"}}, 404),
    json_answer({"error": "user not found"}, 404),
    json_answer({"error": "user id 12 not found"}, 404),
    json_answer({"message": "unknown task type"}, 404),
    json_answer({"message": "job queue not found"}, 404),
    json_answer({"error": "endpoint not found", "message": "no job found by this name"}, 404),
    json_answer({"detail": "Method Not Allowed"}, 405),
    json_answer({}, 404), json_answer([], 404), json_answer(0, 404), json_answer(False, 404),
    json_answer({"location": "/login"}, 302),
    Answer(status=404), Answer(status=200), Answer(status=204), Answer(status=400),
    text_answer("404 page not found", 404, "text/plain"),
    text_answer("Task not found", 404, "text/plain"),
    text_answer("<html><title>Generation not found</title></html>", 404),
    text_answer("<html><title>Sign in</title></html>"),
    text_answer("<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", 404, "text/xml"),
    text_answer("task_not_exist", 400, "text/plain"),
    text_answer("ok", 200, "text/plain"),
    Answer(status=200, body=None, media_type="application/json"),
]  # fmt: skip


@pytest.mark.parametrize("answer", SOURCE_FAULTS)
def test_what_is_no_word_about_a_task_empties_no_queue(answer: Answer) -> None:
    """A wrong base URL, a login page, a firewall: the source is at fault, and none of its tasks."""
    error = error_of(answer)
    assert type(error) is SourceFaultError
    assert error.retryable
    assert "base_url" in str(error)


REFUSALS: list[tuple[int, JsonValue]] = [
    (400, {"code": "invalid_request", "message": "something else"}),
    (400, {"error": {"message": "channel is busy", "code": "bad_response_status_code"}}),
    (409, {"detail": "conflict"}),
    (422, {"detail": [{"loc": ["header", "x"], "msg": "Field required", "type": "missing"}]}),
    (400, {"detail": "limit must be below 100"}),
    (400, []),
    (400, "no"),
    (200, {"success": False, "message": "请稍后再试"}),
    (200, {"code": "fail", "message": "upstream timeout", "data": None}),
    (200, {"code": 5000, "message": "internal", "request_id": "1"}),
    (200, {"error": {"message": "overloaded"}}),
    (200, {"message": "pong"}),
    (403, {"detail": "Generation not found"}),
    (400, {"message": "no answer (request id: 20261123task)"}),
]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_any_other_refusal_is_asked_again_later(status: int, body: JsonValue) -> None:
    """A refusal that says nothing about the task postpones it."""
    error = error_of(json_answer(body, status))
    assert type(error) is ProviderError
    assert error.retryable
    assert not error.fatal


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
        (400, {"detail": "Invalid API key is provided"}),
        (200, {"success": False, "message": "无权进行此操作,access token 无效"}),
        (200, {"code": 1000, "message": "Authentication failed", "data": None}),
        (400, {"error": {"message": "无效的令牌", "type": "new_api_error"}}),
        (403, {"message": "Unauthorized"}),
        (400, {"code": "invalid_token", "message": ""}),
    ],
)
def test_refused_keys(status: int, body: JsonValue) -> None:
    """Words about the key stop the source, whatever the status."""
    assert type(error_of(json_answer(body, status))) is KeyRefusedError


NO_CREDIT: list[JsonValue] = [
    {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
    {"error": {"message": "用户额度不足, 剩余额度: -0.1", "code": "insufficient_user_quota"}},
    {"code": 1101, "message": "Account in arrears", "request_id": "1"},
    {"detail": "Insufficient credits"},
    {"success": False, "message": "余额不足"},
]


@pytest.mark.parametrize("body", NO_CREDIT)
def test_accounts_without_credit(body: JsonValue) -> None:
    """Words about credit stop the source, whatever the status; a 429 can be read for them."""
    assert type(error_of(json_answer(body, 400))) is NoCreditError
    assert type(account_fault(body)) is NoCreditError


def test_a_plain_429_is_no_fault_of_the_account() -> None:
    """Too many requests is nothing but that."""
    assert account_fault({"error": {"message": "Rate limit reached, try again later"}}) is None
    assert account_fault({"code": 1302, "message": "too many requests"}) is None
    assert account_fault(None) is None
    assert type(account_fault({"error": "invalid api key"})) is KeyRefusedError


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1", "state": "failed", "error": "Task not found", "failure_reason": "x"},
        {"code": "success", "message": "", "data": None},
        {"code": 0, "data": []},
        {"code": "weird", "message": "", "data": {"id": "1", "state": "completed"}},
        {"id": "1", "status": "failed", "error": "task_not_exist"},
        {"id": "1", "status": "Task not found", "result": None},
        {"code": "success", "data": {"task_id": "t", "status": "FAILURE", "fail_reason": "gone"}},
        {"code": "success", "data": {"task_id": "t", "status": "SUCCESS", "fail_reason": "x"}},
        {"data": [], "success": True},
        {"code": 1, "description": "ok", "result": "42"},
        {"generations": []},
        {"created": 1, "data": [{"url": None}]},
        [],
        [{"error": "x"}],
        {},
        "text",
        0,
    ],
)
def test_answers_that_may_hold_a_task_pass(body: JsonValue) -> None:
    """What has a state, an id or data is for the provider to read, whatever it says of errors."""
    raise_for_answer(json_answer(body))


def test_messages_say_what_came_and_nothing_secret() -> None:
    """The words are quoted, bounded and made safe; links lose their queries, keys are masked."""
    words = "see https://h.example/a?X-Amz-Signature=s3cr3t with sk-live4f9a2b77c1 \x1b[2J\n" * 99
    text = str(error_of(json_answer({"error": {"message": words}}, 400)))
    assert text.startswith("HTTP 400, the API says: see https://h.example/a with *** ")
    assert text.isprintable()
    assert len(text) < 600
    page = "<html><head><title>Sign\tin \x00</title>" + "x" * 9999
    assert "an HTML page (“Sign in \\x00”)" in str(error_of(text_answer(page)))


ATTACKS = ["task 1" * 300, "task " + "1" * 400, "task " + "a1 " * 700, "(" * 2000, "task id " * 250,
           "url " * 500, "no task " * 250, "invalid " * 250, "api key " * 250, "id 1 " * 400,
           "request id " * 200, "task" + ":" * 1990, "task " + "1-" * 900 + "not foun",
           "未找到" * 600,
           "credit is " * 200, "task with " * 200 + "1" * 99]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a[:9])
def test_hostile_words_cost_no_time(attack: str) -> None:
    """No text makes the reading of an error slow."""
    started = time.process_time()
    body: JsonValue = {n: [{"message": attack}] * 50 for n in ("errors", "detail")}
    error_of(json_answer({"message": attack, **body}, 400))  # type: ignore[dict-item]
    error_of(text_answer(attack, 400))
    assert time.process_time() - started < 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "detail", "data", "code", "message", "loc", "type"])
            | st.text(max_size=5),
            inner,
        )
    ),
    max_leaves=15,
)


@given(json_values, st.sampled_from([200, 204, 301, 400, 403, 404, 405, 410, 422, 499]))
def test_only_provider_errors_leave(body: JsonValue, status: int) -> None:
    """Whatever an error body holds, its reading ends in a `ProviderError` or in nothing."""
    text = f"HTTP {status}"
    try:
        raise_for_answer(json_answer(body, status))
    except ProviderError as error:
        text = str(error)
    assert re.fullmatch(r"HTTP \d+.*", text)
    assert printable(text) == text
    account_fault(body)
