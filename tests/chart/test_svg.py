"""The picture: well-formed whatever the text, no line across a gap, and limits where they belong."""

import re
from xml.etree import ElementTree

import pytest

from paas_isolate.chart.metrics import METRICS
from paas_isolate.chart.sparkline import ASCII, sparkline
from paas_isolate.chart.svg import Frame, draw
from paas_isolate.chart.values import Number, Span, Values
from paas_isolate.metering.calendar import Calendar
from tests.support.ledger import MB, WALL

STEP = 60_000


def picture(points: list[Number], limits: dict[str, float] | None = None, title: str = "alice") -> str:
    span = Span(WALL, WALL + len(points) * STEP, STEP)
    values = Values(METRICS["cpu"], span, {"used": points})
    return draw(title, "a day", [values], Frame(span.begin, span.end, limits or {}, Calendar("UTC")))


def test_hostile_text_is_text() -> None:
    text = picture([1.0], title='<script>alert("x")</script>\x1b\x00\ud800 & ]]>')
    tree = ElementTree.fromstring(text)
    assert tree[0].text == '<script>alert("x")</script>\\x1b\\x00\\ud800 & ]]>'
    assert not [each for each in tree.iter() if each.tag.endswith("script")]


def test_a_gap_breaks_line_and_area() -> None:
    text = picture([1.0, 1.0, None, None, 1.0, None, 1.0, 1.0])
    (line,) = re.findall(r'class="line line0" d="(.*?)"', text)
    assert line.count("M") == 3
    assert line.count("h.01") == 1  # one value alone is a dot
    assert len(re.findall('class="gap"', text)) == 2
    assert "nan" not in text.lower()


def test_the_picture_is_the_same_each_time() -> None:
    assert picture([0.1, 0.2]) == picture([0.1, 0.2])


def test_dark_and_light() -> None:
    text = picture([1.0])
    assert "prefers-color-scheme: dark" in text
    assert "var(" not in text  # librsvg has no variables


@pytest.mark.parametrize(("limit", "drawn"), [(2.0, True), (1.0, True), (50.0, False)])
def test_a_limit_is_a_line_unless_it_is_far_away(limit: float, drawn: bool) -> None:
    text = picture([0.9, 1.0], {"cpu": limit, "memory": MB})
    assert ('<path class="limit"' in text) == drawn
    assert f">limit {limit:.3g}<" in text
    assert text.count(">limit ") == 1


def test_nothing_measured_is_said() -> None:
    text = picture([None, None], {"cpu": 1.0})
    assert ">not measured</text>" in text
    assert "highest" not in text


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, None, 7], 10, "01234567") == "0123 7"
    assert sparkline([0, 0, 8, 8], 2, "01234567") == "07"
    assert sparkline([None, 3.0], 5, ASCII) == " #"
    assert sparkline([0, 0], 5, ASCII) == "__"
    assert sparkline([], 5) == ""
