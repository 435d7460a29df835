"""The description of the interface says what the table says, and is right by its own standard."""

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.testclient import TestClient

from paas_isolate.control.table import BY_NAME, VERBS, Verb
from paas_isolate.daemon.account_report import AccountReport
from paas_isolate.web import openapi
from paas_isolate.web.answers import ANSWERS
from paas_isolate.web.problem import PROBLEMS
from tests.support.web.api_client import ApiClient
from tests.support.web.control_link import FakeDaemon
from tests.support.web.fake_link import canned

DOCUMENT = openapi.document()


def operation(verb: Verb) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][verb.path][verb.method.lower()]
    return found


def test_the_description_is_right_by_its_standard() -> None:
    validate(DOCUMENT)


def test_it_is_served_without_a_login() -> None:
    answer = TestClient(Starlette(routes=openapi.routes())).get(openapi.PATH)
    assert answer.json() == json.loads(json.dumps(DOCUMENT))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_row_has_an_operation(verb: Verb) -> None:
    said = operation(verb)
    assert said["operationId"] == verb.name
    assert verb.needs.name.lower() in said["description"]
    names = {(each["in"], each["name"]) for each in said["parameters"]}
    assert {name for place, name in names if place == "path"} == set(re.findall(r"{([a-z]+)}", verb.path))
    assert {name.lower() for _, name in names} >= {parameter.name for parameter in verb.parameters}
    assert ("requestBody" in said) == bool(verb.body)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_examples_are_what_the_pattern_wants(verb: Verb) -> None:
    for parameter in operation(verb)["parameters"]:
        schema = parameter["schema"]
        if example := parameter.get("example"):
            assert example in schema.get("enum", [example])
            assert re.fullmatch(schema.get("pattern", ".*"), example)


def test_conditions_are_headers_and_no_part_of_the_query() -> None:
    names = {(each["in"], each["name"]) for each in operation(BY_NAME["put"])["parameters"]}
    assert names == {("path", "account"), ("header", "If-Match"), ("header", "If-None-Match"), ("query", "dry-run")}


def test_answers_have_the_keys_that_are_said() -> None:
    assert set(ANSWERS["me"]) == set(AccountReport._fields)
    who = ApiClient(FakeDaemon(), "alice").get("/v1/who").json()
    assert set(ANSWERS["who"]) == set(who)
    for verb in ("usage", "explain"):
        assert set(ANSWERS[verb]) == set(canned(verb))
    assert set(ANSWERS["history"]) == set(canned("history-day"))
    assert ANSWERS.keys() <= BY_NAME.keys()


def test_each_problem_that_is_answered_is_described() -> None:
    client = ApiClient(FakeDaemon(), "nobody")
    for verb in VERBS:
        status = client.ask(verb).status_code
        assert str(status) in operation(verb)["responses"]
    assert {each.slug for each in PROBLEMS} == DOCUMENT["components"]["responses"].keys()
