"""Reads `limits:` into Limits by full name (`memory.max`). The table of limits is in model/limits.py."""

import re
from typing import Any, NamedTuple

from paas_isolate.model.limits import (
    BY_NAME,
    LIMITS,
    SHORT,
    UNLIMITED,
    Cores,
    Limit,
    Limits,
    Percent,
    Unit,
    Value,
)
from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.read import Node, Pairs, Scalar
from paas_isolate.spec.scalars import exact
from paas_isolate.spec.shapes import Schema, pairs
from paas_isolate.units import format_rate, parse_count, parse_cpu, parse_cpu_set, parse_percent, parse_rate, parse_size

GROUPS = tuple(dict.fromkeys(limit.name.partition(".")[0] for limit in LIMITS))
NETWORK = "network"
"""The group that has no short form: `network: 100Mbit` does not say which direction."""
_RATES = "a mapping such as {out: 100Mbit, in: 200Mbit}"
NO_LIMIT = ("unlimited", "max", "infinity")
_SELF = frozenset({"memory.high", "memory.low", "memory.min"})
"""They may be percentages of the same cgroup's memory.max."""


class LimitsShape(NamedTuple):
    """The limits of one kind of cgroup. `percent` are those that may be given in percent there. `account`: also those
    that only a whole account can have."""

    percent: frozenset[str] = _SELF
    account: bool = False

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Limits:
        limits: dict[str, Value] = {}
        for group, (place, value) in _entries(node, key, diagnostics).items():
            if group == NETWORK and not self.account:
                diagnostics.error(
                    place, below(key, group), "is of whole accounts; write it in the `limits` of account or plan"
                )
            elif group in GROUPS:
                limits.update(self._read_group(value, group, below(key, group), diagnostics))
            else:
                diagnostics.error_key(place, key, group, self._groups())
        return limits

    def _groups(self) -> list[str]:
        return [group for group in GROUPS if group != NETWORK or self.account]

    def _read_group(self, node: Node, group: str, key: str, diagnostics: Diagnostics) -> Limits:
        names = {name.partition(".")[2]: name for name in BY_NAME if name.startswith(f"{group}.")}
        limits: dict[str, Value] = {}
        if group == NETWORK and not isinstance(node, Pairs):
            diagnostics.error_value(node, key, _RATES)
            return limits
        if not names or not isinstance(node, Pairs):
            for name in SHORT.get(group, (group,)):
                limits.update(limit := self.read_limit(node, name, key, diagnostics))
                if not limit:  # the short form of several limits is one mistake
                    break
            return limits
        for short, (place, value) in _entries(node, key, diagnostics).items():
            if short in names:
                limits.update(self.read_limit(value, names[short], below(key, short), diagnostics))
            else:
                diagnostics.error_key(place, key, short, list(names))
        return limits

    def read_limit(self, node: Node, name: str, key: str, diagnostics: Diagnostics) -> Limits:
        """One limit by its full name; empty where the value is wrong."""
        limit = BY_NAME[name]
        if not isinstance(node, Scalar) or node.empty:
            diagnostics.error_value(node, key, limit.unit)
            return {}
        try:
            return {name: parse_limit(limit, node.text, percent=name in self.percent)}
        except ValueError as wrong:
            diagnostics.error_value(node, key, str(wrong))
            return {}

    def limit_schema(self, name: str) -> Schema:
        """The JSON Schema of one limit by its full name."""
        return limit_schema(BY_NAME[name], self.percent)

    def schema(self) -> Schema:
        properties: dict[str, Any] = {}
        for group in self._groups():
            knobs = {
                name.partition(".")[2]: self.limit_schema(name) for name in BY_NAME if name.startswith(f"{group}.")
            }
            if group == NETWORK:
                properties[group] = _object(knobs)
            else:
                whole = self.limit_schema(SHORT.get(group, (group,))[0])
                properties[group] = {"anyOf": [whole, _object(knobs)]} if knobs else whole
        return _object(properties)


def _entries(node: Node, key: str, diagnostics: Diagnostics) -> dict[str, tuple[Scalar, Node]]:
    return pairs(node, key, diagnostics, "a mapping such as {memory: 512M}")


def _object(properties: dict[str, Any]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
    }


def parse_limit(limit: Limit, text: str, *, percent: bool) -> Value:
    """The value of a limit's text, in its unit. `percent`: whether it may be in percent of something. Raises ValueError
    with what was expected."""
    if text in NO_LIMIT:
        if not limit.unlimited:
            raise ValueError(f"{limit.unit} (it cannot be unlimited)")
        return UNLIMITED
    if text.endswith("%") and limit.unit is not Unit.CPU_TIME:
        return _share(limit, text, percent=percent)
    value = _parse(limit.unit, text)
    if isinstance(value, int) and value < limit.least:
        raise ValueError(f"{limit.unit}, at least {_least(limit)}")
    if limit.most and isinstance(value, int) and value > limit.most:
        most = format_rate(limit.most) if limit.unit is Unit.RATE else limit.most
        raise ValueError(f"{limit.unit}, at most {most} (or the word unlimited)")
    return value


def _parse(unit: Unit, text: str) -> Value:
    match unit:
        case Unit.CPU_TIME:
            quota = parse_cpu(exact(text))
            return quota if text.endswith("%") else Cores(quota)
        case Unit.CORES:
            return _cores(text)
        case Unit.WEIGHT:
            return _weight(text)
        case Unit.SIZE:
            return parse_size(exact(text))
        case Unit.RATE:
            return parse_rate(exact(text))
        case Unit.COUNT:
            return parse_count(exact(text))
        case Unit.KILL if text in ("leaf", "process"):
            return text
        case Unit.PATH if re.fullmatch(r"(?:/|~/|~$)[^\n]*", text):
            return text
    raise ValueError(unit)


def _cores(text: str) -> str:
    if len(text) > 1000:  # each range may name thousands of cores
        raise ValueError(Unit.CORES)
    try:
        for part in re.split("[,-]", text):
            exact(part.strip())
        return parse_cpu_set(text)
    except ValueError:
        raise ValueError(Unit.CORES) from None


def _weight(text: str) -> int:
    try:
        weight = parse_count(exact(text))
    except ValueError:
        raise ValueError(Unit.WEIGHT) from None
    if weight > 10_000:
        raise ValueError(Unit.WEIGHT)
    return weight


def _share(limit: Limit, text: str, *, percent: bool) -> Percent:
    if not percent:
        raise ValueError(f"{limit.unit} (no percentage here: there is nothing that it could be a share of)")
    of_hundred = parse_percent(exact(text))
    if not 0 < of_hundred <= 100:
        raise ValueError("a percentage from 1% to 100%")
    return Percent(of_hundred)


def _least(limit: Limit) -> str:
    match limit.unit:
        case Unit.CPU_TIME:
            return "1%"
        case Unit.SIZE:
            return "1M" if limit.least == 1 << 20 else "4K"
        case Unit.RATE:
            return format_rate(limit.least)
    return str(limit.least)


_FORMS: dict[Unit, tuple[Schema, ...]] = {
    Unit.CPU_TIME: (
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,3})? ?%?$"},
        {"type": "number", "minimum": 0},
    ),
    Unit.CORES: ({"type": "string", "pattern": "^[0-9, -]+$"}, {"type": "integer", "minimum": 0}),
    Unit.WEIGHT: ({"type": "integer", "minimum": 1, "maximum": 10_000},),
    Unit.SIZE: (
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})? ?[KMGTP]?(i?B)?$"},
        {"type": "integer", "minimum": 0},
    ),
    Unit.RATE: ({"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})? ?[kMGT]?bit$"},),
    Unit.COUNT: ({"type": "integer", "minimum": 0},),
    Unit.KILL: ({"enum": ["leaf", "process"]},),
    Unit.PATH: ({"type": "string", "pattern": "^(/|~)"},),
}


def limit_schema(limit: Limit, percent: frozenset[str]) -> Schema:
    """The JSON Schema of one limit, with its meaning, unit and kernel file. `percent` are the limits that may be in
    percent."""
    forms = list(_FORMS[limit.unit])
    if limit.name in percent:
        forms.append({"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,3})? ?%$"})
    if limit.unlimited:
        forms.append({"enum": list(NO_LIMIT)})
    share = f", or a percentage of {limit.percent_of}" if limit.name in percent else ""
    description = f"{limit.meaning}: {limit.unit}{share} ({limit.knob})"
    return {"description": description, **({"anyOf": forms} if len(forms) > 1 else forms[0])}
