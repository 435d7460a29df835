"""Supervision of services: what each program is started with, and which should run at this moment.

Pure: the result depends only on the fleet, the runs and the time. For all that waits, it says until when.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.changes.jobs import idle_until, job_wants
from paas_isolate.changes.knob_compiler import replicas
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet, Service
from paas_isolate.model.run import FOREVER, MANY, PERIOD, DesiredServices, Run
from paas_isolate.model.service_program import ALWAYS, ON_FAILURE, Launch, ServiceProgram
from paas_isolate.model.world import Knobs
from paas_isolate.units import CPU_PERIOD


class ManagedService(NamedTuple):
    """One program that paas-isolate runs. `inactive_reason` is why it must not run now, '' where it may. `untouched`:
    nothing is done to it, whether it runs or not."""

    launch: Launch
    program: ServiceProgram
    siblings: tuple[str, ...]
    """The leaves of all replicas of its service, its own too."""
    digest: str = ""
    """Launch.digest of `launch`."""
    inactive_reason: str = ""
    untouched: bool = False

    @property
    def is_job(self) -> bool:
        return bool(self.program.schedule)


ManagedServices = Mapping[str, ManagedService]


def managed_services(
    fleet: Fleet, cgroups: Mapping[str, Knobs], frozen: Collection[str], stopped: Collection[str]
) -> tuple[dict[str, ManagedService], dict[str, str]]:
    """The programs by leaf, and the reasons why others cannot run, by leaf. `cgroups` are the desired knobs. `frozen`
    are accounts and services (`alice`, `alice/web`, by directory) that are frozen, `stopped` are services that an
    administrator has stopped."""
    managed: dict[str, ManagedService] = {}
    unmet: dict[str, str] = {}
    for account in fleet.accounts.values():
        for service in account.services:
            if not service.work.run:
                continue
            uid = account.uids.get(account.owner)
            if uid is None and account.name in fleet.on_last_good:
                continue  # the reason is in on_last_good already
            if uid is None or not account.home:
                unmet[tree.leaf(account.directory, service.name)] = (
                    f"{account.name}/{service.name} cannot run: {_owner(account)}"
                )
                continue
            inactive = _inactive(fleet, account, service, frozen, stopped)
            called = fleet.renamed.get(account.owner, "")
            managed.update(_programs(account, service, uid, called, cgroups, inactive))
    return managed, unmet


def _owner(account: Account) -> str:
    return (
        f"its owner {account.owner} has no home"
        if account.owner in account.uids
        else f"its owner {account.owner} is exempt"
    )


def _inactive(
    fleet: Fleet, account: Account, service: Service, frozen: Collection[str], stopped: Collection[str]
) -> tuple[str, bool]:
    """Its `inactive_reason`, and whether it is `untouched`."""
    name = f"{account.directory}/{service.name}"
    if account.uids.get(account.owner) in fleet.doubtful:
        return "its user may be another person now", True
    if account.directory in frozen or name in frozen:
        return "frozen", True
    if account.suspended:
        return "the account is suspended", fleet.host.suspension == "freeze"
    return ("stopped by hand" if name in stopped else ""), False


def _programs(
    account: Account, service: Service, uid: int, called: str, cgroups: Mapping[str, Knobs], inactive: tuple[str, bool]
) -> Iterator[tuple[str, ManagedService]]:
    program = service.work.complete()
    leaves = tuple(tree.leaf(account.directory, replica.name) for replica in replicas(service))
    for index, leaf in enumerate(leaves, 1):
        info = tuple(_info_env(cgroups.get(leaf, {}), cgroups.get(tree.account(account.directory), {})))
        launch = _launch(account, service, program, index, uid)
        launch = launch._replace(info_env=info, called=called)
        yield leaf, ManagedService(launch, program, leaves, launch.digest, *inactive)


def _launch(account: Account, service: Service, program: ServiceProgram, index: int, uid: int) -> Launch:
    assert program.log and program.on_failure and program.no_new_privs is not None  # complete() sets them
    name = service.name if index == 1 else f"{service.name}.{index}"
    return Launch(
        account=account.name,
        service=service.name,
        number=index,
        user=account.owner,
        uid=uid,
        command=program.run,
        directory=_at_home(program.directory, account.home),
        environment=(*_environment(account, service, index), *sorted(program.environment.items())),
        environment_file=_at_home(program.environment_file, account.home),
        log=f"{account.home}/logs/{name}.log",
        log_max=program.log.max,
        log_keep=program.log.keep,
        umask=program.umask,
        rlimits=tuple(sorted(program.rlimits.items())),
        no_new_privs=program.no_new_privs,
        health=program.health,
        on_failure=program.on_failure,
        port=service.listen and service.listen + index - 1,
        addresses=account.addresses,
        view=account.directory if account.view else "",
        is_job=bool(program.schedule),
    )


def _at_home(path: str, home: str) -> str:
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _environment(account: Account, service: Service, index: int) -> Iterator[tuple[str, str]]:
    """The variables that we set for every program. The customer's own come after these."""
    yield "ACCOUNT", account.name
    yield "SERVICE", service.name
    yield "INDEX", str(index)
    if service.listen:
        yield "PORT", str(service.listen + index - 1)
    for address in account.addresses:
        yield ("ADDRESS6" if ":" in address else "ADDRESS"), address


def _info_env(leaf: Knobs, account: Knobs) -> Iterator[tuple[str, str]]:
    """The limits of a program: MEMORY_MAX in bytes, CPU_MAX in cores. What is unlimited is left out."""
    both = (leaf, account)
    memory = [int(text) for knobs in both if (text := knobs.get("memory.max", "max")) != "max"]
    quotas = [int(text) for knobs in both if (text := knobs.get("cpu.max", "max").split()[0]) != "max"]
    if memory:
        yield "MEMORY_MAX", str(min(memory))
    if quotas:
        yield "CPU_MAX", f"{min(quotas) / CPU_PERIOD:g}"


def desired_services(
    managed: ManagedServices,
    runs: Mapping[str, Run],
    populated: Collection[str],
    now: float,
    ready: Callable[[ManagedServices, Mapping[str, Run]], Collection[str]],
) -> DesiredServices:
    """What should run at `now` (seconds since the epoch). `runs` are the last runs by leaf, `populated` the leaves with
    any process. `ready` returns the leaves of the programs that run and listen; it is called only where one of several
    replicas waits for the others."""
    launches: dict[str, Launch | None] = {}
    given_up: dict[str, str] = {}
    waiting: set[str] = set()
    due_times: dict[str, float] = {}
    final: set[str] = set()
    missed: set[str] = set()
    stopping = {leaf for leaf, run in runs.items() if run.alive and run.stop_requested_at}
    ending = {leaf for leaf, run in runs.items() if run.stop_requested_at and leaf in populated}
    for leaf, service in managed.items():
        last = runs.get(leaf)
        wants, when = _wants(service, last, now)
        if service.is_job and service.inactive_reason:
            when = idle_until(service.program.schedule, last, lives=leaf in populated)
            missed |= {leaf} if when <= now else set()
        if last and leaf in ending and not service.untouched:
            when = min(when, last.kill_due)
        if when < FOREVER:
            due_times[leaf] = when
        final |= {leaf} if wants is None else set()
        if service.untouched:
            launches[leaf] = None
        elif wants is None and last and not last.given_up and leaf not in ending and _loops(service, last):
            given_up[leaf] = _too_many(last)
        elif wants and _has_turn(service, last, leaf, stopping, lambda: ready(managed, runs)):
            launches[leaf] = service.launch
            stopping |= {leaf} if last and last.alive and _stale(service, last) else set()
        elif wants:
            launches[leaf] = None
            waiting |= set() if service.is_job else {leaf}
    due_times |= {leaf: runs[leaf].kill_due for leaf in ending if leaf not in managed}  # still to be killed
    # A replica that has ended for good, or was given up, never becomes ready: others do not poll for it.
    waiting = {leaf for leaf in waiting if final.isdisjoint(managed[leaf].siblings)}
    due_times |= {leaf: min(due_times.get(leaf, FOREVER), now + 1) for leaf in waiting}
    return DesiredServices(
        launches,
        {leaf: service.inactive_reason for leaf, service in managed.items() if service.inactive_reason},
        given_up,
        {leaf: service.program.stop_timeout or 0 for leaf, service in managed.items()},
        frozenset(leaf for leaf, service in managed.items() if service.is_job),
        frozenset(
            leaf for leaf, service in managed.items() if (last := runs.get(leaf)) and _must_be_replaced(service, last)
        ),
        frozenset(waiting),
        due_times,
        frozenset(missed),
        {
            leaf: service.launch
            for leaf, service in managed.items()
            if leaf not in populated and _is_unreported(service, runs.get(leaf))
        },
    )


def _too_many(run: Run) -> str:
    ended = f"the last ended with {run.how_it_ended}"
    if run.failed_starts >= MANY:
        return f"{MANY} starts in a row did not begin, {ended}"
    return f"{MANY} starts in {PERIOD:.0f} s, {ended}"


def _loops(service: ManagedService, run: Run) -> bool:
    if run.alive or service.inactive_reason or service.is_job or run.end.why_waiting:
        return False
    return run.looping and starts_again(service, run)


def _wants(service: ManagedService, run: Run | None, now: float) -> tuple[bool | None, float]:
    """Whether it should run now (None: it should not, and that changes only by an order or an edit), and the time at
    which that may change."""
    if service.inactive_reason:
        return None, FOREVER
    if service.is_job:
        return job_wants(service.program.schedule, run, now)
    if run is None or run.alive or run.clean_restart or run.digest != service.digest or not run.starts:
        return True, FOREVER
    if run.given_up or (not run.end.why_waiting and (run.looping or not starts_again(service, run))):
        return None, FOREVER
    return (True, FOREVER) if now >= run.ready_at else (False, run.ready_at)


def starts_again(service: ManagedService, run: Run) -> bool:
    """Whether the program is started again after the end of this run, by its `restart`."""
    return service.program.restart == ALWAYS or (service.program.restart == ON_FAILURE and not run.end.well)


def _has_turn(
    service: ManagedService, run: Run | None, leaf: str, stopping: Collection[str], ready: Callable[[], Collection[str]]
) -> bool:
    """Whether it may be started or replaced now. Replicas are replaced one at a time, while all others are ready.
    `stopping` are the leaves whose programs were asked to end, or are about to be."""
    if run is None or not run.alive or run.unhealthy or run.stop_requested_at or not _stale(service, run):
        return True
    if service.is_job:
        return False
    others = {*service.siblings} - {leaf}
    return not others or (others.isdisjoint(stopping) and others <= {*ready()})


def _is_unreported(service: ManagedService, run: Run | None) -> bool:
    return bool(run and run.failure_unreported and service.launch.on_failure.is_wanted and not service.inactive_reason)


def _must_be_replaced(service: ManagedService, run: Run) -> bool:
    return run.unhealthy or _stale(service, run)


def _stale(service: ManagedService, run: Run) -> bool:
    return run.restart_requested or run.digest != service.digest


def scaled(fleet: Fleet, numbers: Mapping[str, int]) -> Fleet:
    """The fleet with the numbers of replicas that an administrator has ordered, by service (`alice/web`, by
    directory)."""
    if not numbers:
        return fleet
    accounts = dict(fleet.accounts)
    directories = {target.partition("/")[0] for target in numbers}
    for account in fleet.accounts.values():
        if account.directory in directories:
            services = tuple(
                _scaled(service, numbers.get(f"{account.directory}/{service.name}")) for service in account.services
            )
            accounts[account.name] = account._replace(services=services)
    return fleet._replace(accounts=accounts)


def _scaled(service: Service, number: int | None) -> Service:
    return service if number is None else service._replace(work=service.work._replace(replicas=number))
