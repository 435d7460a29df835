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
_FILE: Keys = {"name": "string", "file": "string", "text": "string", "etag": "string"}
_REMOVED: Keys = {"name": "string", "file": "string", "changed": "boolean", "conflict": "boolean", "etag": "string?"}
_WRITTEN: Keys = {**_REMOVED, "dry_run": "boolean", "steps": "array", "more": "integer", "complaints": "array"}
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
        "plan": {
            "account": "string",
            "plan": "string?",
            "next": "string?",
            "limits": "array",
            "services_added": "array",
            "services_removed": "array",
        },
        "notices": _NOTICES,
        "switch-notices": _NOTICES,
        "usage": {"from": "string", "to": "string", "time_zone": "string", **_ROWS},
        "history": {
            "account": "string",
            "leaf": "string",
            "from": "string",
            "to": "string",
            "time_zone": "string",
            "metrics": "object",
        },
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
        "accounts": {"total": "integer", "next": "string?", "sampled": "string?", **_ROWS},
        "file": _FILE,
        "put": _WRITTEN,
        "remove": _REMOVED,
        "freeze": _LINES,
        "thaw": _LINES,
        "advise": {"total": "integer", "next": "string?"},
        "plans": {"plans": "array", "without": "integer"},
        "plan-file": _FILE,
        "put-plan": _WRITTEN,
        "bill": {
            "month": "string",
            "time_zone": "string",
            "hours": "number",
            "prices": "object?",
            "mount_options": "array",
            "lines": "array",
            "next": "string?",
            "total": "integer",
            "totals": "object",
            "amount": "string?",
        },
        "host": {
            "time": "string",
            "machine": "object",
            "customers": "object",
            "accounts": "object",
            "complaints": "integer",
            "at_limit": "array",
            "accounts_at_limit": "integer",
            "sampled": "string?",
        },
        "doctor": _ROWS,
        "coverage": {"confined": "integer", "total": "integer", "left": "integer", "processes": "array"},
        "network": {"total": "integer", "next": "string?", "accounts": "object"},
        "differences": {"changes": "array", **_REMAINS},
        "reconcile": {"outcomes": "array", "remaining": "array", **_REMAINS, "done": "integer", "status": "integer"},
        "tokens": _ROWS,
    }
)
"""Verb -> the keys that its answer has at least. The manual's section JSON OUTPUT describes them."""
