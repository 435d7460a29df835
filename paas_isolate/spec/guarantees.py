"""What is guaranteed must be there: memory.min of all accounts together, within what all customers may have."""

from collections.abc import Iterator, Mapping

from paas_isolate.model.account import Host, Sold
from paas_isolate.model.knobs import Surroundings, effective_memory
from paas_isolate.model.limits import Percent
from paas_isolate.model.machine import Machine
from paas_isolate.spec.claims import LastGood
from paas_isolate.units import format_size

LIMIT = "memory.min"


def overbooked(
    good: Mapping[str, Sold], host: Host, machine: Machine, last_good: LastGood
) -> Iterator[tuple[str, str]]:
    """Accounts whose guarantee does not fit any more, with what is wrong. Those that have theirs already come
    first, for a new file must not take from an old one; then by name."""
    wanted = {name: _bytes(sold, machine) for name, sold in good.items() if LIMIT in sold.limits}
    there = effective_memory(host.ceiling, Surroundings(machine, machine.memory))
    if sum(wanted.values()) <= there:
        return
    given = 0
    for name in sorted(wanted, key=lambda name: (not _has_it(good[name], last_good), name)):
        if given + wanted[name] > there:
            others = f"where {format_size(given)} are guaranteed to others, " if given else ""
            yield name, f"is {format_size(wanted[name])}, {others}and all customers have {format_size(there)}"
        else:
            given += wanted[name]


def _bytes(sold: Sold, machine: Machine) -> int:
    value = sold.limits[LIMIT]
    if isinstance(value, Percent):
        return int(value.of_hundred * effective_memory(sold.limits, Surroundings(machine, machine.memory)) / 100)
    return value if isinstance(value, int) else machine.memory


def _has_it(sold: Sold, last_good: LastGood) -> bool:
    copy = last_good(sold.name)
    return copy is not None and copy.limits.get(LIMIT) == sold.limits[LIMIT]
