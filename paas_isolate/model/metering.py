"""What config.yaml says about metering."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

PRICED = ("core_hour", "gb_hour", "gb_read", "gb_written", "gb_received", "gb_sent", "suspended_hour")
"""What may have a price: an hour of one core, an hour of 1 GB of memory, 1 GB read, written, received or sent, an hour
frozen. A GB is 1024 MB."""


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
