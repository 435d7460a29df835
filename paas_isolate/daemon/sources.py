"""The daemon's ears, as many as this machine has; and who it was."""

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
from paas_isolate.linux.events.proc_connector import ProcConnectorSource
from paas_isolate.linux.events.run_records import RunRecordSource
from paas_isolate.linux.events.spec_files import SpecFileSource
from paas_isolate.linux.events.timer import ClockChangeSource
from paas_isolate.linux.system.machine import ZONE
from paas_isolate.linux.system.mounts import cgroup2
from paas_isolate.linux.system.users import login_of
from paas_isolate.source.directory import ACCOUNTS, PLANS


class EventSources:
    """All are closed with `stack`."""

    def __init__(self, installation: Installation, stack: ExitStack, reporter: Reporter) -> None:
        self._reporter = reporter
        self.specs = SpecFileSource(
            [installation.etc, *(f"{installation.etc}/{it}" for it in (PLANS, ACCOUNTS))], (*PEOPLE, ZONE)
        )
        self.emptying = CgroupEmptySource()
        self.netlinks = NetlinkSource()
        self.knobs, self.processes = _knobs(reporter), _processes(reporter)
        self.records = RunRecordSource(installation.records.directory)
        of_machine = _of_machine(reporter)
        found = (
            self.processes,
            self.specs,
            self.records,
            self.knobs,
            self.netlinks,
            self.emptying,
            *of_machine,
        )
        self.all: list[EventSource] = [it for it in found if it]
        self.following: list[Callable[[], None]] = [self.specs.rewatch, self.records.rewatch]
        """What looks at each turn whether its place is where it was. OSError."""
        self._deaf = ""
        for ear in found:
            if ear:
                stack.callback(ear.close)

    def ignore(self, opened: int) -> None:
        """What is written to this file is no news; below 0 there is none."""
        if self.knobs and opened >= 0:
            self.knobs.ignore(opened)

    def rewatch(self) -> None:
        """Whoever hears nothing any more is told, once, and holds nobody up."""
        deaf = ""
        for follow in self.following:
            try:
                follow()
            except Exception as error:  # noqa: BLE001  (whoever is deaf still looks)
                deaf = f"what is asked or noted is seen at the next look only: {error}"
        if deaf and deaf != self._deaf:
            self._reporter.warning(deaf)
        self._deaf = deaf


def _of_machine(reporter: Reporter) -> tuple[MountTableSource, ClockChangeSource] | tuple[()]:
    try:
        return MountTableSource(), ClockChangeSource()
    except OSError as error:
        told = "a disk that is mounted, and a clock that is set, are seen at the next look only"
        reporter.warning(f"{told}: {error.strerror}")
        return ()


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


def writer_of(heard: Event) -> str:
    """As far as it can still be told; '' where nothing is known."""
    return heard.who or (_alive(heard.pid) if heard.pid else "")


def _alive(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return f"pid {pid}, which has ended"
    uid = int(lines["Uid"].split()[0])
    return f"pid {pid} ({lines['Name']}, {login_of(uid)})"
