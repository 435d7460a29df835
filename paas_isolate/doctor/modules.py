"""Protocols of the kernel that pass by the gate or have no uid, where customers can use them."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from glob import glob
from typing import NamedTuple

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.model.account import Fleet
from paas_isolate.model.network import PINS

CONF = "/etc/modprobe.d/paas-isolate.conf"


class Protocol(NamedTuple):
    """A module whose protocol is not confined. socket(2) of anybody loads it where a module has one of the `aliases`
    (request_module in net/socket.c and net/ipv4/af_inet.c; beginnings of names in modules.alias). `names` are those in
    /proc/net/protocols while it is there. `gated`: the gate refuses customers its sockets."""

    module: str
    aliases: tuple[str, ...]
    names: tuple[str, ...]
    why: str
    gated: bool = False


PROTOCOLS = (
    Protocol(
        "smc",
        ("net-pf-43", "net-pf-2-proto-256-", "net-pf-10-proto-256-"),
        ("SMC", "SMC6"),
        "its TCP connections are the kernel's own and have no uid: egress and the addresses of others are open",
        gated=True,
    ),
    Protocol(
        "sctp",
        ("net-pf-2-proto-132", "net-pf-10-proto-132"),
        ("SCTP", "SCTPv6"),
        "it binds without asking the ruleset, also at addresses of others",
        gated=True,
    ),
    Protocol(
        "dccp",
        ("net-pf-2-proto-33", "net-pf-10-proto-33", "net-pf-2-proto-0-type-6", "net-pf-10-proto-0-type-6"),
        ("DCCP", "DCCPv6"),
        "the ruleset alone does not keep it from addresses of others",
        gated=True,
    ),
    Protocol(
        "l2tp_ip",
        ("net-pf-2-proto-115",),
        ("L2TP/IP",),
        "it binds at addresses of others, and receives what is sent to them",
        gated=True,
    ),
    Protocol("l2tp_ip6", ("net-pf-10-proto-115",), ("L2TP/IPv6",), "as l2tp_ip, for IPv6", gated=True),
    Protocol(
        "rds",
        ("net-pf-21",),
        ("RDS",),
        "its TCP connections are the kernel's own and have no uid",
    ),
    Protocol(
        "tipc",
        ("net-pf-30", "net-pf-16-proto-16-family-TIPC"),
        ("TIPC",),
        "users of this machine reach each other without an IP address",
    ),
    Protocol(
        "vsock",
        ("net-pf-40",),
        ("AF_VSOCK",),
        "users of this machine reach each other and the hypervisor without an IP address (its agent may need it)",
    ),
    Protocol("rxrpc", ("net-pf-33",), ("RXRPC",), "its UDP packets are the kernel's own and have no uid"),
    Protocol("qrtr", ("net-pf-42",), ("QIPCRTR",), "users of this machine reach each other without an IP address"),
)

_INSTALL = re.compile(r"^\s*install\s+(\S+)\s+\S*/(?:false|true)\s*$", re.MULTILINE)
_ALIAS = re.compile(r"^alias (net-pf-\S+) (\S+)$", re.MULTILINE)


class Kernel(NamedTuple):
    """What decides whether a protocol can be used: the aliases of all modules, the modules that modprobe.d forbids, and
    the names of protocols that are there now. `loads`: whether modules can be loaded at all. `has_gate`: whether the
    network's gate is attached."""

    aliases: Mapping[str, str]
    forbidden: frozenset[str]
    there: frozenset[str]
    loads: bool = True
    has_gate: bool = False


def examine(fleet: Fleet) -> Iterator[Check]:
    """Nothing where config.yaml has no `network:`."""
    if fleet.host.network:
        yield check(_kernel())


def check(kernel: Kernel) -> Check:
    protocols = [each for each in PROTOCOLS if not (each.gated and kernel.has_gate)]
    now = {each.module for each in protocols if kernel.there.intersection(each.names)}
    found = [each for each in protocols if each.module in now or _can_be_loaded(each, kernel)]
    if not found:
        return Check("modules", Verdict.OK, "no protocol that passes by the network's rules can be used")
    lines = (f"{each.module}{' (is there now)' if each.module in now else ''}: {each.why}" for each in found)
    text = "customers can use protocols that pass by the network's rules\n" + "\n".join(lines)
    allowed = [each.module for each in found if each.module not in kernel.forbidden]
    write = f"printf 'install %s /bin/false\\n' {' '.join(allowed)} >> {CONF}" if allowed else ""
    unload = f"modprobe --remove {' '.join(sorted(now))} (or reboot)" if now else ""
    return Check("modules", Verdict.WARNING, text, "; ".join(filter(None, (write, unload))))


def _can_be_loaded(protocol: Protocol, kernel: Kernel) -> bool:
    """`blacklist` does not forbid it: a module that needs it loads it (modprobe.d(5)), as smc_diag does for anybody."""
    loadable = kernel.loads and any(alias.startswith(protocol.aliases) for alias in kernel.aliases)
    return loadable and protocol.module not in kernel.forbidden


def _kernel() -> Kernel:
    aliases = dict(_ALIAS.findall(_text(f"/lib/modules/{os.uname().release}/modules.alias")))
    configured = (_text(path) for place in _PLACES for path in glob(f"{place}/*.conf"))
    forbidden = {name.replace("-", "_") for text in configured for name in _INSTALL.findall(text)}
    names = (line.split()[0] for line in _text("/proc/net/protocols").splitlines()[1:])
    disabled = _text("/proc/sys/kernel/modules_disabled").strip() == "1"
    return Kernel(aliases, frozenset(forbidden), frozenset(names), loads=not disabled, has_gate=os.path.exists(PINS))


_PLACES = tuple(f"{place}/modprobe.d" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))


def _text(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""
