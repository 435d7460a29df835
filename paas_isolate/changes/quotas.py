"""Disk quotas: the desired ones, which of ours must be lifted, and the steps to them."""

from collections.abc import Collection, Iterator, Mapping

from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.quota import BLOCK, UNLIMITED, Quota, QuotaKey, Quotas, QuotaSpec
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.quota import SetQuota


def desired_quotas(fleet: Fleet) -> Quotas:
    """Quotas with `sold`: each user of an account has the account's whole `disk`. Without `disk`, the users' quotas are
    left as an administrator has set them."""
    users = [(uid, account) for account in fleet.accounts.values() if account.disk for uid in account.uids.values()]
    return Quotas({uid: QuotaSpec(account.directory, account.home, _quota(account)) for uid, account in users})


def _quota(account: Account) -> Quota:
    space, files = account.disk.get("max"), account.disk.get("files")
    return Quota(-(-space // BLOCK) if isinstance(space, int) else 0, files if isinstance(files, int) else 0)


def quotas_now(desired: Quotas, observed: Quotas, staying: Collection[str]) -> Quotas:
    """The desired quotas with `wanted`: those of `sold` whose file system could be read, and those that we have set
    earlier. The latter are lifted, unless their account is in `staying`: then they stay as they are."""
    wanted = dict(_earlier(desired, observed, staying))
    for uid, spec in desired.sold.items():
        if system := observed.filesystems.get(spec.path):
            wanted[QuotaKey(system.name, uid)] = spec._replace(quota=spec.quota.in_grains(system.grain))
    return desired._replace(wanted=wanted)


def _earlier(desired: Quotas, observed: Quotas, staying: Collection[str]) -> Iterator[tuple[QuotaKey, QuotaSpec]]:
    for row, directory in observed.applied.items():
        now = desired.sold.get(row.uid)
        if row in observed.mountpoints and not (now and now.path not in observed.filesystems):
            quota = observed.allowed[row] if directory in staying else UNLIMITED
            yield row, QuotaSpec(directory, observed.mountpoints[row], quota)


def quota_steps(desired: Quotas, observed: Quotas) -> Iterator[Step]:
    """The steps for quotas that could be read and differ."""
    for row, spec in desired.wanted.items():
        was = observed.allowed.get(row)
        if was is not None and was != spec.quota:
            yield SetQuota(row, spec, was)


def applied_after(desired: Quotas, observed: Quotas) -> dict[QuotaKey, str]:
    """What AppliedQuotaStore should hold after a pass: the quotas that are set as desired, and those of ours that could
    not be lifted. A quota without limits is dropped: one that is set there later is an administrator's."""
    limited = {row: owner for row, owner in observed.applied.items() if observed.allowed.get(row) != UNLIMITED}
    desired_now = {row: spec for row, spec in desired.wanted.items() if spec.quota != UNLIMITED}
    ours = {
        row: spec.directory
        for row, spec in desired_now.items()
        if row in limited or observed.allowed[row] == spec.quota
    }
    return {**limited, **ours}


def accounts_with_quota(observed: Quotas) -> frozenset[str]:
    """The directories of accounts with a quota of ours on a file system that could be read."""
    rows = observed.applied.items()
    return frozenset(directory for row, directory in rows if observed.allowed.get(row, UNLIMITED) != UNLIMITED)


def waiting(desired: Quotas, observed: Quotas, staying: Collection[str]) -> Iterator[tuple[str, str]]:
    """Account directories, with a text for each quota that is to be lifted and cannot be now."""
    for row, directory in observed.applied.items():
        if row not in observed.allowed and row.uid not in desired.sold and directory not in staying:
            where = f"its file system ({row.system}) is not mounted, or keeps no limits now"
            yield directory, f"the quota of uid {row.uid} is to be lifted, but {where}"


def unmet_quotas(observed: Quotas) -> Mapping[str, str]:
    """A text for each account whose quota cannot be set, by `users/ACCOUNT disk`."""
    unsupported = ((tree.account(directory), why) for directory, why in observed.unsupported.items())
    return {f"{path} disk": f"disk of {path} cannot be kept: {why}" for path, why in unsupported}
