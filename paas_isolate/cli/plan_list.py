"""plan list: the plans, and how many accounts have them."""

from collections import Counter
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.options import as_json
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation
from paas_isolate.model.limits import LIMITS, Limits, Unit, Value
from paas_isolate.units import format_cpu, format_rate, format_size

_UNITS = {limit.name: limit.unit for limit in LIMITS} | {"disk.max": Unit.SIZE, "disk.files": Unit.COUNT}
_FORMATS = {Unit.CPU_TIME: format_cpu, Unit.SIZE: format_size, Unit.RATE: format_rate}


@click.command("list")
@as_json
@click.pass_obj
def plan_list(installation: Installation, as_json: bool) -> int:
    """List plans: their limits, and how many accounts have them."""
    fleet, plans = installation.fleet(), installation.directory.plans()
    numbers = Counter(account.plan for account in fleet.accounts.values())
    names = sorted({*plans, *(name for name in numbers if name)})
    rows: list[dict[str, Any]] = [
        {
            "plan": name,
            "accounts": numbers[name],
            "default": name == fleet.host.default_plan,
            "usable": name in plans,
            "next": (plans[name].next or None) if name in plans else None,
            "limits": _words(plans[name].limits) if name in plans else {},
            "services": [service.name for service in plans[name].services] if name in plans else [],
        }
        for name in names
    ]
    if as_json:
        output.print_json({"plans": rows, "without": numbers[None]})
        return Exit.CONVERGED
    output.table(
        ("PLAN", "ACCOUNTS", "LIMITS"),
        (
            (
                f"{row['plan']}{' (default)' if row['default'] else ''}",
                str(row["accounts"]),
                output.words(row["limits"]) or "-",
            )
            for row in rows
        ),
        right=("ACCOUNTS",),
    )
    return Exit.CONVERGED


def _words(limits: Limits) -> dict[str, str]:
    """As the YAML writes them."""
    return {name: word(name, value) for name, value in limits.items()}


def word(key: str, value: Value) -> str:
    """The value of a limit, by its key path or its name, as the YAML writes it."""
    unit = next((unit for name, unit in _UNITS.items() if f".{key}".endswith(f".{name}")), None)
    say = _FORMATS.get(unit) if unit else None
    return say(value) if say and isinstance(value, int) else str(value)
