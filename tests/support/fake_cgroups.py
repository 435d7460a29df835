"""Cgroups that are plain directories, with the kernel's files in them as a test writes them."""

from pathlib import Path

from paas_isolate.metering.detection import Events

MEMORY = "low 0\nhigh {slowed}\nmax 12\noom {ooms}\noom_kill {killed}\noom_group_kill 0\nsock_throttled 0\n"
"""memory.events.local of Linux 6.18."""
QUIET = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
BUSY = "some avg10=41.20 avg60=9.03 avg300=2.11 total=812771\nfull avg10=40.55 avg60=8.90 avg300=2.07 total=801234\n"


class FakeCgroups:
    """The accounts' directory with alice and bob, each with the leaves web and login."""

    def __init__(self, users: Path, *, by_limit: bool = True) -> None:
        self.users, self._by_limit = users, by_limit
        for path in ("", "alice", "alice/web", "alice/login", "bob", "bob/web", "bob/login"):
            (users / path).mkdir(parents=True, exist_ok=True)
            self.events(path)
            self.write(path, "memory.pressure", QUIET)
            self.write(path, "cpu.max", "max 100000\n")

    def events(self, path: str, events: Events = Events()) -> None:  # noqa: B008
        self.write(path, "memory.events.local", MEMORY.format(**events._asdict()))
        self.write(path, "pids.events", f"max {events.refused}\n")
        if self._by_limit:
            self.write(path, "pids.events.local", f"max {events.refused}\n")

    def write(self, path: str, file: str, text: str) -> None:
        (self.users / path / file).write_text(text)
