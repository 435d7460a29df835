"""GuestScene, for the ways in: two accounts with doors, a second sshd, and a watch over their processes."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from paas_isolate.linux.pam import auth_update
from tests.support.guest.machine import TREE, pids_of, run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs
from tests.support.guest.watch import Sighting, Watch, Words, compiled, now, watching
from tests.support.guest.ways import Through, Way
from tests.support.waiting import wait_for

PRELUDE = Path(__file__).with_name("ways.sh")
PASSWORD = "Correct-Horse-7"
ACCOUNT, GROUP = "inn", "guests"
FIRST, SECOND, OTHER, ADMINISTRATOR = "anna", "emil", "otto", "boss"
LAUNCHER = "/usr/sbin/paas-enter"
DAEMON = "ways-daemon.service"
SERVICES = {"web": {}, "jobs": {"entry": ["cron", "atd"]}}

SSHD = """\
Include /etc/ssh/sshd_config.d/*.conf
Port 2022
ListenAddress 127.0.0.1
PidFile none
UsePAM yes
KbdInteractiveAuthentication yes
Subsystem sftp internal-sftp
"""
SSH = """\
Host customer second
    HostName 127.0.0.1
    User {user}
    IdentityFile {place}/key
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
Host second
    Port 2022
"""


@dataclass
class Tried:
    """What came of a way: what its programs said, and what root saw of its user meanwhile."""

    way: Way
    status: int
    output: str
    words: list[Words]
    seen: list[Sighting]

    @property
    def first(self) -> set[str]:
        """In the first instruction; where no program says so, when root saw it first."""
        if self.way.places:
            return {words.cgroup for words in self.words if words.moment == "first"}
        return {sighting.cgroup for sighting in {seen.pid: seen for seen in reversed(self.seen)}.values()}

    @property
    def later(self) -> set[str]:
        if self.way.places:
            return {words.cgroup for words in self.words if words.moment == "later"}
        return {sighting.cgroup for sighting in {seen.pid: seen for seen in self.seen}.values()}

    @property
    def outside(self) -> list[Sighting]:
        return [sighting for sighting in self.seen if sighting.is_outside]


@dataclass
class GuestScene:
    place: Path
    watch: Watch
    people: dict[str, Customer]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    borrowed: list[Sighting] = field(default_factory=list)

    def user(self, way: Way) -> Customer:
        return self.people[SECOND if way.second else FIRST]

    @contextmanager
    def tried(self, way: Way) -> Iterator[Tried]:
        """Its processes are there until the end of the context."""
        user = self.user(way)
        self.watch.forget()
        begin = now()
        output = self.place / "output"
        with self._clearing(way), output.open("wb") as said, self.started(way.script, user, said.fileno()) as script:
            status = script.wait(900 if way.long else 90)
            wait_for(lambda: self._all_said(way, user), what=f"{way.name}: all have said where they are", deadline=30)
            if not way.places and way.through is not Through.REFUSED:
                begun = wait_for(lambda: self._seen(begin), what=f"{way.name}: root has seen somebody")[0].at
                wait_for(lambda: now() > begun + 1.2, what="root has looked again")
            self.borrowed += [each for each in self.watch.seen(begin) if each.is_borrowed]
            yield Tried(way, status, output.read_text(errors="replace"), self.watch.said(user.uid), self._seen(begin))

    @contextmanager
    def _clearing(self, way: Way) -> Iterator[None]:
        try:
            yield
        finally:
            if way.through is Through.SWEEP:
                systemctl("kill", "--signal=KILL", DAEMON)
            self.clear()
            if way.through is Through.SWEEP:
                systemctl("stop", DAEMON)

    def _seen(self, begin: float) -> list[Sighting]:
        return [sighting for sighting in self.watch.seen(begin) if not sighting.is_borrowed]

    def _all_said(self, way: Way, user: Customer) -> bool:
        said = self.watch.said(user.uid)
        first, later = ({words.pid for words in said if words.moment == moment} for moment in ("first", "later"))
        return len(first) >= len(way.places) and first == later

    @contextmanager
    def started(self, text: str, user: Customer, output: int) -> Iterator[subprocess.Popen[bytes]]:
        """A script as support/guest/ways.py has them, until the end of the context."""
        (self.place / "ssh_config").write_text(SSH.format(user=user.name, place=self.place))
        names = {"U": user.name, "A": ACCOUNT, "G": GROUP, "OTHER": OTHER, "PASSWORD": PASSWORD, "BOSS": ADMINISTRATOR}
        places = {"D": str(self.place), "ENTER": LAUNCHER, "TREE": str(TREE)}
        environment = {"PATH": os.environ["PATH"], "HOME": "/root", **names, **places}
        words = ["bash", "-c", f". {PRELUDE}\n{text}\n"]
        script = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield script
        finally:
            with suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)
            script.wait()

    def clear(self) -> None:
        """Nothing that a way has begun is there any more, and nothing will begin."""
        Path("/etc/cron.d/ways").unlink(missing_ok=True)
        for name, person in self.people.items():
            Path(f"/var/spool/cron/crontabs/{name}").unlink(missing_ok=True)
            (person.home / ".forward").unlink(missing_ok=True)
        for job in run("atq").splitlines():
            subprocess.run(["atrm", job.split()[0]], capture_output=True)  # it may have ended since
        for account in (TREE / "users").iterdir():
            if account.is_dir():
                (account / "cgroup.kill").write_text("1")
        uids = [person.uid for person in self.people.values()]
        wait_for(lambda: not [_killed(pid) for pid in pids_of(*uids)], what="no process of theirs is left")


def _killed(pid: int) -> int:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return pid


@contextmanager
def set_up(specs: Specs, paas: Paas, customer: Callable[..., Customer]) -> Iterator[GuestScene]:
    with ExitStack() as undo:
        undo.callback(systemctl, "reset-failed")
        place = Path(tempfile.mkdtemp(prefix="ways-", dir="/var/tmp"))
        undo.callback(shutil.rmtree, place)
        compiled(place)
        run("groupadd", "--force", GROUP)
        undo.callback(run, "groupdel", GROUP)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key"))
        (place / "password").write_text("something to copy\n")
        askpass = place / "askpass"
        askpass.write_text('#!/bin/sh\necho "$PASSWORD"\n')
        askpass.chmod(0o755)
        people = {name: customer(name, "--shell", str(place / "shell")) for name in (FIRST, SECOND, OTHER)}
        for name in people:
            run("usermod", "--append", "--groups", GROUP, "--shell", str(place / "shell"), name)
        people[ADMINISTRATOR] = customer(ADMINISTRATOR, "--shell", "/bin/bash")
        run("usermod", "--append", "--groups", "sudo", ADMINISTRATOR)
        run("chpasswd", stdin="".join(f"{name}:{PASSWORD}\n" for name in people))
        for person in (*people.values(), Customer("root", 0, 0, Path("/root"))):
            _give_key(person, place)
        undo.callback(Path("/root/.ssh/authorized_keys").unlink)
        limits = {"pids": 1000, "memory": "1G", "cpu": "200%"}
        specs.sell(ACCOUNT, users=(FIRST, SECOND), owner=FIRST, limits=limits, services=SERVICES)
        specs.sell("mill", users=(OTHER,), limits=limits)
        undo.enter_context(_placed_at_once(paas))
        undo.enter_context(_second_sshd(place))
        undo.enter_context(_willing_atd())
        watch = undo.enter_context(watching(place, 1000, 59999))
        guest_scene = GuestScene(place, watch, people)
        undo.callback(guest_scene.clear)
        yield guest_scene


@contextmanager
def _placed_at_once(paas: Paas) -> Iterator[None]:
    """Logins pass the module meanwhile."""
    before = auth_update.keep()
    paas("pam", "install")
    try:
        yield
    finally:
        paas("pam", "remove")
    assert auth_update.keep() == before


def _give_key(person: Customer, place: Path) -> None:
    directory = person.home / ".ssh"
    directory.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(place / "key.pub", directory / "authorized_keys")
    run("chown", "-R", f"{person.uid}:{person.gid}", str(directory))


@contextmanager
def _second_sshd(place: Path) -> Iterator[None]:
    (place / "sshd_config").write_text(SSHD)
    unit = "ways-sshd.service"
    run("systemd-run", "--quiet", "--collect", f"--unit={unit}", "/usr/sbin/sshd", "-D", "-f", f"{place}/sshd_config")
    try:
        yield
    finally:
        systemctl("stop", unit)


@contextmanager
def _willing_atd() -> Iterator[None]:
    """One that runs batch jobs though an emulated machine is always loaded."""
    drop_in = Path("/run/systemd/system/atd.service.d/ways.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nExecStart=\nExecStart=/usr/sbin/atd -f -l 1000 -b 1\n")
    try:
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "atd.service")
        yield
    finally:
        shutil.rmtree(drop_in.parent)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "atd.service")
