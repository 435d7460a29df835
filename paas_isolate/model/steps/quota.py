"""The step of disk quotas."""

from typing import NamedTuple

from paas_isolate.model.quota import UNLIMITED, Quota, QuotaKey, QuotaSpec
from paas_isolate.model.steps.base import step


@step
class SetQuota(NamedTuple):
    """Set the quota of a user on a file system, or lift it. `was` is the quota that is set now."""

    row: QuotaKey
    wanted: QuotaSpec
    was: Quota

    @property
    def owner(self) -> str:
        return self.wanted.directory

    def __str__(self) -> str:
        quota = f"the quota of uid {self.row.uid} of {self.owner}"
        if self.wanted.quota == UNLIMITED:
            return f"lift {quota} at {self.wanted.path} (was {self.was})"
        return f"set {quota} to {self.wanted.quota} (was {self.was})"
