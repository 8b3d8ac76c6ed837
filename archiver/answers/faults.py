"""Answers that hold no task: which error they mean.

The one rule behind all of it: a task is "not found" only when the provider says so in words about
a task. A wrong base URL, a login page, a firewall and a framework's own 404 all speak of pages and
routes, or of nothing; none of them may cost a single task its place in the queue.

Source: new-api's `task_not_exist`, `task_no_found`, `Invalid URL (GET …)`; the default 404 bodies
of FastAPI, Express, Fastify, Spring, Kong, Go and others; RFC 9457 for `detail` and `title`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from archiver.answers.envelopes import MAX_LAYERS, is_layer
from archiver.answers.scalars import json_of, plain
from archiver.errors import (
    KeyRefusedError,
    NoCreditError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
)
from archiver.model import Answer, JsonObject, JsonValue

_MAX_PARTS = 12
_MAX_PART = 500
_MAX_WORDS = 2000
_CHECK = "Check `base_url` (host and path), and what stands between here and the API"

_OK_CODES = frozenset({"", "0", "1", "200", "success", "succeed", "succeeded", "ok"})
_TASK_NAMES = frozenset(
    {"id", "task_id", "state", "status", "task_status", "output", "result", "url", "file", "items"}
    | {"songs", "clips", "generations", "video", "video_raw", "assets", "artifact", "images"}
)
_MESSAGE_NAMES = ("message", "msg", "detail", "description", "title", "error", "reason")
_WORD_NAMES = (*_MESSAGE_NAMES, "error_description", "raw_message", "status_msg")
_CODE_NAMES = ("code", "type", "error_code", "message", "description", "error")
_INNER_NAMES = ("error", "errors", "detail", "base_resp", "data")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What an error body says.

    Attributes:
        words: Its texts, one after the other, without request ids.
        codes: Its codes and types, lower case, `_` for spaces.
        about_id: Whether it says, by structure, that the id in the path cannot be one.
        has_code: Whether it names a code at all, as gateways do.
    """

    words: str = field(repr=False)
    codes: frozenset[str]
    about_id: bool = False
    has_code: bool = False


def raise_for_answer(answer: Answer) -> None:
    """Do nothing if an answer may hold what was asked for; else say what it means.

    Raises:
        TaskNotFoundError: The provider's own words about a task (or about the id).
        NoCreditError, KeyRefusedError: Its words about the account or the key.
        SourceFaultError: A redirect, an unknown route, a framework's 404, HTML, or no JSON at all.
        ProviderError: Any other refusal; the task is asked for again later.
    """
    if answer.body is None:
        raise SourceFaultError(f"HTTP {answer.status} with {_what_came(answer)}. {_CHECK}")
    if not 200 <= answer.status < 300:
        _raise(answer.status, complaint_of(answer.body))
    for layer in _layers(answer.body):
        if is_error_body(layer):
            _raise(answer.status, complaint_of(layer))


def is_error_body(body: JsonObject) -> bool:
    """Tell whether an object that came with HTTP 200 is an error instead of an answer.

    In doubt it is none: an object with anything like a task, a result or a state in it is not.
    """
    if body.get("data") or not _TASK_NAMES.isdisjoint(body):
        return False
    if body.get("success") is False or body.get("error") or body.get("errors"):
        return True
    if not _is_ok(body.get("code")):
        return True
    return "data" not in body and bool(body) and body.keys() <= set(_WORD_NAMES)


def _is_ok(code: JsonValue) -> bool:
    if isinstance(code, str):
        return code[:40].strip().lower() in _OK_CODES
    return code in (None, 0, 1, 200)


def account_fault(body: JsonValue) -> KeyRefusedError | NoCreditError | None:
    """Return the error if an error body speaks of the key or of the account's credit.

    For statuses that mean something else by themselves: Kling says with 429 that an account is in
    arrears, which no waiting mends.
    """
    complaint = complaint_of(body)
    if _NO_CREDIT.search(complaint.words) or complaint.codes & _NO_CREDIT_CODES:
        return NoCreditError(f"the account has no credit; the API says: {plain(complaint.words)}")
    if _KEY.search(complaint.words) or complaint.codes & _KEY_CODES:
        return KeyRefusedError(f"the key is refused; the API says: {plain(complaint.words)}")
    return None


def complaint_of(body: JsonValue) -> Complaint:
    """Gather what an error body says, wherever in it."""
    words: list[str] = []
    codes: set[str] = set()
    about_id = has_code = False
    for part in _parts(body):
        if isinstance(part, str):
            words.append(part[:_MAX_PART].strip())
            continue
        words += [
            text[:_MAX_PART].strip() for n in _WORD_NAMES if isinstance(text := part.get(n), str)
        ]
        codes |= {
            _SPACE.sub("_", code.strip().lower())
            for n in _CODE_NAMES
            if isinstance(code := part.get(n), str) and len(code) <= 60
        }
        about_id = about_id or _blames_path_id(part)
        has_code = has_code or "code" in part
    joined = "; ".join(list(dict.fromkeys(filter(None, words)))[:_MAX_PARTS])
    return Complaint(
        words=_REQUEST_ID.sub("", joined)[:_MAX_WORDS],
        codes=frozenset(codes),
        about_id=about_id,
        has_code=has_code,
    )


def _parts(body: JsonValue) -> Iterator[JsonObject | str]:
    """Yield the texts and objects in which errors give their details, a few levels deep."""
    waiting: deque[JsonValue] = deque([json_of(body)])
    for _ in range(_MAX_PARTS):
        if not waiting:
            return
        part = waiting.popleft()
        if isinstance(part, list):
            waiting.extend(part[:_MAX_PARTS])
        elif isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield part
            waiting.extend(part[n] for n in _INNER_NAMES if isinstance(part.get(n), (dict, list)))


def _layers(body: JsonValue) -> Iterator[JsonObject]:
    value = json_of(body)
    for _ in range(MAX_LAYERS):
        if not isinstance(value, dict):
            return
        yield value
        value = json_of(value["data"]) if is_layer(value) else None


def _blames_path_id(part: JsonObject) -> bool:
    """Tell whether this is a validation error of a path parameter (FastAPI's form)."""
    place = part.get("loc")
    return isinstance(place, list) and bool(place) and place[0] == "path"


# --- what the words mean --------------------------------------------------------------------------

_REQUEST_ID = re.compile(r"\(?\b(?:request|trace)[ _-]?id\b[: ]{0,3}[^\s);,]{0,100}\)?", re.I)
_TASK = r"(?:task|generation|prediction|job|video|song|clip)"
_FRESH_CODES = frozenset(
    {"task_not_exist", "task_not_exists", "task_no_found", "task_not_found"}
    | {"midjourney_task_not_found"}
)
_ROUTE = re.compile(
    r"invalid url|cannot (?:get|post|head) /|not found on this server|method not allowed"
    r"|\bno (?:static |such )?(?:route|resource|handler|endpoint|page)\b"
    r"|\b(?:route|endpoint|page|path|url|uri|resource)\b"
    rf"(?:(?![\s:]{_TASK}\b).){{0,120}}\bnot (?:be )?found"
    r"|unknown (?:route|endpoint|path|url)|missing authentication token"
    r"|^\W*(?:404\W*)?(?:page )?not found\W*$",
    re.I,
)
# What may stand between a task and "not found": small words and the id. No other noun: "video
# model not found" is not about a task.
_LINKING = (
    r"(?:with|for|of|the|this|given|ids?|uuid|was|is|are|were|has|have|had|been|be|could|can"
    r"|does|do|did|may|either|or)(?![\w-])"
)
_NAMED = r"[\"'`<(\[]?(?=[\w-]{0,160}?\d)[\w-]{1,160}+[\"'`>)\]]?"
_GONE = (
    r"(?:not (?:be )?found|no found|cannot be found|not exist|(?:does|do|did)n[\u2019']?t exist"
    r"|no longer|deleted|removed|unknown)"
)
_NOT_FOUND = re.compile(
    rf"(?<![\w/]){_TASK}(?:[ _-]?ids?|s)?(?![\w/-])"
    rf"(?:[\s:=#,]{{1,5}}(?:{_LINKING}|{_NAMED})){{0,8}}"
    rf"[\s:=,]{{1,5}}{_GONE}\b"
    r"|(?:no such|unknown|not found|find|no)\W{1,3}"
    r"(?:(?:a|any|the|this|such|requested|specified)\s)?"
    rf"{_TASK}(?:[ _-]?ids?|s)?"
    r"(?=\W*$|\s*[:;,.(#\"'`]|\s+(?:with|for|found|exists?|id|by)\b|\s+[\w-]{0,80}?\d)"
    r"|(?:^|[;.:]\s|\b(?:the|this|given|requested)\s)id"
    rf"(?:[\s:=#]{{1,5}}{_NAMED})?\s(?:was |is |does |could )?{_GONE}\b"
    r"|(?:任务|作品|视频)[^。,;]{0,60}(?:不存在|未找到|找不到)|(?:不存在|未找到|找不到)[^。,;]{0,10}任务",
    re.I,
)
# What the Django REST framework says of an object; of a route, Django sends HTML.
_OBJECT_NOT_FOUND = frozenset({"Not found.", "Not found"})
_BAD_ID = re.compile(
    r"(?:invalid|malformed|illegal|badly formed|not a valid|bad)\W{1,4}(?:the\s|hexadecimal\s)?"
    rf"(?:{_TASK}[ _-]?)?(?:id|uuid|identifier)\b|syntax for type uuid"
    rf"|\b{_TASK}[ _-]?(?:id|uuid)\b.{{0,40}}\b(?:invalid|malformed|not a valid)",
    re.I,
)
_NO_CREDIT_CODES = frozenset(
    {"insufficient_quota", "insufficient_user_quota", "insufficient_credits"}
    | {"insufficient_balance"}
)
_NO_CREDIT = re.compile(
    r"(?:insufficient|not enough)[ _](?:\w{1,20}[ _])?(?:credits?|balance|quota|funds)"
    r"|(?:credits?|balance|quota) (?:is |are )?"
    r"(?:insufficient|not enough|exhausted|used up|depleted)"
    r"|(?:no|out of) (?:more )?(?:credits?|balance|quota)\b|in arrears|payment required"
    r"|exceeded your current quota|resource pack.{0,40}(?:depleted|exhausted)|billing hard limit"
    r"|余额不足|额度不足|额度已用尽|欠费|预扣费",
    re.I,
)
_KEY_CODES = frozenset({"invalid_api_key", "authentication_error", "invalid_token"})
_KEY = re.compile(
    r"(?:invalid|incorrect|expired|disabled) (?:token|credentials?)\b"
    r"|(?:invalid|incorrect|wrong|expired|missing|disabled|unknown|no|bad) "
    r"(?:api|access|auth\w{0,20}|bearer|secret)[ _-]?(?:key|token|header)s?\b"
    r"|(?:api|access|secret)[ _-]?(?:key|token)s?\b.{0,40}"
    r"\b(?:invalid|incorrect|expired|disabled|revoked|missing|required"
    r"|not (?:valid|provided|found))"
    r"|unauthori[sz]ed|not authenticated|authentication (?:failed|required)|token (?:has )?expired"
    r"|(?:令牌|密钥|token).{0,12}(?:无效|过期|已禁用|错误)|(?:无效|错误)的(?:令牌|密钥)|未登录",
    re.I,
)


def _raise(status: int, complaint: Complaint) -> None:
    words = complaint.words
    said = f"HTTP {status}, the API says: {plain(words) or 'nothing about it'}"
    if _NO_CREDIT.search(words) or complaint.codes & _NO_CREDIT_CODES:
        raise NoCreditError(f"{said}. The account has no credit left")
    if status != 403:
        _raise_if_not_found(status, complaint, said)
    if _ROUTE.search(words) or 300 <= status < 400:
        raise SourceFaultError(f"{said}. {_CHECK}")
    if _KEY.search(words) or complaint.codes & _KEY_CODES:
        raise KeyRefusedError(f"{said}. The key is refused")
    if status in (404, 405, 406):
        raise SourceFaultError(f"{said}. {_CHECK}")
    raise ProviderError(said)


def _raise_if_not_found(status: int, complaint: Complaint, said: str) -> None:
    if complaint.codes & _FRESH_CODES:
        # A vendor says it in words, with 404; a gateway has a code for it, or 400.
        raise TaskNotFoundError(said, may_be_fresh=complaint.has_code or status != 404)
    if status == 404 and complaint.words in _OBJECT_NOT_FOUND:
        raise TaskNotFoundError(said, may_be_fresh=True)
    if _ROUTE.search(complaint.words):
        return
    if _NOT_FOUND.search(complaint.words):
        raise TaskNotFoundError(said, may_be_fresh=complaint.has_code)
    if complaint.about_id or _BAD_ID.search(complaint.words):
        # A second look an hour later: ids of one API asked of another look like this as well.
        raise TaskNotFoundError(said, may_be_fresh=True)


def _what_came(answer: Answer) -> str:
    text = answer.text.lstrip("\ufeff \t\r\n")
    if not text:
        return "no JSON object" if answer.media_type == "application/json" else "an empty body"
    if "html" in answer.media_type or text[:1] == "<":
        title = re.search(r"<title[^>]{0,200}>([^<]{1,200})", text, re.I)
        return f"an HTML page (“{plain(title[1], 100)}”)" if title else "an HTML page"
    return f"a text instead of JSON (“{plain(text, 100)}”)"
