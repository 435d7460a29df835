"""What is guaranteed must be there: memory.min of all accounts together, within what all customers may have."""

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
    """Accounts whose guarantee does not fit any more, with what is wrong. What an account has already is its own,
    whatever it wants now, and `others` keep theirs; the rest goes by name."""
    wanted = {name: _bytes(account, machine) for name, account in good.items() if LIMIT in account.limits}
    if not wanted:
        return
    given = sum(_bytes(account, machine) for account in others)
    there = effective_memory(host.ceiling, LimitContext(machine, machine.memory))
    if given + sum(wanted.values()) <= there:
        return
    has = {name: min(wanted[name], _bytes(copy, machine)) for name in wanted if (copy := last_good(name))}
    given += sum(has.values())
    for name in sorted(wanted):
        more = wanted[name] - has.get(name, 0)
        if more and given + more > there:
            rest = given - has.get(name, 0)
            told = f"where {format_size(rest)} are guaranteed to others, " if rest else ""
            yield name, f"is {format_size(wanted[name])}, {told}and all customers have {format_size(there)}"
        else:
            given += more


def without_guarantee(account: Account) -> Account:
    return account._replace(limits={name: value for name, value in account.limits.items() if name != LIMIT})


def _bytes(account: Account, machine: Machine) -> int:
    value = account.limits.get(LIMIT, 0)
    if isinstance(value, Percent):
        return int(value.of_hundred * effective_memory(account.limits, LimitContext(machine, machine.memory)) / 100)
    return value if isinstance(value, int) else machine.memory
