"""memory.min of all accounts together must fit into the memory that all customers may have."""

from collections.abc import Iterable, Iterator, Mapping

from paas_isolate.model.account import Account, Host
from paas_isolate.model.knobs import LimitContext, effective_memory
from paas_isolate.model.limits import Percent
from paas_isolate.model.machine import Machine
from paas_isolate.spec.claims import LastGood
from paas_isolate.units import format_size

LIMIT = "memory.min"


def overbooked(
    good: Mapping[str, Account], others: Iterable[Account], host: Host, machine: Machine, last_good: LastGood
) -> Iterator[tuple[str, str]]:
    """Accounts whose guarantee does not fit, with the text of the complaint.

    First come `others`, which are on their last good copies, and what each account had in its copy. The remaining
    memory is given out in the order of the accounts' names."""
    wanted = {name: _bytes(account, machine) for name, account in good.items() if LIMIT in account.limits}
    if not wanted:
        return
    given = sum(_bytes(account, machine) for account in others)
    available = effective_memory(host.ceiling, LimitContext(machine, machine.memory))
    if given + sum(wanted.values()) <= available:
        return
    had = {name: min(wanted[name], _bytes(copy, machine)) for name in wanted if (copy := last_good(name))}
    given += sum(had.values())
    for name in sorted(wanted):
        more = wanted[name] - had.get(name, 0)
        if more and given + more > available:
            rest = given - had.get(name, 0)
            taken = f"others are guaranteed {format_size(rest)}, and " if rest else ""
            yield name, f"is {format_size(wanted[name])}; {taken}all customers together have {format_size(available)}"
        else:
            given += more


def without_guarantee(account: Account) -> Account:
    """The account without memory.min."""
    return account._replace(limits={name: value for name, value in account.limits.items() if name != LIMIT})


def _bytes(account: Account, machine: Machine) -> int:
    """The account's memory.min; 0 where it has none."""
    value = account.limits.get(LIMIT, 0)
    if isinstance(value, Percent):
        return int(value.of_hundred * effective_memory(account.limits, LimitContext(machine, machine.memory)) / 100)
    return value if isinstance(value, int) else machine.memory
