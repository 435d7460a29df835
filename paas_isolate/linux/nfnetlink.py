"""What of nftables is asked of the kernel itself, in one message each way: libnftables lists every element first.

See linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
"""

import socket
import struct
from collections import deque

_NETFILTER = 12  # NETLINK_NETFILTER
_NFTABLES = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_TABLE, _NEW_TABLE, _GET_GENERATION = 1, 0, 16  # NFT_MSG_…
_NLM_F_REQUEST = 1
_NFPROTO = {"": 0, "inet": 1}
_HEAD = struct.Struct("=IHHIIBBH")  # struct nlmsghdr, struct nfgenmsg
_ATTRIBUTE = struct.Struct("=HH")
_TABLE_NAME = 1  # NFTA_TABLE_NAME
_ours = deque[int](maxlen=64)
"""Generations that transactions of this process, or of children of it, have made."""


def generation() -> int:
    """A number that changes with every transaction in this network namespace. OSError where there is no nftables."""
    return int(struct.unpack_from(">I", _ask(_GET_GENERATION), _HEAD.size + _ATTRIBUTE.size)[0])


def remember(before: int, transactions: int) -> bool:
    """Whether what this process has done since, and nothing else, has brought the generation to where it is."""
    if generation() != before + transactions:
        return False
    _ours.extend(range(before + 1, before + transactions + 1))
    return True


def was_ours(made: int) -> bool:
    return made in _ours


def has_table(table: str) -> bool:
    """Whether there is a table such as `inet paas_isolate`. OSError where there is no nftables."""
    family, _, name = table.partition(" ")
    text = name.encode() + b"\0"
    named = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(text), _TABLE_NAME) + text + bytes(-len(text) % 4)
    (kind,) = struct.unpack_from("=H", _ask(_GET_TABLE, family, named), 4)
    return bool(kind == _NFTABLES | _NEW_TABLE)


def _ask(verb: int, family: str = "", body: bytes = b"") -> bytes:
    """The first message of the answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as asking:
        size = _HEAD.size + len(body)
        asking.send(_HEAD.pack(size, _NFTABLES | verb, _NLM_F_REQUEST, 1, 0, _NFPROTO[family], 0, 0) + body)
        return asking.recv(4096)
