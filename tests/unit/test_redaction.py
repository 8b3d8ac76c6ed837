"""Layer 1: nothing secret is written down, and nothing else is lost."""

import base64
import hashlib
import io
import json
import logging
import re
import time
import unicodedata
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from archiver.model import JsonValue
from archiver.redaction import (
    MASK,
    MAX_DEPTH,
    TOO_DEEP,
    Redactor,
    has_secret_parts,
    printable,
    redact_document,
    redact_text,
    redact_url,
)
from archiver.redaction.logs import RedactingFormatter

SIGNED = (
    "https://acct.r2.cloudflarestorage.com/lumalabs/lit/0af7_video05a8.mp4"
    "?X-Amz-Date=20241015T085653Z&X-Amz-Expires=3600&X-Amz-Signature=SIGSIGSIG"
)
BARE = "https://acct.r2.cloudflarestorage.com/lumalabs/lit/0af7_video05a8.mp4"

anything = st.text(st.characters(), max_size=80)
linkish = st.text(st.sampled_from("https:/\\?#@%2F3a40&=;'\" .x[]*"), max_size=40)
secretish = st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30).map(
    str.strip
)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        (SIGNED, BARE),
        ("https://user:pass@host:8443/a/b.mp4?x=1#t=5", "https://host:8443/a/b.mp4"),
        ("https://user@host", "https://host"),
        ("HTTPS://Host/A%20B/%E7%8C%AB.mp4", "HTTPS://Host/A%20B/%E7%8C%AB.mp4"),
        ("https://host/What%3F.mp4", "https://host/What%3F.mp4"),
        ("https://host/p%3Fsig%3Dabc", "https://host/p"),
        ("https://host/p%253Fsig%253Dabc", "https://host/p"),
        ("https://host/@artist/a.mp3", "https://host/@artist/a.mp3"),
        ("https://host?mail=a@b", "https://host"),
        ("https://user:pa/ss@host/x", "https://host/x"),
        ("https://user:pa?ss@host/x", "https://***"),
        ("https://user:123?ss@host/x", "https://***"),
        ("https://user%3Apw%40host/x", "https://host/x"),
        ("https://host\\@evil/x?y", "https://host\\@evil/x"),
        ("http://[::1]:80/x?y", "http://[::1]:80/x"),
        ("https:/user:pw@host/x", "https:/host/x"),
        ("https:user:pw@host/x", "https:host/x"),
        ("//user:pw@host/x?y", "//host/x"),
        ("user:pw@host/x?y", "host/x"),
        ("s3://key:secret@bucket/x?versionId=1", "s3://bucket/x"),
        ("wss://host/x?token=1", "wss://host/x"),
        ("https://host/a;token=abc/b", "https://host/a;token=***"),
        ("https://host/a?b?c#d?e", "https://host/a"),
        ("https://host/a\n?b", "https://host/a\n"),
        ("data:image/png;base64,AAAA", "data:image/png;base64"),
        ("?", ""),
        ("", ""),
        ("not a link", "not a link"),
    ],
)
def test_a_link_keeps_all_but_its_secret_parts(url: str, clean: str) -> None:
    """A link loses query, user info and fragment, and nothing else."""
    assert redact_url(url) == clean


@given(anything | linkish | linkish.map("https://".__add__))
@example("https://u:p\\@h@x")
@example("https://a@b@c/")
@example("A:/\\@")
@example("A:/u@/\\v@x")
@example("A:/" + "u@/\\" * 100)
def test_whatever_stands_for_a_link_passes_the_last_guard(url: str) -> None:
    """What `redact_url` returns never has secret parts, and does not change a second time."""
    clean = redact_url(url)
    assert not has_secret_parts(clean)
    assert redact_url(clean) == clean


@given(
    path=st.text(st.sampled_from("abc/._-~%20@!$,()*+"), max_size=20).map("/".__add__),
    query=st.text(st.sampled_from("QWERTY=&;:@/?#'%3D"), min_size=1, max_size=30),
    user=st.none() | st.text(st.sampled_from("JKLVX:%'@!"), min_size=1, max_size=12),
    fragment=st.booleans(),
)
def test_the_parts_of_a_link_are_kept_or_dropped(
    path: str, query: str, user: str | None, fragment: bool
) -> None:
    """Host and path stay letter by letter; no letter of the query or user info does."""
    url = "https://" + (f"{user}@" if user is not None else "") + "host" + path
    assert redact_url(url + ("#" if fragment else "?") + query) == "https://host" + path


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://h/p", False),
        ("https://h/@u/p", False),
        ("https://h/p?x", True),
        ("https://h/p#x", True),
        ("https://u@h/p", True),
        ("//u@h", True),
    ],
)
def test_the_last_guard(url: str, secret: bool) -> None:
    """The guard sees a query, a fragment and user info."""
    assert has_secret_parts(url) is secret


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"GET {SIGNED} 403", f"GET {BARE} 403"),
        (f"(see {SIGNED}).", f"(see {BARE})."),
        (f"'{SIGNED}', 'next'", f"'{BARE}', 'next'"),
        (f"“{SIGNED}” next", f"“{BARE}” next"),
        (f"«{SIGNED}» next", f"«{BARE}» next"),
        (f"`{SIGNED}` next", f"`{BARE}` next"),
        (f"<{SIGNED}> next", f"<{BARE}> next"),
        (f"[a]({SIGNED}) next", f"[a]({BARE}) next"),
        (f'{{"url": "{SIGNED}", "n": 1}}', f'{{"url": "{BARE}", "n": 1}}'),
        (f"{SIGNED},{SIGNED}", f"{BARE},{BARE}"),
        (SIGNED.replace("&", "\\u0026"), BARE),
        (SIGNED.replace("&", "&amp;"), BARE),
        (SIGNED.replace("/", "\\/"), BARE.replace("/", "\\/")),
        (
            json.dumps(json.dumps({"u": SIGNED, "n": 1})),
            json.dumps(json.dumps({"u": BARE, "n": 1})),
        ),
        ("next=" + quote(SIGNED, safe="") + "&n=1", "next=" + quote(BARE, safe="") + "&n=1"),
        (quote(quote(SIGNED, safe=""), safe=""), quote(quote(BARE, safe=""), safe="")),
        ("https%3A%2F%2Fuser%3Apw%40host%2Fp", "https%3A%2F%2Fhost%2Fp"),
        ("postgres://user:pw@db/x", "postgres://db/x"),
        ("ftp://user:pw@h/x wss://h/y?token=1", "ftp://h/x wss://h/y"),
        ("//cdn.host/p.mp4?X-Amz-Signature=abc next", "//cdn.host/p.mp4 next"),
        ("cdn.host/p.mp4?X-Amz-Signature=abc next", "cdn.host/p.mp4 next"),
        ('"GET /v1/tasks?page=2&cursor=abc HTTP/1.1" 200', '"GET /v1/tasks HTTP/1.1" 200'),
        ("https://h/my file.mp4?sig=abc next", "https://h/my file.mp4 next"),
        ("https://h/p?prompt=a red cat&sig=abc&b=1 next", "https://h/p next"),
        ("https://h/p?cd=filename='x'&sig=abc next", "https://h/p next"),
        ("https://us'er:pw@h/p next", "https://h/p next"),
        ("X-Amz-Signature=abc&X-Amz-Date=1", "X-Amz-Signature=***&X-Amz-Date=***"),
        ("X-Amz-Signature%3Dabc%26x", "X-Amz-Signature%3D***%26x"),
        ("X-Goog-Signature=abc", "X-Goog-Signature=***"),
        ("sig=abc; _jwt=x.y.z token=foo, n=1", "sig=***; _jwt=*** token=***, n=1"),
        ("LUMA_API_KEY=abc access_token=abc", "LUMA_API_KEY=*** access_token=***"),
        ('token="a b" n', "token=*** n"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer ***"),
        ("authorization=Basic dXNlcg==", "authorization=Basic ***"),
        ("{'Authorization': 'Bearer abcdef'}", "{'Authorization': 'Bearer ***'}"),
        ("(b'Authorization', b'Bearer abcdefgh123')", "(b'Authorization', b'Bearer ***')"),
        (r"{\"api_key\": \"abc\"}", r"{\"api_key\": \"***\"}"),
        ("X-Api-Key: abc", "X-Api-Key: ***"),
        ('"password": "abc"', '"password": "***"'),
        ("Set-Cookie: session=abc; Path=/", "Set-Cookie: ***"),
        ("sent Bearer sk-abc123def456", "sent Bearer ***"),
    ],
)
def test_secrets_in_a_text_are_dropped(text: str, clean: str) -> None:
    """Links, pairs and headers lose what is secret, however they are escaped or quoted."""
    assert redact_text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "What is a cat? A dog? Really?",
        "it costs $5.99, or 6 €; 50% off & more",
        "what's 2+2=4? key=C minor, design=flat, R&B=soul",
        "the bearer of bad tidings; bearer understands",
        "cookie: a chocolate one. secret: the garden. token: an old coin",
        "a cat -- // -- #3, @artist, me@example.com, 16:9, http, https and ftp",
        "and/or 1/2 C:\\temp\\new 猫 🙂 e\u0301",
        "",
    ],
)
def test_an_ordinary_prompt_is_not_damaged(text: str) -> None:
    """Question marks, prices, addresses and plain words are no secrets."""
    assert redact_text(text) == text
    assert redact_document({"prompt": text}) == {"prompt": text}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/:%=?"), max_size=200))
def test_a_text_without_links_and_pairs_stays(text: str) -> None:
    """Without any of the marks that links and pairs need, a text stays as it is."""
    assume("bearer" not in unicodedata.normalize("NFKC", text).lower())
    assert redact_text(text) == text


@given(before=anything, after=anything, quote_mark=st.sampled_from(["", " ", '"', "'", "“", "`"]))
def test_no_signature_survives_in_any_surroundings(
    before: str, after: str, quote_mark: str
) -> None:
    """Whatever stands around a signed link, its signature goes."""
    text = before + quote_mark + SIGNED + quote_mark + after
    assert "SIGSIGSIG" not in redact_text(text)
    assert "SIGSIGSIG" not in json.dumps(redact_document({"a": [text], text: 1}))


@given(anything | linkish)
def test_a_redacted_text_encodes_and_stays(text: str) -> None:
    """The result is UTF-8 text, and its links have no query."""
    clean = redact_text(text)
    clean.encode()
    assert not re.search(r"https?://[^\s\"'<>`]*[?#]", clean)


@given(secret=secretish, before=anything, after=anything)
@example(secret="0000", before="", after="0")
@example(secret="00 0", before="", after="")
def test_a_secret_becomes_a_mask_in_every_form(secret: str, before: str, after: str) -> None:
    """A secret is masked as it is, percent-encoded, JSON-escaped and in base64."""
    assume(len(secret) >= 4 and set(secret) - set(MASK))
    raw = secret.encode()
    forms = {
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower() if secret.isascii() and secret.islower() else secret,
        quote(quote(secret, safe=""), safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
    }
    redactor = Redactor([secret])
    for form in forms:
        assert redactor.text(f" {form} ") == f" {MASK} "
        assert secret not in redactor.text(before + form + after).replace(MASK, "")
        assert form not in json.dumps(redactor.document([form]))


@pytest.mark.parametrize("user", ["", "u", "us", "user", "user:"])
def test_a_secret_within_longer_base64_is_masked(user: str) -> None:
    """`Basic` credentials hide the key in base64 of more than the key."""
    secret = "sk-live-0123456789"
    encoded = base64.b64encode(f"{user}{secret}!".encode()).decode()
    clean = redact_text(f"sent {encoded}", [secret])
    assert MASK in clean
    shown = base64.b64decode(clean.replace("sent ", "").partition(MASK)[0] + "==", validate=False)
    assert secret[:4].encode() not in shown


def test_short_secrets_are_left_alone() -> None:
    """A secret of three characters would blank ordinary words."""
    assert redact_text("the cat", ["cat", "", "   "]) == "the cat"


def test_secrets_may_be_added_later() -> None:
    """A shared redactor hides what it learns; its repr shows nothing."""
    redactor = Redactor(["first-secret"])
    assert redactor.text("first-secret late-secret") == "*** late-secret"
    redactor.add(" late-secret\n")
    assert redactor.text("first-secret late-secret") == "*** ***"
    assert "secret" not in repr(redactor).replace("2 secrets", "")


def test_the_longer_of_two_secrets_goes_first() -> None:
    """A secret that begins like another leaves no tail."""
    assert redact_text("abcd-efgh", ["abcd", "abcd-efgh"]) == MASK


# --- documents ----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**2460, max_value=10**2470)
    | st.floats()
    | anything
    | linkish,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_any_answer_becomes_strict_json(value: JsonValue) -> None:
    """Every answer can be written as strict JSON in UTF-8, and read back the same."""
    clean = redact_document(value)
    written = json.dumps(clean, allow_nan=False, ensure_ascii=False).encode()
    assert json.loads(written) == clean


@given(json_values)
def test_a_document_loses_no_member(value: JsonValue) -> None:
    """Lists and objects keep their length, even when two names are redacted to one."""
    clean = redact_document(value)
    if isinstance(value, (list, dict)):
        assert isinstance(clean, (list, dict))
        assert len(clean) == len(value)
    else:
        assert not isinstance(clean, list)


def test_two_names_that_become_one_are_both_kept() -> None:
    """Names that differ in a query only get numbers."""
    clean = redact_document({"https://h/p?a=1": 1, "https://h/p?a=2": 2, "https://h/p": 3})
    assert clean == {"https://h/p": 1, "https://h/p~2": 2, "https://h/p~3": 3}


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "X-API-Key", "Authorization", "access_token", "refreshToken", "secret",
        "client_secret", "SecretAccessKey", "password", "token", "cookie", "X-Amz-Signature",
    ],
)  # fmt: skip
def test_values_of_secret_names_are_masked(name: str) -> None:
    """What such a name holds is masked, whatever it is; null and flags say nothing."""
    assert redact_document({name: "x"}) == {name: MASK}
    assert redact_document({"a": [{name: {"b": ["x"]}}]}) == {"a": [{name: MASK}]}
    assert redact_document({name: None}) == {name: None}
    assert redact_document({"name": name, "value": "x"}) == {"name": name, "value": MASK}


@pytest.mark.parametrize(
    "name",
    ["prompt", "tokens", "token_count", "key", "keywords", "time_signature", "id", "secrets"],
)
def test_values_of_ordinary_names_stay(name: str) -> None:
    """Names that only resemble secret ones keep their value."""
    assert redact_document({name: "x"}) == {name: "x"}


def _digest(data: bytes) -> JsonValue:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


@pytest.mark.parametrize("size", [768, 769, 770, 5000])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_embedded_files_are_replaced_by_their_digest(size: int, encode: type) -> None:
    """Base64 of a KiB or more becomes digest and length of the bytes that it stands for."""
    data = bytes(i * 7 % 256 for i in range(size))
    encoded = encode(data).decode()
    assert redact_document([encoded]) == [_digest(data)]
    assert redact_document([encoded.rstrip("=\n")]) == [_digest(data)]
    assert redact_document([f"data:image/png;base64,{encoded}"]) == [_digest(data)]


def test_small_data_uris_are_replaced_too() -> None:
    """A data URI is a file, whatever its length and encoding."""
    assert redact_document("data:image/gif;base64,R0lGODlh") == _digest(b"GIF89a")
    assert redact_document("data:text/plain,a%20b?c") == _digest(b"a b?c")
    assert redact_document("data:,") == _digest(b"")


def test_files_within_a_text_are_named_in_it() -> None:
    """A chat answer with an image in it keeps its words."""
    data = b"x" * 3000
    text = f"Here: ![cat](data:image/png;base64,{base64.b64encode(data).decode()}) done"
    digest = hashlib.sha256(data).hexdigest()
    assert redact_document(text) == (
        f"Here: ![cat](data:image/png;base64,(sha256 {digest}, 3000 bytes)) done"
    )


@pytest.mark.parametrize(
    "text",
    ["word " * 400, "la\n" * 600, "A verse of this song\n" * 60, "x" * 1023, "猫" * 2000],
)
def test_long_words_are_no_file(text: str) -> None:
    """Lyrics and long prompts are not taken for base64."""
    assert redact_document(text) == text


def test_what_is_not_quite_base64_stands_for_itself() -> None:
    """A cut blob is replaced by the digest of its text."""
    assert redact_document("A" * 1025) == _digest(b"A" * 1025)


def test_depth_is_bounded() -> None:
    """Below the limit there is a marker; nothing overflows."""
    value: JsonValue = "deep"
    for _ in range(MAX_DEPTH):
        value = [value]
    assert "deep" in json.dumps(redact_document(value))
    for _ in range(100_000):
        value = [value]
    written = json.dumps(redact_document(value))
    assert "deep" not in written.replace("deeper", "")
    assert written.count("[") == MAX_DEPTH
    assert TOO_DEEP in written
    while isinstance(value, list):  # or the interpreter recurses to free it
        value = value[0]


def test_numbers_out_of_range_become_strings() -> None:
    """NaN, infinities and numbers of thousands of digits are legible strings."""
    clean = redact_document([float("nan"), float("inf"), -float("inf"), 1 << 20000, 1.5, 7])
    assert isinstance(clean, list)
    assert clean[:3] == ["NaN", "Infinity", "-Infinity"]
    assert str(clean[3]).startswith("0x1000")
    assert clean[4:] == [1.5, 7]


def test_lone_surrogates_are_replaced() -> None:
    """Half characters go, whole ones stay, even when written as two halves."""
    assert redact_document({"a\ud800": "b\udc00 \ud83d\ude42"}) == {"a\ufffd": "b\ufffd 🙂"}


@pytest.mark.parametrize(
    "evil",
    [
        "\\", "/", "\\/", "%25", "%3F", "?a=", "'", "'a&", " ", " ab", "token=", "bearer ", "[:",
        "authorization: ", "cookie: ", "data:;base64,", "a:", "%3A%2F%2F", "x-amz-",
        "\\u003", "https:", "a" * 1000 + " ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "https://h/p?", "https://"])
def test_hostile_texts_cost_no_more_than_their_length(evil: str, start: str) -> None:
    """Redaction of a long hostile text takes a time in proportion to it."""
    redactor = Redactor(["sk-0123456789", "%25%25%25"])
    text = start + evil * (100_000 // len(evil))
    begun = time.process_time()
    redactor.text(text)
    redactor.document(text)
    redact_url(text)
    assert time.process_time() - begun < 5


# --- terminals and logs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 猫 🙂 é", "plain 猫 🙂 é"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("gnp\u202e.exe\u2066", "gnp\\u202e.exe\\u2066"),
        ("\u2028\ud800\U000e0041", "\\u2028\\ud800\\U000e0041"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    """A terminal gets text only, and one line of it."""
    assert printable(text) == shown


@given(anything)
def test_printable_text_is_safe(text: str) -> None:
    """Nothing that moves a cursor or turns a line around is left."""
    shown = printable(text)
    shown.encode()
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert not {c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "PDF")}
    assert len(shown.splitlines()) <= 1


def _logged(redactor: Redactor, message: object, *args: object, fail: str = "") -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        RedactingFormatter(redactor, logging.Formatter("%(levelname)s %(message)s"))
    )
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        int(fail)
    except ValueError:
        logger.exception(message, *args, exc_info=bool(fail))
    return stream.getvalue()


def test_log_records_are_redacted_with_their_arguments_and_traceback() -> None:
    """Message, arguments and the traceback's own text lose their secrets."""
    redactor = Redactor(["sk-hidden"])
    text = _logged(redactor, "asked %s with %s", SIGNED, "sk-hidden", fail=f"no {SIGNED} sk-hidden")
    assert "Traceback" in text
    assert "SIGSIG" not in text
    assert "sk-hidden" not in text
    assert f"ERROR asked {BARE} with ***\n" in text


def test_a_log_record_cannot_forge_or_break() -> None:
    """Escapes are shown, and arguments that do not fit are not printed bare."""
    assert "\\x1b[2J" in _logged(Redactor(), "\x1b[2J")
    text = _logged(Redactor(["sk-hidden"]), "%d tasks", "sk-hidden")
    assert "%d tasks" in text
    assert "sk-hidden" not in text
