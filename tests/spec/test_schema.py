"""The schema has every key that the parser knows."""

import json

from paas_isolate.model.limits import LIMITS
from paas_isolate.spec import fields
from paas_isolate.spec.schema import schema


def test_it_is_json() -> None:
    assert json.loads(json.dumps(schema())) == schema()


def test_every_key_is_described() -> None:
    found = schema()["$defs"]
    for name, table in (("host", fields.HOST), ("plan", fields.PLAN), ("account", fields.ACCOUNT)):
        properties = found[name]["properties"]
        assert list(properties) == [field.name for field in table.fields]
        assert all(properties[field.name]["description"] for field in table.fields)


def test_every_limit_is_told_with_its_unit_and_knob() -> None:
    groups = schema()["$defs"]["account"]["properties"]["limits"]["properties"]
    for limit in LIMITS:
        group, _, name = limit.name.partition(".")
        told = groups[group].get("anyOf", [groups[group]])[-1]["properties"][name] if name else groups[group]
        assert limit.knob in told["description"]
        assert limit.unit in told["description"]


def test_defaults_are_told() -> None:
    host = schema()["$defs"]["host"]["properties"]
    assert host["users"]["properties"]["first_uid"]["default"] == 1000
    assert host["ceiling"]["default"] == {"memory": "75%", "pids": "80%", "cpu_weight": 50}
