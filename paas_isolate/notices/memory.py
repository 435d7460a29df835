"""What was told and when, so that nothing is told twice after a restart; and who wants no mail.

`notices.json` in the state directory outlives a reboot. A copy in /run is written too: with a full disk, which may be
what there is to tell, it is the newer one.
"""

import json
import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from paas_isolate.metering.notices import Told
from paas_isolate.replace_file import Durability, replace_file

_NAME = "notices.json"
_OFF = "notices-off"


class Remembered(NamedTuple):
    """`written` and `looked` are ms since 1970. `failures` are targets that could not be reached, with the reason, so
    that it is said once. `cpu` are the CPU times of the last look, of this boot."""

    told: Mapping[str, Mapping[str, Told]] = {}
    written: int = 0
    looked: int = 0
    failures: Mapping[str, str] = {}
    cpu: Mapping[str, tuple[int, int]] = {}


def load(state: str, run: str) -> Remembered:
    """What is remembered, from the newer of the two files; nothing where neither can be read."""
    return max(_read(os.path.join(run, _NAME)), _read(os.path.join(state, _NAME)), key=lambda each: each.written)


def _read(path: str) -> Remembered:
    try:
        with open(path, "rb") as file:
            row = json.load(file)
        told = {
            str(key): {str(name): Told(int(one[0]), int(one[1]), bool(one[2])) for name, one in those.items()}
            for key, those in row["told"].items()
        }
        cpu = {str(name): (int(used), int(at)) for name, (used, at) in row.get("cpu", {}).items()}
        failures = {str(key): str(why) for key, why in row.get("failures", {}).items()}
        return Remembered(told, int(row["written"]), int(row.get("looked", 0)), failures, cpu)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return Remembered()


def save(state: str, run: str, remembered: Remembered, *, lasting: bool) -> None:
    """Write it: to /run, and with `lasting` also where it outlives a reboot. OSError only where neither is possible."""
    data = _row(remembered, cpu=True)
    failed: OSError | None = None
    try:
        replace_file(os.path.join(run, _NAME), json.dumps(data).encode(), Durability.NONE)
    except OSError as error:
        failed = error
    if not lasting and failed is None:
        return
    try:
        text = json.dumps(_row(remembered, cpu=False)).encode()
        replace_file(os.path.join(state, _NAME), text, Durability.CONTENT, makes_directory=True)
    except OSError as error:
        if failed is not None:
            raise error from failed


def _row(remembered: Remembered, *, cpu: bool) -> dict[str, Any]:
    row = remembered._asdict()
    return row if cpu else {**row, "cpu": {}}


def switch(state: str, account: str, *, on: bool) -> None:
    """Whether the customer of an account gets mails. OSError where that cannot be written."""
    path = os.path.join(state, _OFF, account)
    if on:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))


def is_off(state: str, account: str) -> bool:
    return os.path.lexists(os.path.join(state, _OFF, account))


def switched_off(state: str) -> frozenset[str]:
    """The accounts whose customers want no mails."""
    try:
        return frozenset(os.listdir(os.path.join(state, _OFF)))
    except OSError:
        return frozenset()


def forget_all_but(state: str, accounts: Collection[str]) -> None:
    """An account that is gone may come back as another customer's."""
    for name in switched_off(state).difference(accounts):
        switch(state, name, on=True)
