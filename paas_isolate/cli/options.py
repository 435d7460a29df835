"""Options that several commands share."""

import math
from typing import Any

import click


class Duration(click.FloatRange):
    """A finite number of seconds or minutes; click takes nan and inf for numbers that are within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
only_account = click.option("--account", default="", metavar="NAME", help="Only this account.")
