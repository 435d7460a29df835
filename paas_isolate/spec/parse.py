"""Parses the three documents into the model. Each function raises SpecError with every mistake of the file.

`file` is the file's name in complaints.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from paas_isolate.model.account import AccountSpec, Host, Match, NetworkConfig, Plan, Service, Tree
from paas_isolate.model.limits import BY_NAME, Limits
from paas_isolate.model.metering import FaultSettings, MeteringConfig, MetricsConfig
from paas_isolate.model.notices import MailConfig
from paas_isolate.model.service_program import NO_WORK, Failure, Health, Log, ServiceProgram
from paas_isolate.model.view import PrivateTmpConfig
from paas_isolate.spec import fields
from paas_isolate.spec.diagnostics import Diagnostics
from paas_isolate.spec.limits import parse_limit
from paas_isolate.spec.names import NAME_EXPECTED, is_name
from paas_isolate.spec.notices import mail_of
from paas_isolate.spec.read import Node, Pairs, Scalar, read, refuse
from paas_isolate.spec.shapes import Table
from paas_isolate.text import abbreviated, excerpt, printable

Values = Mapping[str, Any]


def parse_host(data: bytes, file: str) -> Host:
    """config.yaml."""
    diagnostics = Diagnostics(file)
    root = read(data, file)
    values = _values(root, fields.HOST, diagnostics)
    tree, users = values.get("tree", {}), values.get("users", {})
    if len(tree) > 1:
        diagnostics.error(_node(root, "tree"), "tree", "has unit and root; expected one of them")
    host = Host(
        tree=Tree(**tree) if "root" not in tree else Tree(unit="", root=tree["root"]),
        **users,
        penalty={**DEFAULT.penalty, **values.get("penalty", {})},
        ceiling={**DEFAULT.ceiling, **values.get("ceiling", {})},
        default_plan=values.get("default_plan"),
        network=NetworkConfig(**values["network"]) if "network" in values else None,
        suspension=values.get("suspension") or "freeze",
        private=PrivateTmpConfig(**values.get("private", {})),
        metering=_metering(values["metering"]) if "metering" in values else None,
        web_root=values.get("web", {}).get("root", False),
        **{key: values[key] for key in ("hide", "allow", "publish_ports", "administrators") if key in values},
    )
    if not diagnostics.errors and host.first_uid > host.last_uid:
        text = f"begins at {host.first_uid} and ends at {host.last_uid}; expected first_uid below last_uid"
        diagnostics.error(_node(root, "users"), "users", text)
    diagnostics.raise_errors()
    return host


def parse_plan(data: bytes, file: str) -> Plan:
    """plans.d/NAME.yaml."""
    diagnostics = Diagnostics(file)
    root = read(data, file)
    values = _values(root, fields.PLAN, diagnostics)
    plan = Plan(
        name=_name(root, values, "plan", diagnostics),
        file=file,
        limits=values.get("limits", {}),
        services=_services(root, values, diagnostics),
        loopback=values.get("loopback") or "",
        egress=values.get("egress") or (),
        **_view(values),
        allow=values.get("allow"),
        next=values.get("next") or "",
    )
    diagnostics.raise_errors()
    return plan


def parse_account(data: bytes, file: str) -> AccountSpec:
    """accounts.d/NAME.yaml."""
    diagnostics = Diagnostics(file)
    root = read(data, file)
    values = _values(root, fields.ACCOUNT, diagnostics)
    name = _name(root, values, "account", diagnostics)
    users = _users(root, values, name, diagnostics)
    account = AccountSpec(
        name=name,
        file=file,
        users=users,
        owner=_owner(root, values, users, name, diagnostics),
        plan=values.get("plan"),
        labels=values.get("labels") or {},
        limits=values.get("limits", {}),
        services=_services(root, values, diagnostics),
        suspended=values.get("suspended") or False,
        renamed_from=values.get("renamed_from") or "",
        address=values.get("address") or (),
        peers=values.get("peers") or (),
        loopback=values.get("loopback") or "",
        egress=values.get("egress") or (),
        mail=values.get("mail") or "",
        on_high=values.get("on_high") or "",
        **_view(values),
    )
    if name and account.renamed_from == name:
        diagnostics.error_value(_node(root, "renamed_from"), "renamed_from", "the name that it had before")
    diagnostics.raise_errors()
    return account


def _metering(values: Values) -> MeteringConfig:
    given = {key: value for key, value in values.items() if value is not None}
    if "faults" in given:
        given["faults"] = FaultSettings(**given["faults"])
    if "metrics" in given:
        given["metrics"] = MetricsConfig(**given["metrics"])
    if "mail" in given:
        given["mail"] = MailConfig(**mail_of(given["mail"]))
    return MeteringConfig(**given)


def _values(root: Node | None, table: Table, diagnostics: Diagnostics) -> dict[str, Any]:
    return {} if root is None else table.read(root, "", diagnostics)


def _node(root: Node | None, *path: str) -> Node:
    """The node of a key path, for a complaint; as much of the path as exists."""
    node: Node = root or Scalar(0, 0, "", True)
    for name in path:
        if isinstance(node, Pairs) and name in node.pairs:
            node = node.pairs[name][1]
    return node


def _name(root: Node | None, values: Values, key: str, diagnostics: Diagnostics) -> str:
    """The file's name. `account:` or `plan:` must say the same, so that a copied file is noticed."""
    stem = diagnostics.file.rpartition("/")[2].removesuffix(".yaml")
    if not is_name(stem):
        refuse(diagnostics.file, f"{excerpt(stem)} is no name for a file here; expected {NAME_EXPECTED}")
    if key not in values:
        diagnostics.error(_node(root), key, f"is missing; expected {key}: {stem}, like the file's name")
    elif values[key] not in (stem, None):
        diagnostics.error_value(_node(root, key), key, f"{stem}, like the file's name")
    return stem


def _users(root: Node | None, values: Values, name: str, diagnostics: Diagnostics) -> tuple[str, ...]:
    users: tuple[str, ...] | None = values.get("users", (name,))
    if users is None or None in users:  # refused already
        return ()
    if not users:
        diagnostics.error(_node(root, "users"), "users", "is an empty list; expected at least one user")
    repeated = sorted(user for user, count in Counter(users).items() if count > 1)
    if repeated:
        diagnostics.error(_node(root, "users"), "users", f"names {abbreviated(repeated)} more than once; keep one")
    return users


def _owner(root: Node | None, values: Values, users: tuple[str, ...], name: str, diagnostics: Diagnostics) -> str:
    owner: str | None = values.get("owner")
    if owner is not None:
        if users and owner not in users:
            diagnostics.error_value(_node(root, "owner"), "owner", f"one of the account's users ({abbreviated(users)})")
        return owner
    if len(users) == 1:
        return users[0]
    if users and name not in users and "owner" not in values:
        text = f"is missing; expected one of {abbreviated(users)}, for none is named like the account"
        diagnostics.error(_node(root), "owner", text)
    return name


def _view(values: Values) -> dict[str, Any]:
    """The keys of view and disk, which plans and accounts share."""
    return {
        "private": values.get("private") or {},
        "hide": values.get("hide") or (),
        "disk": values.get("disk") or {},
    }


def _services(root: Node | None, values: Values, diagnostics: Diagnostics) -> tuple[Service, ...]:
    services: dict[str, dict[str, Any]] = values.get("services") or {}
    for name, service in services.items():
        if service.get("match") == {}:
            node = _node(root, "services", name, "match")
            diagnostics.error(node, f"services.{printable(name)}.match", "is empty; expected program, command or user")
        if "health" in service and not service["health"].get("run"):
            node = _node(root, "services", name, "health")
            diagnostics.error(node, f"services.{printable(name)}.health", "has no run; expected {run: COMMAND}")
    return tuple(_service(name, services[name]) for name in sorted(services))


def _service(name: str, values: dict[str, Any]) -> Service:
    return Service(
        name=name,
        limits=values.get("limits", {}),
        match=Match(**values.get("match", {})),
        priority=values.get("priority"),
        entry=values.get("entry") or (),
        listen=values.get("listen") or 0,
        publish=values.get("publish") or 0,
        work=_work(values),
    )


_PARTS: Mapping[str, Callable[..., Any]] = {"health": Health, "log": Log, "on_failure": Failure}


def _work(values: dict[str, Any]) -> ServiceProgram:
    given = {name: values[name] for name in fields.WORK if values.get(name) is not None}
    for name, part in _PARTS.items():
        if name in given:
            fields_given = {key: value for key, value in given[name].items() if value is not None}
            given[name] = part(**{"run": "", **fields_given} if part is Health else fields_given)
    return ServiceProgram(**given) if given else NO_WORK


def _limits(texts: Mapping[str, str], percent: bool) -> Limits:
    return {name: parse_limit(BY_NAME[name], text, percent=percent) for name, text in texts.items()}


DEFAULT = Host(
    penalty=_limits({"cpu.max": "10%", "memory.max": "256M", "pids": "50"}, percent=False),
    ceiling=_limits({"memory.max": "75%", "pids": "80%", "cpu.weight": "50"}, percent=True),
)
"""What holds on a machine without config.yaml."""


DOCUMENTS: Mapping[str, Callable[[bytes, str], Any]] = {
    "host": parse_host,
    "plan": parse_plan,
    "account": parse_account,
}
