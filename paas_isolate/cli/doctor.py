"""doctor and version: whether this host is fit, and which versions run."""

import platform
from dataclasses import asdict
from functools import partial

import click

from paas_isolate import __version__
from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.examine import examine
from paas_isolate.doctor.selftest.run import run
from paas_isolate.errors import SpecError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.model.account import Fleet, Host

_PATIENCE = 60
"""Seconds to wait for another run's lock."""

_COLOURS = {Verdict.OK: "green", Verdict.FAILED: "red", Verdict.WARNING: "yellow", Verdict.SKIPPED: "yellow"}


@click.command()
@click.option("--selftest", is_flag=True, help="Try each limit, the PAM module and the gate in a cgroup of its own.")
@as_json
@click.pass_obj
def doctor(installation: Installation, selftest: bool, as_json: bool) -> int:
    """Examine this host: kernel, controllers, delegation, units, mounts, schedule, logins. Exit status 5 when unfit.

    With --selftest, try instead whether the kernel keeps what is promised: a few seconds, as root. A process is killed
    at its memory limit, forks are refused, CPU time is throttled; a session passes the PAM module; the gate refuses.
    Accounts and logins are not touched, and nothing stays behind.
    """
    checks = _tried(installation) if selftest else _examined(installation)
    if as_json:
        output.print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            first, *more = check.found.split("\n")
            output.line(output.styled(f"{check.verdict:<8}", _COLOURS[check.verdict], f"{check.name}: {first}"))
            for text in (*more, check.mend):
                if text:
                    output.line(f"{'':<8}  {text}")
    unfit = any(check.verdict is Verdict.FAILED for check in checks)
    return Exit.UNFIT if unfit else Exit.CONVERGED


def _examined(installation: Installation) -> list[Check]:
    """All checks. When config.yaml cannot be used, that is one failed check, and the others assume its defaults."""
    examined = partial(examine, etc=installation.etc, state=installation.state, doors=installation.doors)
    try:
        return list(examined(installation.fleet()))
    except SpecError as error:
        wrong = Check("config.yaml", Verdict.FAILED, str(error), "paas-isolate check")
        return [wrong, *examined(Fleet(Host(), {}))]


def _tried(installation: Installation) -> list[Check]:
    """All trials. When config.yaml cannot be used, the tree is where its defaults say."""
    with installation.locked(wait=_PATIENCE):
        try:
            wanted = installation.fleet().host.tree
        except SpecError:
            wanted = Host().tree
        return list(run(wanted, installation.state))


@click.command()
@as_json
def version(as_json: bool) -> int:
    """Print the version of the product, of Python and of the kernel."""
    versions = {"paas-isolate": __version__, "python": platform.python_version(), "kernel": platform.release()}
    if as_json:
        output.print_json(versions)
    else:
        for name, number in versions.items():
            output.line(f"{name} {number}")
    return Exit.CONVERGED
