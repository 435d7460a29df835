"""The shapes that a value may have. `read` makes a node into a value of the model; `schema` gives the JSON Schema.

Where a value is wrong, `read` adds an error to the diagnostics. What it then returns is not used.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.read import Items, Node, Pairs, Scalar
from paas_isolate.text import printable

Schema = dict[str, Any]


class Shape(Protocol):
    """`key` is the key path of the node, for complaints."""

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any: ...

    def schema(self) -> Schema: ...


class ScalarShape(NamedTuple):
    """A scalar. `parse` makes its text into the value, or raises ValueError with what was expected. `form` is its JSON
    Schema."""

    parse: Callable[[str], Any]
    expected: str
    form: Mapping[str, Any]

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:
        if not isinstance(node, Scalar) or node.empty:
            return diagnostics.error_value(node, key, self.expected)
        try:
            return self.parse(node.text)
        except ValueError as wrong:
            return diagnostics.error_value(node, key, str(wrong))

    def schema(self) -> Schema:
        return dict(self.form)


class ListOf(NamedTuple):
    """A list, read into a tuple."""

    item: Shape
    expected: str

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:
        if not isinstance(node, Items):
            return diagnostics.error_value(node, key, self.expected)
        return tuple(self.item.read(item, f"{key}[{i}]", diagnostics) for i, item in enumerate(node.items))

    def schema(self) -> Schema:
        return {"type": "array", "items": self.item.schema()}


class OneOrList(NamedTuple):
    """One value or a list of them, read into a tuple."""

    item: Shape
    expected: str

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:
        if isinstance(node, Items):
            return ListOf(self.item, self.expected).read(node, key, diagnostics)
        return (self.item.read(node, key, diagnostics),)

    def schema(self) -> Schema:
        return {"anyOf": [self.item.schema(), {"type": "array", "items": self.item.schema()}]}


class MapOf(NamedTuple):
    """A mapping whose keys the author chooses, read into a dict."""

    item: Shape
    expected: str

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:
        entries = pairs(node, key, diagnostics, self.expected).items()
        return {name: self.item.read(value, below(key, printable(name)), diagnostics) for name, (_, value) in entries}

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.item.schema()}


class AnyShape:
    """Any value: the code that uses it reads the node and gives the schema."""

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:  # noqa: ARG002  (the shape of a shape)
        return True

    def schema(self) -> Schema:
        return {}


class Field(NamedTuple):
    """One key of a table. `default` is for the schema alone, and says what holds where the key is not given."""

    name: str
    shape: Shape
    meaning: str
    default: Any = None

    def schema(self) -> Schema:
        default = {} if self.default is None else {"default": self.default}
        return {**self.shape.schema(), "description": self.meaning, **default}


class Table(NamedTuple):
    """A mapping with known keys, read into a dict with those that are given. Keys that begin with x- are ignored."""

    fields: tuple[Field, ...]
    expected: str = "a mapping"

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> dict[str, Any]:
        known = {field.name: field for field in self.fields}
        values = {}
        for name, (place, value) in pairs(node, key, diagnostics, self.expected).items():
            if field := known.get(name):
                values[name] = field.shape.read(value, below(key, name), diagnostics)
            else:
                diagnostics.error_key(place, key, name, list(known), self._above(name))
        return values

    def _above(self, name: str) -> str:
        """The field below which there is a key of this name; '' where there is none."""
        tables = ((field.name, field.shape) for field in self.fields if isinstance(field.shape, Table))
        return next((above for above, table in tables if any(field.name == name for field in table.fields)), "")

    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {field.name: field.schema() for field in self.fields},
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
        }


def pairs(node: Node, key: str, diagnostics: Diagnostics, expected: str) -> dict[str, tuple[Scalar, Node]]:
    """The key and the value of each entry of a mapping, by name, without the x- keys. An empty value (`services:`) is
    an empty mapping; any other value is an error."""
    if isinstance(node, Pairs):
        return {name: pair for name, pair in node.pairs.items() if not name.startswith("x-")}
    if not (isinstance(node, Scalar) and node.empty):
        diagnostics.error_value(node, key, expected)
    return {}
