"""The hand for services that paas-isolate runs: beginning, asking to end, killing, and noting each in the record."""

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
    """Carry out one step. OSError, HostError."""
    match step:
        case Start(path, begin):
            starved = oom_kills(cgroups, path)
            with records.begin(path, begin.digest, starved) as (record, begun):
                last = len(begun) == MANY and begun[-1] - begun[0] < PERIOD
                _start(cgroups, records, path, begin._replace(last_try=last), record)
        case Stop(path, because, timeout, tidy):
            if records.read(path) is None:  # lost, or never ours: what has no record would be asked for ever
                records.wait(path, "")
            now = time.time()
            word = "tidied" if tidy else "asked"
            records.add(path, word, f"{now:.3f}", f"{now + timeout / 1000:.3f}", because)
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
    """Notes in the record of the run why there is none, where there is none: OSError, HostError."""
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
    """What ran last in each leaf, or in these, as its record and the kernel tell it. `broken` hears what was raised
    meanwhile, by account directory; without it, that is raised here."""
    return records.observe(members, partial(oom_kills, cgroups), leaves, broken)
