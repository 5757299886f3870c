"""Names that nobody has, in the form of names that there are.

A name with a number gets the number after the largest of its form (`ws-013` -> `ws-215`); a person's name
without one takes its beginning from another person (`mlopez`, `eramos` -> `elopez`). Leaves out how likely a
name is: it is new, and looks like the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address
from itertools import count

LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
SEPARATOR = re.compile(r"[._-]")


def new_account(name: str, others: Iterable[str], taken: Collection[str]) -> str:
    """The name of an account that nobody has, in the form of `name`, with the beginning of one of the others
    if there is no number in it."""
    own, at, domain = name.partition("@")
    if LAST_NUMBER.fullmatch(own):
        return numbered(own, at + domain, taken)
    beginnings = (other.partition("@")[0] for other in others)
    candidates = (begun_as(own, beginning) + at + domain for beginning in beginnings)
    return next((found for found in candidates if found not in taken), None) or counted(
        own, at + domain, taken
    )


def new_machine(name: str, taken: Collection[str]) -> str:
    """The name of a machine that nobody has, in the form of `name`; for an address, the first free one of its
    network or of the next."""
    if is_address(name):
        first = int(IPv4Address(name)) // 256 * 256  # of its network
        hosts = (number % 2**32 for number in count(first) if 0 < number % 256 < 255)
        return next(found for found in map(str, map(IPv4Address, hosts)) if found not in taken)
    own, dot, domain = name.partition(".")
    if LAST_NUMBER.fullmatch(own):
        return numbered(own, dot + domain, taken)
    return counted(own, dot + domain, taken)


def is_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except AddressValueError:
        return False
    return True


def numbered(own: str, rest: str, taken: Collection[str]) -> str:
    """A name with the number after the largest of its form, and at least as many digits."""
    found = LAST_NUMBER.fullmatch(own)
    assert found
    before, digits, after = found.groups()
    form = re.compile(f"{re.escape(before)}([0-9]+){re.escape(after + rest)}")
    numbers = (int(match[1]) for match in map(form.fullmatch, taken) if match)
    number = max(numbers, default=int(digits)) + 1
    return f"{before}{number:0{len(digits)}d}{after}{rest}"


def begun_as(own: str, other: str) -> str:
    """A name with the first part of another one: the first letter where names have no parts."""
    parts, first = SEPARATOR.split(own, maxsplit=1), SEPARATOR.split(other, maxsplit=1)[0]
    if len(parts) == 1 or not all(parts):
        return other[:1] + own[1:]
    return first + own[len(parts[0]) :]


def counted(own: str, rest: str, taken: Collection[str]) -> str:
    """The name with the first number behind it that nobody has, from 2."""
    names: Iterator[str] = (f"{own}{number}{rest}" for number in count(2))
    return next(found for found in names if found not in taken)
