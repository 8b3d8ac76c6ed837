"""Reading untrusted JSON: wrong types are absent, nothing raises, and what is kept is safe."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.answers import (
    Envelope,
    Fields,
    Notes,
    bodies_of,
    body_of,
    clean_url,
    embedded,
    identity_of,
    is_marked_name,
    merge_equal_urls,
    moment_of,
    path_segment,
    plain,
    progress_of,
    rendition_of,
    settled,
    unwrap,
)
from archiver.errors import ProviderError
from archiver.model import JsonValue, Progress, Rendition

URL = "https://cdn.example.com/a/b.mp4"
DATE = datetime(2024, 6, 12, 21, 51, 39, tzinfo=UTC)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


def short(value: object) -> str | None:
    """Name a value in a test's id, unless pytest can do that itself."""
    if isinstance(value, int) and value.bit_length() > 999:
        return "huge"
    return "long" if isinstance(value, str) and len(value) > 99 else None


# --- Fields -------------------------------------------------------------------------------------

READERS: dict[str, Callable[[Fields], object]] = {
    "text": lambda f: f.text("x"),
    "words": lambda f: f.words("x"),
    "ident": lambda f: f.ident("x"),
    "flag": lambda f: f.flag("x"),
    "number": lambda f: f.number("x"),
    "integer": lambda f: f.integer("x"),
    "pixels": lambda f: f.pixels("x"),
    "seconds": lambda f: f.seconds("x"),
    "size": lambda f: f.size("x"),
    "moment": lambda f: f.moment("x"),
    "url": lambda f: f.url("x"),
}

READ: list[tuple[str, JsonValue, object]] = [
    ("text", "a\nb\x07", "a\nb\x07"), ("text", "half \ud83d", "half \ufffd"),
    ("text", "  ", None), ("text", 5, None), ("text", ["a"], None), ("text", {}, None),
    ("words", "a\n\x1b[31mb", "a \\x1b[31mb"), ("words", f"see {URL}?sig=s3cret", f"see {URL}"),
    ("ident", "a-b", "a-b"), ("ident", 302892389810432, "302892389810432"), ("ident", " a ", "a"),
    ("ident", True, None), ("ident", 1.5, None), ("ident", -1, None), ("ident", URL, None),
    ("ident", 10**5000, None), ("ident", "x" * 3001, None),
    ("flag", True, True), ("flag", "false", False), ("flag", "yes", None), ("flag", 1, None),
    ("number", 5.5, 5.5), ("number", "5.042", 5.042), ("number", "-1e3", -1000.0),
    ("number", "0x10", None), ("number", "1_000", None), ("number", "NaN", None),
    ("number", float("nan"), None), ("number", float("inf"), None), ("number", 10**400, None),
    ("number", "9" * 5000, None), ("number", True, None), ("number", "\u0661", None),
    ("number", "1e99", 1e99),
    ("integer", 7, 7), ("integer", "0042", 42), ("integer", 7.0, 7), ("integer", "7.0", 7),
    ("integer", 7.5, None), ("integer", 2**64, None), ("integer", -(2**63), -(2**63)),
    ("integer", False, None), ("integer", "9" * 20, None), ("integer", 2**64 - 1, 2**64 - 1),
    ("pixels", 752, 752), ("pixels", "1360", 1360), ("pixels", 1360.0, 1360), ("pixels", 0, None),
    ("pixels", -752, None), ("pixels", 100_001, None), ("pixels", "1360px", None),
    ("pixels", float("nan"), None), ("pixels", 752.5, None), ("pixels", [752], None),
    ("seconds", 5.04, 5.04), ("seconds", "219", 219.0), ("seconds", 0, None), ("seconds", -1, None),
    ("seconds", "5s", None), ("seconds", 1e9, None), ("seconds", float("inf"), None),
    ("size", "1024x768", (1024, 768)), ("size", "1024 \u00d7 768", (1024, 768)),
    ("size", "0x768", None), ("size", "1024", None), ("size", 1024, None),
    ("moment", "2024-06-12 21:51:39", DATE), ("moment", "0001-01-01T00:00:00Z", None),
    ("url", URL, URL), ("url", "www.downloadurl.com", None), ("url", [URL], None),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "value", "expected"), READ, ids=short)
def test_a_value_is_read_or_absent(reader: str, value: JsonValue, expected: object) -> None:
    """A value of the right meaning is read whatever its type; any other counts as absent."""
    found = READERS[reader](Fields({"x": value}))
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("reader", READERS)
def test_wrong_types_leave_a_warning(reader: str) -> None:
    """What is left out is said, with its place in the answer."""
    notes = Notes()
    READERS[reader](Fields({"x": {"a": 1}}, notes, "video"))
    assert len(notes.texts()) == 1
    assert notes.texts()[0].startswith("`video.x` is an object, not ")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("value", [None, "", " \n", "absent"])
def test_nothing_is_no_wrong_type(reader: str, value: JsonValue) -> None:
    """`null`, blank and missing values are absent without a warning."""
    notes = Notes()
    fields = Fields({} if value == "absent" else {"x": value}, notes)
    assert READERS[reader](fields) is None
    assert notes.texts() == ()


@pytest.mark.parametrize("reader", ["pixels", "seconds", "moment"])
def test_zero_is_an_ordinary_way_to_say_unknown(reader: str) -> None:
    """A zero size, duration or date is no mistake of the API's."""
    notes = Notes()
    for value in (0, "0", 0.0):
        assert READERS[reader](Fields({"x": value}, notes)) is None
    assert notes.texts() == ()


def test_the_first_usable_name_counts() -> None:
    """A wrong type under one name does not hide the right value under the next."""
    fields = Fields({"a": [1], "b": "", "c": "yes", "d": "no"})
    assert fields.text("a", "b", "c", "d") == "yes"
    assert Fields({"a": "www.x.y", "b": URL}).url("a", "b") == URL


def test_objects_within() -> None:
    """A child is found at the first name that holds an object; otherwise it is empty."""
    fields = Fields({"a": 3, "b": {"c": {"d": "deep"}}})
    assert fields.child("a", "b").child("c").text("d") == "deep"
    assert not fields.child("a")
    assert fields.child("x").child("y").child("z").text("d") is None
    assert fields.notes.texts() == ("`a` is a number, not an object; taken as absent",)


@pytest.mark.parametrize(
    ("value", "links"),
    [
        (URL, [URL]),
        ([URL, {"url": URL + "2"}, None, "", "no link", 7, {"url": 5}, []], [URL, URL + "2"]),
        ({"url": URL, "width": 3}, [URL]),
        (json.dumps([URL, {"url": URL}]), [URL, URL]),
        (7, []),
        (None, []),
    ],
)
def test_lists_of_links(value: JsonValue, links: list[str]) -> None:
    """A link, an object with one, a list of either, or such a list as text: all are links."""
    entries = Fields({"output": value}).links("output")
    assert [url for entry in entries if (url := entry.url("url"))] == links


def test_lists_of_objects() -> None:
    """One object alone is a list of one; entries that are no objects are left out with a word."""
    fields = Fields({"songs": [{"id": 1}, "x", {"id": 2}], "song": {"id": 3}})
    assert [s.ident("id") for s in fields.items("songs")] == ["1", "2"]
    assert [s.ident("id") for s in fields.items("song")] == ["3"]
    assert fields.notes.texts() == ("`songs[1]` is a text, not an object; taken as absent",)


def test_warnings_are_bounded() -> None:
    """Ten thousand wrong values leave some warnings and a number, not ten thousand texts."""
    notes = Notes()
    Fields({"a": [3] * 10_000}, notes).items("a")
    assert len(notes.texts()) == 21
    assert notes.texts()[-1] == "and 9980 more warnings like these"


def test_long_texts_are_cut_with_a_word() -> None:
    """A text of megabytes leaves the answer bounded, and says so."""
    fields = Fields({"prompt": "\U0001f600" * 1_000_000})
    assert len(fields.text("prompt") or "") == 64 << 10
    assert "`prompt` is cut after 65,536 characters" in fields.notes.texts()[0]


@given(json_values, st.sampled_from(sorted(READERS)))
def test_reading_never_raises(value: JsonValue, reader: str) -> None:
    """Any JSON value at any place is read or absent."""
    fields = Fields({"x": value, "y": {"x": value}})
    READERS[reader](fields)
    READERS[reader](fields.child("y"))
    READERS[reader](Fields(value))
    for entry in (*fields.items("x"), *fields.links("x"), fields.link("x")):
        READERS[reader](entry)


def test_words_for_messages_hide_what_is_secret() -> None:
    """Foreign words in a message hold no key, no signed query, no control character, no novel."""
    text = plain(
        f"bad key sk-live4f9a2b77c1 \u202eevil \x00 {URL}?X-Amz-Signature=s3cr3t " + "x" * 9999
    )
    assert "sk-live" not in text
    assert "s3cr3t" not in text
    assert text.isprintable()
    assert len(text) == 500


# --- dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "2024-06-12 21:51:39", "2024-06-12T21:51:39Z", "2024-06-12T21:51:39z",
        "2024-06-12T21:51:39+00:00", "2024-06-12T23:51:39+02:00", "2024-06-12T16:51:39-0500",
        "2024-06-13T05:51:39+08", "2024-06-12T21:51:39.000000000Z", "2024-06-12T21:51:39,0Z",
        "2024-06-12 21:51:39 UTC", " 2024-06-12T21:51:39 ", 1718229099, 1718229099.0, "1718229099",
        1718229099000, "1718229099000", 1718229099000000, 1718229099000000000, "1718229099.000",
    ],
)  # fmt: skip
def test_dates_in_every_spelling(value: JsonValue) -> None:
    """The same moment is read from every form that APIs give it."""
    date = moment_of(value)
    assert date == DATE
    assert date.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "microsecond"),
    [
        ("2024-06-12T21:51:39.3Z", 300_000),
        ("2024-06-12T21:51:39.325Z", 325_000),
        ("2024-06-12T21:51:39.625316+00:00", 625_316),
        ("2024-06-12T21:51:39.625316416Z", 625_316),
        (1718229099325, 325_000),
        ("1718229099.25", 250_000),
    ],
)
def test_fractions_of_a_second(value: JsonValue, microsecond: int) -> None:
    """Fractions of any length are kept to the microsecond."""
    assert moment_of(value) == DATE.replace(microsecond=microsecond)


@pytest.mark.parametrize("value", ["2024-06-12", "2024-06-12T00:00Z"])
def test_dates_without_seconds(value: str) -> None:
    """A day, or hours and minutes, are a date as well."""
    assert moment_of(value) == datetime(2024, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2024-02-31T00:00:00Z",
        "2024-06-12T25:00:00Z", "2024-06-12T21:51:39+99:00", "yesterday", "", "12/06/2024",
        "20240612", 0, "0", -1718229099, 1, True, None, [], {}, 1e300, float("nan"), "9" * 400,
        "2024-06-12T21:51:39Z" + " " * 100,
    ],
)  # fmt: skip
def test_what_is_no_date(value: JsonValue) -> None:
    """Zero, absurd and broken dates are "not known"."""
    assert moment_of(value) is None


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        URL, "HTTP://CDN.example.com/a", "https://user@h.example/x", "http://127.0.0.1:8080/v.mp4",
        "http://localhost/x", "https://[::1]:8443/x", "https://cdn.example.com/The%2520Untitled.mp3",
        "https://cdn.example.com/a?x=%2F&y=a%20b#frag", "https://b\u00fccher.example/\u00fc.png",
        "https://my_bucket.s3.example.com/a|b{c}^d", "https://h.example", "https://h.example./x",
        "https://cdn.example.com/nonexistent.mp4", "https://h.example/api/forbidden/x.mp4",
    ],
)  # fmt: skip
def test_links_are_returned_verbatim(url: str) -> None:
    """A link that can be fetched leaves exactly as it came."""
    assert clean_url(url) is url


@pytest.mark.parametrize(
    "value",
    [
        "www.downloadurl.com", "//cdn.example.com/a", "/a/b.mp4", "ftp://h.example/a", "data:,x",
        "javascript:alert(1)", "file:///etc/passwd", "https://", "https:///a", "http://:80/x", "https://?x",
        "https://cdn1.suno.ai/None.mp3", "https://cdn1.suno.ai/none", "https://h.example/null",
        "https://h.example/undefined.png?x=1", "https://studio-api.prod.suno.com/api/forbidden",
        "https://h.example/api/forbidden/", "", " ", f" {URL}", f"{URL}\n", f"{URL} x",
        f"{URL}\x00", f"{URL}\x7f", f"{URL}\x85", f"{URL}\u2028", f"{URL}\ud800", "https://h.example/a\\b",
        "https://exa mple.com/", "https://{host}/x", "https://..", "https://a..b/x", "https://%41/x",
        "https://[::1/x", "https://[zz]/x", "https://h.example:99999/x", "https://h.example:port/x",
        "https://h.example:0/x", "https://h.example/" + "x" * (16 << 10),
        "https://h/" + "\u00e9" * 9000,
        "https://" + "a" * 300 + ".example/x", None, True, 5, [URL], {"url": URL},
        "https://h\u2100.example/x",
    ],
)  # fmt: skip
def test_what_is_no_link(value: JsonValue) -> None:
    """Placeholders, other schemes, missing hosts and broken text are no links."""
    assert clean_url(value) is None


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (f" {URL}\n", URL),
        ("https://h.example/a b.mp4?x=c d", "https://h.example/a%20b.mp4?x=c%20d"),
        ("https://exa mple.com/", None),
        ("no link", None),
        (5, None),
    ],
)
def test_a_field_for_a_link_is_read_as_browsers_do(value: JsonValue, url: str | None) -> None:
    """White space around it goes, spaces within are encoded."""
    assert Fields({"url": value}).url("url") == url


@pytest.mark.parametrize(
    ("url", "marked"),
    [
        ("https://h/5f_watermarked_video0.mp4", True),
        ("https://h/watermarked_video0.mp4?x=1", True),
        ("https://h/a/clip_WaterMarked.mp4#f", True),
        ("https://h/a/clip%5Fw%61termarked.mp4", True),
        ("https://h/watermarked/clean.mp4", False),
        ("https://h/clean.mp4?name=watermarked.mp4", False),
        ("https://h/0a11_video.mp4", False),
        ("https://[broken/watermarked", False),
    ],
)
def test_marks_in_file_names(url: str, marked: bool) -> None:
    """The mark is looked for in the file name: no folder and no parameter makes one."""
    assert is_marked_name(url) is marked


def test_equal_links_are_one_rendition() -> None:
    """The same link given three times is one form, named by the best, clean, and declared whole."""
    forms = [
        Rendition(name="video_raw", url=URL),
        Rendition(name="download_url", url=URL, width_px=752, height_px=1360),
        Rendition(name="no_mark"),
        Rendition(name="url", url=URL, watermarked=True, duration_s=5.0, width_px=1, height_px=1),
    ]
    assert merge_equal_urls(forms) == (
        Rendition(name="video_raw", url=URL, width_px=752, height_px=1360, duration_s=5.0),
        Rendition(name="no_mark"),
    )


def test_clean_name_cleans_a_marked_one_whatever_the_order() -> None:
    """A link that is a clean form under any of its names is clean."""
    marked = Rendition(name="url", url=URL, watermarked=True)
    for forms in (
        [marked, Rendition(name="raw", url=URL)],
        [Rendition(name="raw", url=URL), marked],
    ):
        assert [r.watermarked for r in merge_equal_urls(forms)] == [False]
    assert [r.watermarked for r in merge_equal_urls([marked, marked])] == [True]


def test_a_marked_file_name_is_believed_over_every_field() -> None:
    """A clean field does not clean a file whose name says that it is marked."""
    url = "https://h.example/x_watermarked.mp4"
    forms = [rendition_of("video_raw", url), rendition_of("url", url, watermarked=True)]
    assert [r.watermarked for r in merge_equal_urls(forms)] == [True]
    said_clean = Rendition(name="video_raw", url=url)
    assert [r.watermarked for r in merge_equal_urls([said_clean, forms[1]])] == [True]


def test_two_forms_that_differ_in_the_query_stay_two() -> None:
    """Only the very same link is the same rendition."""
    forms = [
        Rendition(name="a", url=URL),
        Rendition(name="b", url=URL + "?x=1"),
        Rendition(name="c"),
        Rendition(name="d", content=b"x"),
        Rendition(name="e", content=b"x"),
    ]
    assert merge_equal_urls(forms) == tuple(forms)


def test_renditions_know_when_they_die() -> None:
    """A rendition made of a signed link bears the date of the signature's end and its sizes."""
    url = f"{URL}?X-Amz-Date=20241015T085653Z&X-Amz-Expires=3600"
    form = rendition_of("a", url, Fields({"width": "752", "height": 1360, "duration": "5.04"}))
    assert form.expires_at == datetime(2024, 10, 15, 9, 56, 53, tzinfo=UTC)
    assert (form.width_px, form.height_px, form.duration_s) == (752, 1360, 5.04)
    assert "Amz" not in repr(form)


PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


@pytest.mark.parametrize(
    "value",
    [
        PIXEL, PIXEL.rstrip("="), PIXEL.replace("+", "-").replace("/", "_"),
        f"data:image/png;base64,{PIXEL}", f"DATA:image/png;BASE64,{PIXEL}",
        PIXEL[:20] + "\n" + PIXEL[20:],
        f"data:image/png;base64,{PIXEL.replace('=', '%3D')}",
    ],
)  # fmt: skip
def test_files_inside_an_answer(value: str) -> None:
    """A file comes out of base64 and data URIs in every usual writing."""
    assert embedded(value) == b"\x89PNG\r\n\x1a\n" + bytes(40)


def test_data_uris_without_base64() -> None:
    """A data URI may hold percent-encoded text."""
    assert embedded("data:image/svg+xml,%3Csvg/%3E") == b"<svg/>"


@pytest.mark.parametrize(
    "value", ["", None, 5, [], "a b!c", "data:image/png;base64,", "=", "data:,", URL]
)
def test_what_holds_no_file(value: JsonValue) -> None:
    """What is no base64 holds no file."""
    assert embedded(value) is None


# --- envelopes ----------------------------------------------------------------------------------

BODY: JsonValue = {"id": "u-1", "state": "completed"}
ROW: dict[str, JsonValue] = {
    "task_id": "task_1", "platform": "luma", "action": "VIDEO", "status": "SUCCESS",
    "fail_reason": URL, "result_url": URL, "submit_time": 1718229099, "created_at": "2024-06-12",
    "properties": {"origin_model_name": "m"}, "data": BODY,
}  # fmt: skip


def wrap(body: JsonValue, times: int) -> JsonValue:
    codes: list[JsonValue] = ["success", 0, 200, "SUCCESS", 1]
    for number in range(times):
        body = {"code": codes[number % 5], "message": "", "data": body}
    return body


@pytest.mark.parametrize("times", range(7))
def test_envelopes_come_off_at_any_depth(times: int) -> None:
    """The body is found inside any number of envelopes, rows among them."""
    assert unwrap(wrap(BODY, times)).value == BODY
    opened = unwrap(wrap(ROW, times))
    assert opened.value == BODY
    assert opened.envelope.status == "SUCCESS"


def test_the_envelope_keeps_what_it_says() -> None:
    """Dates and ids of the row are kept: the body may lack them."""
    assert unwrap({"code": "success", "data": ROW}).envelope == Envelope(
        status="SUCCESS",
        fail_reason=URL,
        result_url=URL,
        submitted_at=DATE,
        created_at=datetime(2024, 6, 12, tzinfo=UTC),
        task_id="task_1",
        platform="luma",
        action="VIDEO",
        model="m",
    )


def test_the_outermost_word_counts() -> None:
    """A gateway behind a gateway does not overrule it, but fills in what it leaves out."""
    inner = {**ROW, "status": "FAILURE", "task_id": "inner"}
    outer: JsonValue = {"task_id": "outer", "submit_time": 0, "status": "SUCCESS", "data": inner}
    envelope = unwrap(outer).envelope
    assert (envelope.task_id, envelope.status) == ("outer", "SUCCESS")
    assert envelope.submitted_at == DATE


@pytest.mark.parametrize(
    "wrapped",
    [
        {"data": BODY},
        {"data": BODY, "message": "ok"},
        {"success": True, "data": BODY},
        {"code": "success", "data": json.dumps(BODY)},
        json.dumps({"code": "success", "data": BODY}),
        {"code": 200, "msg": "", "data": BODY, "exec_time": 0.03},
        {"task_id": "e4", "status": "SUCCESS", "data": BODY},
        {"code": "success", "data": {"status": "SUCCESS", "data": BODY}},
        {"id": 5, "task_id": "e4", "progress": "100%", "created_at": 1, "data": BODY},
    ],
)
def test_unusual_envelopes(wrapped: JsonValue) -> None:
    """Envelopes without a code, and bodies kept as text, are opened as well."""
    assert unwrap(wrapped).value == BODY


@pytest.mark.parametrize(
    "body",
    [
        {"created": 1, "data": [{"url": URL}]},
        {"id": "1", "data": {"a": 1}},
        {"code": 1, "description": "ok", "result": "42"},
        [{"code": 0, "data": 1}],
        "text", 5, None, True, {},
    ],
)  # fmt: skip
def test_what_is_no_envelope_stays(body: JsonValue) -> None:
    """An answer that only has a member called `data` keeps its shape."""
    assert unwrap(body).value == body
    assert unwrap(body).envelope == Envelope()


@pytest.mark.parametrize("data", [None, "", "plain words", 5, [], [1, 2]])
def test_rows_without_a_body_yet(data: JsonValue) -> None:
    """What stands where the body should be is returned as it is."""
    assert unwrap({**ROW, "data": data}).value == data


def test_endless_envelopes_are_refused() -> None:
    """Nobody nests a thousand envelopes; it costs no stack to say so."""
    with pytest.raises(ProviderError, match="more than 64"):
        unwrap(wrap(BODY, 5000))


def test_a_wrong_type_in_an_envelope_is_absent() -> None:
    """An envelope's fields are no more to be trusted than a body's."""
    opened = unwrap({"code": {}, "status": 200, "task_id": [], "submit_time": "soon", "data": BODY})
    assert opened.value == BODY
    assert opened.envelope == Envelope()


def test_lists_of_bodies() -> None:
    """A list gives its bodies one by one, each with its own row's words, and counts the rest."""
    rows: list[JsonValue] = [ROW, {**ROW, "task_id": "t2"}, 5, None, "x"]
    for answer in (rows, {"code": "success", "data": rows}):
        found = bodies_of(answer)
        assert [b.ids("id") for b in found.found] == [("task_1", "u-1"), ("t2", "u-1")]
        assert (found.unread, found.listed) == (3, True)
        assert found.found[0].raw is rows[0]


def test_pages_of_a_list() -> None:
    """A page names its list; what the page says besides is kept."""
    answer: JsonValue = {"code": 0, "data": {"items": [ROW], "has_more": True}}
    page = bodies_of(answer, "generations", "items")
    assert len(page.found) == 1
    assert page.found[0].raw is ROW
    assert page.around["has_more"] is True
    assert bodies_of({"items": None}, "items").found == ()


def test_a_list_of_one_is_that_one() -> None:
    """An answer that holds one body in a list is kept whole."""
    answer = wrap([BODY], 2)
    body = body_of(answer, "anything")
    assert (body.object, body.raw) == (BODY, answer)


def test_a_list_inside_a_row_is_one_task() -> None:
    """Clips inside a row with an id belong to one task."""
    row: JsonValue = {**ROW, "data": [{"id": "c1"}, {"id": "c2"}]}
    found = bodies_of({"code": "success", "data": row}).found
    assert [b.value for b in found] == [[{"id": "c1"}, {"id": "c2"}]]
    assert found[0].ids("id") == ("task_1",)
    assert found[0].object == {}


def test_one_of_several_bodies() -> None:
    """Of several bodies the one with the id asked for is meant; without it there is none."""
    answer: JsonValue = [{"id": "a"}, {"id": 5}]
    assert body_of(answer, "5", "id").object == {"id": 5}
    with pytest.raises(ProviderError, match="holds 2 tasks"):
        body_of(answer, "c", "id")
    with pytest.raises(ProviderError, match="holds 0 tasks"):
        body_of({"code": "success", "data": None}, "c", "id")


@pytest.mark.parametrize("answer", ["text", 5, True, 1.5, ""])
def test_no_object_is_no_body(answer: JsonValue) -> None:
    """A bare word or number describes no task."""
    with pytest.raises(ProviderError):
        bodies_of(answer)


@given(json_values)
def test_opening_never_raises_anything_else(value: JsonValue) -> None:
    """Whatever is inside envelopes, only a `ProviderError` leaves."""
    for answer in (value, wrap(value, 3), {**ROW, "data": value}, {"items": value}):
        try:
            for body in bodies_of(answer, "items").found:
                body.ids("id", "x")
        except ProviderError:
            pass


# --- states -------------------------------------------------------------------------------------

FINISHED = ["completed", "complete", "succeeded", "succeed", "success", "SUCCESS", "Success",
            "SUCCEEDED", "Ready", "3", 3, True, " Completed ", "finished"]  # fmt: skip
FAILED = ["failed", "FAILED", "Fail", "failure", "FAILURE", "error", "Error", "canceled",
          "cancelled", "CANCELLED", "CANCEL", "aborted", "2", 2, "Request Moderated",
          "Content Moderated", "request_moderated", "CONTENT-MODERATED"]  # fmt: skip
RUNNING = ["pending", "processing", "queued", "dreaming", "NOT_START", "SUBMITTED", "QUEUED",
           "IN_PROGRESS", "streaming", "MODAL", "Pending", "Reasoning", "Generating", "THROTTLED",
           "RUNNING", "starting", "Preparing", "Queueing", "Processing", "UNKNOWN", "0", "1", False,
           "in progress", "not-start"]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "progress"),
    [
        *((w, Progress.FINISHED) for w in FINISHED),
        *((w, Progress.FAILED) for w in FAILED),
        *((w, Progress.RUNNING) for w in RUNNING),
        ("Task not found", Progress.GONE),
    ],
)
def test_state_words(word: JsonValue, progress: Progress) -> None:
    """Every documented word is known, in every case and spelling, without a warning."""
    notes = Notes()
    assert progress_of(word, notes) is progress
    if isinstance(word, str):
        assert progress_of(word.swapcase(), notes) is progress
    assert notes.texts() == ()


def test_unknown_words_mean_still_running() -> None:
    """A word that nobody knows yet loses nothing: it runs on, with a warning."""
    notes = Notes()
    assert progress_of("transcoding\x1b", notes) is Progress.RUNNING
    assert "\u201ctranscoding\\x1b\u201d is not known" in notes.texts()[0]


@pytest.mark.parametrize("word", [7, 1.5, [], {}, -1, 10**30])
def test_a_state_that_is_no_word_is_absent(word: JsonValue) -> None:
    """A number or a list says nothing about the state, and that is said."""
    notes = Notes()
    assert progress_of(word, notes) is None
    assert notes.texts() == ("the state is not a word; taken as absent",)


SETTLED = [
    # body, envelope, has output, progress, warned
    ("completed", None, True, Progress.FINISHED, False),
    ("completed", "FAILURE", True, Progress.FINISHED, False),
    ("completed", "IN_PROGRESS", True, Progress.FINISHED, False),
    ("processing", "SUCCESS", True, Progress.RUNNING, False),
    ("processing", "FAILURE", False, Progress.FAILED, True),
    ("failed", "SUCCESS", False, Progress.FAILED, False),
    (None, "SUCCESS", False, Progress.FINISHED, False),
    (None, "FAILURE", False, Progress.FAILED, False),
    (None, "NOT_START", False, Progress.RUNNING, False),
    ("", "SUCCESS", False, Progress.FINISHED, False),
    ("brand-new", "SUCCESS", True, Progress.FINISHED, True),
    ("brand-new", None, True, Progress.RUNNING, True),
    (None, "brand-new", True, Progress.RUNNING, True),
    (None, None, True, Progress.FINISHED, True),
    (None, None, False, Progress.RUNNING, True),
    ([], None, True, Progress.FINISHED, True),
]


@pytest.mark.parametrize(("word", "status", "has_output", "progress", "warned"), SETTLED)
def test_body_and_envelope_agree_on_a_state(
    word: JsonValue, status: str | None, has_output: bool, progress: Progress, warned: bool
) -> None:
    """The body's word counts, the envelope's fills in, and files speak where nothing else does."""
    notes = Notes()
    found = settled(word, Envelope(status=status), has_output=has_output, notes=notes)
    assert found is progress
    assert bool(notes.texts()) is warned


# --- ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_id", "segment"),
    [
        ("4b3c464e-94f6", "4b3c464e-94f6"), ("a/b", "a%2Fb"), ("../x", "..%2Fx"), (".", "%2E"),
        ("..", "%2E%2E"), ("...", "%2E%2E%2E"), ("a?b#c", "a%3Fb%23c"), ("%2e", "%252e"),
        ("a b\n", "a%20b%0A"), ("\u00fc", "%C3%BC"), ("\udc80", "%ED%B2%80"), ("a:b", "a%3Ab"),
    ],
)  # fmt: skip
def test_an_id_is_one_segment(task_id: str, segment: str) -> None:
    """No id can leave its place in the path."""
    assert path_segment(task_id) == segment


def test_identity_of_a_body_without_id() -> None:
    """The same answer is the same task, whatever its order and its signatures; another is not."""
    first: JsonValue = {"created": 1, "data": [{"url": f"{URL}?sig=1", "seed": 7}]}
    again: JsonValue = {"data": [{"seed": 7, "url": f"{URL}?sig=2"}], "created": 1}
    other: JsonValue = {"data": [{"seed": 8, "url": f"{URL}?sig=2"}], "created": 1}
    assert identity_of(first) == identity_of(again) != identity_of(other)
    prefix, _, digits = identity_of(first).partition("-")
    assert (prefix, len(digits), int(digits, 16) > 0) == ("sha256", 32, True)


@given(json_values)
def test_every_body_has_an_identity(value: JsonValue) -> None:
    """Surrogates, NaN and huge numbers have one as well, and always the same."""
    assert identity_of(value) == identity_of(value)


def test_a_deep_body_exhausts_no_stack() -> None:
    """Nesting beyond any stack ends in an identity or a `ProviderError`."""
    value: JsonValue = None
    for _ in range(100_000):
        value = [value]
    started = time.process_time()
    assert identity_of(value).startswith("sha256-")
    with pytest.raises(ProviderError):
        unwrap(wrap(None, 100_000))
    assert time.process_time() - started < 5
