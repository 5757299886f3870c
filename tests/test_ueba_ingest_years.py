"""The years of times without a year, worked out by hand."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ueba.ingest.years import MOST_YEARS, Years, years_of

WRITTEN = dt.datetime(2026, 11, 27)


def years(*stamps: str, latest: dt.datetime = WRITTEN, first: int | None = None) -> Years | None:
    """Of a log with these stamps; a stamp is a day, or a whole beginning of a line."""
    lines = [stamp if ":" in stamp else f"{stamp} 10:00:00 web1 sshd[9]: x" for stamp in stamps]
    return years_of(["".join(line + "\n" for line in lines).encode()], latest, first)


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (("Mar  1", "Nov 20"), Years(2026, ())),
        (("Mar  1", "Nov 30"), Years(2025, ())),  # not after the file was written
        (("Mar  1", "Aug 15", "Dec 20", "Jan  5", "Mar  2", "Nov 20"), Years(2025, (4,))),
        (("Oct  9", "Oct  3", "Oct 12"), Years(2026, ())),  # a little out of order
        (("Oct  9", "Oct  8", "Jan  3", "Dec 30", "Dec 29"), Years(2026, (4,), -1)),  # newest first
        (("Feb 28", "Feb 29", "Mar 1"), Years(2024, ())),
        (("Feb 29", "Dec  1", "Jan  3"), Years(2024, (3,))),
        (("Dec 31", "Jan  1"), Years(2025, (2,))),
        (("<38>Dec 31", "<38> Jan  1", "Mon Jan  4"), Years(2025, (2,))),
        # the clock of a machine that begins before it is set
        (("Mar  5", "Jan  1 00:00:05 a", "Mar  5", "Dec 31 19:00:01 a", "Mar  6"), Years(2026, ())),
        (("Dec 20", "Jan  1 00:00:05 a", "Jan  3"), Years(2025, (2,))),
        # what a line says does not count
        (('Mar  1 10:00:00 a sshd[1]: Invalid user x"Dec 31 10:00:00 y', "Mar  2") * 3, Years(2026, ())),
        (
            ('{"a": 1, "message": "Dec 31 10:00:00 a"}', '{"message": "<38>Jan  1 10:00:00 a"}'),
            Years(2025, (2,)),
        ),
        (('{"message": "Mar  3 10:00:00 a: \\"Dec 31 10:00:00 y"}', "Mar  4"), Years(2026, ())),
        (("2024-03-01T10:00:00Z a", "Mar  5 2024 10:00:00 a"), None),
        ((), None),
    ],
)
def test_years_by_example(stamps, expected):
    assert years(*stamps) == expected


def test_a_year_that_is_known_is_that_of_the_first_line():
    assert years("Dec  5", "Jan  5", first=2019) == Years(2019, (2,))
    assert Years(2019, (2,)).by_line() == [(0, 2019), (2, 2020)]
    assert Years(2026, (4,), -1).by_line() == [(0, 2026), (4, 2025)]


def test_lines_without_any_order_are_of_one_year():
    assert years(*("Jan  5", "Dec  5") * (MOST_YEARS + 1)) == Years(2025, ())


def test_blocks_count_on():
    blocks = [b"x\nDec 31 10:00:00 a\n", b"y\nz\n", b"Jan  1 10:00:00 a\n"]
    assert years_of(blocks, WRITTEN) == Years(2025, (5,))


@given(
    st.lists(st.integers(0, 200), min_size=2, max_size=60), st.dates(dt.date(1995, 1, 1), dt.date(2020, 1, 1))
)
@settings(max_examples=200, deadline=None)
def test_the_years_of_a_log_that_runs_forward_are_its_own(gaps, begin):
    """No gap is so long that the day of the year is the same again, or about."""
    day, days = begin, []
    for gap in gaps:
        day += dt.timedelta(days=gap)
        days.append(day)
    found = years(*(f"{day:%b %e}" for day in days), latest=dt.datetime.combine(day, dt.time()))
    assert found is not None
    of_line = dict(found.by_line())
    year, seen = 0, []
    for number in range(1, len(days) + 1):
        year = of_line.get(number, of_line[0] if number == 1 else year)
        seen.append(year)
    assert seen == [day.year for day in days]
