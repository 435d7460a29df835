"""The HTTP interface: each row of the table of verbs is a path and a method.

It decides nothing: what it cannot refuse by the table's patterns, the daemon answers or refuses. Who has no login
learns no path: 401 comes before all else.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.table import VERBS, About, Parameter, Verb, checked
from paas_isolate.exits import Exit
from paas_isolate.spec.names import NAME_EXPECTED, is_name
from paas_isolate.web import problem
from paas_isolate.web.answers import json_bytes
from paas_isolate.web.event_stream import EventStream, close
from paas_isolate.web.link import AskError, Link, LinkClosedError
from paas_isolate.web.operations import Operations
from paas_isolate.web.problem import ProblemError

FindLink = Callable[[Request], Awaitable[Link]]
"""The link of the request's login. starlette's HTTPException where there is none (401), where a token against forged
requests is missing (403), where there are too many tries (429)."""
OPERATIONS = "/v1/operations/{operation}"
MEDIA_TYPES = ("", "application/yaml", "application/x-yaml", "text/yaml", "text/plain", "application/octet-stream")
"""Of a body; '': it says none, as `curl -T` does."""
STREAMS_EACH, STREAMS_ALL = 16, 2000
"""Event streams at once of one login, and of all."""
HEADERS: Mapping[tuple[str, str], str] = {
    ("events", "after"): "Last-Event-ID",
    **{(verb.name, name.lower()): name for verb in VERBS for name in ("If-Match", "If-None-Match")},
}
"""Verb and parameter -> the header that it is. Only `after` may stand in the query, too."""
_NO_TAG = f'"{"0" * 16}"'
_PARAMETERS = 32
_BODY_PATIENCE = 30.0


def routes(find_link: FindLink) -> list[Route]:
    """All paths below /v1 that are not pages."""
    api = _Api(find_link)
    paths: defaultdict[str, dict[str, Verb]] = defaultdict(dict)
    for verb in VERBS:
        paths[verb.path][verb.method] = verb
    return [
        *(Route(path, _Resource(api, verbs)) for path, verbs in paths.items()),
        Route(OPERATIONS, _OperationResource(api)),
        Route("/v1/{rest:path}", _Nothing(api)),
    ]


def allowed(verbs: Mapping[str, Verb]) -> tuple[str, ...]:
    """The methods of a path. HEAD of an endless answer would have no meaning."""
    head = ("HEAD",) if "GET" in verbs and verbs["GET"].name != "events" else ()
    return (*verbs, *head, "OPTIONS")


class _Api:
    def __init__(self, find_link: FindLink) -> None:
        self.find_link = find_link
        self.operations = Operations()
        self.streams: WeakKeyDictionary[Link, int] = WeakKeyDictionary()


class _Endpoint:
    """Answers all methods of a path."""

    methods: tuple[str, ...] = ("GET", "HEAD", "OPTIONS")

    def __init__(self, api: _Api) -> None:
        self.api = api

    async def answer(self, request: Request, link: Link) -> Response:
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ProblemError as error:
            response = error.response()
        except HTTPException as error:
            response = problem.of_http(error).response()
        except LinkClosedError:
            response = ProblemError(problem.GONE, "the daemon closed the connection").response()
        except ClientDisconnect:
            return
        if request.method == "HEAD":
            response = Response(status_code=response.status_code, headers=dict(response.headers))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        link = await self.api.find_link(request)
        allow = {"Allow": ", ".join(self.methods)}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=allow)
        if request.method not in self.methods:
            words = f"the methods of this path are {allow['Allow']}"
            raise ProblemError(problem.NO_METHOD, words, headers=allow)
        return await self.answer(request, link)


class _Nothing(_Endpoint):
    async def _answer(self, request: Request) -> Response:
        await self.api.find_link(request)
        raise ProblemError(problem.UNKNOWN, "the interface has no such path: /v1/openapi.json lists them")


class _OperationResource(_Endpoint):
    async def answer(self, request: Request, link: Link) -> Response:
        return _json(self.api.operations.find(link, request.path_params["operation"]).data())


class _Resource(_Endpoint):
    def __init__(self, api: _Api, verbs: Mapping[str, Verb]) -> None:
        super().__init__(api)
        self._verbs = verbs
        self.methods = allowed(verbs)

    async def answer(self, request: Request, link: Link) -> Response:
        verb = self._verbs["GET" if request.method == "HEAD" else request.method]
        about, options = about_of(verb, request.path_params), options_of(verb, request)
        body = await _body(verb, request)
        try:
            if verb.name == "events":
                return await self._events(link, options)
            if verb.later:
                work = link.ask(verb.name, about, options, body)
                operation = await self.api.operations.begin(link, verb, work)
                return _json(operation.data(), 202, {"Location": OPERATIONS.format(operation=operation.id)})
            told = await link.ask(verb.name, about, options, body)
        except AskError as error:
            raise problem.of_refusal(error, verb) from error
        if told.get("conflict") is True:
            raise ProblemError(problem.CONFLICT, "somebody has changed it since; nothing was done", Exit.DIFFERS)
        return _answered(request, told)

    async def _events(self, link: Link, options: Mapping[str, str]) -> Response:
        streams = self.api.streams
        if streams.get(link, 0) >= STREAMS_EACH or sum(streams.values()) >= STREAMS_ALL:
            raise ProblemError(problem.TOO_MANY, f"{STREAMS_EACH} streams of events of one login, and no more")
        events = _counted(streams, link, options.get("after", ""))
        try:
            return EventStream(await anext(events), events)
        except BaseException:
            await close(events)
            raise


async def _counted(streams: WeakKeyDictionary[Link, int], link: Link, after: str) -> AsyncIterator[dict[str, Any]]:
    """The link's events, counted while they are followed."""
    streams[link] = streams.get(link, 0) + 1
    events = link.events(after)
    try:
        async for event in events:
            yield event
    finally:
        streams[link] -= 1
        await close(events)


def about_of(verb: Verb, path: Mapping[str, str]) -> str:
    """The account or plan that the path names. ProblemError where it cannot be the name of one."""
    if verb.about is About.NOTHING:
        return ""
    (kind,) = path.keys() & {"account", "plan"}
    if not is_name(path[kind]):
        raise ProblemError(problem.UNKNOWN, f"no {kind} can be called so; expected {NAME_EXPECTED}")
    return path[kind]


def options_of(verb: Verb, request: Request) -> dict[str, str]:
    """The options in the path, in the query and in headers. ProblemError where one is unknown, given twice, or not of
    the form that the table has."""
    options = _query(request)
    for parameter in verb.parameters:
        if (value := request.path_params.get(parameter.name)) is not None:
            if not re.fullmatch(parameter.pattern, value, re.ASCII):
                raise ProblemError(problem.UNKNOWN, f"no {parameter.name} can be called so; {parameter.expected}")
            options[parameter.name] = value
        if (header := HEADERS.get((verb.name, parameter.name))) and (values := request.headers.getlist(header)):
            options[parameter.name] = _condition(parameter, ", ".join(values))
    try:
        checked(verb, options)
    except RefusedError as error:
        raise ProblemError(problem.WRONG_REQUEST, str(error), error.status) from None
    return options


def _query(request: Request) -> dict[str, str]:
    elsewhere = {"if-match", "if-none-match", *request.path_params}
    try:
        text = request.scope["query_string"].decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_PARAMETERS, errors="strict")
    except ValueError:
        raise ProblemError(problem.WRONG_REQUEST, "the query is no list of name=value") from None
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ProblemError(problem.WRONG_REQUEST, "a parameter is given twice")
    if wrong := elsewhere & options.keys():
        raise ProblemError(problem.WRONG_REQUEST, f"{min(wrong)} is no parameter of the query")
    return options


def _condition(parameter: Parameter, value: str) -> str:
    """A tag that is not ours is that of no file: the daemon looks at the rights first, and then refuses it."""
    tag = _tag(value)
    is_wrong = parameter.name == "if-match" and not re.fullmatch(parameter.pattern, tag, re.ASCII)
    return _NO_TAG if is_wrong else tag


def _tag(value: str) -> str:
    """nginx makes a tag weak when it compresses; the file is the same."""
    return value.strip().removeprefix("W/")


async def _body(verb: Verb, request: Request) -> bytes:
    """ProblemError where it is longer than the table allows, empty where there must be one, no YAML by its media type,
    or too slow."""
    cap = verb.body_cap if verb.body else 0
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if verb.body and (kind not in MEDIA_TYPES or "content-encoding" in request.headers):
        words = f"send it as {MEDIA_TYPES[1]}, not compressed"
        raise ProblemError(problem.WRONG_MEDIA, words, headers={"Accept": ", ".join(filter(None, MEDIA_TYPES))})
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > cap:
                    raise _too_large(verb)
    except TimeoutError:
        raise ProblemError(problem.SLOW, f"it must be here within {_BODY_PATIENCE:g} seconds") from None
    if verb.body and not body:
        raise ProblemError(problem.WRONG_REQUEST, "there is no body")
    return bytes(body)


def _too_large(verb: Verb) -> ProblemError:
    if not verb.body:
        return ProblemError(problem.WRONG_REQUEST, f"{verb.method} of this path takes no body")
    return ProblemError(problem.TOO_LARGE, f"it may have {verb.body_cap} bytes", headers={"Connection": "close"})


def _answered(request: Request, told: Mapping[str, Any]) -> Response:
    headers = {}
    etag = told.get("etag")
    if not told.get("dry_run") and isinstance(etag, str) and re.fullmatch(r'"[0-9a-f]{16,64}"', etag, re.ASCII):
        headers["ETag"] = etag
        known = [_tag(each) for each in request.headers.get("if-none-match", "").split(",")]
        if request.method in ("GET", "HEAD") and (etag in known or "*" in known):
            return Response(status_code=304, headers={"Cache-Control": "no-store", **headers})
    return _json(told, headers=headers)


def _json(data: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(json_bytes(data), status, headers, "application/json")
