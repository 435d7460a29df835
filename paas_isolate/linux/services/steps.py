"""Carries out steps of services: starting, asking to stop, killing, with a note of each in the run's record."""

import time
from collections.abc import Collection, Mapping
from functools import partial

from paas_isolate.errors import HostError, Trouble
from paas_isolate.linux.cgroup.counters import oom_kills
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import pidfd
from paas_isolate.linux.services.launch import LeafFullError, launch
from paas_isolate.linux.services.records import RunRecords
from paas_isolate.model.run import MANY, PERIOD, Run
from paas_isolate.model.service_program import Launch
from paas_isolate.model.steps.service import (
    ForgetRun,
    GiveUp,
    Kill,
    NotifyFailure,
    SaveResult,
    ScheduleJob,
    ServiceStep,
    Start,
    Stop,
)


def apply_service_step(cgroups: CgroupTree, records: RunRecords, step: ServiceStep) -> None:
    """Carry out one step. OSError where the record or the cgroup cannot be used; HostError where a program cannot be
    started (LeafFullError where its leaf is full)."""
    match step:
        case Start(path, begin):
            starved = oom_kills(cgroups, path)
            with records.begin(path, begin.digest, starved) as (record, starts):
                last = len(starts) == MANY and starts[-1] - starts[0] < PERIOD
                _start(cgroups, records, path, begin._replace(last_try=last), record)
        case Stop(path, reason, timeout, tidy):
            if records.read(path) is None:  # without a record, which may be lost, it would be asked again for ever
                records.wait(path, "")
            now = time.time()
            word = "tidied" if tidy else "asked"
            records.add(path, word, f"{now:.3f}", f"{now + timeout / 1000:.3f}", reason)
            for pid in cgroups.pids(path):
                pidfd.request_stop(pid)
        case Kill(path):
            cgroups.kill(path)
            records.note_kill(path)
        case GiveUp(path):
            records.add(path, "given-up")
        case ScheduleJob(path, digest):
            records.wait(path, digest)
        case SaveResult(path, result):
            records.remember(path, result)
        case NotifyFailure(path, of, how):
            with records.added(path) as record, cgroups.directory(path) as leaf:
                launch(of, leaf, record, records.views, ended=how)
            records.add(path, "told")
        case ForgetRun(path):
            records.forget(path)


def _start(cgroups: CgroupTree, records: RunRecords, path: str, begin: Launch, record: int) -> None:
    """Start the program. Where that fails, the record tells why, and OSError or HostError is raised again."""
    try:
        with cgroups.directory(path) as leaf:
            launch(begin, leaf, record, records.views)
    except LeafFullError as error:
        records.note_failure(path, "failed", str(error))
        raise
    except (OSError, HostError) as error:
        records.note_failure(path, "waiting", str(error))
        raise


def runs(
    cgroups: CgroupTree,
    records: RunRecords,
    members: Mapping[str, tuple[int, ...]],
    leaves: Collection[str] | None = None,
    broken: dict[str, Trouble] | None = None,
) -> dict[str, Run]:
    """The last run of each leaf, or of those in `leaves`, by its record and the kernel. `members` has the pids in each
    leaf. Exceptions are added to `broken` by account directory; without `broken` they are raised."""
    return records.observe(members, partial(oom_kills, cgroups), leaves, broken)
