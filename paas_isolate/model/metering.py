"""What config.yaml says about metering."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.model.notices import MailConfig, NoticeRule

PRICED = ("core_hour", "gb_hour", "gb_read", "gb_written", "gb_received", "gb_sent", "suspended_hour")
"""What may have a price: an hour of one core, an hour of 1 GB of memory, 1 GB read, written, received or sent, an hour
frozen. A GB is 1024 MB."""


class MetricsConfig(NamedTuple):
    """config.yaml's `metering.metrics:`."""

    leaves: bool = False
    """Whether leaves have series of their own, beside those of their account."""


class FaultSettings(NamedTuple):
    """What makes a fault of waiting, in percent."""

    throttled: int = 10
    """Of the time between two samples: how long cpu.max made a cgroup wait …"""
    used: int = 80
    """… while it used so much of its limit."""
    waited: int = 50
    """Of the time: how long all tasks of an account that were not idle waited for IO."""


class MeteringConfig(NamedTuple):
    """config.yaml's `metering:`."""

    every: int = 10_000
    """Milliseconds between two samples of the daemon."""
    keep: int = 4 << 30
    """Bytes that the ledger may take. Above it the oldest values are deleted, but never days."""
    time_zone: str = "UTC"
    """The zone of days and months, a name of tzdata."""
    prices: Mapping[str, str] = MappingProxyType({})
    """Decimal numbers by the names in PRICED."""
    faults: FaultSettings = FaultSettings()
    command_lines: bool = True
    """Whether pictures of processes have their arguments, which may hold secrets."""
    metrics: MetricsConfig = MetricsConfig()
    notices: tuple[NoticeRule, ...] = ()
    mail: MailConfig = MailConfig()
