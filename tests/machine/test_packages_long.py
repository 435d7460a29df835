"""The packages under what apt-get(8) and dpkg(1) meet on real machines, with fifty accounts at work: another version,
a kill at any moment, a full disk, a hundred sessions, a new Python beneath, programs that restart what is outdated."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed import host, product
from testbed.guest import Guest

from tests.machine.at_work import (
    ALL,
    FAILED,
    INSTALL,
    PATIENCE,
    SEEN,
    TREE,
    WATCH,
    WATCHED,
    accounts,
    apt,
    installed,
    unnoticed,
)
from tests.machine.mirrored import REPOSITORY, download

pytestmark = pytest.mark.long

ACCOUNTS = 50
KILLS = 20
SESSIONS = 100
EARLIER = "/root/packages-before"

# Up to ten tries a second, while less than two are under way: an emulated machine would only pile them up.
KEY = """
[ -e /root/.ssh/at-work ] || ssh-keygen -q -t ed25519 -N '' -C at-work -f /root/.ssh/at-work
grep -qF "$(cat /root/.ssh/at-work.pub)" /etc/ssh/testbed_keys || cat /root/.ssh/at-work.pub >>/etc/ssh/testbed_keys
enter() {
    ssh -i /root/.ssh/at-work -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"
}
"""
TRIES = f"""
{KEY}
(
    until [ -e /run/watch/over ]; do
        if [ "$(jobs -rp | wc -l)" -lt 2 ]; then
            enter at002@127.0.0.1 cat /proc/self/cgroup </dev/null >>/run/watch/entered 2>&1 &
        fi
        sleep 0.1
    done
    wait
    touch /run/watch/tried
) </dev/null >/dev/null 2>&1 &
"""
TRIED = """
until [ -e /run/watch/tried ]; do sleep 0.1; done
sort /run/watch/entered | uniq -c | sed 's/^/ssh/'
"""


@pytest.fixture(scope="module")
def at_work(guest: Guest) -> Iterator[Guest]:
    with accounts(guest, ACCOUNTS):
        yield guest
        guest.run(script="sed -i '/ at-work$/d' /etc/ssh/testbed_keys; rm -f /root/.ssh/at-work*")
    installed(guest)


@pytest.fixture(scope="module")
def earlier(at_work: Guest) -> str:
    """The directory in the guest with the packages of the commit before."""
    git = ["git", "-C", str(host.SOURCE)]
    with tempfile.TemporaryDirectory() as place:
        tree, made = f"{place}/tree", Path(place, "packages")
        if subprocess.run([*git, "worktree", "add", "--detach", tree, "HEAD~1"], capture_output=True).returncode:
            pytest.skip("this tree is no git checkout with a commit before this one")
        try:
            build = [
                sys.executable,
                f"{tree}/scripts/package",
                "--release",
                at_work.state.release,
                "--output",
                str(made),
            ]
            done = subprocess.run(build, capture_output=True, text=True)
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", tree], capture_output=True, check=True)
        assert done.returncode == 0, done.stderr
        at_work.run(["rm", "-rf", EARLIER], check=True)
        at_work.push(made, EARLIER)
    return EARLIER


def change(guest: Guest, packages: str) -> None:
    """Installs them under the eyes of whoever notices most."""
    script = f"{WATCH}{TRIES}{INSTALL} {packages}/*.deb >/run/apt 2>&1 || {FAILED}\n{SEEN}{TRIED}"
    said = unnoticed(guest.run(script=script, timeout=PATIENCE, check=True).out, logins=10)
    entered = [line.split(maxsplit=2) for line in said]
    assert [text for _, _, text in entered] == [f"0::{TREE.removeprefix('/sys/fs/cgroup')}/users/at002/login"], said
    assert guest.run(["systemctl", "is-active", "paas-isolate-daemon.service"]).out == "active\n"


def intact(guest: Guest) -> None:
    """What no failed step of dpkg may take away: processes, limits, and logins into the account."""
    same = 'limits | cmp - /run/watch/before && [ "$(echo $(tree) $(customers))" = "$(echo $(cat /run/watch/alive))" ]'
    seen = guest.run(script=f"{WATCHED}{same} && su -l at001 -c 'cat /proc/self/cgroup'")
    assert (seen.code, seen.out) == (0, f"0::{TREE.removeprefix('/sys/fs/cgroup')}/users/at001/login\n"), seen.out


def mended(guest: Guest) -> None:
    """dpkg by itself, or with the archives where it says that a package needs to be installed again. apt-get may end
    there with an internal error: it takes only the one that is broken from local files."""
    mend = f'dpkg --configure -a && [ -z "$(dpkg --audit)" ] || dpkg -i {product.PACKAGES}/*.deb'
    guest.run(script=mend, timeout=PATIENCE, check=True)
    assert guest.run(["dpkg", "--audit", *ALL.split()], check=True).out == ""
    assert guest.run(["systemctl", "is-active", "paas-isolate-daemon.service"]).out == "active\n"
    guest.run(["paas-isolate", "reconcile", "--wait", "60", "--quiet"], check=True)
    intact(guest)


@pytest.fixture
def remembered(at_work: Guest) -> Guest:
    """The state that intact() compares with."""
    look = f"{WATCHED}mkdir -p /run/watch; limits >/run/watch/before; echo $(tree) $(customers) >/run/watch/alive"
    at_work.run(script=look, check=True)
    return at_work


def test_downgrade_and_upgrade_go_unnoticed(at_work: Guest, earlier: str) -> None:
    change(at_work, earlier)
    change(at_work, product.PACKAGES)


def test_dpkg_may_be_killed_at_any_moment(remembered: Guest) -> None:
    begin = time.monotonic()
    remembered.run(script=f"dpkg -i {product.PACKAGES}/*.deb", timeout=PATIENCE, check=True)
    duration = time.monotonic() - begin
    for turn in range(KILLS):
        # dpkg alone, whose maintainer script goes on for a while, or all of it.
        whom = "$!" if turn % 2 else "-- -$!"
        killed = (
            f"setsid dpkg -i {product.PACKAGES}/*.deb >/dev/null 2>&1 & sleep {duration * (turn + 1) / (KILLS + 1)}"
        )
        remembered.run(script=f"{killed}; kill -9 {whom}; wait; sleep 1; true", check=True)
        intact(remembered)
        mended(remembered)


def test_a_full_disk_is_told_and_mended(remembered: Guest) -> None:
    fill = "fallocate -l $(($(stat -f -c '%f * %S' /) - 65536)) /filled || dd if=/dev/zero of=/filled bs=64k; df / >&2"
    upgrade = f"{fill}; dpkg -i {product.PACKAGES}/*.deb 2>&1"
    try:
        done = remembered.run(script=upgrade, timeout=PATIENCE)
        assert (done.code != 0, "No space left on device" in done.out) == (True, True), done.out + done.err
        intact(remembered)
    finally:
        remembered.run(["rm", "-f", "/filled"], check=True)
    mended(remembered)


def test_python_upgraded_beneath_the_daemon(remembered: Guest) -> None:
    pid = "systemctl show --property=MainPID --value paas-isolate-daemon.service"
    version = remembered.run(["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).out.strip()
    names = ["python3-minimal", *(f"{name}{version}-{part}" for name, part in _PYTHON)]
    download(remembered, "/root/python", "install", "--reinstall", *names)
    before = remembered.run(script=pid).out
    replace = f"dpkg -i /root/python/*.deb; rm -rf /usr/lib/python3*/__pycache__ /usr/lib/python3*/*/__pycache__; {pid}"
    assert remembered.run(script=replace, timeout=PATIENCE).out.splitlines()[-1] == before.strip()
    intact(remembered)
    raised = f"""
    sed -i 's/pids: 40/pids: 41/' /etc/paas-isolate/accounts.d/at003.yaml
    for _ in $(seq 300); do grep -qx 41 {TREE}/users/at003/pids.max && break; sleep 0.2; done
    cat {TREE}/users/at003/pids.max
    sed -i 's/pids: 41/pids: 40/' /etc/paas-isolate/accounts.d/at003.yaml
    paas-isolate reconcile --wait 60 --quiet
    """
    assert remembered.run(script=raised, timeout=PATIENCE, check=True).out == "41\n"
    intact(remembered)


_PYTHON = (("python", "minimal"), ("libpython", "minimal"), ("libpython", "stdlib"))

# A mirror of its own with the packages of this tree, which unattended-upgrades takes them from (sources.list(5)).
MIRROR = f"""{REPOSITORY}
{{ mkdir -p /srv/mirror && cp {product.PACKAGES}/*.deb /srv/mirror/; }} || exit 1
repository /srv/mirror at-work 2>&1
echo 'Unattended-Upgrade::Origins-Pattern {{ "origin=at-work"; }};' >/etc/apt/apt.conf.d/99at-work
unattended-upgrade --verbose 2>&1
rm -rf /srv/mirror /etc/apt/sources.list.d/at-work.list /etc/apt/apt.conf.d/99at-work
"""


@pytest.fixture(scope="module")
def restarting(at_work: Guest) -> Iterator[Guest]:
    """needrestart and unattended-upgrades are installed."""
    download(at_work, "/root/restarting", "install", "needrestart", "unattended-upgrades")
    keep = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 dpkg -i /root/restarting/*.deb"
    at_work.run(script=keep, timeout=PATIENCE, check=True)
    yield at_work
    apt(at_work, "purge", "needrestart", "unattended-upgrades")


def test_needrestart_restarts_neither_the_tree_nor_a_customers_program(restarting: Guest, remembered: Guest) -> None:
    download(remembered, "/root/libc", "install", "--reinstall", "libc6")
    remembered.run(script="NEEDRESTART_SUSPEND=1 dpkg -i /root/libc/*.deb", timeout=PATIENCE, check=True)
    # With -b it lists what is outdated and restarts nothing; with -r a it restarts, and defers what our snippet names.
    listed = remembered.run(["needrestart", "-b", "-r", "a"], timeout=PATIENCE, check=True).out
    assert "NEEDRESTART-SVC: paas-tree.service" in listed, "the tree's anchor process uses the old libc"
    intact(remembered)
    remembered.run(script="DEBIAN_FRONTEND=noninteractive needrestart -r a 2>&1", timeout=PATIENCE, check=True)
    intact(remembered)


def test_an_unattended_upgrade_goes_unnoticed(restarting: Guest, remembered: Guest, earlier: str) -> None:
    apt(remembered, "install", f"{earlier}/*.deb")
    said = remembered.run(script=MIRROR, timeout=PATIENCE, check=True).out
    assert "paas-isolate" in said
    version = "dpkg-query --show --showformat='${Version}' paas-isolate"
    ours = f"dpkg-deb --field {product.PACKAGES}/paas-isolate_*.deb Version"
    assert remembered.run(script=version).out == remembered.run(script=ours).out.strip(), said
    intact(remembered)


def test_removed_with_a_hundred_sessions_open_they_go_on(at_work: Guest) -> None:
    open_ = f"""
    {KEY}
    for number in $(seq {SESSIONS}); do
        name=$(printf 'at%03d' $((number % {ACCOUNTS} + 1)))
        enter -f "$name@127.0.0.1" 'exec sleep 200000' </dev/null >/dev/null 2>&1
    done
    for _ in $(seq 300); do [ "$(pgrep -c -f '^sleep 200000')" -lt {SESSIONS} ] || break; sleep 0.2; done
    pgrep -c -f '^sleep 200000'
    """
    assert at_work.run(script=open_, timeout=PATIENCE).out == f"{SESSIONS}\n"
    said = apt(at_work, "remove", ALL, timeout=PATIENCE)
    assert "processes of customers are out of the tree; they go on, without limits" in said
    where = "pgrep -f '^sleep 200000' | sed 's|.*|/proc/&/cgroup|' | xargs cat | sort | uniq -c"
    assert at_work.run(script=where).out.split() == [str(SESSIONS), "0::/"]
    apt(at_work, "purge", ALL, timeout=PATIENCE)
    apt(at_work, "install", f"{product.PACKAGES}/*.deb", timeout=PATIENCE)
    at_work.run(["paas-isolate", "reconcile", "--wait", "60"], check=True)
    assert TREE.removeprefix("/sys/fs/cgroup") in at_work.run(script=where).out
    at_work.run(script="pkill -f '^sleep 200000'", check=True)
