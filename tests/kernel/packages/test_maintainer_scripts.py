"""The maintainer scripts, in a copy of this machine's root directory that they may change (overlayfs)."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

SOURCE = Path(__file__).resolve().parents[3]
DEBIAN = SOURCE / "packaging" / "debian"
CONFIG = "etc/paas-isolate/config.yaml"
CRON = "etc/cron.d/paas-isolate"
OLD_CRON = "* * * * * root /usr/local/bin/paas-isolate reconcile --cron\n"
PLANS = ("large.yaml", "small.yaml")

STUB = """\
#!/bin/sh
echo "${0##*/} $*" >>/told
if [ "${0##*/} $1" = "paas-isolate leave" ] && [ -e /refuses ]; then echo 'it refuses' >&2; exit 5; fi
if [ "${0##*/} $1 $2" = "paas-isolate pam remove" ] && [ ! -e /refuses ]; then rm -f /etc/pam.d/ours; fi
case "$*" in *is-active*) test -e "/active/${*##* }" ;; esac
"""

ENTER = """\
set -eu
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root"
mount --bind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/run"
mkdir -p "$1/root/run/systemd/system" "$1/root/run/paas-isolate"
cp -R "$1/run/." "$1/root/run/paas-isolate/"
chroot "$1/root" sh -c "$2"
rm -rf "$1/run"
cp -R "$1/root/run/paas-isolate" "$1/run" 2>/dev/null || mkdir "$1/run"
"""


class Machine:
    """`put` and `text` take paths without the first slash. What the scripts call is noted in `told`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in ("upper", "work", "root", "run"):
            (place / name).mkdir()
        for program in ("systemctl", "paas-isolate", "pam-auth-update"):
            self.put(f"stubs/{program}", STUB, 0o755)
        for plan in PLANS:
            self.put(f"usr/share/paas-isolate/plans.d/{plan}", f"plan: {plan}\n")

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.place / "upper" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def there(self, path: str) -> bool:
        """overlayfs has a character device in the place of what was removed and is there on this machine."""
        file = self.place / "upper" / path
        return os.path.lexists(file) and not file.is_char_device()

    def text(self, path: str) -> str:
        return (self.place / "upper" / path).read_text()

    def target(self, path: str) -> str:
        return os.readlink(self.place / "upper" / path)

    @property
    def told(self) -> list[str]:
        return self.text("told").splitlines() if self.there("told") else []

    def script(self, name: str, *words: str, code: int = 0, package: str = "paas-isolate") -> str:
        """Runs a maintainer script as dpkg does; its output."""
        self.put("script", (DEBIAN / f"{package}.{name}").read_text(), 0o755)
        inside = f"PATH=/stubs:/usr/sbin:/usr/bin:/sbin:/bin exec /script {' '.join(words)}"
        line = ["unshare", "--mount", "--propagation=private", "sh", "-c", ENTER, "sh", str(self.place), inside]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield Machine(tmp_path)
    subprocess.run(["rm", "-rf", str(tmp_path / "work")], check=True)  # overlayfs leaves a directory of mode 000 there


@pytest.fixture
def old(machine: Machine) -> Machine:
    """As scripts/install left it before there were packages: everything as installed, the timer enabled."""
    files = {
        CONFIG: "users: {}\n",
        CRON: f"#{OLD_CRON}",
        "etc/systemd/system/paas-tree.service": "[Unit]\n",
        "etc/systemd/system/paas-isolate.timer": "[Timer]\n",
        "etc/tmpfiles.d/paas-isolate.conf": "d /run/paas-isolate\n",
    }
    others = ("usr/local/sbin/paas-enter", "usr/local/sbin/paas-run", "usr/local/share/man/man8/paas-isolate.8")
    module = "usr/lib/x86_64-linux-gnu/security/pam_paas_isolate.so"
    for path, text in files.items():
        machine.put(path, text)
    for path in (*others, module):
        machine.put(path, "old\n")
    (machine.place / "upper/usr/local/bin").mkdir(parents=True)
    (machine.place / "upper/usr/local/bin/paas-isolate").symlink_to("/opt/paas-isolate/venv/bin/paas-isolate")
    wants = machine.place / "upper/etc/systemd/system/timers.target.wants"
    wants.mkdir()
    (wants / "paas-isolate.timer").symlink_to("/etc/systemd/system/paas-isolate.timer")
    listed = [f"conf /{path}" for path in files] + [f"file /{path}" for path in (*others, module)]
    machine.put("opt/paas-isolate/manifest", "".join(f"{line}\n" for line in [*listed, "complete /"]))
    sums = (f"{hashlib.sha256(text.encode()).hexdigest()}  /{path}\n" for path, text in files.items())
    machine.put("var/lib/paas-isolate/installed", "".join(sums))
    machine.put("etc/paas-isolate/plans.d/own.yaml", "plan: own\n")
    return machine


def take_over(old: Machine) -> str:
    """preinst, the conffiles that dpkg writes, postinst."""
    said = old.script("preinst", "install")
    for path in (CONFIG, CRON):
        assert not old.there(path), "dpkg would ask"
        old.put(path, "new\n")
    return said + old.script("postinst", "configure", "''")


def test_a_first_installation_enables_and_starts_the_tree_alone(machine: Machine) -> None:
    machine.script("preinst", "install")
    said = machine.script("postinst", "configure", "''")
    assert "paas-isolate enable timer" in said
    changing = [line for line in machine.told if not line.startswith(("systemctl show", "systemctl --quiet is-"))]
    assert changing == ["systemctl --quiet --no-reload enable paas-tree.service", "systemctl start paas-tree.service"]
    assert {path.name for path in (machine.place / "upper/etc/paas-isolate/plans.d").iterdir()} == set(PLANS)
    assert (machine.place / "upper/etc/paas-isolate/accounts.d").stat().st_mode & 0o777 == 0o700


def test_an_upgrade_copies_no_plan_and_says_nothing(machine: Machine) -> None:
    machine.put("etc/paas-isolate/plans.d/own.yaml", "plan: own\n")
    machine.put("active/paas-tree.service", "")
    machine.script("preinst", "upgrade", "0.1")
    assert machine.script("postinst", "configure", "0.1") == ""
    assert [path.name for path in (machine.place / "upper/etc/paas-isolate/plans.d").iterdir()] == ["own.yaml"]
    assert not any(word in line for line in machine.told for word in ("enable", "start", "stop"))


@pytest.mark.parametrize("unit", ["paas-isolate-daemon.service", "paas-isolate.timer"])
@pytest.mark.parametrize("ends", [("configure", "0.1"), ("abort-upgrade", "0.2")])
def test_what_ran_is_paused_during_an_upgrade_and_nothing_else(
    machine: Machine, unit: str, ends: tuple[str, str]
) -> None:
    for active in (unit, "paas-tree.service"):
        machine.put(f"active/{active}", "")
    machine.script("preinst", "upgrade", "0.1")
    machine.script("postinst", *ends)
    changing = [line for line in machine.told if "start" in line or "stop" in line]
    assert changing == [f"systemctl stop {unit}", f"systemctl start {unit}"]
    assert not (machine.place / "run/paused").exists()


def test_an_old_installation_is_taken_over(old: Machine) -> None:
    said = take_over(old)
    assert "replaced by the package" in said
    assert not old.there("opt/paas-isolate")
    assert old.target("usr/local/bin/paas-isolate") == "/usr/bin/paas-isolate"
    assert old.target("usr/local/sbin/paas-enter") == "/usr/sbin/paas-enter"
    gone = ("usr/local/sbin/paas-run", "usr/local/share/man/man8/paas-isolate.8", "etc/tmpfiles.d/paas-isolate.conf")
    assert not any(old.there(path) for path in (*gone, "etc/systemd/system/paas-tree.service"))
    assert "systemctl --quiet reenable paas-isolate.timer" in old.told
    assert old.text("usr/lib/x86_64-linux-gnu/security/pam_paas_isolate.so") == "old\n", "dpkg renames its own over it"
    assert (old.text(CONFIG), old.text(CRON)) == ("new\n", "new\n")
    assert not old.there("var/lib/paas-isolate/cron")
    assert old.text("etc/paas-isolate/plans.d/own.yaml") == "plan: own\n"


def test_what_was_edited_in_an_old_installation_is_kept(old: Machine) -> None:
    old.put(CONFIG, "users: {first_uid: 2000}\n")
    old.put(CRON, f"MAILTO=admin\n{OLD_CRON}")
    old.put("etc/systemd/system/paas-isolate.timer", "[Timer]\nOnCalendar=hourly\n")
    said = take_over(old)
    assert old.text(CONFIG) == "users: {first_uid: 2000}\n"
    assert old.text(CRON) == "new\n"
    assert old.there("var/lib/paas-isolate/cron"), "its line was active"
    assert old.text("etc/paas-isolate/edited/paas-isolate") == f"MAILTO=admin\n{OLD_CRON}"
    assert old.text("etc/paas-isolate/edited/paas-isolate.timer").endswith("hourly\n")
    assert said.count("was edited") == 2


def test_a_removal_goes_through_leave_and_stops_where_that_refuses(machine: Machine) -> None:
    machine.script("prerm", "remove")
    assert machine.told == ["paas-isolate leave"]
    machine.put("refuses", "")
    assert "it refuses" in machine.script("prerm", "remove", code=5)


@pytest.mark.parametrize("words", [("upgrade", "0.3"), ("deconfigure",), ("failed-upgrade", "0.1")])
def test_an_upgrade_leaves_nothing(machine: Machine, words: tuple[str, ...]) -> None:
    machine.script("prerm", *words)
    machine.script("postrm", *words[:1])
    assert machine.told == []


def test_the_module_does_not_go_before_its_lines(machine: Machine) -> None:
    machine.script("prerm", "remove", package="libpam-paas-isolate")
    machine.put("etc/pam.d/ours", "session optional pam_paas_isolate.so\n")
    machine.script("prerm", "remove", package="libpam-paas-isolate")
    assert machine.told == ["paas-isolate pam remove"]
    machine.put("refuses", "")
    machine.put("etc/pam.d/ours", "session optional pam_paas_isolate.so\n")
    said = machine.script("prerm", "remove", package="libpam-paas-isolate", code=1)
    assert "/etc/pam.d/ours" in said


def test_purging_keeps_the_accounts_and_the_ledger_and_says_so(machine: Machine) -> None:
    for path in ("etc/paas-isolate/plans.d/a.yaml", "var/lib/paas-isolate/decisions.json"):
        machine.put(path, "")
    machine.put("etc/paas-isolate/accounts.d/alice.yaml", "")
    machine.put("var/lib/paas-isolate/ledger.db", "")
    said = machine.script("postrm", "purge")
    assert "rm -r /etc/paas-isolate" in said and "rm -r /var/lib/paas-isolate" in said
    left = {str(path.relative_to(machine.place / "upper")) for path in (machine.place / "upper").rglob("*.*")}
    assert {path for path in left if path.startswith(("etc/paas", "var/lib/paas"))} == {
        "etc/paas-isolate/accounts.d",
        "etc/paas-isolate/accounts.d/alice.yaml",
        "var/lib/paas-isolate/ledger.db",
    }


def test_purging_without_accounts_leaves_nothing(machine: Machine) -> None:
    machine.put("etc/paas-isolate/plans.d/a.yaml", "")
    (machine.place / "upper/etc/paas-isolate/accounts.d").mkdir()
    machine.put("var/lib/paas-isolate/decisions.json", "")
    assert machine.script("postrm", "purge") == ""
    assert not machine.there("etc/paas-isolate") and not machine.there("var/lib/paas-isolate")


def test_the_links_of_an_old_installation_go_with_the_package(old: Machine) -> None:
    take_over(old)
    old.put("usr/local/bin/other", "")
    old.script("postrm", "remove")
    assert not old.there("usr/local/sbin/paas-enter")
    assert [path.name for path in (old.place / "upper/usr/local/bin").iterdir()] == ["other"]
