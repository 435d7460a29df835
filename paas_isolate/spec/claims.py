"""A uid, a cgroup directory, an address and a port belong to one account at most, whether by its file or by its last
good copy."""

from collections.abc import Callable, Mapping

from paas_isolate.model.account import Account

LastGood = Callable[[str], Account | None]
Claim = int | str
"""A uid; or as text the name of a cgroup directory, an address, or a port of the machine (`port 8300`). Addresses and
ports have a dot, a colon or a space, which no directory has."""
_PORT = "port "
Clashes = Mapping[str, tuple[Claim, str]]
"""By account: what it claims, and the other account that claims the same."""


class Claims:
    """`good` are the accounts by their files as they are now. An account that clashes is taken out of `good` and falls
    back to its last good copy, in `on_last_good`."""

    def __init__(self, good: dict[str, Account], last_good: LastGood) -> None:
        self.good = good
        self.last_good = last_good
        self.on_last_good: dict[str, Account] = {}
        self.unrecoverable: dict[str, str] = {}
        """Accounts that fall back and have no copy, or one that clashes with another such copy; with the reason."""
        self.owners: dict[Claim, str] = {}
        """The account that has each claim."""

    def clashes(self) -> Clashes:
        """The clashes of good accounts with each other; fills `owners`. An account that had a claim before keeps it, or
        anybody could block another account by naming its user. Where neither had it, both clash."""
        found: dict[str, tuple[Claim, str]] = {}
        for name, account in self.good.items():
            for claim in claims(account):
                other = self.owners.setdefault(claim, name)
                if other != name:
                    self._clash(claim, other, name, found)
        return found

    def _clash(self, claim: Claim, one: str, other: str, found: dict[str, tuple[Claim, str]]) -> None:
        had_by_one, had_by_other = self._had(one, claim), self._had(other, claim)
        if had_by_one or not had_by_other:
            found.setdefault(other, (claim, one))
        if had_by_other or not had_by_one:
            found.setdefault(one, (claim, other))
        if had_by_other and not had_by_one:
            self.owners[claim] = other

    def _had(self, name: str, claim: Claim) -> bool:
        copy = self.last_good(name)
        return copy is not None and claim in claims(copy)

    def fall_back(self, names: Mapping[str, str]) -> Clashes:
        """Puts accounts on their last good copies. A good account that claims something of such a copy falls back too,
        or a mistake in one file would give its users to another account. Returns the latter, as `clashes` does."""
        if not names:  # then no account clashed, and `owners` is complete
            return {}
        pending, pushed = dict(names), dict[str, tuple[Claim, str]]()
        for name in pending:
            self.good.pop(name, None)
        self.owners = {
            claim: name for name, account in (self.good | self.on_last_good).items() for claim in claims(account)
        }
        while pending:
            name = next(iter(pending))
            del pending[name]
            for claim, other in self._fall_back(name):
                self.good.pop(other, None)
                pushed[other] = (claim, name)
                pending[other] = ""
        return pushed

    def _fall_back(self, name: str) -> list[tuple[Claim, str]]:
        """Puts one account on its last good copy. Returns the good accounts that claim something of it."""
        copy = self.last_good(name)
        if name in self.on_last_good:
            return []
        if copy is None:
            self.unrecoverable[name] = "there is no last good copy"
            return []
        owners = [(claim, self.owners[claim]) for claim in claims(copy) if claim in self.owners]
        if rival := next((other for _, other in owners if other in self.on_last_good), None):
            self.unrecoverable[name] = f"its last good copy clashes with that of {rival}"
            return []
        self.on_last_good[name] = copy
        self.owners.update(dict.fromkeys(claims(copy), name))
        return [(claim, other) for claim, other in owners if other in self.good]


def port_of(claim: str) -> int:
    """The port of a claim such as `port 8300`; 0 where it is no port."""
    return int(claim.removeprefix(_PORT)) if claim.startswith(_PORT) else 0


def is_address(claim: str) -> bool:
    """Whether the claim is an IPv4 or IPv6 address."""
    return "." in claim or ":" in claim


def claims(account: Account) -> tuple[Claim, ...]:
    """All that no other account may have."""
    ports = (
        [f"{_PORT}{service.publish}" for service in account.services if service.publish] if account.addresses else []
    )
    # uids before addresses: a clash of uids explains one of addresses, and the first clash is reported
    return (account.directory, *account.uids.values(), *account.addresses, *ports)
