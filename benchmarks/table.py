"""The figures as people read them, and where docs/performance.md keeps them."""

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.scale import Point, slope


def machine() -> str:
    """What was measured on, in general words."""
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    kernel = platform.release().split("-")[0].split("+")[0]
    # systemd-detect-virt(1) calls emulation without hardware's help `qemu`; with it, it says `kvm`.
    virtual = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, text=True, check=False).stdout
    kind = "an emulated machine" if virtual.strip() == "qemu" else platform.machine()
    return f"{release}, Linux {kernel}, {kind}, Python {platform.python_version()}"


def markdown(rows: Sequence[Row]) -> str:
    lines = [
        "| what | seconds | compared with | its seconds | ratio | target |",
        "| --- | ---: | --- | ---: | ---: | --- |",
    ]
    for row in rows:
        times = f"{row.ratio:.0f} times faster" if row.faster else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.ours:.4g} | {row.against} | {row.theirs:.4g} | {times} | {row.target} |")
    return "\n".join(lines)


def markdown_curve(points: Sequence[Point]) -> str:
    lines = [
        "| accounts | from nothing, ms each | nothing to do, ms each | one edited, s | C loop that reads it, s | ratio "
        "| peak memory, MB | every 100th file wrong |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for it in points:
        cold, idle = it.cold / it.accounts * 1000, it.idle / it.accounts * 1000
        times = f"{cold:.3g} | {idle:.3g} | {it.edit:.3g} | {it.reading:.3g} | {it.edit / it.reading:.2f}"
        wrong = f"{it.spoilt / it.idle:.2f} times, " + (
            f"{it.others_changed} changed" if it.others_changed else "same tree"
        )
        lines.append(f"| {it.accounts:,} | {times} | {it.memory / 1024:.1f} | {wrong} |")
    less, more = points[-2:]
    grown = f"{slope(points):.1f} kB an account between {less.accounts:,} and {more.accounts:,}"
    return "\n".join([*lines, "", f"Peak memory grows by {grown}."])


def as_json(rows: Sequence[Row], points: Sequence[Point]) -> str:
    figures = [{**asdict(row), "ratio": row.ratio} for row in rows]
    return json.dumps({"machine": machine(), "rows": figures, "curve": [asdict(point) for point in points]}, indent=2)


def json_of(rows: Sequence[Any]) -> str:
    return json.dumps({"machine": machine(), "rows": [asdict(row) for row in rows]}, indent=2)


def into(page: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")
