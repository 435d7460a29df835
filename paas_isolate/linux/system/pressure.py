"""The machine's pressure stall information (psi.rst)."""

from paas_isolate.metering.host import HostReading
from paas_isolate.metering.reading import pressure


def host_pressure(at: int) -> HostReading:
    """The totals of /proc/pressure now; `at` is CLOCK_BOOTTIME in ms. None for what this kernel does not have."""
    return HostReading(at, *_of("cpu"), *_of("memory"), *_of("io"))


def _of(resource: str) -> tuple[int | None, int | None]:
    try:
        with open(f"/proc/pressure/{resource}", "rb") as file:
            return pressure(file.read())
    except OSError:  # CONFIG_PSI is not set, or psi=0 (EOPNOTSUPP)
        return None, None
