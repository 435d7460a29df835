"""The answers of the HTTP interface: JSON, and the keys of each."""

import json
from collections.abc import Mapping
from types import MappingProxyType


def json_bytes(data: object) -> bytes:
    """ASCII: a name may have half a surrogate pair, which UTF-8 cannot have."""
    return json.dumps(data, separators=(",", ":")).encode()


Keys = Mapping[str, str]
"""Key of an object -> type of JSON Schema; with `?` behind it where it may be null."""

_SAID = {"said": "array", "status": "integer"}
_COMMAND = {"said": "array", "status": "integer"}

ANSWERS: Mapping[str, Keys] = MappingProxyType(
    {
        "ping": {"version": "string"},
        "who": {
            "uid": "integer",
            "administrator": "boolean",
            "account": "string?",
            "suspended": "boolean",
            "scope": "string",
            "accounts": "array?",
        },
        "me": {
            "account": "string",
            "plan": "string?",
            "addresses": "array",
            "cgroups": "array",
            "watched": "integer",
            "hits": "array",
            "notes": "array",
        },
    }
)
"""Verb -> the keys that its answer has at least."""
