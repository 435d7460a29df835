"""Switches the PAM module on for logins. Sessions are tried before and after; a failure restores the old files."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from paas_isolate.changes.doors import desired_doors
from paas_isolate.errors import HostError
from paas_isolate.linux.pam import profile, session, stack_files
from paas_isolate.linux.pam.session import Session
from paas_isolate.linux.pam.stack_tool import StackTool
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import Doors

SERVICE = "sshd"
"""The PAM service of a trial session."""

_LOGIN_UID = "/proc/self/loginuid"
_NOBODY = 2**32 - 1
"""The value of a login uid that was never set (proc_pid_loginuid(5))."""


class Trial(NamedTuple):
    """One session that was tried. `where` names the stack that it went through; `wrong` says what is wrong with it, or
    is ''."""

    user: str
    where: str
    session: Session
    wrong: str


@dataclass(frozen=True)
class TrialContext:
    """What a trial needs to know of this machine. `inside` turns an absolute cgroup path into a path of the tree; one
    outside the tree keeps its leading `/`. `doors` are the desired doors."""

    fleet: Fleet
    inside: Callable[[str], str]
    doors: Doors
    lines: Sequence[str]
    """Our session lines, as `profile.lines` makes them."""


def trial_context(
    fleet: Fleet,
    root: str,
    inside: Callable[[str], str],
    *,
    doors: str,
    held: frozenset[str],
    open_on_failure: bool,
) -> TrialContext:
    """`root` is the absolute path of the tree, `doors` the directory of the doors; `held` names the frozen accounts and
    services by directory."""
    options = profile.options(fleet, root, doors, open_on_failure=open_on_failure)
    lines = profile.lines(options, fleet.host.exempt)
    return TrialContext(fleet, inside, desired_doors(fleet, held), lines)


def check_administrators(fleet: Fleet, name_of: Callable[[int], str]) -> None:
    """Raise HostError when the administrator at work would be confined at the next login, and so could be shut out."""
    for way, uid in _administrators():
        if fleet.governs(uid):
            name = name_of(uid)
            raise HostError(
                f"you came in by {way} as {name} (uid {uid}), who is not exempt: confined at the next login",
                hint=f"add {name} to users.exempt in config.yaml, or to one of its groups "
                f"({', '.join(fleet.host.exempt) or 'none'})",
            )


def _administrators() -> Iterator[tuple[str, int]]:
    """The uids of whoever runs this, with how each is known: from sudo, and from the login of this session."""
    if (uid := os.environ.get("SUDO_UID", "")).isdigit():
        yield "sudo", int(uid)
    with suppress(OSError, ValueError), open(_LOGIN_UID, encoding="ascii") as file:
        if (first := int(file.read())) != _NOBODY:
            yield "a login", first


def customer(context: TrialContext) -> tuple[int, str] | None:
    """Uid and name of a customer who may log in, from the first account by name. None when nobody may."""
    for _, account in sorted(context.fleet.accounts.items()):
        for user, uid in sorted(account.uids.items()):
            if context.fleet.governs(uid) and not tree.is_closed(_door(context, uid, SERVICE)):
                return uid, user
    return None


def try_candidate(context: TrialContext, tool: StackTool) -> Iterator[Trial]:
    """Try sessions with each of the new stacks before they are installed."""
    for name, text in tool.rehearse(context.lines).items():
        yield from _sessions(context, f"the new {name}", session.only_sessions(text))


def try_live(context: TrialContext, tool: StackTool) -> Iterator[Trial]:
    """Try sessions with the stacks that are installed now."""
    for name in tool.STACKS:
        yield from _sessions(context, name, f"session include {stack_files.CONFIG}/{name}\n")


def switch_on(context: TrialContext, tool: StackTool, tell: Callable[[Trial], None]) -> None:
    """Install the new stacks and try them; `tell` is called with each trial. Raises HostError when a session is wrong.
    After any exception the old files are back."""
    before = tool.keep()
    try:
        tool.switch_on(context.lines)
        for trial in try_live(context, tool):
            tell(trial)
            check(trial)
    except BaseException:
        tool.put_back(before)
        raise


def check(trial: Trial) -> None:
    """Raise HostError when something is wrong with the trial."""
    if trial.wrong:
        raise HostError(f"a session of {trial.user} through {trial.where}: {trial.wrong}", hint="nothing was changed")


def _sessions(context: TrialContext, where: str, lines: str) -> Iterator[Trial]:
    with session.stack(SERVICE, lines) as confdir:
        opened = session.open_session(SERVICE, "root", confdir)
        yield Trial("root", where, opened, _wrong_for_root(context, opened))
        if chosen := customer(context):
            uid, user = chosen
            opened = session.open_session(SERVICE, user, confdir)
            yield Trial(user, where, opened, wrong_for(context, uid, opened, SERVICE))


def _wrong_for_root(context: TrialContext, opened: Session) -> str:
    if opened.answer:
        return f"does not open: {opened.reason} {opened.said}".rstrip()
    where = context.inside(opened.cgroup)
    return "" if where.startswith("/") else f"is in {where}, where only customers belong"


def _door(context: TrialContext, uid: int, service: str) -> str:
    """The leaf that a login of a customer enters. The order is that of pam/module/door.c."""
    return context.doors.get(f"{uid}.{service}") or context.doors[str(uid)]


def wrong_for(context: TrialContext, uid: int, opened: Session, service: str) -> str:
    """What is wrong with a session of a customer; '' when it is in its leaf, or refused as it must be."""
    leaf = _door(context, uid, service)
    if tree.is_closed(leaf):
        return "" if opened.answer else "opens, though the account is suspended or frozen"
    if opened.answer:
        return f"does not open: {opened.reason} {opened.said}".rstrip()
    where = context.inside(opened.cgroup)
    return "" if where == leaf else f"is in {where}; expected {leaf}"
