"""The result of the test of one promise, and who takes part."""

from typing import NamedTuple

from paas_isolate.linux.network.probe import ProbeProcess
from paas_isolate.model.account import Account


class NetworkCheck(NamedTuple):
    """The test of one promise. `tried` counts the attempts; `broken` has a sentence for each that ended wrongly."""

    name: str
    tried: int
    broken: tuple[str, ...]

    @property
    def kept(self) -> bool:
        return not self.broken


class Participants(NamedTuple):
    """The processes of the test: one for each customer, with its account, and others that only connect."""

    customers: tuple[tuple[ProbeProcess, Account], ...]
    others: tuple[ProbeProcess, ...]

    @property
    def all(self) -> tuple[ProbeProcess, ...]:
        return (*(process for process, _ in self.customers), *self.others)
