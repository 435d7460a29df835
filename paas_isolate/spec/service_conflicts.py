"""What cannot be together in services that paas-isolate runs, once plan and account are merged."""

from collections.abc import Iterator

from paas_isolate.model.account import Service
from paas_isolate.model.service_program import NEVER, NO_WORK
from paas_isolate.spec.conflicts import Conflict


def work_conflicts(services: tuple[Service, ...]) -> Iterator[Conflict]:
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
            text = "is given for what is started again when it fails; expected schedule, or restart: never, too"
            yield Conflict((f"{key}.on_failure",), text)
        if service.work.run:
            yield from _ports(service, key, taken)


def _without_command(service: Service, key: str) -> Conflict:
    name = next(name for name, value in service.work._asdict().items() if value not in (None, "", {}))
    return Conflict((f"{key}.{name}",), "is given without run; expected the command that it is for, too", warning=True)


def _job(service: Service, key: str) -> Iterator[Conflict]:
    """A job runs when it is time, and once at a time."""
    work = service.work
    if work.replicas and work.replicas > 1:
        yield Conflict((f"{key}.replicas", f"{key}.schedule"), "is given for a job, which runs once at a time")
    if work.restart and work.restart != NEVER:
        text = f"is {work.restart} for a job, which runs when it is time; leave it out"
        yield Conflict((f"{key}.restart", f"{key}.schedule"), text)
    if work.health:
        yield Conflict((f"{key}.health", f"{key}.schedule"), "is given for a job, which is well when it ends well")


def _ports(service: Service, key: str, taken: dict[int, str]) -> Iterator[Conflict]:
    """Each of the replicas has a port of its own: listen, and those after it."""
    if not service.listen:
        return
    count = service.work.replicas or 1
    if service.listen + count - 1 > 65535:
        yield Conflict((f"{key}.listen",), f"is {service.listen}, and leaves no {count} ports for as many replicas")
    for port in range(service.listen, service.listen + count):
        if (other := taken.setdefault(port, service.name)) != service.name:
            yield Conflict((f"{key}.listen",), f"leads to port {port}, which is {other}'s; each has its own")
            return
