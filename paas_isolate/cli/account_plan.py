"""account plan: what the next plan would change for an account."""

from collections.abc import Mapping
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.cli.plan_list import word
from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root, unknown
from paas_isolate.model.account import AccountSpec, Host, Plan
from paas_isolate.model.limits import BY_NAME
from paas_isolate.source.account_reader import AccountReader
from paas_isolate.spec.next_plan import Change, Comparison, compare

_OF_DISK = {"max": "size of each user's files", "files": "number of each user's files"}
_NOTHING = Comparison((), (), ())


@click.command("plan")
@click.argument("name")
@as_json
@click.pass_obj
def account_plan(installation: Installation, name: str, as_json: bool) -> int:
    """Say what the next plan would change for an account: the plan that `next` of its plan's file names."""
    need_root()
    host, reader = installation.directory.host(), AccountReader(installation.directory)
    account = _account(installation, name, host, reader)
    plan = account.plan or host.default_plan
    now = reader.plan(plan) if plan else None
    then = reader.plan(now.next) if now and now.next else None
    data = _data(name, plan, then, compare(account, now, then) if now and then else _NOTHING)
    if as_json:
        output.print_json(data)
    else:
        tell(data)
    return Exit.CONVERGED


def _account(installation: Installation, name: str, host: Host, reader: AccountReader) -> AccountSpec:
    """By its file alone: with 20,000 accounts the others would take seconds. PaasError where it cannot be used."""
    if account := reader.account(name):
        return account
    if reader.there(name):
        raise PaasError(f"{name}: its file cannot be used")
    fleet = installation.fleet()
    if name not in fleet.accounts:
        raise unknown(name, fleet)
    return AccountSpec(name, "", (), "", host.without_account.removeprefix("plan "))  # of a user without a file


def _data(name: str, plan: str | None, then: Plan | None, found: Comparison) -> dict[str, Any]:
    return {
        "account": name,
        "plan": plan,
        "next": then.name if then else None,
        "limits": [
            {
                "limit": change.key,
                "meaning": _meaning(change.key),
                "now": _said(change, change.now),
                "then": _said(change, change.then),
            }
            for change in found.limits
        ],
        "services_added": list(found.added),
        "services_removed": list(found.removed),
    }


def _meaning(key: str) -> str:
    """`memory`, or `web: memory` for a service."""
    place, _, rest = key.partition(".")
    if place == "disk":
        return _OF_DISK[rest]
    service, name = ("", rest) if place == "limits" else rest.split(".limits.", 1)
    meaning = BY_NAME[name].meaning
    return f"{service}: {meaning}" if service else meaning


def _said(change: Change, value: Any) -> str | None:
    """As the YAML writes it; None where it is not set."""
    return None if value is None else word(change.key, value)


def tell(data: Mapping[str, Any]) -> None:
    """The answer, for people."""
    if data["next"] is None:
        output.line(f"plan {data['plan'] or 'none'}; it names no next plan")
        return
    rows = [(row["limit"], *(row[key] or "not set" for key in ("now", "then"))) for row in data["limits"]]
    if rows:
        output.table(("LIMIT", f"NOW ({data['plan']})", f"WITH {data['next']}"), rows)
    for key, what in (("services_added", "new services"), ("services_removed", "without the services")):
        if data[key]:
            output.line(f"{what}: {', '.join(data[key])}")
    if not (rows or data["services_added"] or data["services_removed"]):
        output.line(f"{data['next']} would change nothing")
