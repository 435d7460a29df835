"""The network: whether addresses, ruleset and gate are in place and unchanged."""

import os
from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.bpf.gate.gate import BpfGate, attach_points
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.network import nft
from paas_isolate.linux.network.links import Links
from paas_isolate.model.account import Fleet, NetworkConfig
from paas_isolate.model.network import Pools

_MEND = "paas-isolate reconcile"


def examine(fleet: Fleet) -> Iterator[Check]:
    """Nothing where config.yaml has no `network:`."""
    if fleet.host.network:
        yield _addresses(fleet.host.network)
        yield _ruleset(fleet.host.network)
        yield _gate(fleet, fleet.host.network)


def _addresses(network: NetworkConfig) -> Check:
    local, pools = Links().observe(), (network.pool, network.pool6)
    if missing := [pool for pool in pools if not local.get(pool)]:
        return Check("addresses", Verdict.FAILED, f"not local to this machine: {', '.join(missing)}", _MEND)
    return Check("addresses", Verdict.OK, f"local to this machine: {', '.join(pools)}")


def _gate(fleet: Fleet, network: NetworkConfig) -> Check:
    """Without the gate, the ruleset alone protects."""
    if os.geteuid() != 0:
        return Check("gate", Verdict.SKIPPED, "only root can read it")
    try:
        where = attach_points(fleet.host.tree, find_tree(fleet.host.tree))
    except HostError as error:
        return Check("gate", Verdict.FAILED, str(error).partition("\n")[0], error.hint)
    gate = BpfGate(Pools(network.pool, network.pool6), where)
    if unable := gate.unable():
        gap = "others can bind an account's ports, and localhost is shared"
        return Check("gate", Verdict.SKIPPED, f"{unable}; only the ruleset holds: {gap}")
    held = gate.observe()
    if held is None:
        return Check("gate", Verdict.FAILED, "it is gone or incomplete: localhost is shared", _MEND)
    return Check("gate", Verdict.OK, f"on {where.cgroup}, for {len(held.homes)} uids")


def _ruleset(network: NetworkConfig) -> Check:
    if os.geteuid() != 0:
        return Check("ruleset", Verdict.SKIPPED, "only root can read it")
    try:
        nft.run("list tables")
    except HostError as error:
        return Check("ruleset", Verdict.FAILED, str(error).partition("\n")[0], error.hint)
    seen = nft.Nft(Pools(network.pool, network.pool6)).observe()
    if seen is None:
        return Check("ruleset", Verdict.FAILED, "it is gone: only the gate protects the accounts", _MEND)
    if not seen.whole:
        return Check(
            "ruleset", Verdict.FAILED, "somebody has changed it, or the pools in config.yaml have changed", _MEND
        )
    return Check("ruleset", Verdict.OK, f"for {len(seen.rules.owners)} pairs of uid and address")
