"""diff and status beside a damaged decisions.json: they show what does not depend on it, and say what is left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from paas_isolate.changes.knob_compiler import leaves
from paas_isolate.cli import output
from paas_isolate.compare import Comparison, Reconciler, Scope, compare
from paas_isolate.errors import HostError
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.knobs import FREEZE
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.service import ServiceStep
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from paas_isolate.source.notes import added

_LEFT_OUT = (
    "not shown, because it depends on that file: what services, their further replicas and doors need, "
    "and the removal of accounts"
)


class View(NamedTuple):
    """`damage` is why decisions.json cannot be used, '' where it can. Otherwise `comparison` has only those steps that
    are right whatever was decided."""

    reconciler: Reconciler
    comparison: Comparison
    damage: str = ""

    def complain(self) -> None:
        if self.damage:
            output.lines(f"paas-isolate: {self.damage}\n  {_LEFT_OUT}", err=True)


class _Undecided(Installation):
    """An installation whose decisions.json is damaged. The notes in RUN/decided still count."""

    __slots__ = ()

    def decided(self) -> Decisions:
        return added(Decisions(), self.notes.names())


@contextmanager
def view(installation: Installation, fleet: Fleet, account: str) -> Iterator[View]:
    """Compare `account` ('' for all) with the kernel, even where decisions.json is damaged. Writes nothing. Raises what
    Installation.open does."""
    try:
        decisions.load(installation.state)
    except HostError as error:
        damage = str(error)
    else:
        with installation.open(fleet, scope=Scope(account)) as reconciler:
            yield View(reconciler, compare(reconciler))
        return
    with _Undecided(*installation).open(fleet, scope=Scope(account)) as reconciler:
        intent = reconciler.intent
        # A thaw cannot be right for sure: what the kernel has frozen, an administrator may have frozen.
        frozen = intent.frozen | frozenset(_frozen(reconciler.kernel.cgroups, intent.fleet))
        reconciler = reconciler._replace(intent=intent._replace(frozen=frozen))
        comparison = compare(reconciler)
        steps = tuple(step for step in comparison.changes if _is_certain(step, intent.fleet))
        yield View(reconciler, comparison._replace(changes=steps), damage)


def _frozen(cgroups: CgroupTree, fleet: Fleet) -> Iterator[str]:
    """The accounts and services whose cgroups the kernel has frozen, as Decisions.frozen names them."""
    for account in fleet.accounts.values():
        if cgroups.read(tree.account(account.directory), FREEZE) == "1":
            yield account.directory
        for leaf in leaves(account.services):
            if cgroups.read(tree.leaf(account.directory, leaf.name), FREEZE) == "1":
                yield f"{account.directory}/{leaf.name.partition('.')[0]}"


def _is_certain(step: Step, fleet: Fleet) -> bool:
    """Whether a step is right whatever was stopped, scaled or accepted for removal."""
    if isinstance(step, ServiceStep):
        return False
    if step.owner and step.owner not in {account.directory for account in fleet.accounts.values()}:
        return False
    path = getattr(step, "path", "")
    return "." not in path.removeprefix(f"{tree.USERS}/{step.owner}").rpartition("/")[2]
