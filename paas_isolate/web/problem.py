"""The errors of the HTTP interface, as application/problem+json (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from paas_isolate.control.refusal import Reason
from paas_isolate.control.table import About, Verb
from paas_isolate.exits import Exit
from paas_isolate.web.answers import json_bytes
from paas_isolate.web.link import AskError

MEDIA_TYPE = "application/problem+json"


class Problem(NamedTuple):
    """A kind of error. `slug` is its anchor on the page /v1/docs, and so the end of its `type`."""

    slug: str
    status: int
    title: str
    headers: Mapping[str, str] = {}

    @property
    def type(self) -> str:
        return f"/v1/docs#{self.slug}"


_AGAIN = {"Retry-After": "2"}
WRONG_REQUEST = Problem("wrong-request", 400, "The request is wrong")
NO_LOGIN = Problem("no-login", 401, "Log in first", {"WWW-Authenticate": 'Bearer realm="paas-isolate"'})
DENIED = Problem("denied", 403, "Your rights do not suffice")
UNKNOWN = Problem("unknown", 404, "There is no such thing")
NO_METHOD = Problem("no-method", 405, "The method does not exist here")
SLOW = Problem("slow", 408, "The body came too slowly")
CONFLICT = Problem("conflict", 412, "The file is another one by now")
TOO_LARGE = Problem("too-large", 413, "The body is too large")
WRONG_MEDIA = Problem("wrong-media", 415, "The body must be YAML")
WRONG_FILE = Problem("wrong-file", 422, "The file is wrong; nothing has changed")
TOO_MANY = Problem("too-many", 429, "Too many of these at once", _AGAIN)
FAILED = Problem("failed", 500, "It failed")
BUSY = Problem("busy", 503, "Busy: try again", _AGAIN)
GONE = Problem("gone", 503, "The daemon does not answer: try again", _AGAIN)
PROBLEMS = (
    WRONG_REQUEST,
    NO_LOGIN,
    DENIED,
    UNKNOWN,
    NO_METHOD,
    SLOW,
    CONFLICT,
    TOO_LARGE,
    WRONG_MEDIA,
    WRONG_FILE,
    TOO_MANY,
    FAILED,
    BUSY,
    GONE,
)
_OF_STATUS = {problem.status: problem for problem in reversed(PROBLEMS) if problem is not GONE}
_SHOWN = ("file", "line", "column", "key", "text", "warning")


class ProblemError(Exception):
    """`headers` must not have a customer's text."""

    def __init__(
        self,
        problem: Problem,
        detail: str,
        exit_status: int | None = None,
        complaints: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem, self.detail, self.exit_status = problem, detail, exit_status
        self.complaints, self.headers = complaints, {**problem.headers, **(headers or {})}

    def data(self) -> dict[str, object]:
        data: dict[str, object] = {
            "type": self.problem.type,
            "title": self.problem.title,
            "status": self.problem.status,
            "detail": self.detail,
        }
        if self.exit_status is not None:
            data["exit_status"] = self.exit_status
        if self.complaints:
            data["complaints"] = [{key: each[key] for key in _SHOWN if key in each} for each in self.complaints]
        return data

    def response(self) -> Response:
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(json_bytes(self.data()), self.problem.status, headers, MEDIA_TYPE)


def of_refusal(error: AskError, verb: Verb) -> ProblemError:
    """What the daemon, or the command behind it, refuses."""
    return ProblemError(_kind(error, verb), error.words, error.status, error.complaints)


def of_http(error: HTTPException) -> ProblemError:
    """What the login refuses."""
    return ProblemError(_OF_STATUS.get(error.status_code, FAILED), str(error.detail), headers=error.headers)


def _kind(error: AskError, verb: Verb) -> Problem:
    if error.reason == Reason.DENIED:
        return DENIED
    if error.reason == Reason.UNKNOWN:
        return UNKNOWN
    match error.status:
        case Exit.WRONG if error.complaints:
            return WRONG_FILE
        case Exit.WRONG:
            return UNKNOWN if _names_more(verb) else WRONG_REQUEST
        case Exit.BUSY:
            return BUSY
    return FAILED


def _names_more(verb: Verb) -> bool:
    """Whether its path names something that the daemon has not looked up: what is refused then is that."""
    return (
        "{service}" in verb.path or "{token}" in verb.path or (verb.about in (About.NAME, About.PLAN) and not verb.body)
    )
