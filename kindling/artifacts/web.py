"""Asking web servers: what is worth another try, how long to wait, and reasons people can read."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import requests
import tenacity
import urllib3

from kindling.errors import ArtifactError

Result = TypeVar("Result")

_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_NOT_IN_RANGE = 416  # for the caller: what was kept is of no use
_MOST_ATTEMPTS = 50  # even of a source that always sends a little
AGENT = "kindling"


class SourceFailed(ArtifactError):
    """This source cannot give the file; another one may."""


class Transient(SourceFailed):
    """This source may give the file in a moment. ``received`` bytes came before it failed."""

    def __init__(self, reason: str, *, retry_after: float | None = None, received: int = 0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.received = received


@dataclass(frozen=True)
class Patience:
    """How long to bear with one source. Times are in seconds."""

    attempts: int = 4  # in a row that bring nothing
    first_wait: float = 0.5  # doubled each time, with some jitter
    longest_wait: float = 60.0  # also of what a server asks for by Retry-After
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    @property
    def timeouts(self) -> tuple[float, float]:
        """As requests takes them."""
        return self.connect_timeout, self.read_timeout


def persist(patience: Patience, attempt: Callable[[], Result]) -> Result:
    """Call ``attempt`` until it succeeds, fails for good, or patience ends (its last error)."""
    fruitless = 0

    def enough(state: tenacity.RetryCallState) -> bool:
        nonlocal fruitless
        error = state.outcome.exception() if state.outcome else None
        fruitless = 0 if isinstance(error, Transient) and error.received else fruitless + 1
        return fruitless >= patience.attempts or state.attempt_number >= _MOST_ATTEMPTS

    growing = tenacity.wait_exponential_jitter(
        multiplier=patience.first_wait, max=patience.longest_wait, jitter=patience.first_wait
    )

    def pause(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Transient) else None
        return min(asked, patience.longest_wait) if asked is not None else growing(state)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Transient),
        stop=enough,
        wait=pause,
        sleep=patience.sleep,
        reraise=True,
    )(attempt)


def ask(
    session: requests.Session, method: str, url: str, patience: Patience, **headers: str
) -> requests.Response:
    """One request; the body is not read yet. Raises `Transient` and `SourceFailed`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return checked(send(session, method, url, patience, named))


def send(
    session: requests.Session, method: str, url: str, patience: Patience, headers: Mapping[str, str]
) -> requests.Response:
    """As `ask`, but whatever the server answers is returned.

    Proxies, netrc and certificate bundles come from the environment, as requests does it.
    """
    sent = {**headers, "Accept-Encoding": "identity", "User-Agent": AGENT}
    try:
        return session.request(
            method, url, headers=sent, stream=True, timeout=patience.timeouts, allow_redirects=True
        )
    except requests.exceptions.SSLError as error:
        raise SourceFailed(f"TLS failed: {reason_of(error)}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Transient(reason_of(error)) from error
    except requests.RequestException as error:
        raise SourceFailed(reason_of(error)) from error


def checked(response: requests.Response) -> requests.Response:
    """The response, unless it is a refusal. Raises `Transient` and `SourceFailed`."""
    if response.status_code >= 400 and response.status_code != _NOT_IN_RANGE:
        response.close()
        raise _refusal(response)
    return response


def _refusal(response: requests.Response) -> SourceFailed:
    reason = f"HTTP {response.status_code} {response.reason or ''}".strip()
    if response.status_code not in _WORTH_ANOTHER_TRY:
        return SourceFailed(reason)
    return Transient(reason, retry_after=_retry_after(response.headers.get("Retry-After")))


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from either form of the header (RFC 9110, 10.2.3); None when unusable."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())


# What reading a body can raise; requests wraps them only where it reads itself.
READ_ERRORS = (
    urllib3.exceptions.HTTPError,
    requests.RequestException,
    ConnectionError,
    TimeoutError,
)


def reason_of(error: BaseException) -> str:
    """The innermost cause in a few words; the wrappers' texts hold addresses of objects."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        wrapped = [each for each in current.args if isinstance(each, BaseException)]
        reason = getattr(current, "reason", None)
        inner = reason if isinstance(reason, BaseException) else None
        current = inner or (wrapped[0] if wrapped else current.__cause__ or current.__context__)
    if any("timeout" in type(each).__name__.lower() for each in seen):
        return "no answer in time"
    texts = [each.strerror for each in seen if isinstance(each, OSError) and each.strerror]
    return texts[-1] if texts else (str(seen[-1]) or type(seen[-1]).__name__)
