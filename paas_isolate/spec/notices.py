"""The rules of notices: `when: memory killed 3 times in 1h`, `to: {mail: customer}`."""

import re
from typing import Any

from paas_isolate.model.notices import COMMAND, FAULTS, MAIL, SHARES, STRAY, WEBHOOK, NoticeRule, Target, Trigger
from paas_isolate.spec import scalars
from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.read import Items, Node, Pairs, Scalar
from paas_isolate.spec.shapes import Field, ListOf, ScalarShape, Schema, Table
from paas_isolate.units import format_duration, parse_duration

# Compiled at their first use, not at import.
_FAULT = rf"({'|'.join(FAULTS)})(?: ([0-9]+) times?)?(?: in ([0-9.]+[a-z]+))?"
_SHARE = rf"({'|'.join(SHARES)}) above ([0-9]+)%(?: for ([0-9.]+[a-z]+))?"
_STRAY = rf"{STRAY}(?: for ([0-9.]+[a-z]+))?"
_HOUR, _MINUTE = 3_600_000, 60_000
_LONGEST = 24 * _HOUR
_WRITTEN = 5 * _MINUTE
"""A fault may be in the ledger a minute after it happened, and a round comes each minute."""
_WHEN = "a condition such as `memory killed 3 times in 1h`, `cpu above 90% for 15m`, `disk above 95%` or `stray for 5m`"


def _trigger(text: str) -> Trigger:
    if found := re.fullmatch(_FAULT, text, re.ASCII):
        number = int(found[2] or 1) if len(found[2] or "") < 8 else 0
        if not 1 <= number <= 1_000_000:
            raise ValueError("a number of times from 1 to 1000000")
        return Trigger(FAULTS[found[1]], _within(found[3] or "1h", least=_WRITTEN), number=number)
    if found := re.fullmatch(_SHARE, text, re.ASCII):
        percent = int(found[2]) if len(found[2]) < 4 else 0
        if not 1 <= percent <= 100:
            raise ValueError("a share of the limit from 1% to 100%")
        return Trigger(found[1], _within(found[3] or "0s", least=0), percent=percent)
    if found := re.fullmatch(_STRAY, text, re.ASCII):
        return Trigger(STRAY, _within(found[1] or "1m", least=0))
    raise ValueError(_WHEN)


def _within(text: str, *, least: int) -> int:
    milliseconds = parse_duration(scalars.exact(text))
    if not least <= milliseconds <= _LONGEST:
        raise ValueError(f"a time from {format_duration(least)} to 24h in the condition")
    return milliseconds


WHEN = ScalarShape(_trigger, _WHEN, {"type": "string"})
_URL = ScalarShape(
    scalars.fits(r"https?://[!-~]{1,1000}", "a URL such as https://example.org/hook"),
    "a URL such as https://example.org/hook",
    {"type": "string", "pattern": "^https?://[!-~]+$"},
)
_EVERY = "a duration from 1m to 30d, such as 1h"


def _every(text: str) -> int:
    milliseconds = parse_duration(scalars.exact(text))
    if not _MINUTE <= milliseconds <= 30 * 24 * _HOUR:
        raise ValueError(_EVERY)
    return milliseconds


class _TargetShape:
    """One of command, webhook and mail."""

    _expected = "one of {command: [/PATH, ...]}, {webhook: URL} and {mail: administrator | customer | ADDRESS}"
    _table = Table(
        (
            Field(
                COMMAND,
                ListOf(scalars.LINE, "a list of words"),
                "a program of yours, run as root; the notice is its input",
            ),
            Field(WEBHOOK, _URL, "an address that the notice is sent to (POST, JSON)"),
            Field(MAIL, scalars.MAIL, "administrator, customer, or an address"),
        ),
        expected=_expected,
    )

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Target | None:
        before = len(diagnostics.errors) + diagnostics.omitted
        given = self._table.read(node, key, diagnostics)
        if len(diagnostics.errors) + diagnostics.omitted > before:
            return None
        if len(given) != 1:
            diagnostics.error(node, key, f"has {len(given)} of them; expected {self._expected}")
            return None
        ((kind, value),) = given.items()
        if kind != COMMAND:
            return Target(kind, (value,))
        if not value or not value[0].startswith("/"):
            diagnostics.error(
                _within_node(node, COMMAND), below(key, COMMAND), "is no program; expected its path first, from /"
            )
            return None
        return Target(kind, value)

    def schema(self) -> Schema:
        return {**self._table.schema(), "minProperties": 1, "maxProperties": 1}


class _RuleShape:
    """A rule, with `when` and `to`."""

    _table = Table(
        (
            Field("when", WHEN, "what makes the rule hold"),
            Field("to", _TargetShape(), "where the notice goes"),
            Field(
                "every",
                ScalarShape(_every, _EVERY, scalars.DURATION.form),
                "the least time between two notices about one account",
                "1h",
            ),
        ),
        expected="a rule such as {when: stray, to: {mail: administrator}}",
    )

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> NoticeRule | None:
        given = self._table.read(node, key, diagnostics)
        if isinstance(node, Pairs):
            for name in ("when", "to"):
                if name not in given:
                    diagnostics.error(node, key, f"has no {name}; expected {self._table.expected}")
        if not given.get("when") or not given.get("to"):
            return None
        written = _within_node(node, "when")
        text = written.text if isinstance(written, Scalar) else ""
        every = given.get("every")
        return NoticeRule(text, given["when"], given["to"], *([every] if every else []))

    def schema(self) -> Schema:
        return {**self._table.schema(), "required": ["when", "to"]}


class NoticesShape:
    """The list of rules."""

    _list = ListOf(_RuleShape(), "a list of rules")

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> tuple[NoticeRule, ...]:
        rules = self._list.read(node, key, diagnostics)
        known: set[str] = set()
        for index, rule in enumerate(rules or ()):
            if rule is None:
                continue
            if rule.key in known and isinstance(node, Items):
                diagnostics.error(node.items[index], f"{key}[{index}]", "is there twice; keep one")
            known.add(rule.key)
        return tuple(rule for rule in rules or () if rule is not None)

    def schema(self) -> Schema:
        return self._list.schema()


def _within_node(node: Node, name: str) -> Node:
    return node.pairs[name][1] if isinstance(node, Pairs) and name in node.pairs else node


def _server(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,45}\]", host) or not colon:
        raise ValueError(_SERVER)
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
        raise ValueError(_SERVER)
    return text


_SERVER = "a host and a port such as localhost:25"
SERVER = ScalarShape(_server, _SERVER, {"type": "string"})


def mail_of(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of MailConfig: `from` is a word of Python's."""
    return {"sender" if name == "from" else name: value for name, value in values.items()}
