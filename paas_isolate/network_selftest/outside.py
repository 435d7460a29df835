"""Tests of what leads in from outside and out again: published ports and egress.

Nothing is sent to the world: a published port is tried from this machine, and a packet that an egress denies, if it is
not refused, ends at the next router.
"""

from collections.abc import Iterator
from typing import NamedTuple

from paas_isolate.linux.network.probe import Departure, Probe, ProbeProcess, machine_address
from paas_isolate.linux.network.sockets import listening
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.network import Pools
from paas_isolate.network_selftest.check import NetworkCheck, Participants
from paas_isolate.network_selftest.destinations import SOMEWHERE, denied_examples


class _PublishedService(NamedTuple):
    port: int
    owner: ProbeProcess
    address: str
    """The account's, at which the service listens."""
    machine: str
    """The machine's own, of the same family."""


def publish_checks(participants: Participants, fleet: Fleet) -> Iterator[NetworkCheck]:
    """Only services that run are tried, with a TCP connection that sends nothing: nobody else may listen for them."""
    published = list(_published(participants, fleet))
    tried = [(client, each) for each in published for client in participants.all]
    broken = [
        f"uid {client.uid} did not reach port {each.port} at {each.machine}"
        for client, each in tried
        if not client.reach(each.machine, each.port)
    ]
    yield NetworkCheck("a published port is reached from the machine", len(tried), tuple(broken))
    from_pool = [
        (client, each, source)
        for each in published
        for client, account in participants.customers
        for source in account.addresses
        if (":" in source) == (":" in each.address)
    ]
    broken = [
        f"uid {client.uid} did not reach port {each.port} at {each.machine} from {source}"
        for client, each, source in from_pool
        if not client.reach(each.machine, each.port, source)
    ]
    yield NetworkCheck("a published port is reached from the pool", len(from_pool), tuple(broken))


def _published(participants: Participants, fleet: Fleet) -> Iterator[_PublishedService]:
    found = [
        (process, address, service.publish, service.listen or service.publish)
        for process, account in participants.customers
        for service in account.services
        if service.publish and not account.suspended
        for address in account.addresses
    ]
    network = fleet.host.network
    if not found or not network:
        return
    ports = frozenset(port for _, _, port, _ in found)
    taken = listening(ports, Pools(network.pool, network.pool6), fleet.governs)
    machine = {six: machine_address(SOMEWHERE[six]) for six in (False, True)}
    for process, address, port, to in found:
        own = machine[":" in address]
        if own and port not in taken and process.reach(address, to):
            yield _PublishedService(port, process, address, own)


def egress_checks(participants: Participants) -> Iterator[NetworkCheck]:
    """What an account's egress denies is refused; what stays on the machine is not, whatever it denies."""
    restricted = [(process, account) for process, account in participants.customers if account.egress]
    if restricted:
        yield _denied(restricted)
        yield _stays(restricted)


def _denied(restricted: list[tuple[ProbeProcess, Account]]) -> NetworkCheck:
    tried, broken = 0, []
    for process, account in restricted:
        for to in denied_examples(account.egress):
            probe = Probe(to.address, to.port, to.protocol)
            departure = process.leave(probe)
            tried += departure is not Departure.STAYS
            if departure is Departure.LEAVES:
                broken.append(f"uid {process.uid} could send to {probe}")
    return NetworkCheck("what egress denies is refused", tried, tuple(broken))


def _stays(restricted: list[tuple[ProbeProcess, Account]]) -> NetworkCheck:
    """A server of root's at the machine's own address."""
    tried, broken = 0, []
    with ProbeProcess(0) as server:
        for own in filter(None, map(machine_address, SOMEWHERE.values())):
            probe = Probe(own, server.serve(own, "tcp"), "tcp")
            for process, _ in restricted:
                process.knock([probe])
            heard = server.heard(probe, [process.uid for process, _ in restricted])
            tried += len(restricted)
            broken += [f"uid {each.uid} was not heard at {probe}" for each, _ in restricted if each.uid not in heard]
    return NetworkCheck("egress refuses nothing on the machine", tried, tuple(broken))
