"""The YAML files as JSON Schema, from the tables that the parser uses. Editors complete and check files by it."""

from typing import Any

from paas_isolate.spec import fields
from paas_isolate.spec.shapes import Schema, Table


def schema() -> dict[str, Any]:
    """The three documents, under $defs: `#/$defs/host` is config.yaml, `plan` and `account` are the others."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "paas-isolate",
        "$defs": {
            "host": _document(fields.HOST, "config.yaml: the machine", ()),
            "plan": _document(fields.PLAN, "plans.d/NAME.yaml: what is sold", ("plan",)),
            "account": _document(fields.ACCOUNT, "accounts.d/NAME.yaml: a customer", ("account",)),
        },
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("host", "plan", "account")],
    }


def _document(table: Table, meaning: str, required: tuple[str, ...]) -> Schema:
    return {"description": meaning, **table.schema(), **({"required": list(required)} if required else {})}
