"""The interface's own page: what there is, and a form to try what changes nothing."""

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.table import BY_NAME, VERBS, Access, Verb, checked
from paas_isolate.web import openapi, problem
from paas_isolate.web.api import about_of
from paas_isolate.web.link import AskError
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.base import get, render
from paas_isolate.web.problem import PROBLEMS, ProblemError

_LONGEST = 200_000
"""Characters of an answer that the page shows."""


def routes() -> list[Route]:
    return [get("/v1/docs", page)]


async def page(request: Request, login: Login) -> Response:
    verb = BY_NAME.get(request.query_params.get("verb", ""))
    fields = {name: value for name, value in request.query_params.items() if value and name != "verb"}
    tried = await _try(login, verb, fields) if verb and _is_for(login, verb) and _has_form(verb) else None
    return render(
        request,
        "docs.html",
        rows=[_row(each, request, login, fields if each is verb else {}) for each in VERBS if _is_for(login, each)],
        problems=PROBLEMS,
        description=openapi.PATH,
        verb=verb and verb.name,
        tried=tried,
    )


def _is_for(login: Login, verb: Verb) -> bool:
    return bool(verb.path) and (login.administrator or verb.access is not Access.ADMINISTRATOR)


def _has_form(verb: Verb) -> bool:
    return verb.method == "GET" and verb.name != "events"


async def _try(login: Login, verb: Verb, fields: Mapping[str, str]) -> Mapping[str, object]:
    """Its status, and its body as text."""
    try:
        about = about_of(verb, {name: fields.get(name, "") for name in openapi.names_of(verb)})
        options = {name: value for name, value in fields.items() if name not in ("account", "plan") or not about}
        checked(verb, options)
        told: Mapping[str, Any] = await login.link.ask(verb.name, about, options)
        status, text = "200 OK", json.dumps(told, indent=2, ensure_ascii=False)
    except RefusedError as error:
        status, text = _refused(ProblemError(problem.WRONG_REQUEST, str(error), error.status))
    except AskError as error:
        status, text = _refused(problem.of_refusal(error, verb))
    except ProblemError as error:
        status, text = _refused(error)
    return {"status": status, "text": text[:_LONGEST], "is_cut": len(text) > _LONGEST}


def _refused(error: ProblemError) -> tuple[str, str]:
    return f"{error.problem.status} {error.problem.title}", json.dumps(error.data(), indent=2, ensure_ascii=False)


def _row(verb: Verb, request: Request, login: Login, fields: Mapping[str, str]) -> Mapping[str, object]:
    parameters = openapi.parameters_of(verb)
    values = {each["name"]: fields.get(each["name"], "") for each in parameters}
    values["account"] = values.get("account") or login.account or ""
    return {
        "verb": verb,
        "scope": verb.needs.name.lower(),
        "parameters": parameters,
        "given": values,
        "has_form": _has_form(verb),
        "curl": _curl(verb, parameters, str(request.base_url).rstrip("/")),
    }


def _curl(verb: Verb, parameters: list[openapi.Json], base: str) -> str:
    """A command that asks this, with examples where something is needed."""
    path = {each["name"]: str(each.get("example", each["name"])) for each in parameters if each["in"] == "path"}
    query = {
        each["name"]: each.get("example", "") for each in parameters if each["in"] == "query" and "required" in each
    }
    address = base + verb.path.format(**{name: quote(value) for name, value in path.items()})
    words = ["curl", "-H", "Authorization: Bearer $TOKEN"]
    words += {"GET": [], "PUT": ["-T", "FILE"] if verb.body else ["-X", "PUT"]}.get(verb.method, ["-X", verb.method])
    words += ["-N"] if verb.name == "events" else []
    words.append(f"{address}?{urlencode(query)}" if query else address)
    return " ".join(f'"{word}"' if "$" in word else shlex.quote(word) for word in words)
