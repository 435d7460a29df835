"""The input of a pass: the specifications, and what administrators have ordered beside them."""

from typing import NamedTuple

from paas_isolate.model.account import Fleet
from paas_isolate.model.knobs import CONTROLLERS
from paas_isolate.model.machine import Machine


class Intent(NamedTuple):
    """`controllers` are those that the tree's parent enables for it. `frozen` are accounts and services (`alice`,
    `alice/web`, by directory) that an administrator has frozen. `stopped` are services that must not run.
    `removal_accepted` are the directories of accounts whose removal an earlier pass has accepted."""

    fleet: Fleet
    machine: Machine
    controllers: tuple[str, ...] = CONTROLLERS
    frozen: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    removal_accepted: frozenset[str] = frozenset()
