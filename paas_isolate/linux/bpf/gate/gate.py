"""Attaches the gate, fills its maps, observes it and removes it."""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from paas_isolate.linux.bpf import call
from paas_isolate.linux.bpf.gate import content
from paas_isolate.linux.bpf.gate import programs as compiled
from paas_isolate.linux.bpf.gate.hooks import HOOKS, Hook, Place
from paas_isolate.linux.bpf.gate.pins import MAPS, Pins
from paas_isolate.linux.bpf.gate.programs import Constants, netns_cookie
from paas_isolate.linux.bpf.gate.selftest import check_refusal
from paas_isolate.linux.bpf.gate.traffic import ID, Counted, Traffic, counted
from paas_isolate.linux.bpf.libbpf import BpfObject
from paas_isolate.linux.bpf.table import BpfMap
from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.system import mounts
from paas_isolate.linux.system.machine import kernel_version
from paas_isolate.model import tree
from paas_isolate.model.account import Tree
from paas_isolate.model.network import PINS, Gate, Pools

_TYPES = "/sys/kernel/btf/vmlinux"
_FIRST = bytes(4)
_U32 = struct.Struct("=I")
_TRANSLATES, _LEAVES = map(_U32.pack, range(2))
"""enum state of gate.bpf.c."""
_NAMESPACE = "/proc/self/ns/net"
_SINCE = (6, 1)
"""The first Linux with cgroup.ancestors; sk_lookup programs know the interface since 5.17."""


class AttachPoints(NamedTuple):
    """Where the gate is attached: its pins are in the directory `pins` of a bpffs; its programs are on `cgroup`;
    the children of `users` are the accounts' cgroups. Absolute paths."""

    pins: str
    cgroup: str
    users: str


def attach_points(wanted: Tree, location: TreeLocation) -> AttachPoints:
    """The hierarchy's root, so that customers' processes outside the tree are checked, too; where `tree.root` is set,
    the tree's own root, for nothing else is ours then."""
    return AttachPoints(PINS, location.root if wanted.root else location.mount, os.path.join(location.root, tree.USERS))


class BpfGate:
    """The gate of this network namespace. Methods that change something raise OSError, or HostError with the end of the
    verifier's log."""

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
        return compiled.missing()

    def there(self) -> bool:
        """Whether anything of a gate is there, whole or not."""
        return os.path.isdir(self._spots.pins)

    def observe(self, cgroups: Mapping[bytes, str] | None = None) -> Gate | None:
        """What the gate holds; None when there is none, or one that is incomplete, of another version or of other
        pools. `cgroups` is what `accounts` returns, where the caller has it. Reads only."""
        if self._stored_fingerprint() != self._constants().fingerprint() or not self._attached():
            return None
        with self._opened("homes") as homes, self._opened("peers") as peers, self._opened("accounts") as accounts:
            if not homes or not peers or not accounts:
                return None
            found = accounts.items()
            known = self.accounts() if found and cgroups is None else cgroups or {}
            by_directory = {name: found[key] for key, name in known.items() if key in found}
            return content.gate_of(homes.items(), peers.items(), by_directory, self._state(_TRANSLATES))

    def set(self, wanted: Gate, found: Gate | None) -> None:
        """Change the gate by element where `found` is what it holds, else (None) make all of it anew. A gate that is
        there works all the time."""
        if found is None:
            self._pins.make()
            with compiled.opened(self._constants()) as programs:
                self._load(programs)
                self._fill(programs, wanted)
                self._attach(programs)
            return
        with self._opened("homes") as homes, self._opened("peers") as peers, self._opened("accounts") as accounts:
            if homes and peers and accounts:
                new, old = content.differing(wanted, found)
                _change(homes, content.homes(new), content.homes(old))
                _change(peers, content.peers(wanted), content.peers(found))
                if wanted.subordinates != found.subordinates:
                    _change(accounts, self._subordinates(wanted), accounts.items())
        if wanted.translates != found.translates:
            with self._opened("states") as states:
                if states:
                    states.put(_TRANSLATES, _U32.pack(wanted.translates))
        if found.homes.keys() - wanted.homes.keys():
            self._drop_counters()

    def remove(self) -> None:
        """Detach the programs and drop the maps. A gate that is not there is no error."""
        self._pins.clear()

    def leaves(self) -> bool:
        """Whether a socket that is bound to an address of the pools has sent to another machine since the gate was
        there first."""
        return self._state(_LEAVES)

    def counted(self) -> Counted | None:
        """The traffic of each account by the inode of its cgroup; None where there is no gate. It walks all connections
        of this network namespace."""
        return counted(self._pins)

    def traffic(self) -> dict[str, Traffic]:
        """The traffic of each account by its directory's name; empty where there is no gate. It walks all connections
        of this network namespace."""
        found = self.counted()
        by_inode = found.traffic if found else {}
        named = ((ID.unpack(key)[0], name) for key, name in self._accounts())
        return {name: by_inode[inode] for inode, name in named if inode in by_inode}

    def accounts(self) -> dict[bytes, str]:
        """The directory of each account that has a cgroup, by its key in the maps of the gate."""
        return dict(self._accounts())

    def _subordinates(self, wanted: Gate) -> dict[bytes, bytes]:
        """The entries of the map of accounts, for those whose cgroup exists now."""
        known = wanted.subordinates
        return {key: content.account(known[name]) for key, name in self._accounts() if name in known} if known else {}

    def _accounts(self) -> Iterator[tuple[bytes, str]]:
        """Key in the map of traffic, and directory, of each account. A cgroup's id is its inode."""
        with suppress(FileNotFoundError), os.scandir(self._spots.users) as entries:
            yield from ((ID.pack(entry.inode()), entry.name) for entry in entries if entry.is_dir())

    def _drop_counters(self) -> None:
        """Those of cgroups that are gone."""
        existing = {key for key, _ in self._accounts()}
        with self._opened("traffic") as table:
            if table:
                for key in table.items().keys() - existing:
                    table.drop(key)

    def _load(self, programs: BpfObject) -> None:
        """Load the programs with the maps that are pinned; maps that are missing or of another layout are made anew."""
        pinned = {name: call.get(f"{self._pins.path}/{name}") for name in MAPS}
        try:
            kept = {
                name: descriptor
                for name, descriptor in pinned.items()
                if descriptor is not None and call.layout_of(descriptor) == programs.layout(name)
            }
            for name, descriptor in kept.items():
                programs.reuse_map(name, descriptor)
            programs.load()
        finally:
            for each in filter(None, pinned.values()):
                os.close(each)
        for name in MAPS:
            if name not in kept:
                self._pins.keep(name, programs.map_descriptor(name))

    def _fill(self, programs: BpfObject, wanted: Gate) -> None:
        entries = {
            "homes": content.homes(wanted),
            "peers": content.peers(wanted),
            "accounts": self._subordinates(wanted),
        }
        for name, own in entries.items():
            table = BpfMap(programs.map_descriptor(name))
            _change(table, own, table.items())
        BpfMap(programs.map_descriptor("states")).put(_TRANSLATES, _U32.pack(wanted.translates))

    def _attach(self, programs: BpfObject) -> None:
        """Attach all programs. The stored fingerprint is valid only when all of them are attached and refuse."""
        stored = BpfMap(programs.map_descriptor("laid"))
        stored.put(_FIRST, bytes(32))
        for hook, path in self._hooks():
            self._attach_one(hook, path, programs.program_descriptor(hook.name))
        check_refusal(self._pools, self._spots.cgroup)
        stored.put(_FIRST, self._constants().fingerprint())

    def _attach_one(self, hook: Hook, path: str, program: int) -> None:
        """Attach the program of a hook in the place of the one before."""
        target = os.open(path, os.O_RDONLY) if path else 0
        try:
            with self._pins.opened(hook.name) as link:
                if link is not None and hook.place is not Place.NOTHING and call.link_of(link).target == _inode(path):
                    call.replace(link, program)
                    return
            new = call.link(program, target, hook.attach)
            try:
                self._pins.keep(hook.name, new)
            finally:
                os.close(new)
        finally:
            if path:
                os.close(target)

    def _attached(self) -> bool:
        return all(self._is_attached(hook, path) for hook, path in self._hooks())

    def _is_attached(self, hook: Hook, path: str) -> bool:
        with self._pins.opened(hook.name) as link:
            return link is not None and call.link_of(link).target == _inode(path)

    def _hooks(self) -> list[tuple[Hook, str]]:
        """Each hook with the path of what it is attached to."""
        paths = {Place.CGROUP: self._spots.cgroup, Place.NAMESPACE: _NAMESPACE, Place.NOTHING: ""}
        return [(hook, paths[hook.place]) for hook in HOOKS]

    def _state(self, key: bytes) -> bool:
        with self._opened("states") as states:
            return bool(states and any(states.get(key) or b""))

    def _stored_fingerprint(self) -> bytes | None:
        with self._opened("laid") as stored:
            return stored.get(_FIRST) if stored else None

    def _constants(self) -> Constants:
        users = self._spots.users
        return Constants(self._pools, _depth(users) + 1, netns_cookie(), _inode(users) if os.path.isdir(users) else 0)

    @contextmanager
    def _opened(self, name: str) -> Iterator[BpfMap | None]:
        with self._pins.opened(name) as descriptor:
            yield BpfMap(descriptor) if descriptor is not None else None


def _inode(path: str) -> int:
    """0 for no path."""
    return os.stat(path).st_ino if path else 0


def _change(table: BpfMap, wanted: Mapping[bytes, bytes], found: Mapping[bytes, bytes]) -> None:
    """New entries are added before old ones are removed."""
    table.put_all({key: value for key, value in wanted.items() if found.get(key) != value})
    for key in found.keys() - wanted.keys():
        table.drop(key)


def _depth(cgroup: str) -> int:
    """How many levels a cgroup lies below the hierarchy's root."""
    return os.path.relpath(cgroup, mounts.cgroup2().point).count("/") + 1
