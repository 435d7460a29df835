"""The terminal session in docs/images, drawn from the run that docs/demonstration.md quotes."""

import io
import re
from itertools import takewhile

from rich.console import Console
from rich.text import Text

SHOWN = ("2  ", "3  ", "4  ", "5  ")
"""The parts of the run that the picture has."""
WIDTH = 118


def session(page: str) -> str:
    """An SVG of some parts of the run that the page quotes."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text("$ scripts/try", style="bold"))
    for part in re.split(r"\n(?=\d+  )", page.partition("```text\n")[2].partition("\n```")[0]):
        if part.startswith(SHOWN):
            for line in takewhile(lambda line: line.strip(), part.splitlines()):
                console.print(_styled(line), overflow="ellipsis", no_wrap=True)
    drawn = console.export_svg(title="paas_isolate", unique_id="session")
    return re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # fonts from somebody else's server


def _styled(line: str) -> Text:
    if line.startswith("ok "):
        return Text.assemble(("ok", "green"), line[2:])
    return Text(line, style="" if line.startswith(" ") else "bold")
