"""The description of the HTTP interface, OpenAPI 3.1, made from the table of verbs.

It is served without a login: it has nothing that the published source has not, and no version of the program; tools
read it before they have a token.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paas_isolate.control.table import VERBS, Parameter, Verb
from paas_isolate.spec.names import NAME, NAME_EXPECTED
from paas_isolate.web import problem
from paas_isolate.web.answers import ANSWERS, Keys, json_bytes
from paas_isolate.web.api import HEADERS, MEDIA_TYPES, OPERATIONS
from paas_isolate.web.problem import Problem

PATH = "/v1/openapi.json"
Json = dict[str, Any]

_DESCRIPTION = """\
Send `Authorization: Bearer TOKEN`; `paas-isolate token create` makes tokens. In a browser the cookie of the login \
serves as well; a request that changes something then needs the header `X-CSRF-Token` of a page.

The daemon decides who may ask for what. What others own looks as if it did not exist (404).

Errors are `application/problem+json` (RFC 9457). `exit_status` is the one that the command has, `complaints` are the \
mistakes of a file, with line and column.

Files have a tag: `ETag` of GET, `If-Match` of PUT and DELETE. Without `If-Match` a file is replaced whatever it is.
"""
_EXAMPLES: Mapping[str, str] = {"account": "alice", "plan": "small"}
_ALWAYS = (problem.NO_LOGIN, problem.DENIED, problem.WRONG_REQUEST, problem.FAILED, problem.BUSY)
_WORDS = re.compile(r"[A-Za-z0-9*-]+(?:\|[A-Za-z0-9*-]+)*", re.ASCII)


def routes() -> list[Route]:
    async def serve(_: Request) -> Response:
        return Response(_served(), media_type="application/json", headers={"Cache-Control": "max-age=3600"})

    return [Route(PATH, serve, methods=["GET"])]


@cache
def _served() -> bytes:
    return json_bytes(document())


def document() -> Json:
    """The whole description."""
    paths: dict[str, Json] = {}
    for verb in VERBS:
        paths.setdefault(verb.path, {})[verb.method.lower()] = _operation(verb)
    paths[OPERATIONS] = {"get": _look()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "paas_isolate", "version": "1", "description": _DESCRIPTION, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "paths": paths,
        "security": [{"bearer": []}, {"cookie": []}],
        "components": {
            "schemas": {"problem": _PROBLEM, "operation": _OPERATION},
            "responses": {each.slug: _response(each) for each in problem.PROBLEMS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token (`pi_…`)."},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-paas-isolate",
                    "description": "Of the login page; without TLS it is called `paas-isolate`.",
                },
            },
        },
    }


def names_of(verb: Verb) -> list[str]:
    """What the path names."""
    return re.findall(r"\{([a-z]+)\}", verb.path)


def parameters_of(verb: Verb) -> list[Json]:
    """Path, query and headers of a row, the path first."""
    names = names_of(verb)
    known = {parameter.name: parameter for parameter in verb.parameters}
    made = [_parameter(known.get(name) or _about(name), "path") for name in names]
    for each in verb.parameters:
        header = HEADERS.get((verb.name, each.name), "")
        if each.name not in names and header.lower() != each.name:
            made.append(_parameter(each, "query"))
        if header:
            pattern = "" if header == "If-Match" else each.pattern  # a tag of others is one that does not match: 412
            made.append(_parameter(each._replace(pattern=pattern), "header", header))
    return made


def _operation(verb: Verb) -> Json:
    made: Json = {
        "operationId": verb.name,
        "summary": verb.summary,
        "description": f"For {verb.access.value}. Scope: `{_scope(verb)}`.",
        "tags": [verb.path.split("/")[2] if verb.path.count("/") > 1 else "v1"],
        "parameters": parameters_of(verb),
        "responses": _responses(verb),
        "security": [{"bearer": [_scope(verb)]}, {"cookie": []}],
    }
    if verb.body:
        schema = {"maxLength": verb.body_cap}  # without a type: tools write data as YAML, and that is right
        content = {kind: {"schema": schema, "example": "plan: small\n"} for kind in MEDIA_TYPES[1:3]}
        made["requestBody"] = {"description": verb.body, "required": True, "content": content}
    return made


def _scope(verb: Verb) -> str:
    return verb.needs.name.lower()


def _about(name: str) -> Parameter:
    return Parameter(name, f"The {name}'s name.", NAME.pattern, NAME_EXPECTED, required=True, example=_EXAMPLES[name])


def _parameter(parameter: Parameter, place: str, name: str = "") -> Json:
    made: Json = {
        "name": name or parameter.name,
        "in": place,
        "description": f"{parameter.meaning} Expected: {parameter.expected}.",
        "schema": schema_of(parameter.pattern),
    }
    if parameter.required or place == "path":
        made["required"] = True
    if parameter.example:
        made["example"] = parameter.example
    return made


def schema_of(pattern: str) -> Json:
    """A pattern of the table, which is to match as a whole; '': any text. One that only lists words is an enum."""
    if not pattern:
        return {"type": "string"}
    if _WORDS.fullmatch(pattern.replace(r"\*", "*")):
        return {"type": "string", "enum": pattern.replace(r"\*", "*").split("|")}
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def _responses(verb: Verb) -> Json:
    problems = [*_ALWAYS]
    if "{" in verb.path:
        problems.append(problem.UNKNOWN)
    if verb.body:
        problems += problem.SLOW, problem.TOO_LARGE, problem.WRONG_MEDIA, problem.WRONG_FILE
    if any(each.name == "if-match" for each in verb.parameters):
        problems.append(problem.CONFLICT)
    if verb.later or verb.name == "events":
        problems.append(problem.TOO_MANY)
    ordered = sorted(problems, key=lambda each: each.status)
    return {**_success(verb), **{str(each.status): _of(each) for each in ordered}}


def _success(verb: Verb) -> Json:
    if verb.name == "events":
        content = {"text/event-stream": {"schema": {"type": "string"}}}
        return {"200": {"description": "Server-sent events; data is JSON.", "content": content}}
    if verb.later:
        headers = {"Location": {"description": "Where to look at it.", "schema": {"type": "string"}}}
        return {"202": {"description": "It has begun.", "headers": headers, "content": _json(_of_schema("operation"))}}
    made: Json = {"200": {"description": "The answer.", "content": _json(answer_schema(ANSWERS.get(verb.name, {})))}}
    if verb.method == "GET" and verb.path.endswith("/file"):
        made["200"]["headers"] = {"ETag": {"description": "The file's tag.", "schema": {"type": "string"}}}
        made["304"] = {"description": "`If-None-Match` has this tag."}
    return made


def answer_schema(keys: Keys) -> Json:
    """More keys may come with later versions."""
    properties = {key: {"type": [kind[:-1], "null"] if kind.endswith("?") else kind} for key, kind in keys.items()}
    return {"type": "object", "properties": properties, "required": list(keys)}


def _look() -> Json:
    return {
        "operationId": "operation",
        "summary": "How far an operation is.",
        "description": "For the login that began it. Scope: `read`.",
        "tags": ["operations"],
        "parameters": [_parameter(_OPERATION_ID, "path")],
        "responses": {
            "200": {"description": "The answer.", "content": _json(_of_schema("operation"))},
            **{str(each.status): _of(each) for each in (problem.NO_LOGIN, problem.UNKNOWN)},
        },
        "security": [{"bearer": ["read"]}, {"cookie": []}],
    }


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _of(each: Problem) -> Json:
    return {"$ref": f"#/components/responses/{each.slug}"}


def _of_schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _response(each: Problem) -> Json:
    content = {problem.MEDIA_TYPE: {"schema": _of_schema("problem")}}
    headers = {name: {"schema": {"type": "string"}} for name in each.headers}
    return {"description": f"{each.title}.", "content": content, **({"headers": headers} if headers else {})}


_OPERATION_ID = Parameter("operation", "Its id.", "[0-9a-f]{16}", "16 hexadecimal digits", example="00112233aabbccdd")
_LICENSE = {"name": "MIT", "identifier": "MIT"}
_STRING, _INTEGER = {"type": "string"}, {"type": "integer"}
_COMPLAINT = {
    "type": "object",
    "properties": {
        "file": _STRING,
        "line": {"type": "integer", "description": "From 1; 0: the file as a whole."},
        "column": _INTEGER,
        "key": _STRING,
        "text": _STRING,
        "warning": {"type": "boolean"},
    },
    "required": ["file", "text"],
}
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "enum": [each.type for each in problem.PROBLEMS]},
        "title": _STRING,
        "status": _INTEGER,
        "detail": _STRING,
        "exit_status": {"type": "integer", "description": "The exit status that the command has."},
        "complaints": {"type": "array", "items": _COMPLAINT},
    },
    "required": ["type", "title", "status", "detail"],
}
_OPERATION = {
    "type": "object",
    "properties": {
        "id": _STRING,
        "verb": _STRING,
        "began": {"type": "integer", "description": "Seconds since the epoch."},
        "state": {"type": "string", "enum": ["running", "done", "failed"]},
        "result": {"type": "object"},
        "problem": {"$ref": "#/components/schemas/problem"},
    },
    "required": ["id", "verb", "began", "state"],
}
