"""The pictures of the guide are those that scripts/docs draws."""

from pathlib import Path
from xml.etree import ElementTree

from documentation.metering import chart, top

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


def test_the_chart_is_what_the_program_draws() -> None:
    assert (IMAGES / "chart.svg").read_text() == chart(), "run scripts/docs"


def test_the_picture_of_top_has_what_the_program_shows() -> None:
    words = ("garden-shop", "unlimited", "WAIT", "FLT", "reverse")
    for text in (top(), (IMAGES / "top.svg").read_text()):  # another rich may draw it a little differently
        shown = "".join(ElementTree.fromstring(text).itertext()).replace("\xa0", " ")
        assert all(word in shown for word in words)
        assert "http" not in shown
