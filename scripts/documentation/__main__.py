"""Writes the generated pages and the picture."""

from pathlib import Path

from documentation.picture import session
from documentation.reference import pages

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    for path, text in pages().items():
        (DOCS / path).write_text(text)
    (DOCS / "images" / "session.svg").write_text(session((DOCS / "demonstration.md").read_text()))


main()
