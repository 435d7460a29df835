"""Plan and account into what one customer gets: knob by knob, services by name."""

import re
from collections.abc import Mapping

from paas_isolate.model.account import AccountSpec, Host, Match, Plan, Service
from paas_isolate.model.limits import Limits
from paas_isolate.model.service_program import NO_WORK, Failure, ServiceProgram
from paas_isolate.model.view import View

_STANDS_FOR = re.compile(r"\$(account|owner)\b")


def merge_limits(plan: Limits, account: Limits) -> Limits:
    return {**plan, **account} if plan and account else plan or account


def merge_services(plan: tuple[Service, ...], account: tuple[Service, ...]) -> tuple[Service, ...]:
    """In the order of their names, for an order that somebody could see would be flicker."""
    if not plan or not account:
        return plan or account
    services = {service.name: service for service in plan}
    for own in account:
        theirs = services.get(own.name)
        services[own.name] = _merge_service(theirs, own) if theirs else own
    return tuple(services[name] for name in sorted(services))


def _merge_service(plan: Service, own: Service) -> Service:
    return Service(
        name=own.name,
        limits=merge_limits(plan.limits, own.limits),
        match=own.match if own.match.conditions else plan.match,
        priority=plan.priority if own.priority is None else own.priority,
        entry=own.entry or plan.entry,
        listen=own.listen or plan.listen,
        publish=own.publish or plan.publish,
        work=own.work.merged_over(plan.work),
    )


def merge_view(host: Host, plan: Plan | None, account: AccountSpec, directory: str) -> View | None:
    """None where it has none of its own: what the host hides is hidden in views alone."""
    private = {**plan.private, **account.private} if plan else account.private
    hide = (plan.hide if plan else ()) + account.hide
    if not hide and not any(private.values()):
        return None
    tmp = f"{host.private.tmp}/{directory}" if private.get("tmp") else ""
    every = tuple(dict.fromkeys(host.hide + hide))
    return View(private.get("processes", False), tmp, private.get("shm", False), every)


def has_placeholders(services: tuple[Service, ...]) -> bool:
    """Whether $account or $owner stands in a rule or a command, so that each account needs its own."""
    return any("$" in text for service in services for text in (*service.match, *_told(service.work)))


def expand_placeholders(services: tuple[Service, ...], account: str, owner: str) -> tuple[Service, ...]:
    words = {"account": account, "owner": owner}
    globs = {name: _literal(text) for name, text in words.items()}
    return tuple(
        service._replace(
            match=Match(*(_fill(text, globs) for text in service.match)), work=_fill_work(service.work, words)
        )
        for service in services
    )


def _told(work: ServiceProgram) -> tuple[str, ...]:
    lines = (work.health.run if work.health else "", *(work.on_failure or ()))
    return work.run, work.directory, work.environment_file, *lines, *work.environment.values()


def _fill_work(work: ServiceProgram, words: Mapping[str, str]) -> ServiceProgram:
    if work is NO_WORK:
        return work
    return work._replace(
        run=_fill(work.run, words),
        directory=_fill(work.directory, words),
        environment_file=_fill(work.environment_file, words),
        environment={name: _fill(text, words) for name, text in work.environment.items()},
        health=work.health and work.health._replace(run=_fill(work.health.run, words)),
        on_failure=work.on_failure and Failure(*(_fill(text, words) for text in work.on_failure)),
    )


def _fill(text: str, words: Mapping[str, str]) -> str:
    return _STANDS_FOR.sub(lambda found: words[found[1]], text)


def _literal(name: str) -> str:
    """A name that as a glob fits itself alone."""
    return re.sub(r"([*?[])", r"[\1]", name)
