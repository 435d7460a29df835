"""Labels of an account: words by which a provider groups what accounts used, such as `reseller: north`."""

import re

from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.read import Node, Pairs
from paas_isolate.spec.shapes import MapOf, ScalarShape, Schema
from paas_isolate.text import excerpt, printable

MOST_LABELS = 16
"""Labels of one account."""
_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_VALUE = "a text of at most 64 printable characters, such as north"


def _value(text: str) -> str:
    if not 1 <= len(text) <= 64 or not text.isprintable() or text != text.strip():
        raise ValueError(_VALUE)
    return text


class LabelsShape:
    """Labels by key."""

    _map = MapOf(
        ScalarShape(_value, _VALUE, {"type": ["string", "number", "boolean"]}), "a mapping such as {reseller: north}"
    )

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> dict[str, str]:
        labels: dict[str, str] = self._map.read(node, key, diagnostics)
        for name, (place, _) in node.pairs.items() if isinstance(node, Pairs) else ():
            if not name.startswith("x-") and not _KEY.fullmatch(name):
                text = f"is {excerpt(name)}; expected a key such as reseller: small letters, digits and _, at most 32"
                diagnostics.error(place, below(key, printable(name)), text)
        if len(labels) > MOST_LABELS:
            diagnostics.error(node, key, f"has {len(labels)} labels; expected at most {MOST_LABELS}")
        return labels

    def schema(self) -> Schema:
        names = {"anyOf": [{"pattern": f"^{_KEY.pattern}$"}, {"pattern": "^x-"}]}
        return {**self._map.schema(), "propertyNames": names, "maxProperties": MOST_LABELS}
