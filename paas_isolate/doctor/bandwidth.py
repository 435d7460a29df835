"""Bandwidth: whether what accounts are sold can be kept on the interfaces of this machine, and is."""

import os
from collections.abc import Iterator

from paas_isolate.changes.bandwidth import bandwidth_now, bandwidth_steps, desired_bandwidth, foreign_root
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.model.account import Fleet
from paas_isolate.model.bandwidth import Bandwidth
from paas_isolate.text import counted

_NAME = "bandwidth"


def examine(fleet: Fleet) -> Iterator[Check]:
    """Nothing where no account is sold bandwidth."""
    desired = desired_bandwidth(fleet)
    if not desired.sold:
        return
    if os.geteuid() != 0:
        yield Check(_NAME, Verdict.SKIPPED, "only root can read it")
        return
    from paas_isolate.linux.network.bandwidth import HostBandwidth  # a machine without bandwidth does not pay for it

    try:
        observed = HostBandwidth("").observe()
    except OSError as error:
        yield Check(_NAME, Verdict.FAILED, f"the interfaces cannot be read: {error.strerror}")
        return
    yield from of_interfaces(desired, observed)
    yield _in_place(desired, observed)


def of_interfaces(desired: Bandwidth, observed: Bandwidth) -> Iterator[Check]:
    """A failed check for each interface on which nothing that accounts send can be limited."""
    if any(sold.out is not None for sold in desired.sold.values()):
        for name, each in (observed.interfaces or {}).items():
            if each.foreign:
                yield Check(f"bandwidth of {name}", Verdict.FAILED, *foreign_root(name, each.foreign))


def _in_place(desired: Bandwidth, observed: Bandwidth) -> Check:
    now = bandwidth_now(desired, observed)
    steps = len(list(bandwidth_steps(now, observed)))
    if steps:
        return Check(_NAME, Verdict.FAILED, f"{counted(steps, 'change')} to make", "paas-isolate reconcile")
    where = f"on {', '.join(sorted(now.interfaces))}" if now.interfaces else "no interface is shaped"
    return Check(_NAME, Verdict.OK, f"of {counted(len(desired.sold), 'account')}, {where}")
