"""The condition of each program that paas-isolate runs, in words: for status, and for customers."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from paas_isolate.changes.jobs import next_run
from paas_isolate.changes.supervision import ManagedService, starts_again
from paas_isolate.model.run import Result, Run


class Condition(NamedTuple):
    """`state` is one word: running, starting, stopping, restarting, waiting, ended, stopped, suspended, frozen,
    unhealthy or failed; `detail` explains it, or is ''. `since` is when it was started, in seconds since the epoch, and
    `pid` its process; both are 0 where it does not run."""

    state: str
    detail: str = ""
    since: float = 0.0
    pid: int = 0
    given_up: bool = False
    """Whether it starts again only when it is changed or a start is ordered."""
    last: Mapping[str, float | None] | None = None
    """The last result of a job, from Result.plain()."""


def condition(service: ManagedService, run: Run | None, *, astray: str, now: float) -> Condition:
    """The condition of a program at `now` (seconds since the epoch). `astray` says where it listens instead of on its
    port and addresses; '' where it listens there."""
    result = _condition(service, run, astray, now)
    return result._replace(last=run.result.plain()) if run and run.result and service.is_job else result


def _condition(service: ManagedService, run: Run | None, astray: str, now: float) -> Condition:
    if run and run.alive:
        return _of_living(service, run, astray)
    if service.inactive_reason:
        state = {"frozen": "frozen", "stopped by hand": "stopped"}.get(service.inactive_reason, "suspended")
        return Condition(state, service.inactive_reason if state == "stopped" else "")
    if service.is_job:
        return _of_job(service, run)
    if run is None or not run.starts or run.clean_restart or run.digest != service.digest:
        return Condition("waiting", "it starts with the next run")
    if run.end.why_waiting and not run.given_up:
        return Condition("waiting", f"{run.end.why_waiting}; it is tried each minute")
    if not starts_again(service, run):
        return Condition("ended" if run.end.well else "failed", run.how_it_ended)
    last = f"the last ended with {run.how_it_ended}"
    if run.given_up or run.looping:
        return Condition("failed", f"too many starts in a short time, {last}", given_up=True)
    left = max(0, run.ready_at - now)
    return Condition("restarting", f"{last}; it starts again in {left:.0f} s")


def _of_living(service: ManagedService, run: Run, astray: str) -> Condition:
    living = Condition("running", since=run.starts[-1] if run.starts else 0.0, pid=run.pid)
    if run.stop_requested_at:
        return living._replace(state="stopping", detail=run.why)
    if service.inactive_reason == "frozen" or service.untouched:
        return living._replace(state="frozen")
    if not run.pid:
        return living._replace(state="starting", detail="its account has had no CPU time for it yet")
    if run.unhealthy:
        return living._replace(state="unhealthy", detail="its health checks fail")
    if astray:
        return living._replace(state="starting", detail=astray)
    if service.is_job:
        return living._replace(detail=_last_result(run.last) if run.last else "")
    restarts = len(run.starts) - 1
    return living._replace(detail=f"started {restarts + 1} times lately" if restarts and run.recent > 1 else "")


def _of_job(service: ManagedService, run: Run | None) -> Condition:
    if run is None:
        return Condition("waiting", "it is due from the next run on")
    at = next_run(service.program.schedule, run)
    when = "" if at == float("inf") else f"next at {_minute(at)}"
    if run.result is None:
        return Condition("waiting", when)
    state = "waiting" if run.result.end.well else "failed"
    return Condition(state, ", ".join(filter(None, (_last_result(run.result), when))))


def _last_result(result: Result) -> str:
    """`the last, of 2026-11-25 03:30, ended with exit status 3 (well at 2026-11-24 03:31)`."""
    last = f"the last, of {_minute(result.started)}, ended"
    if result.end.well:
        return f"{last} well"
    return f"{last} with {result.end} ({f'well at {_minute(result.succeeded)}' if result.succeeded else 'never well'})"


def _minute(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
