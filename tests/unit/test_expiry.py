"""When a link dies, read from the link alone."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archiver.expiry import MAX_LINK, expires_at

HOST = "https://files.example.com/a/b.mp4"
NAMES = [
    "X-Amz-Date", "X-Amz-Expires", "Expires", "Signature", "Policy", "se", "sig", "ex", "is", "hm",
    "exp", "_jwt", "token", "x-oss-date", "x-oss-expires", "q-sign-time", "e", "X-Goog-Expires",
]  # fmt: skip
VALUES = ["20241015T085653Z", "3600", "1731467764", "2024-11-13T03:26:08Z", "6728831f", "a.b.c"]


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def encoded(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def token(document: object) -> str:
    return f"{encoded({'alg': 'HS256'})}.{encoded(document)}.c2ln"


def policy(*seconds: object) -> str:
    statements = [{"Condition": {"DateLessThan": {"AWS:EpochTime": s}}} for s in seconds]
    plain = base64.b64encode(json.dumps({"Statement": statements}).encode()).decode()
    return plain.translate(str.maketrans("+=/", "-_~"))


DATED = [
    ("s3", "X-Amz-Date=20241015T085653Z&X-Amz-Expires=3600", at(2024, 10, 15, 9, 56, 53)),
    ("s3 names in any case", "x-amz-expires=60&x-AMZ-date=20241015T085653Z",
     at(2024, 10, 15, 8, 57, 53)),
    ("s3, signature version 2", "AWSAccessKeyId=A&Expires=1731467764&Signature=x%3D",
     at(2024, 11, 13, 3, 16, 4)),
    ("google", "X-Goog-Date=20240229T000000Z&X-Goog-Expires=604800", at(2024, 3, 7)),
    ("google, version 2", "GoogleAccessId=a%40b&Expires=1731467764&Signature=x",
     at(2024, 11, 13, 3, 16, 4)),
    ("azure", "se=2024-11-13T03%3A26%3A08Z&sp=r&sv=2022-11-02&sig=x", at(2024, 11, 13, 3, 26, 8)),
    ("azure, a day", "sv=2022-11-02&se=2024-11-13&sig=x", at(2024, 11, 13)),
    ("azure, minutes", "sv=2022-11-02&se=2024-11-13T03:26Z&sig=x", at(2024, 11, 13, 3, 26)),
    ("oss", "Expires=1755533539&OSSAccessKeyId=L&Signature=x", at(2025, 8, 18, 16, 12, 19)),
    ("oss, version 4", "x-oss-date=20250818T071219Z&x-oss-expires=32400",
     at(2025, 8, 18, 16, 12, 19)),
    ("volcano", "X-Tos-Date=20250818T071219Z&X-Tos-Expires=86400", at(2025, 8, 19, 7, 12, 19)),
    ("cloudfront", "Expires=1731467764&Signature=x&Key-Pair-Id=K", at(2024, 11, 13, 3, 16, 4)),
    ("cloudfront policy", f"Policy={policy(1731467764)}&Signature=x", at(2024, 11, 13, 3, 16, 4)),
    ("cloudfront, the earliest statement", f"Policy={policy(1900000000, 1731467764)}",
     at(2024, 11, 13, 3, 16, 4)),
    ("ideogram", "exp=1734370320&sig=0af1", at(2024, 12, 16, 17, 32)),
    ("runway", f"_jwt={token({'exp': 1733097600})}", at(2024, 12, 2)),
    ("a token, fractions", f"token={token({'exp': 1733097600.5})}",
     at(2024, 12, 2, 0, 0, 0, 500_000)),
    ("tiktok's", "x-expires=1733097600&x-signature=x", at(2024, 12, 2)),
    ("milliseconds", "expires=1733097600000", at(2024, 12, 2)),
    ("a date in words of iso", "Expires=2024-12-02T00:00:00%2B02:00", at(2024, 12, 1, 22)),
    ("tencent", "q-sign-time=1733090000;1733097600&q-signature=x", at(2024, 12, 2)),
    ("qiniu", "e=1733097600&token=ak:sig", at(2024, 12, 2)),
    ("the earliest of several", "Expires=1733097600&X-Amz-Date=20241015T085653Z&X-Amz-Expires=1",
     at(2024, 10, 15, 8, 56, 54)),
    ("discord's names, any host", "ex=6728831f&is=6727319f&hm=00", at(2024, 11, 4, 8, 17, 35)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "when"), [(q, w) for _, q, w in DATED], ids=[n for n, *_ in DATED]
)
def test_every_way_of_signing_is_read(query: str, when: datetime) -> None:
    """A signed link says when it dies, whoever signed it."""
    assert expires_at(f"{HOST}?{query}") == when


@pytest.mark.parametrize("host", ["cdn.discordapp.com", "media.discordapp.net"])
def test_discord_needs_no_other_parameter(host: str) -> None:
    """On Discord's own hosts `ex` is an expiry by itself."""
    assert expires_at(f"https://{host}/attachments/1/2/a.png?ex=6728831f") == at(
        2024, 11, 4, 8, 17, 35
    )


UNDATED = [
    "", "width=1360&height=752", "expires=soon", "exp=1", "exp=1360", "expires=3600",
    "e=1733097600", "se=2", "se=2024-11-13", "ex=6728831f", "ex=zzzzzzzz&hm=1",
    "exp=99999999999999999999", "exp=",
    "X-Amz-Date=20241015T085653Z", "X-Amz-Expires=3600", "X-Amz-Date=now&X-Amz-Expires=3600",
    "X-Amz-Date=20241315T085653Z&X-Amz-Expires=3600", "X-Amz-Date=20241015T085653Z&X-Amz-Expires=0",
    "X-Amz-Date=20241015T085653Z&X-Amz-Expires=-5", "X-Amz-Date=00010101T000000Z&X-Amz-Expires=60",
    "X-Amz-Date=20241015T085653Z&X-Amz-Expires=9999999999999", "_jwt=a.b.c", "token=abc",
    "X-Amz-Date=99991231T235959Z&X-Amz-Expires=3600", "token=a..b", "_jwt=..", "Policy=%%%",
    f"_jwt={token([1])}", f"_jwt={token({'exp': True})}", f"_jwt={token({'exp': 'soon'})}",
    f"_jwt={token({'exp': None})}", f"_jwt={token({'exp': 10**300})}", "Policy=e30_",
    "_jwt=e30.TmFO.x", f"Policy={policy('x')}", "v=1731467764", "t=1731467764", "q-sign-time=1;2",
    "expires=2024-02-31T00:00:00Z", "exp=0x65000000", "exp=１７３１４６７７６４",
]  # fmt: skip


@pytest.mark.parametrize("query", UNDATED)
def test_what_is_no_expiry_is_none(query: str) -> None:
    """A parameter that only looks like an expiry never makes a link die."""
    assert expires_at(f"{HOST}?{query}") is None


@pytest.mark.parametrize(
    "url", ["", "?", "no link", "https://[broken/?exp=1733097600", f"{HOST}#?exp=1733097600"]
)
def test_what_is_no_link_is_none(url: str) -> None:
    """Text that is no link has no expiry."""
    assert expires_at(url) is None


def test_huge_queries_are_not_read() -> None:
    """A link longer than any real one, or of more parameters, is not taken apart."""
    assert expires_at(f"{HOST}?exp=1733097600&pad={'x' * MAX_LINK}") is None
    assert expires_at(f"{HOST}?exp=1733097600" + "&a=1" * 500) is None


def test_a_nested_token_is_refused() -> None:
    """A token of brackets within brackets exhausts no stack."""
    bomb = base64.urlsafe_b64encode(b"[" * 6000).decode().rstrip("=")
    assert expires_at(f"{HOST}?_jwt=a.{bomb}.c") is None


pairs = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=40)))


@given(st.text(max_size=80), pairs)
@example("https://h/?", [("_jwt", "..")])
@example("https://h/?", [("X-Amz-Date", "20240101T000000Z"), ("X-Amz-Expires", "9" * 16)])
def test_never_raises(start: str, named: list[tuple[str, str]]) -> None:
    """Whatever a link holds, the answer is a date of this century or none."""
    for url in (start, "https://h.example/x?" + "&".join(f"{n}={v}" for n, v in named)):
        date = expires_at(url)
        assert date is None or (date.tzinfo is UTC and 2000 <= date.year < 2100)
