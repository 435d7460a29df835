"""Values by time, wherever they come from."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from paas_isolate.chart.metrics import Metric

Number = float | None
"""None: it was not measured."""


class Span(NamedTuple):
    """From `begin` to `end`, milliseconds since 1970, in steps of `step` milliseconds."""

    begin: int
    end: int
    step: int

    @property
    def number(self) -> int:
        return max(1, -(-(self.end - self.begin) // self.step))


class Values(NamedTuple):
    """The curves of a metric, by label: a value for each step of the span, None where it was not measured. The first is
    there in any case, others where they are not 0 all the time. The last step may be a part of one."""

    metric: Metric
    span: Span
    curves: Mapping[str, Sequence[Number]]
