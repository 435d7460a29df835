"""The sample of a single run of reconcile, where no daemon takes them; and the last readings of what it removes.

SQLite is imported only where there is something to do.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from paas_isolate.errors import trouble
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.sampled import is_due
from paas_isolate.model.account import Fleet

if TYPE_CHECKING:
    from paas_isolate.meter import Meter


class RunMeter:
    """`warn` is told what is wrong. Nothing is raised: a run confines accounts whatever becomes of its sample."""

    def __init__(self, installation: Installation, warn: Callable[[str], None]) -> None:
        self._installation, self._warn = installation, warn
        self._meter: Meter | None = None

    def removing(self, fleet: Fleet, path: str) -> None:
        if fleet.host.metering is not None:
            self._do(fleet, lambda meter, root: meter.removing(fleet, root, path))

    def end(self, fleet: Fleet) -> None:
        """Take the sample, if one is due, and write what is not written yet."""
        config = fleet.host.metering
        if config is not None and (self._meter or is_due(self._installation.run, config.every)):
            self._do(fleet, lambda meter, root: meter.sample(fleet, root))
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _do(self, fleet: Fleet, work: Callable[["Meter", str], None]) -> None:
        try:
            if self._meter is None:
                from paas_isolate.meter import Meter

                self._meter = Meter(self._installation.ledger, self._installation.run, self._warn, daemon=False)
            work(self._meter, find_tree(fleet.host.tree).root)
        except Exception as error:  # noqa: BLE001  (see above)
            self._warn(f"what accounts use is not measured: {trouble(error).what}")
