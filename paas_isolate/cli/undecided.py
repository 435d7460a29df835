"""diff and status beside a damaged decisions.json: they show what does not depend on it, and say what is left out."""

from collections.abc import Collection, Iterator
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


@contextmanager
def view(installation: Installation, fleet: Fleet, account: str) -> Iterator[View]:
    """Compare `account` ('' for all) with the kernel, even where decisions.json is damaged; the notes in RUN/decided
    count then all the same. Writes nothing. Raises what Installation.open does for other reasons."""
    try:
        decided, damage = installation.decided(), ""
    except HostError as error:
        decided, damage = added(Decisions(), installation.notes.names()), str(error)
    with installation.open(fleet, scope=Scope(account), decided=decided) as reconciler:
        if not damage:
            yield View(reconciler, compare(reconciler))
            return
        intent = reconciler.intent
        # A thaw cannot be right for sure: what the kernel has frozen, an administrator may have frozen.
        frozen = intent.frozen | frozenset(_frozen(reconciler.kernel.cgroups, intent.fleet))
        reconciler = reconciler._replace(intent=intent._replace(frozen=frozen))
        comparison = compare(reconciler)
        directories = intent.fleet.names_by_directory()
        steps = tuple(step for step in comparison.changes if _is_certain(step, directories))
        yield View(reconciler, comparison._replace(changes=steps), damage)


def _frozen(cgroups: CgroupTree, fleet: Fleet) -> Iterator[str]:
    """The accounts and services whose cgroups the kernel has frozen, as Decisions.frozen names them."""
    for account in fleet.accounts.values():
        if cgroups.read(tree.account(account.directory), FREEZE) == "1":
            yield account.directory
        for leaf in leaves(account.services):
            if cgroups.read(tree.leaf(account.directory, leaf.name), FREEZE) == "1":
                yield f"{account.directory}/{leaf.name.partition('.')[0]}"


def _is_certain(step: Step, directories: Collection[str]) -> bool:
    """Whether a step is right whatever was stopped, scaled or accepted for removal. `directories` are those of the
    accounts that files name."""
    if isinstance(step, ServiceStep):
        return False
    if step.owner and step.owner not in directories:
        return False
    path = getattr(step, "path", "")
    return "." not in path.removeprefix(f"{tree.USERS}/{step.owner}").rpartition("/")[2]
