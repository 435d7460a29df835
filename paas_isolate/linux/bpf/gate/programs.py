"""The compiled programs of the gate (gate.bpf.c) with their constants."""

import functools
import hashlib
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.linux.bpf import libbpf
from paas_isolate.linux.system import packages
from paas_isolate.model.network import Pools
from paas_isolate.model.network import network as network_of

FILE = os.path.join(os.path.dirname(__file__), "gate.bpf.o")
_CONSTANTS = struct.Struct("=Q4s4s16s16sI4xQ")
"""struct constants of gate.bpf.c."""
_SECTION = ".rodata.gate"
_SO_NETNS_COOKIE = 71


class Constants(NamedTuple):
    """What the programs are loaded with. `level` is the depth of the accounts' cgroups below the hierarchy's root,
    `netns` the cookie of the network namespace that the gate is for, `users` the id of the cgroup whose children the
    accounts' cgroups are; 0 where there is none."""

    pools: Pools
    level: int
    netns: int
    users: int

    def pack(self) -> bytes:
        (network4, mask4), (network6, mask6) = network_of(self.pools.v4), network_of(self.pools.v6)
        return _CONSTANTS.pack(self.netns, network4, mask4, network6, mask6, self.level, self.users)

    def fingerprint(self) -> bytes:
        """A digest of programs and constants: those of another version or of other pools have another. HostError where
        the compiled programs are missing."""
        return hashlib.sha256(_content() + self.pack()).digest()


def missing() -> str:
    """Why the programs cannot be loaded here; '' where nothing is missing."""
    try:
        _content()
        libbpf.load_library()
    except HostError as error:
        return str(error)
    return ""


@contextmanager
def opened(constants: Constants) -> Iterator[libbpf.BpfObject]:
    """The programs, opened and not yet loaded. HostError where they or libbpf are missing."""
    with libbpf.opened("gate.bpf.o", _content()) as programs:
        programs.set_constants(_SECTION, constants.pack())
        yield programs


@functools.cache
def _content() -> bytes:
    try:
        with open(FILE, "rb") as file:
            return file.read()
    except OSError as error:
        raise HostError(f"{FILE}: {error.strerror}", hint=packages.reinstall("paas-isolate")) from error


def netns_cookie() -> int:
    """The cookie of our network namespace (SO_NETNS_COOKIE, Linux 5.14)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
