"""The answers of the HTTP interface: JSON, and the keys of each."""

import json
from collections.abc import Mapping
from types import MappingProxyType


def json_bytes(data: object) -> bytes:
    """ASCII: a name may have half a surrogate pair, which UTF-8 cannot have."""
    return json.dumps(data, separators=(",", ":")).encode()


Keys = Mapping[str, str]
"""Key of an object -> its type in JSON Schema; with `?` behind it where it may be null."""

_SAID: Keys = {"said": "array", "status": "integer"}
_LINES: Keys = {"lines": "array"}
_ROWS: Keys = {"rows": "array"}
_NOTICES: Keys = {**_SAID, "state": "string"}
_REMAINS: Keys = {
    "complaints": "array",
    "kept": "object",
    "broken": "object",
    "waiting": "object",
    "unmet": "object",
    "late": "object",
    "not_enforced": "object",
}

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
        "start": _SAID,
        "stop": _SAID,
        "restart": _SAID,
        "scale": _LINES,
        "logs": _LINES,
        "notices": _NOTICES,
        "switch-notices": _NOTICES,
        "usage": {"from": "string", "to": "string", "time_zone": "string", **_ROWS},
        "history": {"account": "string", "leaf": "string", "from": "string", "to": "string", "metrics": "object"},
        "faults": _ROWS,
        "explain": {
            "account": "string",
            "from": "string",
            "to": "string",
            "time_zone": "string",
            "measured_seconds": "number",
            "summary": "string",
            "findings": "array",
            "notes": "array",
        },
        "accounts": _ROWS,
        "file": {"text": "string", "etag": "string"},
        "freeze": _LINES,
        "thaw": _LINES,
        "plans": _ROWS,
        "plan-file": {"text": "string", "etag": "string"},
        "bill": {
            "month": "string",
            "time_zone": "string",
            "hours": "number",
            "prices": "object?",
            "mount_options": "array",
            "lines": "array",
            "amount": "string?",
        },
        "doctor": _ROWS,
        "coverage": {"confined": "integer", "total": "integer", "left": "integer", "processes": "array"},
        "network": {"accounts": "object"},
        "differences": {"changes": "array", **_REMAINS},
        "reconcile": {"outcomes": "array", "remaining": "array", **_REMAINS, "done": "integer", "status": "integer"},
        "tokens": _ROWS,
    }
)
"""Verb -> the keys that its answer has at least. The manual's section JSON OUTPUT describes them."""
