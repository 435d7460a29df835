"""How figures and times are shown in pages."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from paas_isolate.text import escaped
from paas_isolate.units import short_size

NONE = "-"


def size(value: float | None) -> str:
    """Bytes: `512M`."""
    return NONE if value is None else short_size(value)


def share(value: float | None) -> str:
    """A part of 1: `37 %`."""
    return NONE if value is None else f"{value * 100:.0f} %"


def duration(seconds: float | None) -> str:
    """`12 s`, `5 min`, `3.1 h`, `4 d`."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.0f} d"


def moment(seconds: float) -> str:
    """Local time of this machine, of seconds since 1970."""
    then, now = time.localtime(seconds), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)


def iso(seconds: float) -> str:
    """As `datetime` of HTML's <time> has it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def stamp(text: str) -> str:
    """An ISO time as people read it: `2026-09-21 16:13:20`."""
    return text[:19].replace("T", " ")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "size": size,
    "share": share,
    "duration": duration,
    "moment": moment,
    "stamp": stamp,
    "visible": escaped,
}
