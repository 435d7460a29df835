"""The templates of the pages. All text is escaped; a name that is not given is an error."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from paas_isolate.text import escaped
from paas_isolate.web.assets import url_of
from paas_isolate.web.filters import FILTERS


def _shown(value: object) -> object:
    """Text without characters that are not seen, or that change how others are. Ends of lines stay."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(map(escaped, value.split("\n")))


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_shown,
    )
    made.filters.update(FILTERS)
    made.globals["static"] = url_of
    return made
