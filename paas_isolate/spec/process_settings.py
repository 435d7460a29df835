"""What a service's processes start with: environment variables and resource limits."""

import re
from typing import Any

from paas_isolate.spec import scalars
from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.read import Node, Pairs
from paas_isolate.spec.shapes import MapOf, ScalarShape, Schema, pairs
from paas_isolate.text import excerpt, printable
from paas_isolate.units import parse_count, parse_size

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}", re.ASCII)
RLIMITS = ("as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rtprio", "stack")
"""Resource limits of setrlimit(2) that a service may have, by their names in prlimit(1)."""


class EnvironmentShape:
    """Environment variables by name."""

    _map = MapOf(scalars.CONTENT, "a mapping of variables")

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> dict[str, str]:
        variables: dict[str, str] = self._map.read(node, key, diagnostics)
        for name, (place, _) in node.pairs.items() if isinstance(node, Pairs) else ():
            if not name.startswith("x-") and not _VARIABLE.fullmatch(name):
                text = f"is {excerpt(name)}; expected the name of a variable, such as QUEUE"
                diagnostics.error(place, below(key, printable(name)), text)
        return {name: value for name, value in variables.items() if value is not None}

    def schema(self) -> Schema:
        return {**self._map.schema(), "propertyNames": {"pattern": f"^{_VARIABLE.pattern}$"}}


class RlimitsShape:
    """Resource limits by name: `nofile: 4096`, `core: 0`, `memlock: 64M`; -1 is unlimited."""

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> dict[str, int]:
        limits = {}
        for name, (place, value) in pairs(node, key, diagnostics, "a mapping such as {nofile: 4096}").items():
            if name in RLIMITS:
                limits[name] = _LIMIT.read(value, below(key, name), diagnostics)
            else:
                diagnostics.error_key(place, key, name, list(RLIMITS))
        return limits

    def schema(self) -> Schema:
        return {
            "type": "object",
            "propertyNames": {"anyOf": [{"enum": list(RLIMITS)}, {"pattern": "^x-"}]},
            "additionalProperties": _LIMIT.schema(),
        }


def _limit(text: str) -> int:
    if text in ("unlimited", "max", "infinity"):
        return -1
    try:
        return parse_count(scalars.exact(text)) if text.isdecimal() else parse_size(scalars.exact(text))
    except ValueError:
        raise ValueError(_LIMIT.expected) from None


_FORM: dict[str, Any] = {"type": ["integer", "string"]}
_LIMIT = ScalarShape(_limit, "a whole number, a size such as 64M, or unlimited", _FORM)
