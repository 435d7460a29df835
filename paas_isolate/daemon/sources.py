"""The event sources of the daemon, as many as this machine offers; and the writer that an event names."""

from collections.abc import Callable
from contextlib import ExitStack

from paas_isolate.daemon.fingerprint import PEOPLE
from paas_isolate.daemon.loop import EventSource
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.errors import PaasError
from paas_isolate.installation import Installation
from paas_isolate.linux.events.cgroup_empty import CgroupEmptySource
from paas_isolate.linux.events.cgroup_writes import CgroupWriteSource
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.mount_table import MountTableSource
from paas_isolate.linux.events.netlink import NetlinkSource
from paas_isolate.linux.events.polled_network import PolledNetworkSource
from paas_isolate.linux.events.proc_connector import ProcConnectorSource
from paas_isolate.linux.events.run_records import RunRecordSource
from paas_isolate.linux.events.spec_files import SpecFileSource
from paas_isolate.linux.events.timer import ClockChangeSource
from paas_isolate.linux.system.machine import ZONE
from paas_isolate.linux.system.mounts import cgroup2
from paas_isolate.linux.system.users import login_of
from paas_isolate.source.directory import ACCOUNTS, PLANS


class EventSources:
    """All sources, which are closed with `stack`. One that this machine does not offer is None, with a warning."""

    def __init__(self, installation: Installation, stack: ExitStack, reporter: Reporter) -> None:
        self._reporter = reporter
        self.specs = SpecFileSource(
            [installation.etc, *(f"{installation.etc}/{each}" for each in (PLANS, ACCOUNTS))], (*PEOPLE, ZONE)
        )
        self.emptying = CgroupEmptySource()
        self.netlinks = NetlinkSource()
        self.polled_network = _polled_network(reporter)
        self.knobs, self.processes = _knobs(reporter), _processes(reporter)
        self.records = RunRecordSource(installation.records.directory)
        of_machine = _of_machine(reporter)
        sources = (
            self.processes,
            self.specs,
            self.records,
            self.knobs,
            self.netlinks,
            self.polled_network,
            self.emptying,
            *of_machine,
        )
        self.all: list[EventSource] = [source for source in sources if source]
        self.following: list[Callable[[], None]] = [self.specs.rewatch, self.records.rewatch]
        """Called in each full pass: watches again what was moved or replaced. OSError where that is impossible."""
        self._unwatched = ""
        for source in filter(None, sources):
            stack.callback(source.close)

    def ignore(self, opened: int) -> None:
        """Ignore writes to this descriptor; below 0 there is none."""
        if self.knobs and opened >= 0:
            self.knobs.ignore(opened)

    def rewatch(self) -> None:
        """Watch again. What cannot be watched is reported once, and holds nothing up."""
        unwatched = ""
        for follow in self.following:
            try:
                follow()
            except Exception as error:  # noqa: BLE001  (a full pass still finds what is not watched)
                unwatched = f"what is asked or noted is seen at the next look only: {error}"
        if unwatched and unwatched != self._unwatched:
            self._reporter.warning(unwatched)
        self._unwatched = unwatched


def _of_machine(reporter: Reporter) -> tuple[MountTableSource, ClockChangeSource] | tuple[()]:
    try:
        return MountTableSource(), ClockChangeSource()
    except OSError as error:
        what = "a disk that is mounted, and a clock that is set, are seen at the next look only"
        reporter.warning(f"{what}: {error.strerror}")
        return ()


def _polled_network(reporter: Reporter) -> PolledNetworkSource | None:
    try:
        return PolledNetworkSource()
    except OSError as error:
        what = "what no event tells of the network is seen at the next look only"
        reporter.warning(f"{what}: {error.strerror}")
        return None


def _knobs(reporter: Reporter) -> CgroupWriteSource | None:
    try:
        return CgroupWriteSource(cgroup2().point)
    except (OSError, PaasError) as error:
        reporter.failure("a knob that is written by hand is seen at the next look only", error, warning=True)
        return None


def _processes(reporter: Reporter) -> ProcConnectorSource | None:
    try:
        return ProcConnectorSource()
    except OSError as error:
        reporter.warning(f"a process outside is seen at the next look only: {error.strerror}")
        return None


def writer_of(event: Event) -> str:
    """Who has caused the event, with pid, program and user where the process still lives; '' where that is unknown."""
    return event.who or (_alive(event.pid) if event.pid else "")


def _alive(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return f"pid {pid}, which has ended"
    uid = int(lines["Uid"].split()[0])
    return f"pid {pid} ({lines['Name']}, {login_of(uid)})"
