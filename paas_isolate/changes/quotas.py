"""How much of the disk is whose: the quotas that were sold, and the steps to them."""

from collections.abc import Iterator

from paas_isolate.changes.seen import SetQuota
from paas_isolate.changes.steps import Step
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Sold
from paas_isolate.model.quota import BLOCK, Quota, Quotas


def quotas_as_sold(fleet: Fleet) -> Quotas:
    """Each of an account's users has all of it. Who was sold no `disk` is left as an administrator has set it."""
    some = [(uid, it) for it in fleet.accounts.values() if it.disk for uid in it.uids.values()]
    return Quotas({uid: _quota(it) for uid, it in some}, {uid: (it.directory, it.home) for uid, it in some})


def _quota(sold: Sold) -> Quota:
    space, files = sold.disk.get("max"), sold.disk.get("files")
    return Quota(space // BLOCK if isinstance(space, int) else 0, files if isinstance(files, int) else 0)


def quota_steps(desired: Quotas, observed: Quotas) -> Iterator[Step]:
    """Only of those that were looked at: of the others the file system knows nothing."""
    for uid, quota in desired.allowed.items():
        was = observed.allowed.get(uid)
        if was is not None and was != quota:
            yield SetQuota(*desired.whose[uid], uid, quota, was)


def unmet_quotas(observed: Quotas) -> dict[str, str]:
    return {
        f"{tree.account(it)} disk": f"disk of {tree.account(it)} cannot be kept: {why}"
        for it, why in observed.unable.items()
    }
