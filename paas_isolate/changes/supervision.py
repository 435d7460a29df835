"""Services that are kept running: what each is begun with, and which should run at this moment.

Pure: the same fleet, the same runs and the same time give the same answer. What waits says until when.
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
    """One program that paas-isolate keeps: how, and with what it is begun. `idle` is why it is not to run now, ''
    where it may; `as_it_is` that nothing is done to it, whatever it does."""

    launch: Launch
    program: ServiceProgram
    siblings: tuple[str, ...]
    """The leaves of all replicas."""
    digest: str = ""
    """Of the launch."""
    inactive_reason: str = ""
    untouched: bool = False

    @property
    def is_job(self) -> bool:
        return bool(self.program.schedule)


ManagedServices = Mapping[str, ManagedService]


def managed_services(
    fleet: Fleet, cgroups: Mapping[str, Knobs], held: Collection[str], stopped: Collection[str]
) -> tuple[dict[str, ManagedService], dict[str, str]]:
    """Every program by its leaf, and which cannot be had, with the reason. `held` and `stopped` are accounts and
    services (`alice`, `alice/web`, by directory) that are frozen, and that an administrator has stopped."""
    kept: dict[str, ManagedService] = {}
    unmet: dict[str, str] = {}
    for account in fleet.accounts.values():
        for service in account.services:
            if not service.work.run:
                continue
            uid = account.uids.get(account.owner)
            if uid is None and account.name in fleet.on_last_good:
                continue  # it has been said why
            if uid is None or not account.home:
                unmet[tree.leaf(account.directory, service.name)] = (
                    f"{account.name}/{service.name} cannot run: {_owner(account)}"
                )
                continue
            rest = _rest(fleet, account, service, held, stopped)
            called = fleet.renamed.get(account.owner, "")
            kept.update(_programs(account, service, uid, called, cgroups, rest))
    return kept, unmet


def _owner(account: Account) -> str:
    return (
        f"its owner {account.owner} has no home"
        if account.owner in account.uids
        else f"its owner {account.owner} is exempt"
    )


def _rest(
    fleet: Fleet, account: Account, service: Service, held: Collection[str], stopped: Collection[str]
) -> tuple[str, bool]:
    """Why it is not to run, and whether it is left as it is."""
    name = f"{account.directory}/{service.name}"
    if account.uids.get(account.owner) in fleet.doubtful:
        return "its user may be another person now", True
    if account.directory in held or name in held:
        return "frozen", True
    if account.suspended:
        return "the account is suspended", fleet.host.suspension == "freeze"
    return ("stopped by hand" if name in stopped else ""), False


def _programs(
    account: Account, service: Service, uid: int, called: str, cgroups: Mapping[str, Knobs], rest: tuple[str, bool]
) -> Iterator[tuple[str, ManagedService]]:
    work = service.work.complete()
    leaves = tuple(tree.leaf(account.directory, replica.name) for replica in replicas(service))
    for index, leaf in enumerate(leaves, 1):
        told = tuple(_told(cgroups.get(leaf, {}), cgroups.get(tree.account(account.directory), {})))
        launch = _launch(account, service, work, index, uid)
        yield leaf, ManagedService(launch._replace(info_env=told, called=called), work, leaves, launch.digest, *rest)


def _launch(account: Account, service: Service, work: ServiceProgram, index: int, uid: int) -> Launch:
    assert work.log and work.on_failure and work.no_new_privs is not None  # a complete one has them
    name = service.name if index == 1 else f"{service.name}.{index}"
    return Launch(
        account=account.name,
        service=service.name,
        number=index,
        user=account.owner,
        uid=uid,
        command=work.run,
        directory=_at_home(work.directory, account.home),
        environment=(*_place(account, service, index), *sorted(work.environment.items())),
        environment_file=_at_home(work.environment_file, account.home),
        log=f"{account.home}/logs/{name}.log",
        log_max=work.log.max,
        log_keep=work.log.keep,
        umask=work.umask,
        rlimits=tuple(sorted(work.rlimits.items())),
        no_new_privs=work.no_new_privs,
        health=work.health,
        on_failure=work.on_failure,
        port=service.listen and service.listen + index - 1,
        addresses=account.addresses,
        view=account.directory if account.view else "",
        is_job=bool(work.schedule),
    )


def _at_home(path: str, home: str) -> str:
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def _place(account: Account, service: Service, index: int) -> Iterator[tuple[str, str]]:
    """What a program has to know of where it is."""
    yield "ACCOUNT", account.name
    yield "SERVICE", service.name
    yield "INDEX", str(index)
    if service.listen:
        yield "PORT", str(service.listen + index - 1)
    for address in account.addresses:
        yield ("ADDRESS6" if ":" in address else "ADDRESS"), address


def _told(leaf: Knobs, account: Knobs) -> Iterator[tuple[str, str]]:
    """Bytes, and cores; what is unlimited is not told."""
    memory = [int(text) for it in (leaf, account) if (text := it.get("memory.max", "max")) != "max"]
    quotas = [int(text) for it in (leaf, account) if (text := it.get("cpu.max", "max").split()[0]) != "max"]
    if memory:
        yield "MEMORY_MAX", str(min(memory))
    if quotas:
        yield "CPU_MAX", f"{min(quotas) / CPU_PERIOD:g}"


def desired_services(
    keep: ManagedServices,
    runs: Mapping[str, Run],
    living: Collection[str],
    now: float,
    up: Callable[[ManagedServices, Mapping[str, Run]], Collection[str]],
) -> DesiredServices:
    """What is to run now. `living` are leaves with any process; `up` answers which programs do what they are for, and
    is asked only where one of several replicas waits for the others."""
    run: dict[str, Launch | None] = {}
    given_up: dict[str, str] = {}
    waiting: set[str] = set()
    dues: dict[str, float] = {}
    final: set[str] = set()
    missed: set[str] = set()
    away = {leaf for leaf, it in runs.items() if it.alive and it.stop_requested_at}
    ending = {leaf for leaf, it in runs.items() if it.stop_requested_at and leaf in living}
    for leaf, kept in keep.items():
        last = runs.get(leaf)
        wants, when = _wants(kept, last, now)
        if kept.is_job and kept.inactive_reason:
            when = idle_until(kept.program.schedule, last, lives=leaf in living)
            missed |= {leaf} if when <= now else set()
        if last and leaf in ending and not kept.untouched:
            when = min(when, last.kill_due)
        if when < FOREVER:
            dues[leaf] = when
        final |= {leaf} if wants is None else set()
        if kept.untouched:
            run[leaf] = None
        elif wants is None and last and not last.given_up and leaf not in ending and _loops(kept, last):
            given_up[leaf] = _too_many(last)
        elif wants and _has_turn(kept, last, leaf, away, lambda: up(keep, runs)):
            run[leaf] = kept.launch
            away |= {leaf} if last and last.alive and _stale(kept, last) else set()
        elif wants:
            run[leaf] = None
            waiting |= set() if kept.is_job else {leaf}
    dues |= {leaf: runs[leaf].kill_due for leaf in ending if leaf not in keep}  # not wanted, and not gone either
    # One that has ended for good, or was given up, will not be up: whoever waits for it is not looked at all the time.
    waiting = {leaf for leaf in waiting if final.isdisjoint(keep[leaf].siblings)}
    dues |= {leaf: min(dues.get(leaf, FOREVER), now + 1) for leaf in waiting}
    return DesiredServices(
        run,
        {leaf: kept.inactive_reason for leaf, kept in keep.items() if kept.inactive_reason},
        given_up,
        {leaf: kept.program.stop_timeout or 0 for leaf, kept in keep.items()},
        frozenset(leaf for leaf, kept in keep.items() if kept.is_job),
        frozenset(leaf for leaf, kept in keep.items() if (last := runs.get(leaf)) and _is_over(kept, last)),
        frozenset(waiting),
        dues,
        frozenset(missed),
        {leaf: it.launch for leaf, it in keep.items() if leaf not in living and _is_untold(it, runs.get(leaf))},
    )


def _too_many(run: Run) -> str:
    ended = f"the last ended with {run.how_it_ended}"
    if run.failed_starts >= MANY:
        return f"{MANY} starts in a row did not begin, {ended}"
    return f"{MANY} starts in {PERIOD:.0f} s, {ended}"


def _loops(kept: ManagedService, run: Run) -> bool:
    if run.alive or kept.inactive_reason or kept.is_job or run.end.why_waiting:
        return False
    return run.looping and starts_again(kept, run)


def _wants(kept: ManagedService, run: Run | None, now: float) -> tuple[bool | None, float]:
    """Whether it is to run now: None where it is not, and by itself never will; and when that may be otherwise."""
    if kept.inactive_reason:
        return None, FOREVER
    if kept.is_job:
        return job_wants(kept.program.schedule, run, now)
    if run is None or run.alive or run.clean_restart or run.digest != kept.digest or not run.starts:
        return True, FOREVER
    if run.given_up or (not run.end.why_waiting and (run.looping or not starts_again(kept, run))):
        return None, FOREVER
    return (True, FOREVER) if now >= run.ready_at else (False, run.ready_at)


def starts_again(kept: ManagedService, run: Run) -> bool:
    """Whether an end is one after which it starts again."""
    return kept.program.restart == ALWAYS or (kept.program.restart == ON_FAILURE and not run.end.well)


def _has_turn(
    kept: ManagedService, run: Run | None, leaf: str, away: Collection[str], up: Callable[[], Collection[str]]
) -> bool:
    """Whether it may be replaced now: of replicas one at a time, while all others do what they are for. `away` are
    those that were asked to end, or are about to be."""
    if run is None or not run.alive or run.unhealthy or run.stop_requested_at or not _stale(kept, run):
        return True
    if kept.is_job:
        return False
    others = {*kept.siblings} - {leaf}
    return not others or (others.isdisjoint(away) and others <= {*up()})


def _is_untold(kept: ManagedService, run: Run | None) -> bool:
    return bool(run and run.failure_unreported and kept.launch.on_failure.is_wanted and not kept.inactive_reason)


def _is_over(kept: ManagedService, run: Run) -> bool:
    """Whether what runs is to be replaced when something is to run."""
    return run.unhealthy or _stale(kept, run)


def _stale(kept: ManagedService, run: Run) -> bool:
    return run.restart_requested or run.digest != kept.digest


def scaled(fleet: Fleet, numbers: Mapping[str, int]) -> Fleet:
    """With so many replicas of services (`alice/web`, by directory) as an administrator has ordered."""
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
