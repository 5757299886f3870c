"""Send records to a web hook, one POST each: JSON, with an `Idempotency-Key` of the incident's id and the
record's content.

A receiver that is busy (429), broken (5xx) or not there is tried again, later each time; any other answer is
final, a redirection too, as the token is for the address that was named. What is sent again has the same
key, so that a receiver can tell. The token never stands in a URL, a message or a log.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from ueba import __version__
from ueba.errors import UebaError, UsageError
from ueba.investigate.export import ecs, ocsf
from ueba.investigate.export.cases import Case

FORMATS = {"ocsf": ocsf.finding, "ecs": ecs.alert}
TOKEN = "UEBA_WEBHOOK_TOKEN"  # environment variable
TIMEOUT_S = 30.0
WAITS_S = (1.0, 2.0, 4.0, 8.0)  # between attempts
LONGEST_WAIT_S = 60.0  # that a receiver may ask for


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def deliver(url: str, form: str, cases: Sequence[Case], token: str | None = None) -> int:
    """POST each case in order, in one of FORMATS. Returns how many; raises UebaError at the first that is
    not taken."""
    shown = checked(url, token)
    opener = urllib.request.build_opener(_NoRedirect)
    headers = {"Content-Type": "application/json", "User-Agent": f"ueba/{__version__}"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    for delivered, case in enumerate(cases):
        body = json.dumps(FORMATS[form](case), allow_nan=False).encode()
        key = f"{case.id}-{hashlib.sha256(body).hexdigest()[:12]}"
        request = urllib.request.Request(url, body, {**headers, "Idempotency-Key": key}, method="POST")
        problem = _post(opener, request)
        if problem is not None:
            raise UebaError(f"{shown}: {problem}; {delivered} of {len(cases)} delivered, {case.id} was not")
    return len(cases)


def checked(url: str, token: str | None) -> str:
    """The server of a URL, as it may be shown: a path may be as secret as a token. Raises UsageError if it
    is no web hook's."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as reason:
        raise UsageError(f"--webhook: not a URL: {reason}") from reason
    if (
        parts.scheme not in ("http", "https")
        or not host
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise UsageError("--webhook: give an address that begins with https:// or http://")
    if "@" in parts.netloc:
        raise UsageError(
            f"--webhook: leave name and password out of the address; set {TOKEN}, which is sent as a bearer"
            " token"
        )
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(f"{TOKEN}: holds a character that no header can carry (a line break or a blank?)")
    return f"{parts.scheme}://{parts.netloc}"


def _post(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> str | None:
    """None if it was accepted, else the last answer of the receiver."""
    for wait in (*WAITS_S, None):
        try:
            with opener.open(request, timeout=TIMEOUT_S):
                return None
        except urllib.error.HTTPError as answer:
            with answer:
                problem = f"answered {answer.code} {answer.reason}"
                asked = answer.headers.get("Retry-After", "")
            if answer.code != 429 and answer.code < 500:
                return problem
        except (OSError, http.client.HTTPException) as error:
            problem, asked = (
                f"cannot be reached: {getattr(error, 'reason', error) or type(error).__name__}",
                "",
            )
        if wait is not None:
            time.sleep(min(_asked(asked, wait), LONGEST_WAIT_S))
    return f"{problem}, {len(WAITS_S) + 1} times"


def _asked(header: str, otherwise: float) -> float:
    """Seconds to wait by a Retry-After header, which has seconds or a date (RFC 9110)."""
    if header.isdecimal():
        return float(header)
    try:
        return max((email.utils.parsedate_to_datetime(header) - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return otherwise
