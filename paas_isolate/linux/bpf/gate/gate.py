"""Who lays the gate, fills it, looks at it and takes it away."""

import hashlib
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from paas_isolate.linux.bpf import call
from paas_isolate.linux.bpf.gate import content
from paas_isolate.linux.bpf.gate.frame import Maps, Terms
from paas_isolate.linux.bpf.gate.hooks import HOOKS, Hook
from paas_isolate.linux.bpf.gate.pins import LAYOUTS, Pins
from paas_isolate.linux.bpf.table import BpfMap
from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.system import mounts
from paas_isolate.linux.system.machine import kernel_version
from paas_isolate.model import tree
from paas_isolate.model.account import Tree
from paas_isolate.model.network import Gate, Pools

PINS = "/sys/fs/bpf/paas-isolate"
_TYPES = "/sys/kernel/btf/vmlinux"
_FIRST = bytes(4)
_SO_NETNS_COOKIE = 71
_TRAFFIC = struct.Struct("=4Q")
_ID = struct.Struct("=Q")
_SINCE = (5, 14)
"""Linux that asks for the cookie of a socket's network namespace; binding a low port came with 5.12."""


class Traffic(NamedTuple):
    """Bytes and packets of an account's cgroup since its first packet; IP headers count, those of the link do not."""

    bytes_in: int
    packets_in: int
    bytes_out: int
    packets_out: int


class AttachPoints(NamedTuple):
    """Where the gate hangs: pins below a bpffs; the programs on `cgroup`, those that count on `users`, whose children
    are the accounts. Absolute paths."""

    pins: str
    cgroup: str
    users: str


def attach_points(wanted: Tree, location: TreeLocation) -> AttachPoints:
    """At the hierarchy's root: who has slipped out of the tree is a customer still. At the tree's own where `tree.root`
    says that no more than that is ours."""
    return AttachPoints(PINS, location.root if wanted.root else location.mount, os.path.join(location.root, tree.USERS))


class BpfGate:
    """The gate of this network namespace. Every method that changes something raises OSError, or HostError with the
    verifier's words."""

    def __init__(self, pools: Pools, spots: AttachPoints) -> None:
        self._pools = pools
        self._spots = spots
        self._pins = Pins(spots.pins)

    def unable(self) -> str:
        """Why this machine cannot have a gate; '' when it can."""
        if kernel_version() < _SINCE:
            return f"Linux {os.uname().release} is too old; {_SINCE[0]}.{_SINCE[1]} is needed"
        if os.geteuid() != 0:
            return "only root may look"
        if not os.path.exists(_TYPES):
            return f"the kernel does not tell its types: {_TYPES} is missing (CONFIG_DEBUG_INFO_BTF)"
        above = os.path.dirname(self._spots.pins)
        if not any(mount.kind == "bpf" and mount.point == above for mount in mounts.mounts()):
            return f"no bpffs at {above}: mount -t bpf bpf {above}"
        return ""

    def there(self) -> bool:
        """Whether anything of a gate is there, whole or not."""
        return os.path.isdir(self._spots.pins)

    def observe(self) -> Gate | None:
        """What the gate holds; None when there is none, or one that is not whole, of another version or other pools."""
        if self._laid() != self._fingerprint() or not self._attached():
            return None
        with self._opened("homes") as homes, self._opened("peers") as peers:
            return content.gate_of(homes.items(), peers.items()) if homes and peers else None

    def set(self, wanted: Gate, found: Gate | None) -> None:
        """By element where it is as it was found, else all of it. No instant is without a gate that was there."""
        if found is None:
            self._pins.make()
            self._fill(wanted)
            self._lay()
            return
        with self._opened("homes") as homes, self._opened("peers") as peers:
            if homes and peers:
                new, old = content.differing(wanted, found)
                _change(homes, content.homes(new), content.homes(old))
                _change(peers, content.peers(wanted), content.peers(found))
        if found.homes.keys() - wanted.homes.keys():
            self._forget()

    def remove(self) -> None:
        self._pins.clear()

    def traffic(self) -> dict[str, Traffic]:
        """By the name of the account's directory."""
        with self._opened("traffic") as table:
            counted = table.items() if table else {}
        return {name: Traffic(*_TRAFFIC.unpack(counted[key])) for key, name in self._accounts() if key in counted}

    def _accounts(self) -> Iterator[tuple[bytes, str]]:
        """A cgroup's id is its inode."""
        with suppress(FileNotFoundError), os.scandir(self._spots.users) as entries:
            yield from ((_ID.pack(entry.inode()), entry.name) for entry in entries if entry.is_dir())

    def _forget(self) -> None:
        """The counters of cgroups that are gone."""
        kept = {key for key, _ in self._accounts()}
        with self._opened("traffic") as table:
            if table:
                for key in table.items().keys() - kept:
                    table.drop(key)

    def _fill(self, wanted: Gate) -> None:
        with self._maps() as maps:
            for number, entries in ((maps.homes, content.homes(wanted)), (maps.peers, content.peers(wanted))):
                table = BpfMap(number)
                _change(table, entries, table.items())

    def _lay(self) -> None:
        with self._maps() as maps, self._opened("laid") as laid:
            assert laid is not None  # the maps are opened together
            terms = self._terms(maps)
            programs = [(hook, path, hook.program(terms)) for hook, path in self._hooks()]
            laid.put(_FIRST, bytes(32))
            for hook, path, code in programs:
                self._place(hook, path, code)
            laid.put(_FIRST, self._fingerprint())

    def _place(self, hook: Hook, path: str, code: bytes) -> None:
        """The program of one hook, in the place of the one before."""
        program = call.load_program(f"paas_{hook.name}"[:15], hook.kind, hook.attach, code)
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with self._pins.opened(hook.name) as link:
                if link is not None and call.link_of(link).cgroup == os.fstat(directory).st_ino:
                    call.replace(link, program)
                    return
            made = call.link(program, directory, hook.attach)
            try:
                self._pins.keep(hook.name, made)
            finally:
                os.close(made)
        finally:
            os.close(directory)
            os.close(program)

    def _attached(self) -> bool:
        return all(self._hangs(hook, path) for hook, path in self._hooks())

    def _hangs(self, hook: Hook, path: str) -> bool:
        with self._pins.opened(hook.name) as link:
            return link is not None and call.link_of(link).cgroup == os.stat(path).st_ino

    def _hooks(self) -> list[tuple[Hook, str]]:
        """Each with its cgroup. Nobody counts while no account is there."""
        both = [(hook, self._spots.users if hook.counts else self._spots.cgroup) for hook in HOOKS]
        return [(hook, path) for hook, path in both if os.path.isdir(path)]

    def _laid(self) -> bytes | None:
        with self._opened("laid") as laid:
            return laid.get(_FIRST) if laid else None

    def _fingerprint(self) -> bytes:
        """Of every instruction, so that a newer version is seen."""
        terms = self._terms(Maps(0, 0, 0, 0))
        return hashlib.sha256(b"".join(hook.program(terms) for hook in HOOKS)).digest()

    def _terms(self, maps: Maps) -> Terms:
        return Terms(maps, self._pools, _netns(), _depth(self._spots.users) + 1)

    @contextmanager
    def _maps(self) -> Iterator[Maps]:
        """All of them, made where they are missing."""
        with ExitStack() as stack:
            made = {name: self._pins.table(name) for name in LAYOUTS}
            for descriptor in made.values():
                stack.callback(os.close, descriptor)
            yield Maps(made["homes"], made["peers"], made["names"], made["traffic"])

    @contextmanager
    def _opened(self, name: str) -> Iterator[BpfMap | None]:
        with self._pins.opened(name) as descriptor:
            yield BpfMap(descriptor) if descriptor is not None else None


def _change(table: BpfMap, wanted: Mapping[bytes, bytes], found: Mapping[bytes, bytes]) -> None:
    """Who comes is let in before who goes is shut out."""
    table.put_all({key: value for key, value in wanted.items() if found.get(key) != value})
    for key in found.keys() - wanted.keys():
        table.drop(key)


def _depth(cgroup: str) -> int:
    """Levels below the hierarchy's root."""
    return os.path.relpath(cgroup, mounts.cgroup2().point).count("/") + 1


def _netns() -> int:
    """The cookie of the network namespace that we are in (Linux 5.14)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
