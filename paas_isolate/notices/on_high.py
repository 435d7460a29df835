"""`on_high:` of an account: a command of the customer's, in their leaf, as them, when memory.high was reached.

paas-run starts it, as it starts services: nothing here waits for the leaf. The file of an account in /run is locked by
its keeper process, so that a command that still runs is not started again. Its first line is when the last one was
started, in ms since 1970; the keeper writes how it began and ended behind it.
"""

import fcntl
import os
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.services.launch import launch
from paas_isolate.metering.faults import Fault, Kind, Level
from paas_isolate.model import tree
from paas_isolate.model.account import OTHER, Account, Fleet
from paas_isolate.model.service_program import Launch

PAUSE = 60_000
"""Milliseconds between two starts for one account."""
RECENT = 180_000
"""Milliseconds: a fault may be written a minute after it was found."""
_NAME = "on_high"


class Commands(NamedTuple):
    """Starts the commands of a fleet's accounts. `directory` is where the accounts' files are, `views` the path of the
    handle of their views; `held` are accounts, by directory, in which nothing is started. `warn` is told why a command
    could not be started."""

    fleet: Fleet
    cgroups: CgroupTree
    directory: str
    views: str
    held: Collection[str]
    warn: Callable[[str], None]

    @property
    def are_wanted(self) -> bool:
        return any(account.on_high for account in self.fleet.accounts.values())

    def start(self, faults: Iterable[Fault], now: int) -> list[str]:
        """Start those of accounts with a new fault; the names of the accounts. `now` is ms since 1970."""
        slowed: dict[str, int] = {}
        for fault in faults:
            mine = fault.kind is Kind.SLOWED and fault.level in (Level.LEAF, Level.ACCOUNT)
            if mine and now - RECENT < fault.wall <= now:
                slowed[fault.directory] = max(slowed.get(fault.directory, 0), fault.wall)
        begun = []
        for account in self.fleet.accounts.values():
            if account.on_high and account.directory in slowed and self._may(account):
                try:
                    if self._start(account, slowed[account.directory], now):
                        begun.append(account.name)
                except (HostError, OSError) as error:
                    self.warn(f"on_high of {account.name} is not started: {error}")
        return begun

    def _may(self, account: Account) -> bool:
        uid = account.uids.get(account.owner)
        is_known = uid is not None and uid not in self.fleet.doubtful and bool(account.home)
        return is_known and not account.suspended and account.directory not in self.held

    def _start(self, account: Account, fault: int, now: int) -> bool:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        path = os.path.join(self.directory, account.directory)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            last = _first_number(os.pread(file, 64, 0))
            if fault <= last or 0 <= now - last < PAUSE:
                return False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False  # the last one still runs
            os.ftruncate(file, 0)
            os.write(file, b"%d\n" % now)
            leaf = tree.leaf(account.directory, OTHER)
            with self.cgroups.directory(leaf) as descriptor:
                launch(self._launch(account), descriptor, file, self.views)
            return True
        finally:
            os.close(file)

    def _launch(self, account: Account) -> Launch:
        return Launch(
            account=account.name,
            service=_NAME,
            number=1,
            user=account.owner,
            uid=account.uids[account.owner],
            command=account.on_high,
            directory=account.home,
            environment=(("ACCOUNT", account.name), ("SERVICE", _NAME)),
            log=f"{account.home}/logs/{_NAME}.log",
            view=account.directory if account.view else "",
            called=self.fleet.renamed.get(account.owner, ""),
            is_job=True,
        )


def _first_number(text: bytes) -> int:
    word = text.split(b"\n")[0]
    return int(word) if word.isdigit() else 0
