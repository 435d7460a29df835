"""Bringing logins to the module, and taking them away from it: tried before, tried after, put back when it fails."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from paas_isolate.changes.doors import desired_doors
from paas_isolate.errors import HostError
from paas_isolate.linux.pam import auth_update, profile, session
from paas_isolate.linux.pam.session import Session
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import Doors

SERVICE = "sshd"
"""What a trial plays."""

_LOGIN_UID = "/proc/self/loginuid"
_NOBODY = 2**32 - 1
"""A login uid that was never set (proc_pid_loginuid(5))."""


class Trial(NamedTuple):
    """One session that was tried. `where` are the stacks it went through; `wrong` says what is not as it must be."""

    user: str
    where: str
    session: Session
    wrong: str


@dataclass(frozen=True)
class TrialContext:
    """What a trial needs to know of this one: `inside` tells a cgroup of the hierarchy in words of the tree, `doors`
    are those that should be there."""

    fleet: Fleet
    inside: Callable[[str], str]
    doors: Doors
    text: str
    """The profile."""


def trial_context(
    fleet: Fleet,
    root: str,
    inside: Callable[[str], str],
    *,
    doors: str,
    held: frozenset[str],
    open_on_failure: bool,
) -> TrialContext:
    """`doors` is the directory of the doors, `held` are frozen accounts and services."""
    of = profile.options(fleet, root, doors, open_on_failure=open_on_failure)
    return TrialContext(fleet, inside, desired_doors(fleet, held), profile.text(profile.lines(of, fleet.host.exempt)))


def check_administrators(fleet: Fleet, name_of: Callable[[int], str]) -> None:
    """HostError when whoever runs this would be confined by it, and could be shut out."""
    for way, uid in _at_work():
        if fleet.governs(uid):
            name = name_of(uid)
            raise HostError(
                f"you came in by {way} as {name} (uid {uid}), who is not exempt: confined at the next login",
                hint=f"write {name} into users.exempt of config.yaml, or let {name} join a group that stands there "
                f"({', '.join(fleet.host.exempt) or 'none'})",
            )


def _at_work() -> Iterator[tuple[str, int]]:
    """Who runs this, by how that is known: by sudo, and by the login that all began with."""
    if (uid := os.environ.get("SUDO_UID", "")).isdigit():
        yield "sudo", int(uid)
    with suppress(OSError, ValueError), open(_LOGIN_UID, encoding="ascii") as file:
        if (first := int(file.read())) != _NOBODY:
            yield "a login", first


def customer(on: TrialContext) -> tuple[int, str] | None:
    """Uid and name of a customer who may log in: of the account that comes first by name. None where nobody may."""
    for _, account in sorted(on.fleet.accounts.items()):
        for user, uid in sorted(account.uids.items()):
            if on.fleet.governs(uid) and not tree.is_closed(_door(on, uid, SERVICE)):
                return uid, user
    return None


def try_candidate(on: TrialContext) -> Iterator[Trial]:
    """The stacks as they would be, before a live one is touched: of people at a terminal, and of the others."""
    for name, text in auth_update.rehearse(on.text).items():
        yield from _sessions(on, f"the new {name}", session.only_sessions(text))


def try_live(on: TrialContext) -> Iterator[Trial]:
    """The stacks that logins pass now."""
    for name in auth_update.STACKS:
        yield from _sessions(on, name, f"@include {auth_update.CONFIG}/{name}\n")


def switch_on(on: TrialContext, tell: Callable[[Trial], None]) -> None:
    """HostError when a session is not as it must be; the files are as they were then."""
    before = auth_update.keep()
    try:
        auth_update.switch_on(on.text)
        for trial in try_live(on):
            tell(trial)
            check(trial)
    except BaseException:
        auth_update.put_back(before)
        raise


def check(trial: Trial) -> None:
    if trial.wrong:
        raise HostError(f"a session of {trial.user} through {trial.where}: {trial.wrong}", hint="nothing was changed")


def _sessions(on: TrialContext, where: str, lines: str) -> Iterator[Trial]:
    with session.stack(SERVICE, lines) as confdir:
        found = session.open_session(SERVICE, "root", confdir)
        yield Trial("root", where, found, _wrong_for_root(on, found))
        if chosen := customer(on):
            uid, user = chosen
            found = session.open_session(SERVICE, user, confdir)
            yield Trial(user, where, found, wrong_for(on, uid, found, SERVICE))


def _wrong_for_root(on: TrialContext, found: Session) -> str:
    if found.answer:
        return f"does not open: {found.reason} {found.said}".rstrip()
    where = on.inside(found.cgroup)
    return "" if where.startswith("/") else f"is in {where}, where only customers belong"


def _door(on: TrialContext, uid: int, service: str) -> str:
    """Where a login of a customer's uid leads, as pam/module/door.c looks it up."""
    return on.doors.get(f"{uid}.{service}") or on.doors[str(uid)]


def wrong_for(on: TrialContext, uid: int, found: Session, service: str) -> str:
    """What is wrong with a session of a customer's; '' when it is where it belongs."""
    leaf = _door(on, uid, service)
    if tree.is_closed(leaf):
        return "" if found.answer else "opens, though nobody may log in there now: it is suspended or frozen"
    if found.answer:
        return f"does not open: {found.reason} {found.said}".rstrip()
    where = on.inside(found.cgroup)
    return "" if where == leaf else f"is in {where}; expected {leaf}"
