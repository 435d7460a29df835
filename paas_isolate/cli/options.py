"""Options that several commands share."""

import math
from typing import TYPE_CHECKING, Any

import click

from paas_isolate.listening import Place, place

if TYPE_CHECKING:
    from click import ParamType as ParamType
else:

    class ParamType(click.ParamType):
        """Before click 8.2 it is not generic."""

        def __class_getitem__(cls, _: object) -> type:
            return cls


class Listen(ParamType[Place]):
    """An address and port, or a path; with `loopback` no port of another address."""

    name = "listen"

    def __init__(self, *, loopback: bool = False) -> None:
        self._loopback = loopback

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        try:
            return value if isinstance(value, Place) else place(value, loopback=self._loopback)
        except ValueError as error:
            self.fail(f"{value} is no place to listen; expected {error}", param, ctx)


class Duration(click.FloatRange):
    """A finite number of seconds or minutes; click takes nan and inf for numbers that are within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
only_account = click.option("--account", default="", metavar="NAME", help="Only this account.")
no_command_lines = click.option(
    "--no-command-lines", is_flag=True, help="Name programs without their arguments, which may be secret."
)
