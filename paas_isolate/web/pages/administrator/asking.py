"""Questions to the daemon, made from what a browser has sent."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from paas_isolate.control.table import BY_NAME
from paas_isolate.spec.names import is_name


def options_of(verb: str, query: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those options of the verb that the query has. HTTPException 400 where a value is none that the verb takes."""
    known = {parameter.name: parameter for parameter in BY_NAME[verb].parameters}
    given = {name: query[name].strip() for name in names if query.get(name, "").strip()}
    for name, value in given.items():
        if not re.fullmatch(known[name].pattern, value, re.ASCII):
            raise HTTPException(400, f"{name} is not {known[name].expected}.")
    return given


def name_in(request: Request, parameter: str = "account") -> str:
    """The name in the path. HTTPException 404 where it can be none: it is not asked for, and in no address of ours."""
    name: str = request.path_params[parameter]
    if not is_name(name):
        raise HTTPException(404, "There is no such page.")
    return name


def said(told: Mapping[str, Any]) -> list[str]:
    """The sentences of an answer that says what was done."""
    return [str(line) for line in (told.get("lines") or told.get("said") or ())]
