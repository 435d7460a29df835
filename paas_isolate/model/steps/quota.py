"""The step of disk quotas."""

from typing import NamedTuple

from paas_isolate.model.quota import UNLIMITED, Quota, QuotaKey, QuotaSpec
from paas_isolate.model.steps.base import step


@step
class SetQuota(NamedTuple):
    """Set how much of a file system a user may have, or take the limits away."""

    row: QuotaKey
    wanted: QuotaSpec
    was: Quota

    @property
    def owner(self) -> str:
        return self.wanted.directory

    def __str__(self) -> str:
        whose = f"the quota of uid {self.row.uid} of {self.owner}"
        if self.wanted.quota == UNLIMITED:
            return f"lift {whose} at {self.wanted.path} (was {self.was})"
        return f"set {whose} to {self.wanted.quota} (was {self.was})"
