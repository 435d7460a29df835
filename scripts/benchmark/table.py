"""The figures as people read them, and where README.md keeps them."""

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.measure import Row

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def machine() -> str:
    """What was measured on, in general words."""
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    kernel = platform.release().split("-")[0].split("+")[0]
    # systemd-detect-virt(1) calls emulation without hardware's help `qemu`; with it, it says `kvm`.
    virtual = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, text=True, check=False).stdout
    kind = "an emulated machine" if virtual.strip() == "qemu" else platform.machine()
    return f"{release}, Linux {kernel}, {kind}, Python {platform.python_version()}"


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| what | seconds | beside | seconds | ratio | target |", "| --- | ---: | --- | ---: | ---: | --- |"]
    for row in rows:
        times = f"{row.ratio:.0f} times faster" if row.faster else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.ours:.4g} | {row.against} | {row.theirs:.4g} | {times} | {row.target} |")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> str:
    return json.dumps({"machine": machine(), "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}, indent=2)


def into(readme: Path, text: str) -> None:
    """Replace what stands between the marks."""
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
