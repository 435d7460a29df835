"""How much of the disk is whose: the quotas that were sold, which of ours are to be lifted, and the steps to them."""

from collections.abc import Collection, Iterator, Mapping

from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.quota import BLOCK, UNLIMITED, Quota, QuotaKey, Quotas, QuotaSpec
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.quota import SetQuota


def desired_quotas(fleet: Fleet) -> Quotas:
    """Each of an account's users has all of it. Who was sold no `disk` is left as an administrator has set it."""
    some = [(uid, account) for account in fleet.accounts.values() if account.disk for uid in account.uids.values()]
    return Quotas({uid: QuotaSpec(it.directory, it.home, _quota(it)) for uid, it in some})


def _quota(account: Account) -> Quota:
    space, files = account.disk.get("max"), account.disk.get("files")
    return Quota(-(-space // BLOCK) if isinstance(space, int) else 0, files if isinstance(files, int) else 0)


def quotas_now(desired: Quotas, observed: Quotas, staying: Collection[str]) -> Quotas:
    """With the rows: of those that were sold some, as far as their file systems could be looked at, and of those that
    were given limits before. These are lifted, unless their account stays as it is. Of others no row is wanted."""
    rows = dict(_earlier(desired, observed, staying))
    for uid, spec in desired.sold.items():
        if system := observed.filesystems.get(spec.path):
            rows[QuotaKey(system.name, uid)] = spec._replace(quota=spec.quota.in_grains(system.grain))
    return desired._replace(wanted=rows)


def _earlier(desired: Quotas, observed: Quotas, staying: Collection[str]) -> Iterator[tuple[QuotaKey, QuotaSpec]]:
    for row, directory in observed.applied.items():
        now = desired.sold.get(row.uid)
        if row in observed.mountpoints and not (now and now.path not in observed.filesystems):
            quota = observed.allowed[row] if directory in staying else UNLIMITED
            yield row, QuotaSpec(directory, observed.mountpoints[row], quota)


def quota_steps(desired: Quotas, observed: Quotas) -> Iterator[Step]:
    """Only of rows that were looked at: of the others the file system knows nothing."""
    for row, it in desired.wanted.items():
        was = observed.allowed.get(row)
        if was is not None and was != it.quota:
            yield SetQuota(row, it, was)


def applied_after(desired: Quotas, observed: Quotas) -> dict[QuotaKey, str]:
    """What is to be remembered after a run: limits that are as they were sold, and those that were to be lifted and
    could not be. Where a row says no limit, whatever it says later is an administrator's."""
    left = {row: it for row, it in observed.applied.items() if observed.allowed.get(row) != UNLIMITED}
    some = {row: it for row, it in desired.wanted.items() if it.quota != UNLIMITED}
    kept = {row: it.directory for row, it in some.items() if row in left or observed.allowed[row] == it.quota}
    return {**left, **kept}


def accounts_with_quota(observed: Quotas) -> frozenset[str]:
    """The directories of accounts that have left limits on a file system which is there."""
    return frozenset(it for row, it in observed.applied.items() if observed.allowed.get(row, UNLIMITED) != UNLIMITED)


def waiting(desired: Quotas, observed: Quotas, staying: Collection[str]) -> Iterator[tuple[str, str]]:
    """Account directories, and what is to be lifted of them as soon as that can be."""
    for row, directory in observed.applied.items():
        if row not in observed.allowed and row.uid not in desired.sold and directory not in staying:
            where = f"its file system ({row.system}) is not mounted, or keeps no limits now"
            yield directory, f"the quota of uid {row.uid} is to be lifted, but {where}"


def unmet_quotas(observed: Quotas) -> Mapping[str, str]:
    return {
        f"{tree.account(it)} disk": f"disk of {tree.account(it)} cannot be kept: {why}"
        for it, why in observed.unsupported.items()
    }
