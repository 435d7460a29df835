"""What the daemon answers to administrators, of a machine with as many accounts as are wanted. The keys are those of
the commands' --json; the figures are made up."""

import random
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from paas_isolate.web.link import AskError
from paas_isolate.web.site import Password, Token
from tests.support.web.fake_link import ACCOUNTS, Answer, FakeHelper, FakeLink, canned

MB = 1 << 20
PLANS = {"small": (1.0, 512 * MB, 100), "medium": (2.0, 1024 * MB, 200), "large": (4.0, 4096 * MB, 400)}
"""Cores, bytes and processes."""
_SORTED = {
    "cpu": "cpu_cores",
    "memory": "memory",
    "processes": "pids",
    "read": "read_per_second",
    "written": "written_per_second",
    "pressure": "cpu_pressure",
    "faults": "faults",
}
_SAMPLED = "2026-11-29T20:43:19+01:00"
ALICE = """\
# alice has ordered more memory
account: alice
plan: small
limits:
  memory: 512M
services:
  web: {}
"""


def account_row(name: str) -> dict[str, Any]:
    """An account of `account list --json`. The same name has the same figures."""
    made = random.Random(name)
    plan = made.choice(list(PLANS))
    cores, memory, pids = PLANS[plan]
    busy = made.random() ** 4
    at_limit = busy > 0.9
    held = int(memory * (0.05 + 0.9 * made.random() ** 3))
    state = made.choice(["ok"] * 40 + ["suspended", "frozen", "kept", "pending", "leaving"])
    return {
        "account": name,
        "plan": plan,
        "state": state,
        "owner": "",
        "labels": {},
        "note": f"accounts.d/{name}.yaml cannot be used" if state == "kept" else "",
        "cpu_cores": cores * busy,
        "cpu_limit": cores,
        "cpu_of_limit": busy,
        "memory": held,
        "memory_limit": memory,
        "memory_of_limit": held / memory,
        "pids": int(pids * (0.02 + 0.5 * made.random() ** 3)),
        "pids_limit": pids,
        "read_per_second": 4e6 * made.random() ** 6,
        "read_limit": 20 * MB if plan == "small" else None,
        "written_per_second": 2e6 * made.random() ** 6,
        "write_limit": 10 * MB if plan == "small" else None,
        "cpu_pressure": 0.4 if at_limit else busy / 50,
        "faults": made.randrange(1, 40) if at_limit else 0,
    }


class Machine:
    """`files` has the text of accounts' and plans' files."""

    def __init__(self, number: int = 0) -> None:
        names = [*ACCOUNTS, *(f"cust{at:05}" for at in range(number))]
        self.rows = [account_row(name) for name in names]
        self.files = {f"accounts.d/{name}.yaml": f"account: {name}\nplan: small\n" for name in ACCOUNTS}
        self.files["accounts.d/alice.yaml"] = ALICE
        self.files |= {f"plans.d/{plan}.yaml": f"plan: {plan}\nlimits:\n  cpu: 100%\n" for plan in PLANS}
        self.happened: list[dict[str, Any]] = canned("events")["events"]

    def answers(self) -> dict[str, Answer]:
        static = "doctor", "coverage", "network", "differences", "bill", "host", "tokens", "plans"
        return {
            **{verb: canned(verb) for verb in static},
            "accounts": self._accounts,
            "advise": lambda _, options, __: canned("advise-plan" if "plan" in options else "advise"),
            "file": lambda about, *_: self._file(f"accounts.d/{about}.yaml"),
            "plan-file": lambda about, *_: self._file(f"plans.d/{about}.yaml"),
            "put": lambda about, *more: self._put(f"accounts.d/{about}.yaml", *more),
            "put-plan": lambda about, *more: self._put(f"plans.d/{about}.yaml", *more),
            "remove": self._remove,
            "reconcile": {"outcomes": [], "remaining": [], "done": 2, "status": 0},
            "revoke": {"lines": []},
            **{verb: {"lines": []} for verb in ("freeze", "thaw", "scale")},
        }

    def _accounts(self, _: str, options: Mapping[str, str], __: bytes) -> dict[str, Any]:
        wanted = options.get("search", "")
        found = [row for row in self.rows if wanted in row["account"] or wanted in row["plan"]]
        found.sort(key=lambda row: row["account"])
        if by := _SORTED.get(options.get("sort", "")):
            found.sort(key=lambda row: -row[by])
        start, limit = int(options.get("after", "0")), int(options.get("limit", "100"))
        more = str(start + limit) if start + limit < len(found) else None
        return {"total": len(found), "next": more, "sampled": _SAMPLED, "rows": found[start : start + limit]}

    def _file(self, file: str) -> dict[str, Any]:
        if file not in self.files:
            raise AskError(f"no account is called {file!r}: there is no {file}", 2)
        text = self.files[file]
        return {"name": file.split("/")[1][:-5], "file": file, "text": text, "etag": tag_of(text)}

    def _put(self, file: str, options: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """A text with a wrong size in it is wrong in its line, as the real complaint is."""
        text, now = body.decode(), self.files.get(file)
        tried = {"name": file.split("/")[1][:-5], "file": file, "etag": tag_of(text), "conflict": False}
        if ("if-none-match" in options and now is not None) or (
            "if-match" in options and (now is None or options["if-match"] not in ("*", tag_of(now)))
        ):
            return {**tried, "changed": False, "conflict": True, "etag": now and tag_of(now), "status": 3}
        if wrong := tuple(_complaints(file, text)):
            raise AskError("it is wrong", 2, wrong)
        if "dry-run" not in options:
            self.files[file] = text
        steps = [f"set memory.max of users/{tried['name']} to 805306368 (was 536870912)"] if now != text else []
        return {
            **tried,
            "changed": now != text,
            "dry_run": "dry-run" in options,
            "steps": steps,
            "more": 0,
            "complaints": [],
        }

    def _remove(self, about: str, options: Mapping[str, str], _: bytes) -> dict[str, Any]:
        file = f"accounts.d/{about}.yaml"
        now = self._file(file)["etag"]
        conflict = options.get("if-match", "*") not in ("*", now)
        if not conflict:
            del self.files[file]
        return {"name": about, "file": file, "changed": not conflict, "conflict": conflict, "etag": None}


def tag_of(text: str) -> str:
    return f'"{sha256(text.encode()).hexdigest()[:32]}"'


def _complaints(file: str, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        key, colon, value = line.strip().partition(": ")
        if key == "memory" and colon and not re.fullmatch(r"[0-9]+[MG]", value):
            words = f"is {value!r}; expected a size such as 512M"
            column = line.index(value) + 1
            yield {
                "file": file,
                "text": words,
                "line": number,
                "column": column,
                "key": "limits.memory",
                "warning": False,
            }


class AdministratorsHelper(FakeHelper):
    """Its links know what administrators ask for, too."""

    def __init__(self, machine: Machine | None = None) -> None:
        super().__init__()
        self.machine = machine or Machine()

    async def __call__(self, credentials: Password | Token, address: str) -> tuple[str, FakeLink]:
        user, link = await super().__call__(credentials, address)
        link.answers |= self.machine.answers()
        link.happened = self.machine.happened
        return user, link
