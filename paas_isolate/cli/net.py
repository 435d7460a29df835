"""net: which addresses the accounts have and what went through; and whether the network keeps its promises."""

import os
from collections.abc import Iterator

import click

from paas_isolate.changes.network import desired_network
from paas_isolate.cli import options, output
from paas_isolate.doctor.check import Verdict
from paas_isolate.doctor.network import examine
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root, unknown
from paas_isolate.linux.bpf.gate.gate import BpfGate, Traffic, attach_points
from paas_isolate.linux.network import ruleset_cache
from paas_isolate.linux.network.nft import Nft
from paas_isolate.model import tree
from paas_isolate.model.account import OTHER, Account, Fleet
from paas_isolate.model.network import Pools, Rules
from paas_isolate.network_selftest import NetworkCheck, run_checks
from paas_isolate.units import format_size

_TOLD = 20
"""Sentences about one promise: the rest says the same."""

_NOTHING = Traffic(0, 0, 0, 0)


_PATIENCE = 60
"""Seconds."""

_SOME = 2
"""Accounts that are tried when none are named."""


@click.group()
def net() -> None:
    """Look at the network of the accounts, and try it."""


@net.command()
@click.argument("account", required=False)
@options.as_json
@click.pass_obj
def show(installation: Installation, account: str | None, as_json: bool) -> int:
    """Addresses, who may connect to them, and traffic: bytes and packets since the account's first packet, and packets
    that its egress denied.

    What a customer sends to their own localhost counts as sent and as received. In a "shared" loopback 127.0.0.1 is
    the machine's alone.
    """
    fleet = _fleet(installation)
    shown = _named(fleet, (account,)) if account else list(fleet.accounts.values())
    traffic = _traffic(installation, fleet)
    withheld = _withheld(fleet)
    if as_json:
        output.print_json({"accounts": {sold.name: _data(sold, traffic, withheld) for sold in shown}})
        return Exit.CONVERGED
    titles = ("ACCOUNT", "IPV4", "IPV6", "LOOPBACK", "PEERS", "IN", "OUT", "PACKETS IN", "PACKETS OUT", "DENIED")
    output.table(titles, [_row(sold, traffic, withheld) for sold in shown], right=titles[5:])
    if account:
        output.line(f"egress: {', '.join(shown[0].egress) or 'allow all'}")
    return Exit.CONVERGED


@net.command("test")
@click.argument("accounts", nargs=-1)
@options.as_json
@click.pass_obj
def try_(installation: Installation, accounts: tuple[str, ...], as_json: bool) -> int:
    """Try every promise of the network between accounts (else the first two), as their users: each pair, in both
    directions, by TCP and UDP, IPv4 and IPv6; the front ends and a stranger (nobody) too. Nothing of theirs is touched.

    Exit status 1 when a promise is broken.
    """
    fleet = _fleet(installation)
    some = accounts or tuple(name for name, account in sorted(fleet.accounts.items()) if account.addresses)[:_SOME]
    chosen = [
        account for account in _named(fleet, some) if account.addresses and account.uids
    ]  # all of whose users may be exempt
    if not chosen:
        raise HostError("there is no account to try it with")
    found = (*_standing(fleet), *run_checks(fleet, _rules(fleet), chosen, _leaves(installation, fleet, chosen)))
    if as_json:
        output.print_json([{**promise._asdict(), "kept": promise.kept} for promise in found])
    else:
        _tell(found)
    return Exit.CONVERGED if all(promise.kept for promise in found) else Exit.ERROR


@net.command()
@click.pass_obj
def restore(installation: Installation) -> int:
    """Make the ruleset as it was last made, unless there is one. No specification is read and no cgroup is needed: this
    is what a boot runs before the network is up, and reconcile follows.
    """
    need_root()
    with installation.locked(wait=_PATIENCE):
        rules = ruleset_cache.restore(os.path.join(installation.state, ruleset_cache.KEPT))
    if rules is None:
        output.line("nothing to do")
    else:
        output.line(f"made the ruleset of the network, for {len(rules.owners)} addresses and uids")
    return Exit.CONVERGED


def _standing(fleet: Fleet) -> Iterator[NetworkCheck]:
    """One line alone may keep what is tried: that the other has fallen is seen here."""
    for check in examine(fleet):
        yield NetworkCheck(f"{check.name}: as made", 1, (check.found,) if check.verdict is Verdict.FAILED else ())


def _tell(found: tuple[NetworkCheck, ...]) -> None:
    rows = [(it.name, str(it.tried), "kept" if it.kept else f"BROKEN {len(it.broken)} times") for it in found]
    output.table(("PROMISE", "TRIED", "FOUND"), rows, right=("TRIED",))
    for promise in found:
        for sentence in promise.broken[:_TOLD]:
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
    assert rules is not None  # who has no network has been sent away
    return rules


def _leaves(installation: Installation, fleet: Fleet, accounts: list[Account]) -> dict[str, str]:
    """Where the gate hangs on the tree alone, it governs who is in there."""
    if not fleet.host.tree.root:
        return {}
    with installation.tree(fleet) as (_, location):
        return {account.name: os.path.join(location.root, tree.leaf(account.directory, OTHER)) for account in accounts}


def _traffic(installation: Installation, fleet: Fleet) -> dict[str, Traffic]:
    network = fleet.host.network
    assert network is not None  # who has none has been sent away
    with installation.tree(fleet) as (_, location):
        keeper = BpfGate(Pools(network.pool, network.pool6), attach_points(fleet.host.tree, location))
        return {} if keeper.unable() else keeper.traffic()


def _withheld(fleet: Fleet) -> dict[str, int]:
    """Packets, by account."""
    network = fleet.host.network
    assert network is not None  # who has none has been sent away
    by_uid = Nft(Pools(network.pool, network.pool6)).denied()
    return {
        account.name: sum(by_uid.get(uid, 0) for uid in account.uids.values()) for account in fleet.accounts.values()
    }


def _row(account: Account, traffic: dict[str, Traffic], withheld: dict[str, int]) -> tuple[str, ...]:
    it = traffic.get(account.directory, _NOTHING)
    peers = ", ".join(account.peers) or "-"
    sizes = (
        format_size(it.bytes_in),
        format_size(it.bytes_out),
        str(it.packets_in),
        str(it.packets_out),
        str(withheld[account.name]),
    )
    return account.name, *(account.addresses or ("-", "-")), account.loopback or "own", peers, *sizes


def _data(account: Account, traffic: dict[str, Traffic], withheld: dict[str, int]) -> dict[str, object]:
    return {
        "addresses": list(account.addresses),
        "loopback": account.loopback or "own",
        "peers": list(account.peers),
        "egress": list(account.egress),
        "traffic": traffic.get(account.directory, _NOTHING)._asdict() | {"packets_denied": withheld[account.name]},
    }
