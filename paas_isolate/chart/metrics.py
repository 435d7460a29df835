"""What can be drawn: for each metric its curves, from columns of the ledger."""

from typing import NamedTuple

from paas_isolate.units import short_size


class Curve(NamedTuple):
    """The sum of some columns of a Sample or a Use."""

    label: str
    columns: tuple[str, ...]
    limit: str = ""
    """The name of the limit of CgroupLimits that it has; '' for none."""


class Metric(NamedTuple):
    """`growing`: its columns count what grew, and a value is that divided by the time and by `divisor`. Else they are
    levels, and a value is an average. `binary`: the axis has powers of 1024. `of_host`: the sum over all accounts means
    something. `of_machine`: that of the machine stands for it, by the columns of a HostReading."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    growing: bool
    divisor: float = 1.0
    binary: bool = False
    of_host: bool = True
    of_machine: bool = False

    def say(self, value: float) -> str:
        """A value in a few letters, without the unit of the axis."""
        if self.binary:
            return short_size(value)
        if self.unit == "%":
            return f"{value:.3g}%"
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


METRICS: dict[str, Metric] = {
    "cpu": Metric(
        "CPU",
        "cores",
        (Curve("used", ("user", "system"), "cpu"), Curve("throttled", ("throttled",))),
        growing=True,
        divisor=1e6,
    ),
    "memory": Metric(
        "Memory",
        "bytes",
        (Curve("with cache", ("memory",), "memory"), Curve("own", ("own",)), Curve("swap", ("swap",))),
        growing=False,
        binary=True,
    ),
    "io": Metric(
        "Disk",
        "bytes a second",
        (Curve("read", ("read",), "read"), Curve("written", ("written",), "written")),
        growing=True,
        binary=True,
    ),
    "operations": Metric(
        "Disk operations",
        "a second",
        (Curve("reads", ("read_ops",)), Curve("writes", ("write_ops",))),
        growing=True,
    ),
    "processes": Metric(
        "Processes", "and threads", (Curve("processes", ("pids",), "pids"),), growing=False, of_host=False
    ),
    "pressure": Metric(
        "Waiting",
        "%",
        (Curve("for CPU", ("cpu_some",)), Curve("for memory", ("memory_some",)), Curve("for the disk", ("io_some",))),
        growing=True,
        divisor=1e4,
        of_machine=True,
    ),
    "network": Metric(
        "Network",
        "bytes a second",
        (Curve("received", ("received",)), Curve("sent", ("sent",))),
        growing=True,
        binary=True,
    ),
}
"""Those that this ledger has."""
