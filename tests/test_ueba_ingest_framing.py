"""Where records begin and end, in texts cut anywhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ueba.ingest.reading import framing

NASTY = [
    {"n": n, "text": '"{}[],\\' + "\\" * (n % 3) + "\n" * (n % 2), "list": [{"a": {}}, []], "none": None}
    for n in range(20)
]
FORMS = {
    "array": json.dumps(NASTY),
    "indented array": json.dumps(NASTY, indent=2),
    "under Records": json.dumps({"more": {"a": [1]}, "Records": NASTY, "after": 1}),
    "concatenated": "".join(map(json.dumps, NASTY)),
    "indented, one after another": "\n".join(json.dumps(record, indent=1) for record in NASTY),
    "numbered, as evtx_dump writes them": "".join(
        f"Record {n}\n{json.dumps(record, indent=1)}\n" for n, record in enumerate(NASTY)
    ),
    "lines": "".join(json.dumps(record) + "\n" for record in NASTY),
}


def framed(frame: framing.Frame, text: bytes, size: int) -> list[bytes]:
    blocks = (text[start : start + size] for start in range(0, len(text), size))
    return b"".join(part for part, _ in frame(blocks)).splitlines()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2, 7, 100, 1_000_000])
def test_json_records(form, size):
    text = FORMS[form].encode()
    assert [
        json.loads(record) for record in framed(framing.FRAMES[framing.guessed(text)], text, size)
    ] == NASTY


def test_a_list_in_a_record_is_not_the_list_of_records():
    records = [{"id": {"n": n}, "events": [{"name": "login"}]} for n in range(3)]
    for subset in (records, records[:1]):
        text = "".join(json.dumps(record) + "\n" for record in subset).encode()
        assert [
            json.loads(record) for record in framed(framing.FRAMES[framing.guessed(text)], text, 50)
        ] == subset
    plain = b'{"a": 1}\n{"value": [{"b": 2}]}\n'
    assert framed(framing.FRAMES[framing.guessed(plain)], plain, 50) == plain.splitlines()
    answer = json.dumps({"kind": "activities", "items": records}).encode()
    assert [
        json.loads(record) for record in framed(framing.FRAMES[framing.guessed(answer)], answer, 50)
    ] == records


def test_a_json_document_that_breaks_off_ends_in_a_record_that_is_not_json():
    text = json.dumps({"Records": NASTY[:3]}).encode()[:-20]
    *whole, broken = framed(framing.FRAMES[framing.guessed(text)], text, 50)
    assert [json.loads(record) for record in whole] == NASTY[:2]
    with pytest.raises(ValueError):
        json.loads(broken)


def test_a_record_that_is_too_long_is_one_record():
    huge = [{"a": "x" * (6 * framing.MAX_LINE)}, {"b": 1}]
    text = json.dumps(huge).encode()
    first, *_ = framed(framing.FRAMES[framing.guessed(text)], text, 1 << 20)
    assert len(first) == framing.MAX_LINE + 1


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=3), max_size=8),
    st.integers(1, 40),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_json_array_is_taken_apart(records, size, is_ascii):
    text = json.dumps(records, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    found = framed(framing.FRAMES[framing.guessed(text)], text, size)
    assert [json.loads(record.decode("utf-8", "surrogatepass")) for record in found] == records


@given(
    st.binary(max_size=200),
    st.sampled_from([b"[", b"{", b'{"Records":[', b"Record 1\n{"]),
    st.integers(1, 50),
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_can_be_taken_apart(junk, start, size):
    text = start + junk
    frames = framed(framing.FRAMES[framing.guessed(text)], text, size)
    assert sum(map(len, frames)) <= len(text)


XML = [f"<Event xmlns='x'><System><EventID>{n}</EventID></System></Event>" for n in range(6)]
XML_FORMS = {
    "one after another": "".join(XML),
    "as the viewer saves them": f"<?xml version='1.0'?>\n<Events>{''.join(XML)}</Events>",
    "indented": "<Events>\n" + "\n".join(event.replace("><", ">\n <") for event in XML) + "\n</Events>\n",
    "numbered": "".join(f"Record {n}\n<?xml version='1.0'?>\n{event}\n" for n, event in enumerate(XML)),
    "lines": "\n".join(XML),
}


@pytest.mark.parametrize("form", XML_FORMS)
@pytest.mark.parametrize("size", [1, 3, 50, 1_000_000])
def test_xml_events(form, size):
    text = XML_FORMS[form].encode()
    found = framed(framing.FRAMES[framing.guessed(text)], text, size)
    assert [record.decode().replace(" <", "<").replace("> ", ">") for record in found] == XML


def test_an_xml_event_that_does_not_end_is_one_record():
    text = f"<Events>{XML[0]}<Event a='b'><broken>{XML[1]}<Event ><cut".encode()
    assert len(framed(framing.FRAMES[framing.guessed(text)], text, 20)) == 4


def test_csv_rows():
    text = b'id,text\n1,"two\nlines"\n2,plain\n3,"a ""quoted""\n\none"\n4,last'
    for size in (1, 3, 100):
        blocks = [text[start : start + size] for start in range(0, len(text), size)]
        frames = list(framing.csv_rows(blocks))
        assert b"".join(rows for rows, _ in frames).splitlines() == [
            b"id,text",
            b'1,"two\x1elines"',
            b"2,plain",
            b'3,"a ""quoted""\x1e\x1eone"',
            b"4,last",
        ]
        assert [number for _, numbers in frames for number in numbers] == [1, 2, 4, 5, 8]


def test_a_stray_quote_costs_one_row():
    rows = [f'{n},"fine"' for n in range(10)]
    rows[3] = '3,"stray'
    text = "\n".join([*rows, "x" * (framing.MAX_LINE + 10), *rows]).encode() + b"\n"
    frames = framed(framing.csv_rows, text, 1000)
    assert len(frames) == 21 and frames[3] == b'3,"stray'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'[{"a": 1], {"b": 2}, {"c": 3}]', [b'{"a": 1]', b'{"b": 2}', b'{"c": 3}']),
        (b'[{"a": 1}, [2}, {"b": 3}]', [b'{"a": 1}', b'{"b": 3}']),
        (b'[[1}, [2}, {"b": 3}, {"c"', [b'{"b": 3}', b'{"c"']),
    ],
)
def test_a_bracket_in_the_place_of_another_shifts_no_record(text: bytes, expected: list[bytes]) -> None:
    records = b"".join(part for part, _ in framing.json_elements([text], 1)).splitlines()
    assert records == expected
