"""The figures as Markdown and JSON, and where docs/performance.md keeps them."""

import json
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple


def machine() -> str:
    """What was measured on: the distribution, kernel, kind of machine and Python."""
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    kernel = platform.release().split("-")[0].split("+")[0]
    # systemd-detect-virt(1) calls emulation without hardware's help `qemu`; with it, it says `kvm`.
    virtual = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, text=True, check=False).stdout
    kind = "an emulated machine" if virtual.strip() == "qemu" else platform.machine()
    return f"{release}, Linux {kernel}, {kind}, Python {platform.python_version()}"


def grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table. A column whose head ends with a colon is aligned to the right."""
    marks = ["---:" if name.endswith(":") else "---" for name in head]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([name.rstrip(":") for name in head], marks, *lines))


class Report(NamedTuple):
    """What was measured: Markdown, and the same as lists of dataclass instances."""

    text: str
    parts: dict[str, Sequence[Any]]

    def markdown(self, about: str = "") -> str:
        return f"{self.text}\n\n{machine()}{about}."

    def json(self) -> str:
        listed = {name: [_figures(row) for row in rows] for name, rows in self.parts.items()}
        return json.dumps({"machine": machine(), **listed}, indent=2)


def _figures(row: Any) -> dict[str, Any]:
    return {**asdict(row), **({"ratio": row.ratio} if hasattr(row, "ratio") else {})}


def into(page: Path, name: str, text: str) -> None:
    """Replaces what stands between the marks of that name in a page."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")
