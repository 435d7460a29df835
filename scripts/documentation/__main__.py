"""Writes the generated pages and the pictures."""

from pathlib import Path

from documentation.metering import chart, top
from documentation.picture import session
from documentation.reference import pages

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    for path, text in pages().items():
        (DOCS / path).write_text(text)
    (DOCS / "images" / "session.svg").write_text(session((DOCS / "demonstration.md").read_text()))
    (DOCS / "images" / "top.svg").write_text(top())
    (DOCS / "images" / "chart.svg").write_text(chart())


main()
