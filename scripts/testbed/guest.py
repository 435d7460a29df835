"""A running guest: start, run, push, pull, reboot, stop."""

import io
import re
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from building import build

from testbed import image, power, product, ssh, state
from testbed.architecture import OWN
from testbed.errors import CommandError, VmError
from testbed.progress import Progress
from testbed.state import Place, State
from testbed.waiting import until

# Twenty seconds with KVM, forty in emulation, four minutes in emulation on a machine that is busy with five others.
BOOT_PATIENCE = 600.0
BOOT_TRIES = 3
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
        variant: str = "",
        architecture: str = OWN,
        bare: bool = False,
        progress: Progress | None = None,
    ) -> "Guest":
        """The guest of that name, booted if it does not run, with this tree's product (unless `bare`)."""
        progress = progress or Progress()
        place = Place(checked(name or default_name(release, architecture)))
        wanted = image.find(release, variant, architecture)
        with place.locked():
            known = state.load(place)
            guest = cls._boot(place, wanted, progress) if known is None else cls(place, known, progress)
            if known is not None:
                # It may still boot: the process that started it may have been interrupted.
                guest._wait_until_up()
            runs = guest.state.image_used()
            if (runs.release, runs.architecture) != (release, architecture):
                hint = "stop it first, or take another --name"
                found = f"{runs.release}, {runs.architecture}"
                raise VmError(f"guest {place.name} runs {found}, not {release}, {architecture}", hint=hint)
            if runs.key != wanted.key:
                progress.say("this guest was made by another recipe than this tree's: stop it, and start it again")
            if not bare:
                guest.install_product()
        return guest

    @classmethod
    def _boot(cls, place: Place, wanted: image.Image, progress: Progress) -> "Guest":
        found = image.ensure(
            wanted.release, variant=wanted.variant, architecture=wanted.architecture, progress=progress
        )
        guest = cls(place, power.switch_on(place, found, progress), progress)
        with progress.stage("boot"):
            guest._wait_until_up()
        return guest

    @classmethod
    def running(cls, name: str = "default", *, progress: Progress | None = None) -> "Guest":
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

        Root's runs share a connection unless `fresh`; another user's are a login each. `timeout` is in seconds.
        `check`: raises CommandError for any exit status but 0.
        """
        remote, text = ssh.command(argv, script, timeout)
        line = self.way.ready(remote, user=user, fresh=fresh)
        # timeout(1) in the guest comes first; this is for a guest that does not answer any more.
        patience = timeout + 60 if timeout is not None else None
        try:
            done = subprocess.run(line, input=text or stdin, capture_output=True, timeout=patience)
        except subprocess.TimeoutExpired as late:
            return Result(TIMED_OUT, late.stdout or b"", late.stderr or b"")
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and result.code != 0:
            output = f"{result.out}{result.err}".rstrip()
            raise CommandError(f"in the guest, exit status {result.code}: {remote}\n{output}")
        return result

    def push(self, source: Path, destination: str) -> None:
        """Copies a file or directory, with its modes, to that path in the guest, where it belongs to root."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, Path(destination).name, filter=product.owned_by_root)
        unpack = 'mkdir -p "$1" && tar -C "$1" -xf -'
        parent = str(Path(destination).parent)
        self.run(["sh", "-c", unpack, "push", parent], stdin=packed.getvalue(), check=True)

    def pull(self, source: str, destination: Path) -> None:
        destination.write_bytes(self.run(["cat", "--", source], check=True).stdout)

    def reboot(self, *, hard: bool = False, append: str | None = None) -> None:
        """`hard` is a power cut: nothing is synced, and what the guest has not written is lost. `append`: what the
        kernel's command line has besides, from now on; by default it stays as it is.

        Either way a new qemu starts on the same disks: one that has emulated for long takes 250 s of processor time
        for the next boot, with soft lockups in the guest; a new one takes 70 s.
        """
        with self.place.locked(), self.progress.stage("power cut" if hard else "reboot"):
            if hard:
                power.cut(self.place, self.state)
            else:
                power.end_at_reboot(self.place)
                self.run(["systemctl", "reboot"])
                power.switch_off(self.place, self.state)
            self.way.disconnect()
            wanted = self.state if append is None else replace(self.state, append=append)
            self.state = power.switch_on_again(self.place, wanted)
            self._wait_until_up()

    def _wait_until_up(self) -> None:
        """Until sshd accepts a login and systemd has started everything.

        An emulated machine is switched off and on again when its boot is lost: in one boot of about twenty the kernel
        panics in code that it is patching for the other processor.
        """
        for _ in range(BOOT_TRIES - 1 if self.state.accel == "tcg" else 0):
            try:
                self._wait_once()
            except power.LostBoot as lost:
                self.progress.say(f"{lost}\nswitching it off and on again")
                power.cut(self.place, self.state)
                self.state = power.switch_on_again(self.place, self.state)
            else:
                return
        self._wait_once()

    def _wait_once(self) -> None:
        begin = time.time()

        def is_up() -> bool:
            power.check_boot(self.place, self.state, since=begin)
            return self.way.answers() and self.way.connect()

        if not until(is_up, BOOT_PATIENCE):
            raise VmError("the guest did not come up", log=self.place.console, hint="scripts/vm stop; start again")
        state = self.run(["systemctl", "is-system-running", "--wait"], timeout=BOOT_PATIENCE).out.strip()
        if state != "running":
            failed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"]).out.strip()
            self.progress.say(f"systemd says {state or 'nothing'}: {failed}")

    def stop(self) -> None:
        with self.place.locked(), self.progress.stage("stop"):
            if self.state.is_alive(self.place):
                self.run(["systemctl", "poweroff"], timeout=20)
            self.way.disconnect()
            power.switch_off(self.place, self.state)
            power.forget(self.place)

    def throw_away(self) -> None:
        """Stops it without a shutdown: its disks are not needed any more."""
        with self.place.locked(), self.progress.stage("stop"):
            self.way.disconnect()
            if self.state.is_alive(self.place):
                power.cut(self.place, self.state)
            power.forget(self.place)

    def install_product(self) -> None:
        """Brings in the working tree if it changed, and installs its packages if what they are made of did."""
        tree = product.product()
        if (digest := tree.digest()) != self.state.tree:
            with self.progress.stage("working tree into the guest"):
                self.run(["sh", "-c", product.UNPACK], stdin=tree.tarball(), check=True)
            self._remember(replace(self.state, tree=digest))
        packaged = tree.packaged().digest()
        if packaged != self.state.product:
            self._install(packaged)
        self.run(["sh", "-c", product.COMPILED], check=True)

    def _install(self, digest: str) -> None:
        # Where the installation fails, the next start tries it again.
        self._remember(replace(self.state, product=""))
        with tempfile.TemporaryDirectory() as place:
            packages = Path(place, "packages")
            build.build(self.state.release, self.state.architecture, packages, progress=self.progress)
            self.run(["rm", "-rf", product.PACKAGES], check=True)
            self.push(packages, product.PACKAGES)
        with self.progress.stage("scripts/install"):
            self.run([f"{product.TREE}/scripts/install", "--web", "--packages", product.PACKAGES], check=True)
        self._remember(replace(self.state, product=digest))

    def _remember(self, known: State) -> None:
        self.state = known
        known.save(self.place)


def default_name(release: str, architecture: str = OWN) -> str:
    words = ("" if architecture == OWN else architecture, "" if release == "trixie" else release)
    return "-".join(word for word in words if word) or "default"


def checked(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise VmError(f"{name!r} is no name for a guest", hint="small letters, digits and dashes")
    return name
