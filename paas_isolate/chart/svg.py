"""A picture of values: geometry here, all markup in chart.svg.j2."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined

from paas_isolate.chart import axis
from paas_isolate.chart.curves import Number, Span, Values
from paas_isolate.chart.metrics import Metric
from paas_isolate.metering.calendar import Calendar
from paas_isolate.text import escaped

WIDTH = 960
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 46, 34
"""Room around the curves of a panel."""
_PLOT = 150
_PANEL = _TOP + _PLOT + _BOTTOM
_HEAD = 70
_NARROW = 3.0
"""A gap that is narrower is not drawn, such as the samples of the last minute, which are not written yet."""
_FAR = 4.0
"""A limit that is so many times the highest value is only told: drawn, it would press the curves flat."""


class DrawnCurve(NamedTuple):
    """A curve: paths of its line and of the area below it, and what the legend says."""

    label: str
    line: str
    area: str
    mean: str
    highest: str


class DrawnLimit(NamedTuple):
    """A limit of today. `y` is None where it lies far above the panel."""

    label: str
    y: float | None


class Panel(NamedTuple):
    """The place of a metric in the picture. `gaps` are x and width of what was not measured."""

    y: float
    title: str
    unit: str
    measured: bool
    curves: Sequence[DrawnCurve]
    limits: Sequence[DrawnLimit]
    marks: Sequence[tuple[float, str]]
    times: Sequence[tuple[float, str, bool]]
    gaps: Sequence[tuple[float, float]]


class Frame(NamedTuple):
    """What all panels share: the time from `begin` to `end` (ms since 1970), the limits by the name that Curve.limit
    has, and whose local times."""

    begin: int
    end: int
    limits: Mapping[str, float]
    calendar: Calendar


def draw(title: str, subtitle: str, values: Sequence[Values], frame: Frame) -> str:
    """The picture, a panel for each metric."""
    panels = [_panel(each, frame, _HEAD + number * _PANEL) for number, each in enumerate(values)]
    template = files(__package__).joinpath("chart.svg.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        title=escaped(title),
        subtitle=escaped(subtitle),
        panels=panels,
        width=WIDTH,
        height=_HEAD + _PANEL * len(panels),
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=_TOP,
        plot=_PLOT,
    )


def _panel(values: Values, frame: Frame, y: float) -> Panel:
    metric, limits = values.metric, frame.limits
    highest = max((value for points in values.curves.values() for value in points if value is not None), default=None)
    known = {
        limits[curve.limit]: curve.label
        for curve in metric.curves
        if curve.limit in limits and curve.label in values.curves
    }
    near = [limit for limit in known if highest is not None and limit <= max(highest, 0.0) * _FAR]
    ends = axis.marks(max([highest or 0.0, *near]), binary=metric.binary)
    scale = _Scale(frame, values.span, ends[-1])
    return Panel(
        y,
        metric.title,
        metric.unit,
        highest is not None,
        [_curve(metric, label, points, scale) for label, points in values.curves.items()],
        [
            DrawnLimit(
                f"limit {f'of {label} ' if len(known) > 1 else ''}{metric.say(limit)}",
                scale.y(limit) if limit in near else None,
            )
            for limit, label in known.items()
        ],
        [(scale.y(mark), metric.say(mark)) for mark in ends],
        [(scale.x(mark.moment), mark.label, mark.day) for mark in axis.times(frame.begin, frame.end, frame.calendar)],
        [gap for first, last in _unmeasured(values) if (gap := scale.between(first, last))[1] >= _NARROW],
    )


class _Scale:
    """From moments and values to places in a panel."""

    def __init__(self, frame: Frame, span: Span, highest: float) -> None:
        self._frame, self._span, self._highest = frame, span, highest

    def x(self, moment: float) -> float:
        share = (moment - self._frame.begin) / max(1, self._frame.end - self._frame.begin)
        return round(_LEFT + max(0.0, min(1.0, share)) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_TOP + _PLOT * (1 - value / self._highest), 1)

    def of_step(self, step: int) -> float:
        """The middle of a step."""
        return self.x(self._span.begin + (step + 0.5) * self._span.step)

    def between(self, first: int, last: int) -> tuple[float, float]:
        """x and width of these steps."""
        begin = self.x(self._span.begin + first * self._span.step)
        return begin, round(self.x(self._span.begin + (last + 1) * self._span.step) - begin, 1)


def _curve(metric: Metric, label: str, points: Sequence[Number], scale: _Scale) -> DrawnCurve:
    known = [value for value in points if value is not None]
    lines, areas = [], []
    for first, last in _spans(points, known=True):
        places = [f"{scale.of_step(step)} {scale.y(points[step] or 0.0)}" for step in range(first, last + 1)]
        lines.append("M" + "L".join(places) + ("h.01" if first == last else ""))
        ground = scale.y(0)
        areas.append(f"M{scale.of_step(first)} {ground}L{'L'.join(places)}L{scale.of_step(last)} {ground}Z")
    return DrawnCurve(
        label,
        "".join(lines),
        "".join(areas),
        metric.say(sum(known) / len(known)) if known else "-",
        metric.say(max(known)) if known else "-",
    )


def _unmeasured(values: Values) -> Iterator[tuple[int, int]]:
    """The first and last steps of each time in which the first curve is not known."""
    return _spans(next(iter(values.curves.values()), [None] * values.span.number), known=False)


def _spans(points: Sequence[Number], *, known: bool) -> Iterator[tuple[int, int]]:
    first = None
    for step, value in enumerate(points):
        if (value is not None) == known:
            first = step if first is None else first
        elif first is not None:
            yield first, step - 1
            first = None
    if first is not None:
        yield first, len(points) - 1
