"""Questions to the daemon, made from what a browser has sent."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from paas_isolate.control.table import BY_NAME
from paas_isolate.spec.names import is_name
from paas_isolate.text import shortened


def options_of(verb: str, query: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those options of the verb that the query has. HTTPException 400 where one is missing that the verb needs, or a
    value is none that it takes."""
    given = {name: query[name].strip() for name in names if query.get(name, "").strip()}
    needed = {parameter.name: "" for parameter in BY_NAME[verb].parameters if parameter.required}
    for name, value in (needed | given).items():
        if wrong := mistake(verb, name, value):
            raise HTTPException(400, wrong)
    return given


def mistake(verb: str, name: str, value: str) -> str:
    """What is wrong with the value of an option, '' where it is right."""
    parameter = next(each for each in BY_NAME[verb].parameters if each.name == name)
    right = re.fullmatch(parameter.pattern, value, re.ASCII)
    return "" if right else f"{shortened(value) or 'nothing'} is no {name}: expected {parameter.expected}."


def name_in(request: Request, parameter: str = "account") -> str:
    """The name in the path. HTTPException 404 where it can be none: it is not asked for, and in no address of ours."""
    name: str = request.path_params[parameter]
    if not is_name(name):
        raise HTTPException(404, "There is no such page.")
    return name


def said(told: Mapping[str, Any]) -> list[str]:
    """The sentences of an answer that says what was done."""
    return [str(line) for line in (told.get("lines") or told.get("said") or ())]
