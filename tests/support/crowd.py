"""A machine and its users, for tests of gather()."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from paas_isolate.model.account import Account, Fleet, User
from paas_isolate.model.machine import Machine
from paas_isolate.spec.gather import UnusableFiles, gather
from paas_isolate.spec.parse import parse_account, parse_host, parse_plan

MACHINE = Machine(cores=2, cpu_set="0-1", memory=4 << 30, swap=0, pid_max=32_768)


@dataclass
class Crowd:
    """Users by name with their uids, and groups."""

    users: dict[str, int]
    groups: dict[str, set[int]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)

    def by_name(self, name: str) -> User | None:
        uid = self.users.get(name)
        return None if uid is None else User(name, uid, uid, self.homes.get(name, f"/home/{name}"))

    def names_of(self, uid: int) -> frozenset[str]:
        return frozenset(name for name, its in self.users.items() if its == uid)

    def members(self, group: str) -> frozenset[int]:
        return frozenset(self.groups.get(group, ()))

    def everyone(self) -> Iterable[User]:
        return [user for name in self.users if (user := self.by_name(name))]


CROWD = Crowd(
    {"root": 0, "alice": 1001, "bob": 1002, "carol": 1003, "admin": 1100, "www-data": 33, "nobody": 65534},
    {"sudo": {1100}},
)


def sold(name: str, directory: str = "", /, **uids: int) -> Account:
    return Account(name, directory or name, uids, next(iter(uids), name), f"/home/{name}", None, {}, ())


def fleet(
    files: dict[str, str],
    people: Crowd = CROWD,
    machine: Machine = MACHINE,
    last_good: dict[str, Account] | None = None,
    wrong: UnusableFiles | None = None,
) -> Fleet:
    """Gathers files by their names; a file is told without its first key."""
    whole = {file: f"{_first(file)}{text}".encode() for file, text in files.items()}
    host = parse_host(whole.get("config.yaml", b""), "config.yaml")
    plans = [parse_plan(data, file) for file, data in whole.items() if file.startswith("plans.d")]
    accounts = [parse_account(data, file) for file, data in whole.items() if file.startswith("accounts.d")]
    return gather(
        host,
        {plan.name: plan for plan in plans},
        {account.name: account for account in accounts},
        people,
        machine,
        (last_good or {}).get,
        wrong=wrong or UnusableFiles(),
        text_of=lambda file: whole.get(file, b""),
        remembered=(last_good or {}).keys(),
    )


def _first(file: str) -> str:
    directory, _, name = file.rpartition("/")
    return f"{directory.removesuffix('s.d')}: {name.removesuffix('.yaml')}\n" if directory else ""
