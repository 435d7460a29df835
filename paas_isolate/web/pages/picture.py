"""The charts of an account: as a picture, for browsers without JavaScript, and in words."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from paas_isolate.chart.curves import Span, Values
from paas_isolate.chart.metrics import METRICS
from paas_isolate.chart.svg import Frame, draw
from paas_isolate.metering.calendar import Calendar

PERIODS = ("day", "week", "month")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Of the picture, which has its style in itself, and nothing else."""


class Summary(NamedTuple):
    """A curve in words; `limit` is '' where it has none."""

    label: str
    mean: str
    highest: str
    limit: str


def svg(told: Mapping[str, Any], name: str) -> bytes:
    """The picture of a metric, from an answer to `history`."""
    metric, data = METRICS[name], told["metrics"][name]
    calendar = Calendar(told["time_zone"])
    begin, end = _milliseconds(told["from"]), _milliseconds(told["to"])
    first, step = _milliseconds(data["begin"]), data["step_seconds"] * 1000
    number = len(next(iter(data["values"].values()), ()))
    values = Values(metric, Span(first, first + step * number, step), data["values"])
    limits = {curve.limit: data["limits"][curve.label] for curve in metric.curves if curve.label in data["limits"]}
    subtitle = f"{told['from'][:16].replace('T', ' ')} to {told['to'][:16].replace('T', ' ')}, {calendar.name}"
    return draw(told["account"], subtitle, [values], Frame(begin, end, limits, calendar)).encode()


def summaries(data: Mapping[str, Any], name: str) -> Iterator[Summary]:
    """The curves of a metric that were measured."""
    metric = METRICS[name]
    for label, points in data["values"].items():
        if known := [value for value in points if value is not None]:
            limit = data["limits"].get(label)
            mean, highest = metric.say(sum(known) / len(known)), metric.say(max(known))
            yield Summary(label, mean, highest, "" if limit is None else metric.say(limit))


def last(data: Mapping[str, Any]) -> float | None:
    """The last value of the first curve that was measured."""
    points = next(iter(data["values"].values()), ())
    return next((value for value in reversed(points) if value is not None), None)


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
