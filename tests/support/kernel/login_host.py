"""A machine for logins on this kernel: users, PAM stacks, doors and sshd of the test's own.

It is in a mount namespace, so that files of the machine are not touched, and in a process namespace, so that all of
it ends with the test.
"""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam import profile
from paas_isolate.linux.pam.doors import DoorDirectory
from tests.support.kernel import login_stacks
from tests.support.kernel.pam_build import ADMIN, CUSTOMERS, MODERN, OPERATOR, PEOPLE, UIDS, PamBuild, Person
from tests.support.kernel.pam_session import Session, told
from tests.support.waiting import wait_for

SETUP = Path(__file__).with_name("logins.sh")
PENALTY = "penalty"

_SSHD = """\
ListenAddress 127.0.0.1:{port}
HostKey {pam_build}/host_key
AuthorizedKeysFile /run/sshd/authorized_keys
StrictModes no
UsePAM yes
PermitRootLogin yes
PubkeyAuthentication yes
PasswordAuthentication yes
KbdInteractiveAuthentication yes
MaxStartups 1000
UseDNS no
PrintMotd no
PrintLastLog no
PermitUserRC no
PidFile none
Subsystem sftp internal-sftp
"""
_SSH = """\
Host host
    HostName 127.0.0.1
    Port {port}
    HostKeyAlias host
    UserKnownHostsFile {place}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    IdentityFile {pam_build}/key
    IdentitiesOnly yes
    IdentityAgent none
    NumberOfPasswordPrompts 1
    KexAlgorithms curve25519-sha256
    LogLevel ERROR
"""


def leaf_of(name: str) -> str:
    return f"users/{name}/login"


@contextmanager
def near(directory: Path) -> Iterator[str]:
    """A short way to it: the path of a Unix socket ends at 107 bytes."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


class LoginHost:
    """Customers with their leaves and doors, the module in the stacks, and sshd before it."""

    def __init__(
        self,
        place: Path,
        pam_build: PamBuild,
        cgroups: CgroupTree,
        *,
        open_on_failure: bool = False,
        lines: Sequence[str] | None = None,
    ) -> None:
        """`lines` stand in the place of ours."""
        self.place, self.pam_build, self.cgroups = place, pam_build, cgroups
        self.module = Path(shutil.copy(pam_build.module, place))
        self.doors = place / "doors"
        self.syslog: list[str] = []
        self._undo = ExitStack()
        self._files()
        self._leaves()
        login_stacks.lay(place / "etc" / "pam.d", self._lines(open_on_failure) if lines is None else lines)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._listen())
            self._start(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def inside(self, *command: str, check: bool = True, patience: float = 60) -> subprocess.CompletedProcess[str]:
        """Root's, in the login_host; for so many seconds at most."""
        enter = ["nsenter", f"--mount=/proc/{self._pid}/ns/mnt", f"--pid=/proc/{self._pid}/ns/pid_for_children"]
        done = subprocess.run([*enter, "--", *command], capture_output=True, text=True, timeout=patience, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    def session(self, service: str, who: Person) -> Session:
        """A transaction of PAM alone, through the stack of a service."""
        return told(self.transaction(service, who).stdout, self.cgroups)

    def transaction(self, service: str, who: Person) -> subprocess.CompletedProcess[str]:
        """What session.c has to say."""
        return self.inside(str(self.pam_build.session), "/etc/pam.d", service, who.name)

    def logged(self, *words: str) -> list[str]:
        """The lines of the system's log that have all these words. What PAM logs is there before its answer is."""
        return [line for line in list(self.syslog) if all(word in line for word in words)]

    def _lines(self, open_on_failure: bool) -> list[str]:
        exempt, penalty = (ADMIN.uid, OPERATOR.uid), f"{self.cgroups.root}/{PENALTY}"
        options = profile.Options(UIDS[0], UIDS[-1], exempt, penalty, str(self.doors), open_on_failure)
        return profile.lines(options, ("@sudo", OPERATOR.name), str(self.module))

    def _files(self) -> None:
        etc = self.place / "etc"
        etc.mkdir()
        people = [(each.name, each.uid) for each in PEOPLE]
        passwd = [f"{name}:x:{uid}:{uid}:{name}:/home/{name}:/bin/sh" for name, uid in people]
        passwd.append("sshd:x:74:74::/run/sshd:/usr/sbin/nologin")
        group = [*(f"{name}:x:{uid}:" for name, uid in people), "sshd:x:74:", f"sudo:x:27:{ADMIN.name}", "tty:x:5:"]
        shadow = [f"{name}:{self.pam_build.hash}:20000:0:99999:7:::" for name, _ in people]
        texts = {"passwd": passwd, "group": group, "shadow": shadow}
        texts["nsswitch.conf"] = [f"{each}: files" for each in ("passwd", "group", "shadow", "hosts")]
        for name, lines in texts.items():
            (etc / name).write_text("\n".join(lines) + "\n")
        (etc / "shadow").chmod(0o600)
        (self.place / "environment").write_text(f"{login_stacks.STANDIN}=yes\n")
        shutil.copy(self.pam_build.place / "key.pub", self.place / "authorized_keys")
        key = " ".join((self.pam_build.place / "host_key.pub").read_text().split()[:2])
        (self.place / "known_hosts").write_text(f"host {key}\n")
        (self.place / "askpass").write_text(f"#!/bin/sh\nexec cat '{self.pam_build.place}/password'\n")
        (self.place / "askpass").chmod(0o700)

    def _leaves(self) -> None:
        paths = ["users", PENALTY]
        doors = DoorDirectory(str(self.doors), self.cgroups.root)
        for each in CUSTOMERS:
            paths += [f"users/{each.name}", leaf_of(each.name)]
            doors.set(str(each.uid), leaf_of(each.name))
        for path in paths:
            if not self.cgroups.exists(path):  # another login_host has it, too
                self.cgroups.create(path)
        doors.complete()

    def _listen(self) -> Callable[[], None]:
        """What stands in for syslogd. Read at once: a dozen messages that nobody reads hold every writer up."""
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with near(self.place) as here:
            log.bind(f"{here}/log")
        reader = threading.Thread(target=self._read, args=(log,))
        reader.start()

        def stop() -> None:
            log.shutdown(socket.SHUT_RDWR)
            reader.join()
            log.close()

        return stop

    def _read(self, log: socket.socket) -> None:
        while message := log.recv(65536):
            self.syslog.append(message.decode(errors="replace"))

    def _start(self, undo: ExitStack) -> None:
        for _ in range(5):  # the port is free, and somebody else may take it first
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            config = _SSHD.format(port=port, pam_build=self.pam_build.place) + (MODERN if self.pam_build.modern else "")
            (self.place / "sshd_config").write_text(f"{config}\n")
            (self.place / "ssh_config").write_text(
                _SSH.format(port=port, place=self.place, pam_build=self.pam_build.place)
            )
            started = self._sshd()
            undo.callback(_end, started)
            if self._answers(started):
                self._pid = started.pid
                return
        raise AssertionError(f"sshd does not start: {(self.place / 'sshd.log').read_text()}")

    def _sshd(self) -> subprocess.Popen[bytes]:
        private = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        setup = ["sh", str(SETUP), str(self.place), self.pam_build.sshd.unpacked]
        sshd = [self.pam_build.sshd.program, "-D", "-e", "-f", str(self.place / "sshd_config")]
        with open(self.place / "sshd.log", "wb") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *private, *setup, *sshd],
                env=self.pam_build.sshd.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )

    def _answers(self, started: subprocess.Popen[bytes]) -> bool:
        def listens() -> bool:
            return b"Server listening" in (self.place / "sshd.log").read_bytes()

        wait_for(lambda: listens() or started.poll() is not None, what="sshd listens, or has ended")
        return listens()


def _end(started: subprocess.Popen[bytes]) -> None:
    """With unshare(1) ends the first process of the namespace, and with that all of them."""
    started.send_signal(signal.SIGKILL)
    started.wait()
