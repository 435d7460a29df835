"""net show: which addresses the accounts have, who may connect there, and what went through."""

import click

from paas_isolate.cli import options, say
from paas_isolate.cli.desk import Desk, need_root, unknown
from paas_isolate.cli.exits import Exit
from paas_isolate.errors import HostError
from paas_isolate.linux.gate.keeper import Keeper, Traffic, spots
from paas_isolate.model.account import Fleet, Sold
from paas_isolate.model.network import Pools
from paas_isolate.units import format_size

_NOTHING = Traffic(0, 0, 0, 0)


@click.group()
def net() -> None:
    """Look at the network of the accounts."""


@net.command()
@click.argument("account", required=False)
@options.as_json
@click.pass_obj
def show(desk: Desk, account: str | None, as_json: bool) -> int:
    """Addresses, who may connect to them, and traffic: bytes and packets since the account's first packet.

    What a customer sends to their own localhost counts as sent and as received. In a "shared" loopback 127.0.0.1 is
    the machine's alone.
    """
    need_root()
    fleet = desk.fleet()
    if fleet.host.network is None:
        raise HostError("this machine has no network of accounts", hint="put `network: {}` into config.yaml")
    if account and account not in fleet.accounts:
        raise unknown(account, fleet)
    shown = [fleet.accounts[account]] if account else sorted(fleet.accounts.values())
    traffic = _traffic(desk, fleet)
    if as_json:
        say.print_json({"accounts": {sold.name: _data(sold, traffic) for sold in shown}})
    else:
        titles = ("ACCOUNT", "IPV4", "IPV6", "LOOPBACK", "PEERS", "IN", "OUT", "PACKETS IN", "PACKETS OUT")
        say.table(titles, [_row(sold, traffic) for sold in shown], right=titles[5:])
    return Exit.CONVERGED


def _traffic(desk: Desk, fleet: Fleet) -> dict[str, Traffic]:
    network = fleet.host.network
    assert network is not None  # who has none has been sent away
    with desk.tree(fleet) as (_, location):
        keeper = Keeper(Pools(network.pool, network.pool6), spots(fleet.host.tree, location))
        return {} if keeper.unable() else keeper.traffic()


def _row(sold: Sold, traffic: dict[str, Traffic]) -> tuple[str, ...]:
    it = traffic.get(sold.directory, _NOTHING)
    peers = ", ".join(sold.peers) or "-"
    sizes = format_size(it.bytes_in), format_size(it.bytes_out), str(it.packets_in), str(it.packets_out)
    return sold.name, *sold.addresses, sold.loopback or "own", peers, *sizes


def _data(sold: Sold, traffic: dict[str, Traffic]) -> dict[str, object]:
    return {
        "addresses": list(sold.addresses),
        "loopback": sold.loopback or "own",
        "peers": list(sold.peers),
        "traffic": traffic.get(sold.directory, _NOTHING)._asdict(),
    }
