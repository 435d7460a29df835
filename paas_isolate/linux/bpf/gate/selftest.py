"""Whether a gate that was just attached refuses: a process of no customer tries to bind addresses of the pools."""

import os
import socket
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import enter
from paas_isolate.linux.process.child import run_forked
from paas_isolate.model.network import Pools

_NOBODY = 65534


def check_refusal(pools: Pools, cgroup: str) -> None:
    """Try it in a new cgroup below `cgroup`, an absolute path, which is removed again. HostError where a bind is not
    refused with EPERM; OSError where no process or cgroup can be had."""
    place = os.path.join(cgroup, f"gate-test-{os.getpid()}")
    os.mkdir(place)
    try:
        allowed = run_forked(lambda: _bound(pools, place), what="the test of the gate")
    finally:
        with suppress(OSError):  # EBUSY: the child has not quite ended; the next pass does not mind
            os.rmdir(place)
    if allowed:
        raise HostError(
            f"the gate is attached, but does not refuse to bind {' and '.join(allowed)}",
            hint="report this with the output of uname -a; until then the ruleset alone protects the accounts",
        )


def _bound(pools: Pools, cgroup: str) -> list[str]:
    """The addresses, one of each pool, that a process of no customer could bind, or failed to bind for another reason
    than the gate: its programs run before the kernel looks whether the address is this machine's."""
    enter(cgroup)
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    addresses = [pool.partition("/")[0] for pool in pools]
    return [address for address in addresses if not _is_refused(address)]


def _is_refused(address: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as client:
        try:
            client.bind((address, 0))
        except PermissionError:
            return True
        except OSError:
            return False
    return False
