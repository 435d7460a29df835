"""One look at what all accounts use now, for a scrape. It writes nothing, and keeps nothing until the next."""

import os
import time
from collections.abc import Iterator, Mapping

from paas_isolate import __version__
from paas_isolate.linux.cgroup import sampled
from paas_isolate.linux.cgroup.files import children_of, texts_of
from paas_isolate.linux.quota.devices import HomeDevices
from paas_isolate.metering.exposition import Limited, Measured, Snapshot, Sold
from paas_isolate.metering.reading import FAST, SLOW, cores_of, number, parse
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet

_KNOBS = ("memory.max", "memory.high", "memory.swap.max", "cpu.max", "pids.max")
_WHOLE = {"memory.events.local": "memory.events", "pids.events.local": "pids.events"}
"""An account's counts include those of its leaves, also of leaves that are gone."""
_OF_LEAF = (*FAST, *SLOW, *_KNOBS)
_OF_ACCOUNT = tuple(_WHOLE.get(name, name) for name in _OF_LEAF)


def snapshot(fleet: Fleet, root: str, run: str) -> Snapshot:
    """What the accounts of a fleet use. `root` is the path of the tree, `run` the directory of our files in /run.
    OSError where the tree cannot be opened."""
    begin = time.monotonic()
    leaves = fleet.host.metering is not None and fleet.host.metering.metrics.leaves
    sold, measured = [], []
    unreadable = 0
    devices = HomeDevices()
    users = os.open(os.path.join(root, tree.USERS), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for account in fleet.accounts.values():
            sold.append(Sold(account.name, account.plan or "", account.suspended))
            found = list(_of_account(users, account, devices, leaves=leaves))
            unreadable += not found
            measured += found
    finally:
        os.close(users)
    return Snapshot(sold, measured, __version__, _last_sample(run), unreadable, time.monotonic() - begin)


def _of_account(users: int, account: Account, devices: HomeDevices, *, leaves: bool) -> Iterator[Measured]:
    texts = texts_of(users, account.directory, _OF_ACCOUNT)
    if texts is None:
        return
    for local, whole in _WHOLE.items():
        if whole in texts:
            texts[local] = texts.pop(whole)
    device = devices.of(account.home)
    yield _measured(account.name, "", texts, device)
    for leaf in children_of(users, account.directory) if leaves else ():
        found = texts_of(users, f"{account.directory}/{leaf}", _OF_LEAF)
        if found is not None:
            yield _measured(account.name, leaf, found, device)


def _measured(account: str, leaf: str, texts: Mapping[str, bytes], device: str) -> Measured:
    limits = Limited(
        number(texts.get("memory.max")),
        number(texts.get("memory.high")),
        number(texts.get("memory.swap.max")),
        cores_of(texts.get("cpu.max", b"").decode("ascii", "replace")),
        number(texts.get("pids.max")),
    )
    return Measured(account, leaf, *parse(texts, device), limits)


def _last_sample(run: str) -> float | None:
    at = sampled.last(run)
    return None if at is None else time.time() - (sampled.boottime() - at) / 1000
