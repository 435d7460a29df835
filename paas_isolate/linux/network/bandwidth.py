"""The bandwidth port: HTB classes on the interfaces, and our table of nftables, in this network namespace."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from paas_isolate.changes.bandwidth_ruleset import TABLE
from paas_isolate.linux.network import bandwidth_table, nfnetlink
from paas_isolate.linux.network.htb import HtbClasses
from paas_isolate.linux.system.subordinates import subordinate_uids
from paas_isolate.model.bandwidth import Bandwidth, BandwidthRules, ClassKey
from paas_isolate.model.network import UidRange


class HostBandwidth:
    """`mark` is the path of a file that exists while something of ours may be there, so that a machine where no
    bandwidth is sold looks at nothing else. It is gone after a reboot, as qdiscs and tables are."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._htb = HtbClasses()

    def observe(self, subordinate: Mapping[str, tuple[UidRange, ...]] | None = None) -> Bandwidth:
        interfaces = self._htb.interfaces()
        listing = bandwidth_table.observe()
        return Bandwidth(
            interfaces=interfaces,
            subordinate=subordinate_uids() if subordinate is None else subordinate,
            classes=self._htb.classes(name for name, each in interfaces.items() if each.has_root),
            rules=listing.rules if listing and listing.whole else None,
            has_rules=listing is not None,
        )

    def glance(self) -> tuple[object, ...]:
        """What changes when an interface comes or goes, or our table or a root qdisc of ours is removed: as `observe`,
        but without classes and elements, of which there may be thousands. () where that cannot be read."""
        with suppress(OSError):
            return (*self._htb.interfaces().items(), nfnetlink.has_table(TABLE))
        return ()

    def end(self) -> None:
        with suppress(OSError):
            if bandwidth_table.observe() is None and not any(each.has_root for each in self._htb.interfaces().values()):
                os.unlink(self._mark)

    def add_roots(self, interfaces: Iterable[str]) -> list[str]:
        self._begin()
        return self._htb.add_roots(interfaces)

    def remove_roots(self, interfaces: Iterable[str]) -> list[str]:
        return self._htb.remove_roots(interfaces)

    def set_classes(self, classes: Mapping[ClassKey, int]) -> list[str]:
        return self._htb.set_classes(classes)

    def remove_classes(self, classes: Iterable[ClassKey]) -> list[str]:
        return self._htb.remove_classes(classes)

    def set_rules(self, wanted: BandwidthRules | None, found: BandwidthRules | None) -> None:
        self._begin()
        bandwidth_table.set_rules(wanted, found)

    def clear(self) -> list[str]:
        """Remove all that is ours, for an installation that goes; the interfaces that had limits. HostError with nft's
        own words."""
        shaped = [name for name, each in self._htb.interfaces().items() if each.has_root]
        self._htb.remove_roots(shaped)
        bandwidth_table.set_rules(None, None)
        self.end()
        return shaped

    def _begin(self) -> None:
        """Make the file before anything else. OSError where that is not possible."""
        os.close(os.open(self._mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
