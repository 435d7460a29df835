"""Which program is attached at which hook. Numbers are those of `enum bpf_prog_type` and `enum bpf_attach_type`."""

from collections.abc import Callable
from typing import NamedTuple

from paas_isolate.linux.bpf.gate import bind, connect, count, names
from paas_isolate.linux.bpf.gate.frame import Terms

_SKB, _ADDRESS = 8, 18


class Hook(NamedTuple):
    """`name` is that of its pin, too; `program` makes the code."""

    name: str
    kind: int
    attach: int
    program: Callable[[Terms], bytes]

    @property
    def counts(self) -> bool:
        """Whether its program counts traffic; the others check addresses."""
        return self.kind == _SKB


HOOKS = (
    Hook("getsockname4", _ADDRESS, 31, names.own4),
    Hook("getsockname6", _ADDRESS, 32, names.own6),
    Hook("getpeername4", _ADDRESS, 29, names.peer4),
    Hook("getpeername6", _ADDRESS, 30, names.peer6),
    Hook("recvmsg4", _ADDRESS, 19, names.peer4),
    Hook("recvmsg6", _ADDRESS, 20, names.peer6),
    Hook("bind4", _ADDRESS, 8, bind.bind4),
    Hook("bind6", _ADDRESS, 9, bind.bind6),
    Hook("connect4", _ADDRESS, 10, connect.connect4),
    Hook("connect6", _ADDRESS, 11, connect.connect6),
    Hook("sendmsg4", _ADDRESS, 14, connect.send4),
    Hook("sendmsg6", _ADDRESS, 15, connect.send6),
    Hook("ingress", _SKB, 0, count.ingress),
    Hook("egress", _SKB, 1, count.egress),
)
