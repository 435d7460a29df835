"""The command line as click parses it: global options, and the commands, each imported only when it is called."""

import importlib
from io import StringIO

import click

from paas_isolate import __version__
from paas_isolate.cli import output
from paas_isolate.cli.group import Group
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.step_history import with_history

VERBS = {
    "check": "check",
    "schema": "check",
    "diff": "reconcile",
    "reconcile": "reconcile",
    "daemon": "daemon",
    "enable": "schedule",
    "disable": "schedule",
    "status": "status",
    "me": "me",
    "coverage": "coverage",
    "top": "top",
    "usage": "metering",
    "bill": "bill",
    "faults": "faults",
    "metrics": "metrics",
    "web": "web",
    "notices": "notices",
    "explain": "explain",
    "advise": "advise",
    "chart": "chart",
    "freeze": "freeze",
    "thaw": "freeze",
    "kill": "freeze",
    "exec": "exec",
    "start": "services",
    "stop": "services",
    "restart": "services",
    "scale": "services",
    "logs": "services",
    "account": "panel",
    "plan": "panel",
    "token": "token",
    "pam": "pam",
    "net": "net",
    "leave": "leave",
    "doctor": "doctor",
    "version": "doctor",
}
"""Command -> the module of this package that defines it."""


class LazyGroup(Group):
    """A group that imports the module of a command only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click passes it by name)
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"paas_isolate.cli.{VERBS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="paas-isolate")
@click.option("--etc", default=Installation().etc, metavar="DIR", help="Specifications (/etc/paas-isolate).")
@click.option("--state", default=Installation().state, metavar="DIR", help="State (/var/lib/paas-isolate).")
@click.option("--run", default=Installation().run, metavar="DIR", help="Lock and control socket (/run/paas-isolate).")
@click.pass_context
def paas_isolate(ctx: click.Context, etc: str, state: str, run: str) -> None:
    """Confine every process of every customer of this machine, as its YAML files say.

    Exit status: 0 converged; 1 error; 2 wrong usage or specification; 3 differences remain; 4 partly applied;
    5 this host is unfit; 75 another run holds the lock.
    """
    ctx.obj = with_history(Installation(etc, state, run), lambda text: output.line(text, err=True))


def invoke(words: list[str]) -> int:
    """Run a command line and return its exit status. Wrong usage is reported on standard error.

    Other errors (PaasError, OSError) are the caller's.
    """
    try:
        return invoked(words)
    except click.ClickException as error:
        message = StringIO()
        error.show(file=message)
        output.lines(message.getvalue().rstrip("\n"), err=True)
        return Exit.WRONG
    except click.Abort:
        return 130


def invoked(words: list[str]) -> int:
    """As `invoke`, but wrong usage (click.ClickException) is the caller's, too."""
    try:
        status = paas_isolate.main(words, prog_name="paas-isolate", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    return int(status or Exit.CONVERGED)
