"""Which account a uid and a cgroup directory belong to: one at most, also while an account is kept as it was."""

from collections.abc import Callable, Mapping

from paas_isolate.model.account import Account

LastGood = Callable[[str], Account | None]
Claim = int | str
"""A uid, the name of a cgroup directory, an address, or a port of the machine as `port 8300`: no directory is called
like these, which have a dot, a colon or a space."""
_PORT = "port "
Clashes = Mapping[str, tuple[Claim, str]]
"""By account: what it claims, and the other account that claims it too."""


class Claims:
    """`good` are accounts as written now; what clashes leaves it for its last good copy, in `held`."""

    def __init__(self, good: dict[str, Account], last_good: LastGood) -> None:
        self.good = good
        self.last_good = last_good
        self.on_last_good: dict[str, Account] = {}
        self.unrecoverable: dict[str, str] = {}
        """Kept accounts that have no copy, or whose copy would take from another kept one; with the reason."""
        self.owners: dict[Claim, str] = {}

    def clashes(self) -> Clashes:
        """Of good accounts with each other. Who had it before keeps it, for else whoever names another's user in their
        file would keep that one from every change; where nobody had it, none can be told to be the right one."""
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
        """Keep accounts as they were, with the reason. A good one that claims what they had is kept too, for
        else a mistake in one file would hand its users to another; those are returned like clashes."""
        if not names:  # nor did any clash, so the owners are known
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
            for claim, other in self._keep(name):
                self.good.pop(other, None)
                pushed[other] = (claim, name)
                pending[other] = ""
        return pushed

    def _keep(self, name: str) -> list[tuple[Claim, str]]:
        """Hold one; the good accounts that it pushes away."""
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
    """0 where it is no port."""
    return int(claim.removeprefix(_PORT)) if claim.startswith(_PORT) else 0


def is_address(claim: str) -> bool:
    return "." in claim or ":" in claim


def claims(account: Account) -> tuple[Claim, ...]:
    ports = (
        [f"{_PORT}{service.publish}" for service in account.services if service.publish] if account.addresses else []
    )
    return (
        account.directory,
        *account.uids.values(),
        *account.addresses,
        *ports,
    )  # the uid first: it explains an address
