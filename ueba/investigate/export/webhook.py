"""Send records to a web hook, one POST each: JSON, with an `Idempotency-Key` of the incident's id and the
record's content.

A receiver that is busy (429), broken (5xx) or not there is tried again, later each time; any other answer is
final, a redirection too, as the token is for the address that was named. What is sent again has the same
key, so that a receiver can tell.

The token never stands in a URL, a message or a log, and never travels in clear but on this machine. A proxy
that the environment names is used for https alone, where it sees the server's name and nothing else. A
receiver has a limit of time for its whole answer, of which nothing but the head is read.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import http.client
import ipaddress
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from ueba import __version__
from ueba.errors import UebaError, UsageError
from ueba.investigate.export import ecs, ocsf
from ueba.investigate.export.alerts import Alert
from ueba.text import ascii_json, shortened

T = TypeVar("T")
FORMATS = {"ocsf": ocsf.finding, "ecs": ecs.document}
TOKEN = "UEBA_WEBHOOK_TOKEN"  # environment variable
TIMEOUT_S = 30.0  # from the call to the end of the answer's head
LONGEST_ANSWER = 200  # characters of it in a message
WAITS_S = (1.0, 2.0, 4.0, 8.0)  # between attempts
LONGEST_WAIT_S = 60.0  # that a receiver may ask for


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def deliver(url: str, form: str, alerts: Sequence[Alert], token: str | None = None) -> int:
    """POST each alert in order, in one of FORMATS. Returns how many; raises UebaError at the first that is
    not taken."""
    shown = checked(url, token)
    proxies = {"https": proxy} if (proxy := urllib.request.getproxies().get("https")) else {}
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler(proxies))
    headers = {"Content-Type": "application/json", "User-Agent": f"ueba/{__version__}"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    for delivered, alert in enumerate(alerts):
        body = ascii_json(FORMATS[form](alert)).encode()
        key = f"{alert.id}-{hashlib.sha256(body).hexdigest()[:12]}"
        problem = _post(opener, url, body, {**headers, "Idempotency-Key": key})
        if problem is not None:
            raise UebaError(f"{shown}: {problem}; {delivered} of {len(alerts)} delivered, {alert.id} was not")
    return len(alerts)


def checked(url: str, token: str | None) -> str:
    """The server of a URL, as it may be shown: a path may be as secret as a token. Raises UsageError if it
    is no web hook's."""
    parts = _parts(url)
    if "@" in parts.netloc:
        raise UsageError(
            f"--webhook: leave name and password out of the address; set {TOKEN}, which is sent as a bearer"
            " token"
        )
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(f"{TOKEN}: holds a character that no header can carry (a line break or a blank?)")
    if token and in_clear(url):
        raise UsageError(
            f"--webhook: http:// would show {TOKEN} to everybody on the way; give an address that begins with"
            " https://"
        )
    return f"{parts.scheme}://{parts.netloc}"


def in_clear(url: str) -> bool:
    """Whether others can read what is sent to a URL: it is not encrypted, and leaves this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return parts.scheme == "http" and not is_here


def _parts(url: str) -> SplitResult:
    """Raises UsageError if a URL is no web hook's."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as reason:
        raise UsageError(f"--webhook: not a URL: {reason}") from reason
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    if parts.scheme not in ("http", "https") or not host or not is_plain:
        raise UsageError("--webhook: give an address that begins with https:// or http://")
    return parts


def _post(
    opener: urllib.request.OpenerDirector, url: str, body: bytes, headers: Mapping[str, str]
) -> str | None:
    """None if it was accepted, else the last answer of the receiver."""
    for wait in (*WAITS_S, None):
        request = urllib.request.Request(url, body, dict(headers), method="POST")  # a proxy changes it
        try:
            with _in_time(partial(opener.open, request, timeout=TIMEOUT_S), TIMEOUT_S):
                return None
        except urllib.error.HTTPError as answer:
            with answer:
                problem = f"answered {answer.code} {shortened(answer.reason, LONGEST_ANSWER)}"
                asked = answer.headers.get("Retry-After", "")
            if answer.code != 429 and answer.code < 500:
                return problem
        except (OSError, http.client.HTTPException) as error:
            reason = shortened(getattr(error, "reason", error) or type(error).__name__, LONGEST_ANSWER)
            problem, asked = f"cannot be reached: {reason}", ""
        if wait is not None:
            time.sleep(min(_asked(asked, wait), LONGEST_WAIT_S))
    return f"{problem}, {len(WAITS_S) + 1} times"


def _in_time(call: Callable[[], T], seconds: float) -> T:
    """What a call returns. Raises TimeoutError if it has not ended in time, however little at a time it
    receives; it is left to itself then."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError as reason:
        raise TimeoutError(f"no answer within {seconds:g} s") from reason


def _asked(header: str, otherwise: float) -> float:
    """Seconds to wait by a Retry-After header, which has seconds or a date (RFC 9110)."""
    if header.isdecimal():
        return float(header[:9])
    try:
        return max((email.utils.parsedate_to_datetime(header) - dt.datetime.now(dt.UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError, IndexError, OverflowError):
        return otherwise
