"""Turns the model into rows, which are plain data for JSON and marshal, and back. Empty values are left out.

Rows are stored with VERSION beside them. Rows of another version are not read.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from paas_isolate.model.account import Account, AccountSpec, Host, Match, NetworkConfig, Plan, Service, Tree
from paas_isolate.model.limits import NO_LIMITS, UNLIMITED, Cores, Limits, Percent, Value
from paas_isolate.model.metering import FaultSettings, MeteringConfig, MetricsConfig
from paas_isolate.model.notices import MailConfig, NoticeRule, Target, Trigger
from paas_isolate.model.service_program import NO_WORK, Failure, Health, Log, ServiceProgram
from paas_isolate.model.view import PrivateTmpConfig, View

VERSION = 1
Plain = dict[str, Any]

_WIRED = ("address", "peers", "loopback", "egress")
_TOLD = ("mail", "on_high")
_SEEN = ("private", "hide")
_EMPTY: tuple[Any, ...] = ((), "", None, False, {}, 0)


def plain_account(account: AccountSpec) -> Plain:
    """For the cache of parsed files."""
    return _row(
        account,
        "name",
        "file",
        "users",
        "owner",
        "plan",
        "labels",
        "suspended",
        "renamed_from",
        *_TOLD,
        *_WIRED,
        *_SEEN,
    ) | _parts(account.limits, account.services, account.disk)


def account_from(row: Plain) -> AccountSpec:
    """The reverse of `plain_account`."""
    if "limits" in row or "services" in row or "disk" in row:
        row = {**row, "limits": _limits_from(row.get("limits", {})), "services": _services_from(row), **_disk_from(row)}
    return AccountSpec(**row)


def plain_plan(plan: Plan) -> Plain:
    """For the cache of parsed files."""
    row = _row(plan, "name", "file", "next", "loopback", "egress", *_SEEN)
    if plan.allow is not None:  # an empty list allows nothing
        row["allow"] = plan.allow
    return row | _parts(plan.limits, plan.services, plan.disk)


def plan_from(row: Plain) -> Plan:
    """The reverse of `plain_plan`."""
    limits = _limits_from(row.get("limits", {}))
    return Plan(**{**row, "limits": limits, "services": _services_from(row), **_disk_from(row)})


def plain_host(host: Host) -> Plain:
    """For the cache and the last good copy. Empty values are not left out here: `exempt: []` is not the default."""
    names = ("first_uid", "last_uid", "exempt", "without_account", "default_plan", "suspension", "administrators")
    return {name: getattr(host, name) for name in names} | {
        "network": host.network._asdict() if host.network else None,
        "private": host.private._asdict(),
        "hide": host.hide,
        "leave": host.leave,
        "allow": host.allow,
        "publish_ports": host.publish_ports,
        "web_root": host.web_root,
        "metering": _plain_metering(host.metering) if host.metering else None,
        "tree": {"unit": host.tree.unit, "root": host.tree.root},
        "penalty": _plain_limits(host.penalty),
        "ceiling": _plain_limits(host.ceiling),
    }


def host_from(row: Plain) -> Host:
    """The reverse of `plain_host`. Keys that an older copy does not have get their defaults."""
    known = {key: value for key, value in row.items() if key in Host._fields}  # an older copy may have others
    network, metering = row.get("network"), row.get("metering")
    return Host(
        **{
            **known,
            "tree": Tree(**row["tree"]),
            "exempt": tuple(row["exempt"]),
            "administrators": tuple(row.get("administrators", ())),
            "private": PrivateTmpConfig(**row.get("private", {})),
            "hide": tuple(row.get("hide", Host().hide)),
            "leave": tuple(row.get("leave", Host().leave)),
            "allow": tuple(row.get("allow", Host().allow)),
            "publish_ports": tuple((first, last) for first, last in row.get("publish_ports", Host().publish_ports)),
            "network": NetworkConfig(**{**network, "frontends": tuple(network["frontends"])}) if network else None,
            "metering": _metering_from(metering) if metering else None,
            "penalty": _limits_from(row["penalty"]),
            "ceiling": _limits_from(row["ceiling"]),
        }
    )


def _plain_metering(metering: MeteringConfig) -> Plain:
    return {
        **metering._asdict(),
        "prices": dict(metering.prices),
        "faults": tuple(metering.faults),
        "metrics": metering.metrics._asdict(),
        "notices": [(rule.when, tuple(rule.trigger), tuple(rule.to), rule.every) for rule in metering.notices],
        "mail": metering.mail._asdict(),
    }


def _metering_from(row: Plain) -> MeteringConfig:
    known = {key: value for key, value in row.items() if key in MeteringConfig._fields}
    rules = [
        NoticeRule(when, Trigger(*trigger), Target(kind, tuple(words)), every)
        for when, trigger, (kind, words), every in row.get("notices", ())
    ]
    parts: Plain = {"metrics": MetricsConfig(**row.get("metrics", {})), "mail": MailConfig(**row.get("mail", {}))}
    faults = FaultSettings(*row.get("faults", ()))
    return MeteringConfig(**{**known, **parts, "faults": faults, "notices": tuple(rules)})


def plain_sold(account: Account) -> Plain:
    """For the last good copy."""
    wired = ("addresses", "peers", "loopback", "egress")
    row = _row(account, "name", "directory", "owner", "home", "plan", "suspended", "labels", *_TOLD, *wired)
    if account.view:
        row["view"] = account.view._asdict()
    return row | {"uids": dict(account.uids)} | _parts(account.limits, account.services, account.disk)


def sold_from(row: Plain) -> Account:
    """The reverse of `plain_sold`. Keys that an older copy does not have get their defaults."""
    known = {key: value for key, value in row.items() if key in Account._fields}  # an older copy may have others
    return Account(
        **{
            "plan": None,
            "home": "",
            **known,
            **{key: tuple(row.get(key, ())) for key in ("addresses", "peers", "egress")},
            "view": _view_from(row.get("view")),
            **_disk_from(row),
            "limits": _limits_from(row.get("limits", {})),
            "services": _services_from(row),
        }
    )


def _row(model: object, *names: str) -> Plain:
    return {name: value for name in names if (value := getattr(model, name)) not in _EMPTY}


def _view_from(row: Plain | None) -> View | None:
    return View(**{**row, "hide": tuple(row["hide"])}) if row else None


def _disk_from(row: Plain) -> Plain:
    return {"disk": _limits_from(row["disk"])} if "disk" in row else {}


def _parts(limits: Limits, services: tuple[Service, ...], disk: Limits = NO_LIMITS) -> Plain:
    row: Plain = {"disk": _plain_limits(disk)} if disk else {}
    if limits:
        row["limits"] = _plain_limits(limits)
    if services:
        row["services"] = [_plain_service(service) for service in services]
    return row


def _plain_service(service: Service) -> Plain:
    row = _row(service, "name", "entry", "listen", "publish") | _parts(service.limits, ())
    if service.priority is not None:  # 0 is not empty: it wins over the plan's
        row["priority"] = service.priority
    if service.match.conditions:
        row["match"] = _row(service.match, "program", "command", "user")
    if service.work is not NO_WORK and (work := _plain_work(service.work)):
        row["work"] = work
    return row


def _plain_work(work: ServiceProgram) -> Plain:
    row = {name: value for name, value in work._asdict().items() if value not in (None, "", {})}
    for name in _WORK_PARTS:
        if name in row:
            row[name] = row[name]._asdict()
    return {name: dict(value) if name in ("environment", "rlimits") else value for name, value in row.items()}


def _work_from(row: Mapping[str, Any]) -> ServiceProgram:
    return ServiceProgram(
        **{name: _WORK_PARTS[name](**value) if name in _WORK_PARTS else value for name, value in row.items()}
    )


_WORK_PARTS: Mapping[str, Any] = {"health": Health, "log": Log, "on_failure": Failure}


def _services_from(row: Mapping[str, Any]) -> tuple[Service, ...]:
    return tuple(
        Service(
            name=service["name"],
            limits=_limits_from(service.get("limits", {})),
            match=Match(**service.get("match", {})),
            priority=service.get("priority"),
            entry=tuple(service.get("entry", ())),
            listen=service.get("listen", 0),
            publish=service.get("publish", 0),
            work=_work_from(service["work"]) if "work" in service else NO_WORK,
        )
        for service in row.get("services", ())
    )


def _plain_limits(limits: Limits) -> Plain:
    return {name: _plain_value(value) for name, value in limits.items()}


def _plain_value(value: Value) -> Any:
    match value:
        case Percent():
            return {"percent": str(value.of_hundred)}
        case Cores():
            return {"cores": int(value)}
        case _ if value is UNLIMITED:
            return {"unlimited": True}
    return value


def _limits_from(row: Mapping[str, Any]) -> Limits:
    return {name: _value_from(value) if isinstance(value, dict) else value for name, value in row.items()}


def _value_from(value: Mapping[str, Any]) -> Value:
    if "percent" in value:
        return Percent(Decimal(value["percent"]))
    return Cores(value["cores"]) if "cores" in value else UNLIMITED
