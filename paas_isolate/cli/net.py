"""net: shows the addresses and traffic of accounts, tests the network, and restores its ruleset at boot."""

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import click

from paas_isolate.changes.network import desired_network
from paas_isolate.changes.subordinates import subordinate_ranges
from paas_isolate.cli import options, output, paging
from paas_isolate.cli.group import Group
from paas_isolate.doctor.check import Verdict
from paas_isolate.doctor.network import examine
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root, unknown
from paas_isolate.linux.bpf.gate.gate import BpfGate, attach_points
from paas_isolate.linux.bpf.gate.traffic import NONE, Traffic
from paas_isolate.linux.network import ruleset_cache
from paas_isolate.linux.network.nft import Nft
from paas_isolate.linux.system.subordinates import subordinate_uids
from paas_isolate.model import tree
from paas_isolate.model.account import OTHER, Account, Fleet
from paas_isolate.model.network import RULESET, Pools, Rules
from paas_isolate.network_selftest.check import NetworkCheck
from paas_isolate.network_selftest.checks import run_checks
from paas_isolate.units import format_size

_SHOWN = 20
"""Sentences that are printed about one broken promise."""

_PATIENCE = 60
"""Seconds to wait for another run's lock."""

_TESTED = 2
"""Accounts that are tested when none is named."""


class Counters(NamedTuple):
    """`traffic` is by the account's directory. By its name are packets denied, new connections to mail servers, and the
    bytes of UDP to other machines."""

    traffic: dict[str, Traffic]
    denied: Counter[str]
    mail: Counter[str]
    datagrams: Counter[str]


@click.group(cls=Group)
def net() -> None:
    """Show and test the network of the accounts."""


@net.command()
@click.argument("account", required=False)
@paging.limit
@paging.after
@options.as_json
@click.pass_obj
def show(installation: Installation, account: str | None, limit: int | None, after: str, as_json: bool) -> int:
    """Show addresses, who may connect to them, and traffic: payload and segments of TCP since the account's first
    connection, bytes of UDP to other machines (UDP OUT), packets that its egress rules denied, and new connections to
    ports 25, 465 and 587 of other machines (MAIL).

    What a customer sends by TCP to their own localhost counts as sent and as received. With loopback "shared" the
    account has no 127.0.0.1 of its own: it uses the machine's.
    """
    fleet = _fleet(installation)
    every = _named(fleet, (account,)) if account else [fleet.accounts[name] for name in sorted(fleet.accounts)]
    shown, following = paging.page_of(every, lambda each: (each.name,), paging.Asked(limit, after))
    counters = _counters(installation, fleet)
    if as_json:
        accounts = {each.name: _data(each, counters) for each in shown}
        output.print_json({"total": len(every), "next": following, "accounts": accounts})
        return Exit.CONVERGED
    titles = (
        "ACCOUNT",
        "IPV4",
        "IPV6",
        "LOOPBACK",
        "PEERS",
        "IN",
        "OUT",
        "PACKETS IN",
        "PACKETS OUT",
        "UDP OUT",
        "DENIED",
        "MAIL",
    )
    output.table(titles, [_row(each, counters) for each in shown], right=titles[5:])
    paging.tell(following, f"{len(every)} accounts")
    if account:
        output.line(f"egress: {', '.join(shown[0].egress) or 'allow all'}")
    return Exit.CONVERGED


@net.command("test")
@click.argument("accounts", nargs=-1)
@options.as_json
@click.pass_obj
def try_(installation: Installation, accounts: tuple[str, ...], as_json: bool) -> int:
    """Test every promise of the network between the named accounts, or the first two, as their users: each pair, in
    both directions, by TCP and UDP, IPv4 and IPv6; also from the front ends and from nobody. Nothing of the accounts
    is changed.

    Exit status 1 when a promise is broken.
    """
    fleet = _fleet(installation)
    names = accounts or tuple(name for name, account in sorted(fleet.accounts.items()) if account.addresses)[:_TESTED]
    # An account has no uids when all its users are exempt.
    chosen = [account for account in _named(fleet, names) if account.addresses and account.uids]
    if not chosen:
        raise HostError("no account with an address and a confined user", hint="name one: paas-isolate net show")
    checks = (*_installed(fleet), *run_checks(fleet, _rules(fleet), chosen, _leaves(installation, fleet, chosen)))
    if as_json:
        output.print_json([{**promise._asdict(), "kept": promise.kept} for promise in checks])
    else:
        _tell(checks)
    return Exit.CONVERGED if all(promise.kept for promise in checks) else Exit.ERROR


@net.command()
@click.pass_obj
def restore(installation: Installation) -> int:
    """Install the last ruleset again, unless there is one. It reads no specification and needs no cgroup: a boot runs
    it before the network is up, and reconciles later.
    """
    need_root()
    with installation.locked(wait=_PATIENCE):
        rules = ruleset_cache.restore(os.path.join(installation.state, RULESET))
    if rules is None:
        output.line("nothing to do")
    else:
        output.line(f"made the ruleset of the network, for {len(rules.owners)} addresses and uids")
    return Exit.CONVERGED


def _installed(fleet: Fleet) -> Iterator[NetworkCheck]:
    """Whether addresses, ruleset and gate are as reconcile installs them. Connections cannot show it: ruleset and gate
    enforce the same promises, so one of them may be missing."""
    for check in examine(fleet):
        yield NetworkCheck(f"{check.name}: as made", 1, (check.found,) if check.verdict is Verdict.FAILED else ())


def _tell(checks: tuple[NetworkCheck, ...]) -> None:
    rows = [
        (promise.name, str(promise.tried), "kept" if promise.kept else f"BROKEN {len(promise.broken)} times")
        for promise in checks
    ]
    output.table(("PROMISE", "TRIED", "FOUND"), rows, right=("TRIED",))
    for promise in checks:
        for sentence in promise.broken[:_SHOWN]:
            output.line(f"{promise.name}: {sentence}", fg="red", err=True)


def _fleet(installation: Installation) -> Fleet:
    need_root()
    fleet = installation.fleet()
    if fleet.host.network is None:
        raise HostError("this machine has no network of accounts", hint="put `network: {}` into config.yaml")
    return fleet


def _named(fleet: Fleet, names: tuple[str, ...]) -> list[Account]:
    for name in names:
        if name not in fleet.accounts:
            raise unknown(name, fleet)
    return [fleet.accounts[name] for name in dict.fromkeys(names)]


def _rules(fleet: Fleet) -> Rules:
    rules = desired_network(fleet).rules
    assert rules is not None  # _fleet has raised otherwise
    return rules


def _leaves(installation: Installation, fleet: Fleet, accounts: list[Account]) -> dict[str, str]:
    """With `tree.root` the gate is attached to that cgroup, so the test processes must run inside it: a leaf for each
    account's name. Without it they may run anywhere."""
    if not fleet.host.tree.root:
        return {}
    with installation.tree(fleet) as (_, location):
        return {account.name: os.path.join(location.root, tree.leaf(account.directory, OTHER)) for account in accounts}


def _traffic(installation: Installation, fleet: Fleet) -> dict[str, Traffic]:
    network = fleet.host.network
    assert network is not None  # _fleet has raised otherwise
    with installation.tree(fleet) as (_, location):
        gate = BpfGate(Pools(network.pool, network.pool6), attach_points(fleet.host.tree, location))
        return {} if gate.unable() else gate.traffic()


def _counters(installation: Installation, fleet: Fleet) -> Counters:
    network = fleet.host.network
    assert network is not None  # _fleet has raised otherwise
    nft, owner = Nft(Pools(network.pool, network.pool6)), _owners(fleet)
    counted = nft.denied(), nft.mail_connections(), nft.datagram_bytes()
    denied, mail, datagrams = (_by_account(each, owner) for each in counted)
    return Counters(_traffic(installation, fleet), denied, mail, datagrams)


def _owners(fleet: Fleet) -> Callable[[int], str]:
    """Gives the name of the account of a uid, which may be a subordinate one; "" for those of nobody."""
    accounts, known = fleet.accounts.values(), subordinate_uids()
    by_uid = {uid: account.name for account in accounts for uid in account.uids.values()}
    ranges = sorted((*each, account.name) for account in accounts for each in subordinate_ranges(account, known))

    def owner(uid: int) -> str:
        if uid in by_uid:
            return by_uid[uid]
        at = bisect_right(ranges, uid, key=lambda each: each[0]) - 1
        return ranges[at][2] if at >= 0 and uid <= ranges[at][1] else ""

    return owner


def _by_account(counted: dict[int, int], owner: Callable[[int], str]) -> Counter[str]:
    found = Counter[str]()
    for uid, count in counted.items():
        found[owner(uid)] += count
    return found


def _row(account: Account, counters: Counters) -> tuple[str, ...]:
    name = account.name
    traffic = counters.traffic.get(account.directory, NONE)
    peers = ", ".join(account.peers) or "-"
    sizes = format_size(traffic.bytes_in), format_size(traffic.bytes_out)
    packets = f"{traffic.packets_in}", f"{traffic.packets_out}"
    others = format_size(counters.datagrams[name]), f"{counters.denied[name]}", f"{counters.mail[name]}"
    addresses = account.addresses or ("-", "-")
    return name, *addresses, account.loopback or "own", peers, *sizes, *packets, *others


def _data(account: Account, counters: Counters) -> dict[str, object]:
    traffic = counters.traffic.get(account.directory, NONE)._asdict()
    counts = {
        "udp_bytes_out": counters.datagrams[account.name],
        "packets_denied": counters.denied[account.name],
        "mail_connections": counters.mail[account.name],
    }
    return {
        "addresses": list(account.addresses),
        "loopback": account.loopback or "own",
        "peers": list(account.peers),
        "egress": list(account.egress),
        "traffic": traffic | counts,
    }
