"""Groups of commands. Without a command they end as wrong usage, whatever the version of click."""

import sys
from typing import IO, Any

import click


class _Help(click.ClickException):
    """The help of a group, in place of an error."""

    def show(self, file: IO[Any] | None = None) -> None:
        print(self.message, file=file or sys.stderr)


class Group(click.Group):
    """click 8.1 ends a group without a command with status 0, later versions with 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise _Help(ctx.get_help())
        return super().parse_args(ctx, args)
