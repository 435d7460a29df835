"""Merges a plan and an account: limit by limit, and services by name. The account wins."""

import re
from collections.abc import Mapping

from paas_isolate.model.account import AccountSpec, Host, Match, Plan, Service
from paas_isolate.model.limits import Limits
from paas_isolate.model.service_program import NO_WORK, Failure, ServiceProgram
from paas_isolate.model.view import View

_STANDS_FOR = re.compile(r"\$(account|owner)\b")


def merge_limits(plan: Limits, account: Limits) -> Limits:
    """The account's limits, and the plan's where it has none."""
    return {**plan, **account} if plan and account else plan or account


def merge_services(plan: tuple[Service, ...], account: tuple[Service, ...]) -> tuple[Service, ...]:
    """The services of both, in the order of their names. A service that both have is merged key by key."""
    if not plan or not account:
        return plan or account
    services = {service.name: service for service in plan}
    for own in account:
        inherited = services.get(own.name)
        services[own.name] = _merge_service(inherited, own) if inherited else own
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
    """The account's view; None where neither plan nor account asks for one. What config.yaml hides is hidden in views
    alone. `directory` is the account's directory."""
    private = {**plan.private, **account.private} if plan else account.private
    hide = (plan.hide if plan else ()) + account.hide
    if not hide and not any(private.values()):
        return None
    tmp = f"{host.private.tmp}/{directory}" if private.get("tmp") else ""
    hidden = tuple(dict.fromkeys(host.hide + hide))
    return View(private.get("processes", False), tmp, private.get("shm", False), hidden)


def has_placeholders(services: tuple[Service, ...]) -> bool:
    """Whether $account or $owner occurs in a match or a program, so that accounts cannot share these services."""
    return any("$" in text for service in services for text in (*service.match, *_texts(service.work)))


def expand_placeholders(services: tuple[Service, ...], account: str, owner: str) -> tuple[Service, ...]:
    """The services with $account and $owner replaced. In a glob they match these names alone."""
    words = {"account": account, "owner": owner}
    globs = {name: _literal(text) for name, text in words.items()}
    return tuple(
        service._replace(
            match=Match(*(_fill(text, globs) for text in service.match)), work=_fill_work(service.work, words)
        )
        for service in services
    )


def _texts(work: ServiceProgram) -> tuple[str, ...]:
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
    return _STANDS_FOR.sub(lambda match: words[match[1]], text)


def _literal(name: str) -> str:
    """A glob that matches this name alone."""
    return re.sub(r"([*?[])", r"[\1]", name)
