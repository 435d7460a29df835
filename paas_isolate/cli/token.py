"""token: the secrets by which panels use the HTTP interface."""

import os
import re
import time

import click

from paas_isolate.cli import output
from paas_isolate.cli.group import Group
from paas_isolate.cli.options import as_json
from paas_isolate.control.table import Scope
from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root
from paas_isolate.linux.system import lock
from paas_isolate.source import tokens
from paas_isolate.source.tokens import Token
from paas_isolate.spec.names import NAME_EXPECTED, is_name
from paas_isolate.units import parse_duration

_SCOPES = [scope.name.lower() for scope in Scope]
_NEVER = "never"


def _accounts(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """None where none is named. BadParameter for what is no name."""
    if wrong := next((name for name in names if not is_name(name)), None):
        raise click.BadParameter(f"{wrong!r}; expected {NAME_EXPECTED}")
    return names or None


def _seconds(_: click.Context, __: click.Parameter, text: str) -> int | None:
    """None: never. BadParameter where it is no duration."""
    if text == _NEVER:
        return None
    try:
        return parse_duration(text) // 1000
    except ValueError as error:
        raise click.BadParameter(f"{text!r}; expected {error}, or {_NEVER}") from None


def _printable(_: click.Context, __: click.Parameter, text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e]{0,64}", text):
        raise click.BadParameter(f"{text!r}; expected up to 64 characters of ASCII")
    return text


@click.group(cls=Group)
def token() -> None:
    """Make and revoke tokens: secrets by which a program uses the HTTP interface."""


@token.command()
@click.option(
    "--scope", type=click.Choice(_SCOPES), default=_SCOPES[0], help="What it may do (read); each has those before it."
)
@click.option(
    "--account",
    "accounts",
    multiple=True,
    metavar="NAME",
    callback=_accounts,
    help="Only about this account. Repeatable.",
)
@click.option(
    "--expires",
    "seconds",
    default="90d",
    metavar="TIME",
    callback=_seconds,
    help="After how long it expires, such as 30d (90d); or never.",
)
@click.option("--name", default="", metavar="TEXT", callback=_printable, help="What it is for, to tell it from others.")
@click.pass_obj
def create(
    installation: Installation, scope: str, accounts: tuple[str, ...] | None, seconds: int | None, name: str
) -> int:
    """Make a token and print it, once: only its hash is kept. It acts as root, within its scope and accounts."""
    need_root()
    now = int(time.time())
    with lock.held(_lock(installation), wait=10):
        known = [each for each in tokens.load(installation.state) if not each.expired(now)]
        if len(known) >= tokens.MOST:
            raise PaasError(f"there are {tokens.MOST} tokens: revoke some (paas-isolate token list)")
        made, secret = tokens.made(
            name=name,
            scope=scope,
            accounts=accounts,
            now=now,
            expires=None if seconds is None else now + seconds,
            ids=[each.id for each in known],
        )
        tokens.save(installation.state, [*known, made])
    output.line(secret)
    output.line(f"its id is {made.id}; to revoke it: paas-isolate token revoke {made.id}", err=True)
    return Exit.CONVERGED


@token.command("list")
@as_json
@click.pass_obj
def list_tokens(installation: Installation, as_json: bool) -> int:
    """Show the tokens, without their secrets."""
    need_root()
    found = tokens.load(installation.state)
    if as_json:
        output.print_json([_shown(each) for each in found])
    elif not found:
        output.line("there is no token")
    else:
        rows = [
            [each.id, each.scope, " ".join(each.accounts or ("all",)), _day(each.expires), each.name] for each in found
        ]
        output.table(["id", "scope", "accounts", "expires", "name"], rows)
    return Exit.CONVERGED


def _shown(each: Token) -> dict[str, object]:
    """Times are in seconds since 1970."""
    return {
        "id": each.id,
        "name": each.name,
        "scope": each.scope,
        "accounts": None if each.accounts is None else [*each.accounts],
        "created": each.created,
        "expires": each.expires,
        "expired": each.expired(time.time()),
    }


def _day(when: int | None) -> str:
    return _NEVER if when is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


@token.command()
@click.argument("id", metavar="ID")
@click.pass_obj
def revoke(installation: Installation, id: str) -> int:
    """Make a token worthless. Who uses it now is disconnected within a minute."""
    need_root()
    with lock.held(_lock(installation), wait=10):
        known = tokens.load(installation.state)
        if all(each.id != id for each in known):
            raise click.UsageError(f"no token has the id {id!r}; paas-isolate token list")
        tokens.save(installation.state, [each for each in known if each.id != id])
    return Exit.CONVERGED


def _lock(installation: Installation) -> str:
    """Of tokens alone: no run of reconcile delays a revocation."""
    return os.path.join(installation.run, "tokens.lock")
