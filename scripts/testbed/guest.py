"""A running guest: start, run, push, pull, reboot, stop."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from testbed import host, monitor, product, qemu, ssh, state
from testbed.errors import CommandFailed, VmError
from testbed.image import Image, ensure
from testbed.progress import Progress
from testbed.state import Place, State

DEFAULT = "default"
BOOT_PATIENCE = 300.0
STOP_PATIENCE = 40.0
SCRATCH_SIZE = 1 << 30
TIMED_OUT = 124


@dataclass(frozen=True)
class Result:
    """How a command in the guest ended. `code` 124: it took longer than its timeout; 255: ssh failed."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="replace")


@dataclass
class Guest:
    place: Place
    state: State
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def start(
        cls,
        name: str = "",
        *,
        release: str = "trixie",
        bare: bool = False,
        progress: Progress | None = None,
    ) -> "Guest":
        """The guest of that name with this tree's product: booted if it is down, refreshed if it runs."""
        progress = progress or Progress()
        place = Place(checked(name or default_name(release)))
        with place.locked():
            known = state.load(place)
            if known is not None and known.release != release:
                raise VmError(f"guest {place.name} runs {known.release}, not {release}", hint="stop it, or take a name")
            if known is None:
                image = ensure(release, progress=progress)
                guest = cls(place, _boot(place, image, progress), progress)
                guest._wait_until_up(lambda: True)
            else:
                guest = cls(place, known, progress)
            if not bare:
                guest.install_product()
        return guest

    @classmethod
    def running(cls, name: str = DEFAULT, *, progress: Progress | None = None) -> "Guest":
        known = state.load(Place(checked(name)))
        if known is None:
            raise VmError(f"no guest called {name} runs", hint="scripts/vm start")
        return cls(Place(name), known, progress or Progress())

    @property
    def way(self) -> ssh.Way:
        return self.state.way(self.place)

    def run(
        self,
        argv: Sequence[str] | None = None,
        *,
        script: str | bytes | None = None,
        user: str = "root",
        timeout: float | None = None,
        stdin: bytes = b"",
        check: bool = False,
        fresh: bool = False,
    ) -> Result:
        """Runs a command, or a bash script, as a login of `user`.

        Root's runs share a connection unless `fresh`; another user's are a login each. `check`: anything but
        exit status 0 is CommandFailed.
        """
        remote, text = ssh.command(argv, script, timeout)
        if user == "root" and not fresh:
            self.way.connect()
        line = self.way.argv(remote, user=user, fresh=fresh)
        patience = timeout + 60 if timeout is not None else None
        try:
            done = subprocess.run(line, input=text or stdin, capture_output=True, timeout=patience)
        except subprocess.TimeoutExpired as late:
            return Result(TIMED_OUT, late.stdout or b"", late.stderr or b"")
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.code != 0:
            raise CommandFailed(f"in the guest, exit status {result.code}: {remote}\n{result.out}{result.err}".rstrip())
        return result

    def push(self, source: Path, destination: str) -> None:
        """A file, with its mode, or a directory, to that very path."""
        packed = subprocess.run(
            ["tar", "--owner=0", "--group=0", "-C", str(source), "-cf", "-", "."]
            if source.is_dir()
            else ["cat", str(source)],
            capture_output=True,
            check=False,
        )
        if packed.returncode != 0:
            raise VmError(f"cannot read {source}: {packed.stderr.decode().strip()}")
        if source.is_dir():
            script = ["sh", "-c", 'mkdir -p "$1" && tar -C "$1" -xf -', "push", destination]
        else:
            mode = f"{source.stat().st_mode & 0o777:o}"
            keep = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
            script = ["sh", "-c", keep, "push", destination, mode]
        self.run(script, stdin=packed.stdout, check=True)

    def pull(self, source: str, destination: Path) -> None:
        destination.write_bytes(self.run(["cat", "--", source], check=True).stdout)

    def reboot(self, *, hard: bool = False) -> None:
        """`hard` is the reset button: nothing is synced, what the guest had not written is lost."""
        with self.place.locked():
            before = self._boot_id()
            with self.progress.stage("hard reset" if hard else "reboot"):
                if hard:
                    monitor.tell(self.place.monitor, "system_reset")
                else:
                    self.run(["systemctl", "reboot"])
                self.way.disconnect()
                self._wait_until_up(lambda: self._boot_id() not in ("", before))

    def _boot_id(self) -> str:
        return self.run(["cat", "/proc/sys/kernel/random/boot_id"]).out.strip()

    def stop(self) -> None:
        with self.place.locked(), self.progress.stage("stop"):
            if self.state.is_alive(self.place):
                self.run(["systemctl", "poweroff"], timeout=20)
            self.way.disconnect()
            self._end_qemu()
            _forget(self.place)

    def _end_qemu(self) -> None:
        for patience, word in ((STOP_PATIENCE, signal.SIGTERM), (5.0, signal.SIGKILL), (5.0, signal.SIGKILL)):
            if _wait(lambda: not self.state.is_alive(self.place), patience):
                return
            os.kill(self.state.pid, word)
        raise VmError(f"qemu (pid {self.state.pid}) does not end")

    def install_product(self, *, force: bool = False) -> None:
        """Brings in the working tree and runs its scripts/install, unless the guest has this very tree."""
        wanted = product.product()
        digest = wanted.digest()
        if digest == self.state.product and not force:
            return
        with tempfile.TemporaryDirectory() as place:
            wheel: Path | None = None
            if wanted.is_installable:
                with self.progress.stage("wheel of the working tree"):
                    wheel = product.build_wheel(wanted, Path(place), self.state.kernel_image().wheels)
            with self.progress.stage("working tree into the guest"):
                self.run(script_unpack(), stdin=wanted.tarball(wheel), check=True)
        if wheel is None:
            self.progress.say("no scripts/install or no pyproject.toml in this tree: nothing installed")
            return
        with self.progress.stage("scripts/install"):
            self.run([f"{product.TREE}/scripts/install", "--wheels", product.WHEELS], check=True)
        self.state = replace(self.state, product=digest)
        self.state.save(self.place)

    def _wait_until_up(self, is_it: Callable[[], bool]) -> None:
        """Until sshd lets us in and systemd has started what it wants to start."""
        with self.progress.stage("boot"):
            if not _wait(lambda: self._check_alive() and self.way.answers() and self.way.connect() and is_it(), BOOT_PATIENCE):
                raise VmError("the guest did not come up", log=self.place.console, hint="scripts/vm console; scripts/vm stop")
            told = self.run(["systemctl", "is-system-running", "--wait"], timeout=BOOT_PATIENCE)
        if told.out.strip() != "running":
            failed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).out.strip()
            self.progress.say(f"systemd says {told.out.strip() or told.err.strip()}:\n{failed}")

    def _check_alive(self) -> bool:
        if not self.state.is_alive(self.place):
            raise VmError("qemu ended while the guest was booting", log=self.place.console)
        if re.search(rb"Kernel panic - not syncing", self.place.console.read_bytes()):
            raise VmError("the guest's kernel panicked", log=self.place.console)
        return True


def script_unpack() -> list[str]:
    """Replaces the tree and our wheel; the wheels it depends on are links that the image made."""
    remove = f"rm -rf {product.TREE}; find {product.WHEELS} -type f -name '*.whl' -delete"
    return ["sh", "-c", f"{remove}; tar -C /root -xzf -"]


def _boot(place: Place, image: Image, progress: Progress) -> State:
    _forget(place)
    accel = qemu.accelerator(image, progress)
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.disk), "-F", "raw", str(place.overlay)]
    place.qemu_log.unlink(missing_ok=True)
    host.logged(overlay, log=place.qemu_log)
    for disk in place.scratch:
        with disk.open("wb") as empty:
            empty.truncate(SCRATCH_SIZE)
    port = ssh.free_port()
    disks = qemu.Disks(place.overlay, place.scratch)
    line = qemu.argv(
        image, disks, accel=accel, port=port, console=place.console, pidfile=place.pidfile, qmp=place.monitor
    )
    host.logged(line, log=place.qemu_log)
    known = State(int(place.pidfile.read_text()), port, accel, str(image.directory), image.release, image.key)
    known.save(place)
    return known


def _forget(place: Place) -> None:
    """What a guest wrote is gone with it. Its logs stay, to be read."""
    for file in (place.state, place.overlay, *place.scratch, place.pidfile, place.monitor, place.control):
        file.unlink(missing_ok=True)


def _wait(is_so: Callable[[], bool], patience: float) -> bool:
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


def default_name(release: str) -> str:
    return DEFAULT if release == "trixie" else release


def checked(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise VmError(f"{name!r} is no name for a guest", hint="small letters, digits and dashes")
    return name
