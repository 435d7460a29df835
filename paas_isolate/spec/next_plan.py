"""The plan above a plan (`next:`): whether it can be, and what it would change for an account. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.model.account import AccountSpec, Plan
from paas_isolate.model.limits import LIMITS, Limits, Value
from paas_isolate.spec.merge import merge_limits, merge_services
from paas_isolate.text import abbreviated, excerpt

_ORDER = (*(limit.name for limit in LIMITS), "max", "files")
"""In which limits are told; the last two are those of `disk`."""


class Change(NamedTuple):
    """A limit that would change: its key, such as `limits.memory.max`. None: it is not set."""

    key: str
    now: Value | None
    then: Value | None


class Comparison(NamedTuple):
    """`added` and `removed` are names of services."""

    limits: tuple[Change, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def mistakes(plans: Mapping[str, Plan], wrong: Collection[str]) -> Iterator[tuple[str, str]]:
    """File, and what is wrong with its `next`. Of plans in `wrong` the file cannot be used now."""
    for plan in plans.values():
        if not plan.next:
            continue
        if plan.next not in plans:
            if plan.next not in wrong:
                others = sorted(plans.keys() - {plan.name})
                known = abbreviated(others) if others else "another file of plans.d"
                yield plan.file, f"is {excerpt(plan.next)}, and there is no such plan; expected {known}"
        elif circle := _circle(plan, plans):
            way = " -> ".join((plan.name, *circle))
            yield plan.file, f"is {excerpt(plan.next)}, which leads back to it ({way}); expected a plan above it"


def _circle(plan: Plan, plans: Mapping[str, Plan]) -> list[str]:
    """The plans that lead from this one to itself, by their order; none where they do not."""
    way: list[str] = []
    name = plan.next
    while name in plans and name not in way:
        way.append(name)
        if name == plan.name:
            return way
        name = plans[name].next
    return []


def compare(account: AccountSpec, now: Plan, then: Plan) -> Comparison:
    """What the account would get with another plan. What its own file says stays."""
    limits = _changed("limits", *(merge_limits(plan.limits, account.limits) for plan in (now, then)))
    disk = _changed("disk", *(merge_limits(plan.disk, account.disk) for plan in (now, then)))
    before, after = (
        {service.name: service for service in merge_services(plan.services, account.services)} for plan in (now, then)
    )
    of_services = (
        change
        for name in sorted(before.keys() & after.keys())
        for change in _changed(f"services.{name}.limits", before[name].limits, after[name].limits)
    )
    return Comparison(
        (*limits, *disk, *of_services),
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
    )


def _changed(key: str, now: Limits, then: Limits) -> Iterator[Change]:
    for name in sorted(now.keys() | then.keys(), key=_ORDER.index):
        if now.get(name) != then.get(name):
            yield Change(f"{key}.{name}", now.get(name), then.get(name))
