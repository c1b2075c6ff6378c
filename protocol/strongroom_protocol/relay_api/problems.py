"""Problem codes of the relay API (RFC 9457): a closed list, and the error each becomes at the client (chapter 12)."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from strongroom_protocol.errors import (
    ClockSkew,
    NotFound,
    RelayConflict,
    RelayRefused,
    RelayUnreachable,
    StorageFull,
    StrongroomError,
    WrongSecret,
)

TYPE_PREFIX = "urn:strongroom:problem:"
MEDIA_TYPE = "application/problem+json"


class Problem(Enum):
    """(code, HTTP status, title)."""

    BAD_REQUEST = ("bad-request", 400, "the request is not of the form the API asks for")
    SIGNATURE = ("signature", 401, "the request is not signed by a key that may do this")
    UNLOCK_REFUSED = ("unlock-refused", 401, "no account and slot of that name open with that key")
    CLOCK = ("clock", 401, "the signature was made too early or too late")
    REGISTRATION = ("registration", 403, "registration needs a valid token")
    READ_ONLY = ("read-only", 403, "this key may read only")
    NOT_FOUND = ("not-found", 404, "there is nothing here")
    METHOD = ("method", 405, "that method is not used here")
    NAME_TAKEN = ("name-taken", 409, "the account name is taken")
    CONFLICT = ("conflict", 409, "another head or keyring is the newest")
    MISSING_OBJECTS = ("missing-objects", 409, "objects the head adds are not here")
    TOO_LARGE = ("too-large", 413, "larger than the limit")
    ENCODING = ("encoding", 415, "content codings are not accepted")
    RANGE = ("range", 416, "the range lies outside the object")
    RATE = ("rate", 429, "too many attempts, wait")
    INTERNAL = ("internal", 500, "the relay failed")
    UNAVAILABLE = ("unavailable", 503, "the relay is stopping or its store is read-only")
    TIMEOUT = ("timeout", 503, "the request took too long")
    QUOTA = ("quota", 507, "the account's byte cap is reached")
    DISK_FULL = ("disk-full", 507, "the relay's disk is full")

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def status(self) -> int:
        return self.value[1]

    @property
    def title(self) -> str:
        return self.value[2]


class ProblemError(StrongroomError):
    """How a relay's service refuses. `extra` are further members of the problem object."""

    def __init__(self, problem: Problem, **extra: Any) -> None:
        super().__init__(problem.title)
        self.problem = problem
        self.extra = extra

    def to_json(self) -> bytes:
        """The problem object (RFC 9457)."""
        about = {"type": TYPE_PREFIX + self.problem.code, "title": self.problem.title, "status": self.problem.status}
        return json.dumps(about | self.extra).encode()


_BY_CODE = {problem.code: problem for problem in Problem}
_UNREACHABLE = (Problem.INTERNAL, Problem.UNAVAILABLE, Problem.TIMEOUT)


def parse_problem(status: int, body: bytes) -> ProblemError:
    """A relay's refusal; whatever is not understood counts as INTERNAL (5xx) or BAD_REQUEST."""
    fallback = Problem.INTERNAL if status >= 500 else Problem.BAD_REQUEST
    try:
        about = json.loads(body)
        problem = _BY_CODE.get(str(about["type"]).removeprefix(TYPE_PREFIX), fallback)
        time = about.get("relay_time")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ProblemError(fallback)
    return ProblemError(problem, **({"relay_time": time} if type(time) is int and 0 <= time < 2**48 else {}))


def to_error(refused: ProblemError) -> StrongroomError:
    """What a caller of the client gets to see."""
    problem = refused.problem
    if problem in _UNREACHABLE:
        return RelayUnreachable(f"the relay cannot answer: {problem.title}")
    if problem is Problem.CLOCK:
        return ClockSkew(problem.title, relay_time=int(refused.extra.get("relay_time", 0)))
    if problem in (Problem.QUOTA, Problem.DISK_FULL):
        return StorageFull(problem.title)
    if problem in (Problem.CONFLICT, Problem.MISSING_OBJECTS):
        return RelayConflict(problem.title)
    if problem is Problem.UNLOCK_REFUSED:
        return WrongSecret(problem.title)
    if problem is Problem.NOT_FOUND:
        return NotFound("the relay knows no such account, or nothing of it under this key", hint=_HINTS[problem])
    return RelayRefused(problem.code, problem.title, hint=_HINTS.get(problem, ""))


_HINTS = {
    Problem.NOT_FOUND: "check --relay; a read-only device must log in again from time to time; a device that was "
    "removed keeps what waits in it, and `strongroom login --again` makes it a new one",
    Problem.REGISTRATION: "use --registration-token with the token the relay printed at its first start",
    Problem.NAME_TAKEN: "choose another --account; if it is yours, use strongroom login",
    Problem.RATE: "wait a minute and try again",
    Problem.SIGNATURE: "this device may have been removed: `strongroom login --again` makes it a new one; or a "
    "proxy before the relay does not pass the Host header on as it came",
}
