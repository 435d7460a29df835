"""Keys of services that contradict each other, once plan and account are merged."""

from collections.abc import Iterator

from paas_isolate.model.account import Service
from paas_isolate.model.service_program import NEVER, NO_WORK
from paas_isolate.spec.conflicts import Conflict


def work_conflicts(services: tuple[Service, ...]) -> Iterator[Conflict]:
    """The conflicts in the programs, jobs and ports of one account's merged services."""
    taken: dict[int, str] = {}
    for service in services:
        if service.work is NO_WORK or service.work.says_nothing:
            continue
        key = f"services.{service.name}"
        if not service.work.run:
            yield _without_command(service, key)
        elif service.work.schedule:
            yield from _job(service, key)
        elif service.work.on_failure and service.work.restart != NEVER:
            text = "is given for a service that is restarted when it fails; add schedule, or restart: never"
            yield Conflict((f"{key}.on_failure",), text)
        if service.work.run:
            yield from _ports(service, key, taken)


def _without_command(service: Service, key: str) -> Conflict:
    name = next(name for name, value in service.work._asdict().items() if value not in (None, "", {}))
    return Conflict((f"{key}.{name}",), "has no effect without run; add run, or leave it out", warning=True)


def _job(service: Service, key: str) -> Iterator[Conflict]:
    """A job is started by its schedule, and one of it runs at a time."""
    work = service.work
    if work.replicas and work.replicas > 1:
        text = "is given for a job, which runs once at a time; leave it out"
        yield Conflict((f"{key}.replicas", f"{key}.schedule"), text)
    if work.restart and work.restart != NEVER:
        text = f"is {work.restart} for a job, which is started by its schedule; leave it out"
        yield Conflict((f"{key}.restart", f"{key}.schedule"), text)
    if work.health:
        text = "is given for a job, whose exit status says how it went; leave it out"
        yield Conflict((f"{key}.health", f"{key}.schedule"), text)


def _ports(service: Service, key: str, taken: dict[int, str]) -> Iterator[Conflict]:
    """Each replica has a port of its own: `listen` and those after it."""
    if not service.listen:
        return
    count = service.work.replicas or 1
    last = service.listen + count - 1
    if last > 65535:
        text = f"is {service.listen}, and {count} replicas need ports up to {last}; expected one that leaves enough"
        yield Conflict((f"{key}.listen",), text)
    for port in range(service.listen, service.listen + count):
        if (other := taken.setdefault(port, service.name)) != service.name:
            yield Conflict((f"{key}.listen",), f"leads to port {port}, which the service {other} has; each has its own")
            return
