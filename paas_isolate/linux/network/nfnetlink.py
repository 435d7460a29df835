"""What of nftables is asked of the kernel itself, in one message each way: libnftables lists every element first.

See linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
"""

import socket
import struct
from collections import deque
from contextlib import suppress

from paas_isolate.linux.network.rtnetlink import attribute

_NETFILTER = 12  # NETLINK_NETFILTER
_NFTABLES = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_TABLE, _NEW_TABLE, _GET_GENERATION = 1, 0, 16  # NFT_MSG_…
_NLM_F_REQUEST = 1
_NFPROTO = {"": 0, "inet": 1}
_HEAD = struct.Struct("=IHHIIBBH")  # struct nlmsghdr, struct nfgenmsg
_GENERATION = _HEAD.size + 4  # behind the head of its attribute
_TABLE_NAME = 1  # NFTA_TABLE_NAME
_ours = deque[int](maxlen=64)
"""Generations that transactions of this process, or of children of it, have made."""


def generation() -> int:
    """A number that changes with every transaction in this network namespace; 0 where the kernel has no nftables."""
    with suppress(OSError):
        return int(struct.unpack_from(">I", _ask(_GET_GENERATION), _GENERATION)[0])
    return 0


def remember(before: int, transactions: int) -> bool:
    """Whether what this process has done since, and nothing else, has brought the generation to where it is."""
    if not before or generation() != before + transactions:
        return False
    _ours.extend(range(before + 1, before + transactions + 1))
    return True


def was_ours(made: int) -> bool:
    return made in _ours


def has_table(table: str) -> bool:
    """Whether there is a table such as `inet paas_isolate`. OSError where there is no nftables."""
    family, _, name = table.partition(" ")
    answer = _ask(_GET_TABLE, family, attribute(_TABLE_NAME, name.encode() + b"\0"))
    (kind,) = struct.unpack_from("=H", answer, 4)
    return bool(kind == _NFTABLES | _NEW_TABLE)


def _ask(verb: int, family: str = "", body: bytes = b"") -> bytes:
    """The first message of the answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as asking:
        size = _HEAD.size + len(body)
        asking.send(_HEAD.pack(size, _NFTABLES | verb, _NLM_F_REQUEST, 1, 0, _NFPROTO[family], 0, 0) + body)
        return asking.recv(4096)
