"""Questions about nftables that the kernel answers in one message; libnftables would list every element first.

See linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
"""

import socket
import struct
from collections import deque
from contextlib import suppress

from paas_isolate.linux.network import netlink
from paas_isolate.linux.network.netlink import Message, attribute, attributes

_NETFILTER = 12  # NETLINK_NETFILTER
_NFTABLES = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_TABLE, _NEW_TABLE, _GET_GENERATION = 1, 0, 16  # NFT_MSG_…
_NFPROTO = {"": 0, "inet": 1}
_NFGENMSG = struct.Struct("=BBH")  # struct nfgenmsg: family, version, resource
_GENERATION = 1  # NFTA_GEN_ID
_TABLE_NAME = 1  # NFTA_TABLE_NAME
_ours = deque[int](maxlen=64)
"""Generations that transactions of this process or of its children have made."""


def generation() -> int:
    """The number of the last transaction in this network namespace, which grows by one with each; 0 where the kernel
    has no nftables."""
    with suppress(OSError):
        _, body = _ask(_GET_GENERATION)
        return int.from_bytes(dict(attributes(body, _NFGENMSG.size)).get(_GENERATION, b""))
    return 0


def remember(before: int, transactions: int) -> bool:
    """Note that this process has had so many transactions since the generation `before`. Whether nobody else had one
    meanwhile; otherwise nothing is noted."""
    if not before or generation() != before + transactions:
        return False
    _ours.extend(range(before + 1, before + transactions + 1))
    return True


def was_ours(made: int) -> bool:
    """Whether `remember` has noted the transaction that made this generation."""
    return made in _ours


def has_table(table: str) -> bool:
    """Whether there is a table of this family and name, such as `inet paas_isolate`. OSError where the kernel has no
    nftables."""
    family, _, name = table.partition(" ")
    kind, _ = _ask(_GET_TABLE, family, attribute(_TABLE_NAME, name.encode() + b"\0"))
    return kind == _NFTABLES | _NEW_TABLE


def _ask(verb: int, family: str = "", body: bytes = b"") -> tuple[int, bytes]:
    """Kind and body of the first message of the answer."""
    request = Message(_NFTABLES | verb, netlink.REQUEST, _NFGENMSG.pack(_NFPROTO[family], 0, 0) + body, number=1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as netfilter:
        netfilter.send(netlink.pack(request))
        kind, _, _, answer = next(netlink.messages(netfilter.recv(4096)))
    return kind, answer
