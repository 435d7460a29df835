"""Whose is a process, and which leaf does it belong in?"""

import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cached_property

from paas_isolate.changes.knob_compiler import leaves
from paas_isolate.model import tree
from paas_isolate.model.account import OTHER, Account, Fleet, Match, Service
from paas_isolate.model.identity import distinct
from paas_isolate.model.left import compiled
from paas_isolate.model.world import Process
from paas_isolate.text import abbreviated

_LATE = "kept their command lines from being read in time: no rule by `command` holds for them until the next run"


class Placement:
    """The fleet, turned round: from a process to its place."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._rules: dict[str, tuple[_Rule, ...]] = {}
        self._leave = compiled(fleet.host.leave)

    @cached_property
    def _by_uid(self) -> dict[int, Account]:
        return {uid: account for account in self._fleet.accounts.values() for uid in account.uids.values()}

    @cached_property
    def _directories(self) -> dict[str, Account]:
        return {account.directory: account for account in self._fleet.accounts.values()}

    def governs(self, uid: int) -> bool:
        return self._fleet.governs(uid)

    def replace(self, before: Account | None, account: Account) -> None:
        """One account is sold otherwise from now on; whose uids and directory these are now has been made sure of."""
        for uid in before.uids.values() if before else ():
            del self._by_uid[uid]
        self._by_uid.update(dict.fromkeys(account.uids.values(), account))
        self._directories[account.directory] = account
        self._rules.pop(account.name, None)

    def owner(self, claim: int | str) -> str:
        """The name of the account that a uid, or a directory, belongs to; '' where it is nobody's."""
        account = self._by_uid.get(claim) if isinstance(claim, int) else self._directories.get(claim)
        return account.name if account else ""

    def account_in(self, directory: str) -> Account | None:
        return self._directories.get(directory)

    def account_of(self, uid: int) -> Account | None:
        """The account that a uid belongs to, None for one that is never confined."""
        return None if uid in self._fleet.exempt else self._by_uid.get(uid)

    def correction(self, process: Process) -> Process | None:
        """The process with the place where it should be, or None when it may stay where it is."""
        if not process.settled or not self._fleet.governs(process.uid):
            return None
        place = self.place(process)
        return None if place == process.cgroup or self.left(process) else process._replace(cgroup=place)

    def left(self, process: Process) -> bool:
        """Whether it is in a cgroup in which root runs what is not to be moved."""
        return not process.confined and self._leave is not None and self._leave.fullmatch(process.cgroup) is not None

    def place(self, process: Process) -> str:
        """Where a process of a governed uid should be: a leaf of the tree, or where it is."""
        if self._fleet.revoked and self._revoked(process):
            return process.cgroup  # it ends: its uid is another account's now
        account = self._by_uid.get(process.uid)
        if account is None:
            return self._without_account(process)
        if process.uid in self._fleet.doubtful and not self._is_in(account, process):
            return tree.PENALTY  # confined, and no part of what may be another person's
        if self._kept(account, process.cgroup) or (process.command is None and process.cgroup in self._leaves(account)):
            return process.cgroup
        claim = self._claim(account, process)
        if claim:
            return tree.leaf(account.directory, claim)
        if process.cgroup in self._leaves(account):
            return process.cgroup
        return tree.leaf(account.directory, OTHER)

    def confined(self, process: Process) -> bool:
        """Whether it is inside the cgroup of its own account (or the one that its uid's policy names)."""
        account = self._by_uid.get(process.uid)
        if account is None or not process.confined or process.uid in self._fleet.doubtful:
            return process.confined
        return self._is_in(account, process)

    def needs_program(self, account: Account) -> bool:
        """Whether any service of the account wants to know programs and command lines."""
        return any(service.match.conditions for service in account.services)

    def needs_command(self, account: Account) -> bool:
        return any(service.match.command for service in account.services)

    def late(self, processes: Iterable[Process]) -> dict[str, str]:
        """By account cgroup, whose command lines could not be read in time."""
        pids: dict[str, list[str]] = {}
        for process in processes:
            if process.command is None and (account := self._by_uid.get(process.uid)):
                pids.setdefault(tree.account(account.directory), []).append(str(process.pid))
        return {path: f"{abbreviated(each)} of {path} {_LATE}" for path, each in pids.items()}

    def programs_count(self) -> bool:
        """Whether a process may belong elsewhere for having become another program."""
        return any(map(has_program_rules, distinct(account.services for account in self._directories.values())))

    def _without_account(self, process: Process) -> str:
        """It stays where it is, with the limits that it has there, until it ends: nobody gets out of an account by
        another uid, or by a user entry that has changed."""
        directory = tree.directory_of(process.cgroup) if process.confined else ""
        if directory and directory not in self._directories:
            return process.cgroup  # an account that is going, or whose file is wrong, stays as it is
        return tree.PENALTY if self._fleet.host.without_account == "penalty" else process.cgroup

    def _is_in(self, account: Account, process: Process) -> bool:
        return process.confined and tree.directory_of(process.cgroup) == account.directory

    def _revoked(self, process: Process) -> bool:
        return process.uid in self._fleet.revoked.get(tree.directory_of(process.cgroup), ())

    def _leaves(self, account: Account) -> set[str]:
        return {tree.leaf(account.directory, service.name) for service in leaves(account.services)}

    def _kept(self, account: Account, path: str) -> bool:
        """Whether it is the leaf of a service that we run: what was begun there stays, whatever rules say."""
        name = path.rpartition("/")[2].partition(".")[0]
        ours = any(service.name == name and service.work.run for service in account.services)
        return ours and tree.directory_of(path) == account.directory

    def _claim(self, account: Account, process: Process) -> str:
        rules = self._rules.get(account.name)
        if rules is None:
            rules = self._rules[account.name] = _rules(account)
        return next((rule.service for rule in rules if rule.fits(process)), "")


def has_program_rules(services: tuple[Service, ...]) -> bool:
    """Whether a rule of these services names a program or a command line."""
    return any(service.match.program or service.match.command for service in services)


class _Rule:
    """One service's match, compiled. All conditions that are given must fit."""

    def __init__(self, service: str, match: Match, uids: frozenset[int]) -> None:
        self.service = service
        self._program = _glob(match.program)
        self._command = _glob(match.command)
        self._uids = uids if match.user else None

    def fits(self, process: Process) -> bool:
        return (
            (self._uids is None or process.uid in self._uids)
            and (self._program is None or self._program.match(process.program) is not None)
            and (self._command is None or _matches(self._command, process.command))
        )


def _rules(account: Account) -> tuple[_Rule, ...]:
    """In the order of precedence: higher priority, then more conditions, then the first name."""
    asking = sorted((service for service in account.services if service.match.conditions), key=_precedence)
    return tuple(_Rule(service.name, service.match, _uids(service.match, account)) for service in asking)


def _precedence(service: Service) -> tuple[int, int, str]:
    return -(service.priority or 0), -service.match.conditions, service.name


def _uids(match: Match, account: Account) -> frozenset[int]:
    pattern = _glob(match.user)
    return frozenset(uid for name, uid in account.uids.items() if pattern and pattern.match(name))


def _matches(pattern: re.Pattern[str], command: str | None) -> bool:
    """A command line that could not be read fits no rule."""
    return command is not None and pattern.match(command) is not None


def _glob(pattern: str) -> re.Pattern[str] | None:
    return re.compile(translate(pattern)) if pattern else None
