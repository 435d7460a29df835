"""pam: switches the PAM module on and off for logins, shows its state, and tests sessions."""

import pwd
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click

from paas_isolate import pam_rollout
from paas_isolate.cli import output
from paas_isolate.cli.group import Group
from paas_isolate.cli.options import Duration, as_json
from paas_isolate.doctor.check import Verdict
from paas_isolate.doctor.stacks import options as check_options
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.linux.pam import auth_update, profile, revert, session, stacks
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.pam.stack_tool import stack_names, stack_tool
from paas_isolate.linux.system import packages
from paas_isolate.linux.system.users import login_of
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import COMPLETE
from paas_isolate.pam_rollout import Trial
from paas_isolate.reconcile import reconcile
from paas_isolate.source import decisions

NAMES_SHOWN = 20
"""Names of exempt users that are printed; then their number follows."""


@click.group(cls=Group)
def pam() -> None:
    """Put logins into their account's cgroup at once, by a PAM module."""


@pam.command()
@click.option(
    "--confirm",
    type=Duration(min=0.1),
    metavar="MINUTES",
    help="Switch it off again after this time, unless confirmed.",
)
@click.option(
    "--on-failure",
    type=click.Choice(["refuse", "open"]),
    default="refuse",
    help="A login that cannot be placed in any cgroup is refused with a message (default), or let in without limits.",
)
@click.pass_obj
def install(installation: Installation, confirm: float | None, on_failure: str) -> int:
    """Switch the module on for all logins. Sessions are tried before and after; when one fails, all is undone."""
    with installation.locked(wait=60):
        tool = stack_tool()
        if not auth_update.module_file():
            raise HostError(f"{profile.MODULE} is not installed", hint=packages.reinstall("libpam-paas-isolate"))
        fleet = installation.fleet(remember=True)
        pam_rollout.check_administrators(fleet, login_of)
        output.complain(fleet)
        _tell_exempt(fleet)
        _make_doors(installation, fleet)
        with _machine(installation, fleet, open_on_failure=on_failure == "open") as machine:
            for trial in pam_rollout.try_candidate(machine, tool):
                _tell(trial)
                pam_rollout.check(trial)
            if confirm:
                command = f"{sys.executable} -I -m paas_isolate {_directories(installation)} pam remove"
                output.line(f"switched off again at {revert.arm(confirm, command)} unless: paas-isolate pam confirm")
            try:
                pam_rollout.switch_on(machine, tool, _tell)
            except BaseException:
                revert.disarm()
                raise
    output.line("logins enter their account's cgroup from now on; open sessions stay where they are")
    return Exit.CONVERGED


@pam.command()
@click.pass_obj
def remove(installation: Installation) -> int:
    """Switch the module off for all logins. Open sessions stay where they are."""
    output.line(
        "logins do not pass the module any more; reconcile moves them into their accounts"
        if switch_off(installation)
        else "the module was not switched on"
    )
    return Exit.CONVERGED


def switch_off(installation: Installation) -> bool:
    """Take the module out of the stacks; whether it was there. HostError where its lines stay."""
    with installation.locked(wait=60):
        tool = stack_tool()
        was_on = tool.is_on()
        tool.switch_off()
        revert.disarm()
        decided = decisions.load(installation.state)
        if decided.doors:
            decisions.save(installation.state, decided._replace(doors=False))
        if not decided.launcher:
            shutil.rmtree(installation.doors, ignore_errors=True)
    return was_on


@pam.command()
@click.pass_obj
def confirm(installation: Installation) -> int:
    """Keep the module switched on after `pam install --confirm`."""
    with installation.locked(wait=60):
        was_armed = revert.disarm()
    output.line("confirmed: it stays switched on" if was_armed else "nothing waits for a confirmation")
    return Exit.CONVERGED


@dataclass(frozen=True)
class Status:
    """What `pam status` shows. `stacks` has the module's line, by the name of the stack that contains it."""

    module: str
    stacks: dict[str, str]
    doors: int
    complete: bool
    exempt: list[str]
    options_agree: bool
    waits_for_confirmation: bool


@pam.command()
@as_json
@click.pass_obj
def status(installation: Installation, as_json: bool) -> int:
    """Show whether logins pass the module, with which options, and who is exempt. Exit status 3 when they do not, or
    when the options are not what config.yaml says now."""
    fleet = installation.fleet()
    with installation.open(fleet) as reconciler:
        root = reconciler.kernel.cgroups.root
        doors = DoorDirectory(installation.doors, root).observe()
    names = stack_names()
    module_lines = {name: line for name in names if (line := _module_line(name))}
    options_check = check_options({name: stacks.lines(name) for name in names}, fleet, root, installation.doors)
    shown = Status(
        module=auth_update.module_file(),
        stacks={name: f"{line.file}:{line.number}: {' '.join(line.arguments)}" for name, line in module_lines.items()},
        doors=len(doors.keys() - {COMPLETE}),
        complete=COMPLETE in doors,
        exempt=_exempt(fleet),
        options_agree=options_check.verdict is Verdict.OK,
        waits_for_confirmation=revert.armed(),
    )
    if as_json:
        output.print_json(asdict(shown))
    else:
        _tell_status(shown, options_check.found)
    return Exit.CONVERGED if len(module_lines) == len(names) and shown.options_agree else Exit.DIFFERS


@pam.command()
@click.argument("user")
@click.option(
    "--service", default=pam_rollout.SERVICE, metavar="NAME", help=f"As this PAM service ({pam_rollout.SERVICE})."
)
@as_json
@click.pass_obj
def test(installation: Installation, user: str, service: str, as_json: bool) -> int:
    """Open a real session of USER in a child process and show its cgroup. Exit status 1 when that is wrong."""
    with installation.locked(wait=60):
        fleet = installation.fleet()
        try:
            uid = pwd.getpwnam(user).pw_uid
        except KeyError:
            raise click.UsageError(f"no user is called {user!r}") from None
        account = next((account for account in fleet.accounts.values() if uid in account.uids.values()), None)
        with _machine(installation, fleet) as machine:
            opened = session.open_session(service, user)
            line = _module_line(service)
            where = machine.inside(opened.cgroup)
            wrong = pam_rollout.wrong_for(machine, uid, opened, service) if account and fleet.governs(uid) else ""
    data = {
        "user": user,
        "service": service,
        "account": account.name if account else "",
        "cgroup": where,
        "line": f"{line.file}:{line.number}" if line else "",
        "microseconds": round(opened.microseconds),
        "answer": opened.answer,
        "said": opened.said,
        "wrong": wrong,
    }
    if as_json:
        output.print_json(data)
    else:
        through = f"through {data['line']}" if line else f"without {profile.MODULE}: no stack has its line"
        output.line(
            f"{user} {'lands in ' + where if not opened.answer else 'is refused: ' + (opened.said or opened.reason)}"
        )
        output.line(f"  {through}, in {data['microseconds']} µs (pam_open_session, the whole stack)")
        if wrong:
            output.line(f"  wrong: {wrong}", fg="red", err=True)
    return Exit.ERROR if wrong else Exit.CONVERGED


@contextmanager
def _machine(
    installation: Installation, fleet: Fleet, *, open_on_failure: bool = False
) -> Iterator[pam_rollout.TrialContext]:
    with installation.tree(fleet) as (cgroups, location):
        root, inside = location.root, cgroups.path_of
        held = installation.decided().frozen
        yield pam_rollout.trial_context(
            fleet, root, inside, doors=installation.doors, held=held, open_on_failure=open_on_failure
        )


def _make_doors(installation: Installation, fleet: Fleet) -> None:
    """Make all doors. Raises HostError when some are missing: a login would enter the penalty leaf."""
    decided = decisions.load(installation.state)
    if not decided.doors:
        decisions.save(installation.state, decided._replace(doors=True))
    with installation.open(fleet) as reconciler:
        report = reconcile(reconciler, lambda _: None)
        if COMPLETE not in DoorDirectory(installation.doors, reconciler.kernel.cgroups.root).observe():
            for outcome in report.remaining:
                output.line(output.outcome_line(outcome), err=True)
            raise HostError("the doors are not complete", hint="paas-isolate reconcile says what is wrong")


def _module_line(service: str) -> "stacks.Line | None":
    return next((line for line in stacks.lines(service) if line.module == profile.MODULE), None)


def _tell(trial: Trial) -> None:
    word, colour = ("failed", "red") if trial.wrong else ("ok    ", "green")
    found = trial.wrong or trial.session.cgroup
    output.line(output.styled(word, colour, f" {trial.user} through {trial.where}: {found}"))


def _tell_exempt(fleet: Fleet) -> None:
    low, high = fleet.host.first_uid, fleet.host.last_uid
    names = ", ".join(_exempt(fleet)) or "nobody else"
    output.line(f"never confined: root, uids below {low} and above {high}, and {names}")


def _exempt(fleet: Fleet) -> list[str]:
    low, high = fleet.host.first_uid, fleet.host.last_uid
    names = [login_of(uid) for uid in sorted(fleet.exempt) if low <= uid <= high]
    return names[:NAMES_SHOWN] + ([f"{len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else [])


def _tell_status(shown: Status, difference: str) -> None:
    if shown.stacks:
        for place in shown.stacks.values():
            output.line(place)
    else:
        output.line("logins do not pass the module: paas-isolate pam install", fg="yellow")
    output.line(f"module: {shown.module or 'not installed'}")
    output.line(f"doors: {shown.doors}{'' if shown.complete else ', not complete: paas-isolate reconcile'}")
    output.line(f"exempt besides root: {', '.join(shown.exempt) or 'nobody'}")
    if shown.stacks and not shown.options_agree:
        output.line(
            f"the options are not what config.yaml says now: paas-isolate pam install ({difference})", fg="yellow"
        )
    if shown.waits_for_confirmation:
        output.line("switched off again soon unless: paas-isolate pam confirm", fg="yellow")


def _directories(installation: Installation) -> str:
    """As options of the program."""
    return f"--etc {installation.etc} --state {installation.state} --run {installation.run}"
