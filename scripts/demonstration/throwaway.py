"""The throwaway guest: a real Debian with systemd, cgroup v2 and its own kernel."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testbed import host, image, state
from testbed.errors import VmError
from testbed.guest import Guest, Result, checked
from testbed.progress import Progress

from demonstration import examples
from demonstration.facts import DemonstrationError
from demonstration.target import PATIENCE, Answer, Target

CUSTOMER, ADMINISTRATOR = "alice", "chief"
PORT = 8421
"""Of the page (paas-isolate web)."""
DISK = 3
"""GB: the packages, the tree while it is built, the image, what the guest writes."""


class Throwaway(Target):
    tree = "/sys/fs/cgroup/paas.slice/paas-tree.service"
    etc = "/etc/paas-isolate"
    lock = "/run/paas-isolate/lock"
    paas = ("/usr/bin/paas-isolate",)

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.names = {name: name for name in examples.accounts()}
        self.ports = {name: 8101 + number for number, name in enumerate(self.names)}

    def execute(self, script: str, *, patience: float) -> Answer:
        return _answer(self.guest.run(script=script, timeout=patience), 0)

    def log_in(self, user: str, script: str) -> Answer:
        begin = time.monotonic()
        done = self.guest.run(script=script, user=user, timeout=PATIENCE)
        return _answer(done, time.monotonic() - begin)

    def install(self) -> str:
        begin = time.monotonic()
        self.guest.install_product()
        took = time.monotonic() - begin
        values = self.measure(
            'tell release "$(. /etc/os-release && echo "$PRETTY_NAME")"\n'
            'tell kernel "$(uname -r)"; tell systemd "$(systemctl --version | cut -d" " -f2 | head -n 1)"'
        )
        return (
            f"scripts/install ended well after {took:.0f} s on {values.text('release')},"
            f" kernel {values.text('kernel')}, systemd {values.text('systemd')}"
        )

    def hold_schedule(self) -> None:
        """Until the reboot: the timer stays enabled."""
        self.measure("systemctl stop paas-isolate.timer paas-isolate.service")

    def add_users(self, users: list[str]) -> None:
        self.measure("set -e\n" + "\n".join(f"useradd --create-home --shell /bin/bash {user}" for user in users))

    def open_page(self) -> str:
        """Start the page, with a customer and an administrator who can log in. Returns their password."""
        password = secrets.token_urlsafe(9)
        self.measure(
            f"""set -e
            id {ADMINISTRATOR} >/dev/null 2>&1 || useradd --system --create-home {ADMINISTRATOR}
            printf '%s:{password}\\n' {CUSTOMER} {ADMINISTRATOR} | chpasswd
            grep -q '^administrators:' {self.etc}/config.yaml ||
                echo 'administrators: [{ADMINISTRATOR}]' >>{self.etc}/config.yaml
            paas-isolate enable daemon >/dev/null
            paas-isolate enable web >/dev/null"""
        )
        return password

    def reboot(self) -> float:
        begin = time.monotonic()
        self.guest.reboot()
        return time.monotonic() - begin


def _answer(done: Result, seconds: float) -> Answer:
    return Answer(done.code, done.out, done.err, seconds)


@contextmanager
def throwaway(name: str, *, release: str, keep: bool, progress: Progress) -> Iterator[Throwaway]:
    _check_room(release)
    with _alone(checked(name)):
        _forget_an_earlier_one(name, progress)
        try:
            guest = _start(name, release, progress)
            guest.way.connect()
            yield Throwaway(guest)
        finally:
            if not keep:
                _forget_an_earlier_one(name, progress)


def _check_room(release: str) -> None:
    images = image.images()
    images.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(images).free / 1e9
    if free < (1 if image.find(release).directory.exists() else DISK):
        raise DemonstrationError(f"{images} has {free:.1f} GB free: make room, or set PAAS_ISOLATE_CACHE")


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One demonstration at a time in a guest: two would see each other's customers."""
    guests = host.cache() / "guests"
    guests.mkdir(parents=True, exist_ok=True)
    with (guests / f".try-{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemonstrationError(
                f"another scripts/try runs in guest {name}: wait for it, or choose another --name"
            ) from None
        yield


def _start(name: str, release: str, progress: Progress) -> Guest:
    """Boots the guest, a second time where its kernel panicked: an emulated one sometimes does so."""
    try:
        return Guest.start(name, release=release, bare=True, progress=progress)
    except VmError as error:
        if "panicked" not in str(error):
            raise
    progress.say("the guest's kernel panicked while booting, as emulated ones sometimes do: booting again")
    _forget_an_earlier_one(name, progress)
    return Guest.start(name, release=release, bare=True, progress=progress)


def _forget_an_earlier_one(name: str, progress: Progress) -> None:
    if state.load(state.Place(name)) is not None:
        Guest.running(name, progress=progress).throw_away()


def needs(release: str) -> str:
    """What a run needs and how long it takes, for the reader to know before it begins."""
    kvm = os.access("/dev/kvm", os.R_OK | os.W_OK)
    is_built = image.find(release).directory.exists()
    root = "no root, as the image is built" if is_built else "root or sudo, to build the image"
    build = "" if is_built else ", and some 3 more this first time, to build the image"
    return (
        f"  needs   {root}; {DISK} GB in {host.cache()}, 4 GB of memory, x86_64\n"
        f"  takes   some 2 minutes with KVM, some 6 to 11 without, by how busy the machine is{build}"
        f" ({'there is a /dev/kvm here: it is tried first' if kvm else 'no /dev/kvm here: the machine is emulated'})"
    )
