"""The daemon's hands for files: those of accounts that were saved, each read and applied alone where it can be."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from paas_isolate.changes.place import Places, asks_programs
from paas_isolate.cli.desk import Desk
from paas_isolate.cli.running import tell_outcome
from paas_isolate.cli.serving import Servant
from paas_isolate.daemon.account import Edit, account_world, can_turn, only, same_network, turn_account
from paas_isolate.errors import PaasError
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.linux.machine import machine
from paas_isolate.linux.users import Asked
from paas_isolate.model.account import Fleet
from paas_isolate.source.single import Single, account_of
from paas_isolate.spec.alone import Ties, ties

_EDITORS = 1.0
"""Seconds: whoever writes a file may take it away first. A file that is gone for longer is gone."""
_AT_ONCE = 50
"""Accounts: to look at so many one by one takes as long as to look at all."""


@dataclass
class Known:
    """What the last whole turn found, and every edit since."""

    fleet: Fleet
    places: Places
    ties: Ties

    @classmethod
    def of(cls, fleet: Fleet) -> "Known":
        return cls(fleet, Places(fleet), ties(fleet))

    def remember(self, edit: Edit) -> None:
        self.fleet = self.fleet._replace(accounts={**self.fleet.accounts, edit.sold.name: edit.sold})
        self.places.replace(edit.before, edit.sold)
        self.ties = self.ties.with_peers(edit.sold.peers)


class Editor:
    """`programs_count` is called when an account wants to know of programs; `done` with the tree, before anybody else
    may work on it."""

    def __init__(
        self, desk: Desk, servant: Servant, programs_count: Callable[[], None], done: Callable[[CgroupTree], None]
    ) -> None:
        self._desk, self._servant = desk, servant
        self._programs_count, self._done = programs_count, done
        self._single = Single(desk.directory)

    def edit(self, known: Known | None, places: Collection[str]) -> float | None:
        """None where all is done by that, else the seconds after which everything should be looked at."""
        names = {account_of(place, self._desk.etc) for place in places}
        if known is None or "" in names or len(names) > _AT_ONCE:
            return 0.0
        return None if all(self._edit(known, name) for name in sorted(names)) else self._how_soon(names)

    def _how_soon(self, names: Collection[str]) -> float:
        """An account that is to go can wait."""
        return 0.0 if all(self._single.there(name) for name in names) else _EDITORS

    def _edit(self, known: Known, name: str) -> bool:
        """One account by its file alone; whether that was possible, and nothing is left."""
        edit = self._sold(known, name)
        if edit is None or not same_network(edit, known.fleet):
            return False
        try:
            with self._desk.alone(), self._desk.wheel(only(known.fleet, edit.sold), wired=False) as wheel:
                world = account_world(wheel, edit.sold)
                if world.unmet or not can_turn(wheel, edit):
                    return False
                self._remember(known, edit)
                turned = turn_account(wheel, world, edit, known.places, tell_outcome)
                # after it: this takes as long as all the rest, and whoever is killed before it reads the file again
                self._desk.directory.last_good.remember(edit.sold)
                self._done(wheel.cgroups)
                self._servant.wait_for(edit.sold.directory, turned)
                return turned.settled
        except (PaasError, OSError):
            return False  # the whole turn says what is wrong

    def _sold(self, known: Known, name: str) -> Edit | None:
        sold = self._single.sold(name, known.fleet, known.ties, Asked(), machine(), known.places.owner)
        return Edit(known.fleet.accounts.get(name), sold) if sold else None

    def _remember(self, known: Known, edit: Edit) -> None:
        known.remember(edit)
        if asks_programs(edit.sold):
            self._programs_count()
