"""Which program is attached at which hook. Numbers are those of `enum bpf_attach_type` (linux/bpf.h)."""

from typing import NamedTuple


class Hook(NamedTuple):
    """`name` is that of the program in gate.bpf.c, and of the pin of its link. Programs that count traffic are attached
    to the cgroup whose children are the accounts' cgroups; the others check addresses."""

    name: str
    attach: int
    counts: bool = False


HOOKS = (
    Hook("getsockname4", 31),
    Hook("getsockname6", 32),
    Hook("getpeername4", 29),
    Hook("getpeername6", 30),
    Hook("recvmsg4", 19),
    Hook("recvmsg6", 20),
    Hook("bind4", 8),
    Hook("bind6", 9),
    Hook("connect4", 10),
    Hook("connect6", 11),
    Hook("sendmsg4", 14),
    Hook("sendmsg6", 15),
    Hook("create", 2),
    Hook("listens", 3),
    Hook("ingress", 0, counts=True),
    Hook("egress", 1, counts=True),
)
