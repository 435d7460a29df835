"""Carrying out the steps of disk quotas: what thousands of users are given is recorded once."""

from collections.abc import Iterator, Sequence

from paas_isolate.linux.batch import carry_out_many
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.quota import QuotaPort
from paas_isolate.model.steps.quota import SetQuota


def apply_quota_steps(quotas: QuotaPort, steps: Sequence[SetQuota]) -> Iterator[Outcome]:
    yield from carry_out_many(steps, lambda part: quotas.set({step.row: step.wanted for step in part}))
