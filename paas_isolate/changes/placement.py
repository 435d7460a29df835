"""Placement: which account a process belongs to, and in which leaf it should be."""

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
    """Finds the account and the leaf of a process. `replace` keeps it current when one account changes."""

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
        """Replace one account. The caller has checked that no other account has its uids or its directory."""
        for uid in before.uids.values() if before else ():
            del self._by_uid[uid]
        self._by_uid.update(dict.fromkeys(account.uids.values(), account))
        self._directories[account.directory] = account
        self._rules.pop(account.name, None)

    def owner(self, claim: int | str) -> str:
        """The name of the account with this uid or this directory; '' where there is none."""
        account = self._by_uid.get(claim) if isinstance(claim, int) else self._directories.get(claim)
        return account.name if account else ""

    def account_in(self, directory: str) -> Account | None:
        return self._directories.get(directory)

    def account_of(self, uid: int) -> Account | None:
        """The account with this uid; None where there is none, or the uid is exempt."""
        return None if uid in self._fleet.exempt else self._by_uid.get(uid)

    def correction(self, process: Process) -> Process | None:
        """The process with the cgroup where it should be; None when it stays where it is."""
        if not process.settled or not self._fleet.governs(process.uid):
            return None
        place = self.place(process)
        return None if place == process.cgroup or self.left(process) else process._replace(cgroup=place)

    def left(self, process: Process) -> bool:
        """Whether the process is in a cgroup of config.yaml's `users.leave`, which it may not be moved out of."""
        return not process.confined and self._leave is not None and self._leave.fullmatch(process.cgroup) is not None

    def place(self, process: Process) -> str:
        """The cgroup where a process of a governed uid should be: a leaf of the tree, or where it is."""
        if self._fleet.revoked and self._revoked(process):
            return process.cgroup  # it will be ended: its uid is another account's now
        account = self._by_uid.get(process.uid)
        if account is None:
            return self._without_account(process)
        if process.uid in self._fleet.doubtful and not self._is_in(account, process):
            return tree.PENALTY  # confined, but outside an account that may be another person's
        if self._in_managed_leaf(account, process.cgroup):
            return process.cgroup
        if process.command is None and process.cgroup in self._leaves(account):
            return process.cgroup
        claim = self._claim(account, process)
        if claim:
            return tree.leaf(account.directory, claim)
        if process.cgroup in self._leaves(account):
            return process.cgroup
        return tree.leaf(account.directory, OTHER)

    def confined(self, process: Process) -> bool:
        """Whether the process is inside the cgroup of its own account; without an account, anywhere in the tree."""
        account = self._by_uid.get(process.uid)
        if account is None or not process.confined or process.uid in self._fleet.doubtful:
            return process.confined
        return self._is_in(account, process)

    def needs_program(self, account: Account) -> bool:
        """Whether a rule of the account needs to know the programs of processes."""
        return any(service.match.conditions for service in account.services)

    def needs_command(self, account: Account) -> bool:
        """Whether a rule of the account needs to know the command lines of processes."""
        return any(service.match.command for service in account.services)

    def late(self, processes: Iterable[Process]) -> dict[str, str]:
        """A text for each account cgroup with processes whose command lines could not be read in time."""
        pids: dict[str, list[str]] = {}
        for process in processes:
            if process.command is None and (account := self._by_uid.get(process.uid)):
                pids.setdefault(tree.account(account.directory), []).append(str(process.pid))
        return {path: f"{abbreviated(numbers)} of {path} {_LATE}" for path, numbers in pids.items()}

    def programs_count(self) -> bool:
        """Whether the place of a process may change when it executes another program."""
        return any(map(has_program_rules, distinct(account.services for account in self._directories.values())))

    def _without_account(self, process: Process) -> str:
        """A process in an account that is not in the fleet keeps that account's limits until it ends: a change of its
        uid or of a user entry must not let it out."""
        directory = tree.directory_of(process.cgroup) if process.confined else ""
        if directory and directory not in self._directories:
            return process.cgroup  # the account is being removed, or its file cannot be used
        return tree.PENALTY if self._fleet.host.without_account == "penalty" else process.cgroup

    def _is_in(self, account: Account, process: Process) -> bool:
        return process.confined and tree.directory_of(process.cgroup) == account.directory

    def _revoked(self, process: Process) -> bool:
        return process.uid in self._fleet.revoked.get(tree.directory_of(process.cgroup), ())

    def _leaves(self, account: Account) -> set[str]:
        return {tree.leaf(account.directory, service.name) for service in leaves(account.services)}

    def _in_managed_leaf(self, account: Account, path: str) -> bool:
        """Whether the path is the leaf of a service that we run: processes there stay, whatever the rules say."""
        name = path.rpartition("/")[2].partition(".")[0]
        managed = any(service.name == name and service.work.run for service in account.services)
        return managed and tree.directory_of(path) == account.directory

    def _claim(self, account: Account, process: Process) -> str:
        rules = self._rules.get(account.name)
        if rules is None:
            rules = self._rules[account.name] = _rules(account)
        return next((rule.service for rule in rules if rule.fits(process)), "")


def has_program_rules(services: tuple[Service, ...]) -> bool:
    """Whether a rule of these services names a program or a command line."""
    return any(service.match.program or service.match.command for service in services)


class _Rule:
    """The compiled Match of one service. All conditions that are set must fit."""

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
    """The rules in order of precedence: higher priority, then more conditions, then the name."""
    services = sorted((service for service in account.services if service.match.conditions), key=_precedence)
    return tuple(_Rule(service.name, service.match, _uids(service.match, account)) for service in services)


def _precedence(service: Service) -> tuple[int, int, str]:
    return -(service.priority or 0), -service.match.conditions, service.name


def _uids(match: Match, account: Account) -> frozenset[int]:
    pattern = _glob(match.user)
    return frozenset(uid for name, uid in account.uids.items() if pattern and pattern.match(name))


def _matches(pattern: re.Pattern[str], command: str | None) -> bool:
    """A command line that could not be read matches no rule."""
    return command is not None and pattern.match(command) is not None


def _glob(pattern: str) -> re.Pattern[str] | None:
    return re.compile(translate(pattern)) if pattern else None
