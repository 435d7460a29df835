"""The packages on a machine with accounts at work: installed again, refused to go, removed, purged; and the host is as
it was."""

from collections.abc import Iterator

import pytest
from testbed import product
from testbed.guest import Guest

ACCOUNTS = 50
TREE = "/sys/fs/cgroup/paas.slice/paas-tree.service"
BOTH = "libpam-paas-isolate paas-isolate"
APT = "DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet"

PEOPLE = f"""
set -eu
systemctl stop paas-isolate.timer
seq -f 'at%02g' {ACCOUNTS} | sed 's|.*|&:x:::at work:/home/&:/bin/bash|' | newusers
for name in $(seq -f 'at%02g' {ACCOUNTS}); do
    printf 'account: %s\\nlimits: {{pids: 40, memory: 64M}}\\n' "$name" >"/etc/paas-isolate/accounts.d/$name.yaml"
    setpriv --reuid "$name" --regid "$name" --clear-groups sleep 100000 </dev/null >/dev/null 2>&1 &
done
paas-isolate reconcile --quiet --wait 60
paas-isolate pam install >/dev/null
systemctl start paas-isolate-daemon.service
"""

WATCHED = f"""
limits() {{ cat {TREE}/users/at*/{{memory,pids,cpu}}.max | sort | uniq -c; }}
tree() {{ systemctl show --property=MainPID --value paas-tree.service; }}
customers() {{ pgrep -f '^sleep 100000' | sort | tr '\\n' ' '; }}
logins() {{
    while [ ! -e /run/upgraded ]; do
        su -l at01 -c 'cat /proc/self/cgroup' 2>&1
        limits >/run/limits.now
        cmp -s /run/limits.now /run/limits.before || echo 'a limit has changed'
    done >/run/logins
}}
"""

UPGRADE = f"""
{WATCHED}
limits >/run/limits.before
before="$(tree) $(customers)"
logins &
{APT} install --reinstall {product.PACKAGES}/*.deb >/run/apt 2>&1 || {{ cat /run/apt; exit 1; }}
touch /run/upgraded
wait
[ "$before" = "$(tree) $(customers)" ] || echo 'a process has ended'
sort /run/logins | uniq -c
systemctl is-active paas-isolate-daemon.service paas-isolate.timer
rm -f /run/upgraded
"""

STATE = r"""
cd /
find etc -type f -print0 | sort -z | xargs -0 sha256sum
# A checksum of everything takes minutes in emulation.
find usr opt var/lib -xdev \( -path var/lib/dpkg -o -path var/lib/apt -o -path var/lib/systemd -o -name __pycache__ \
    -o -path opt/testvenv \) -prune -o -type f -printf '%p %s %m\n'
find etc usr opt var/lib -xdev -type l -printf '%p -> %l\n' | sort
grep -h . /sys/fs/cgroup/cgroup.subtree_control
"""

GONE = f"""
systemctl stop paas-isolate.timer paas-isolate-daemon.service 2>/dev/null
pkill -f '^sleep 100000'
rm -rf /etc/paas-isolate/accounts.d/at*.yaml
for name in $(seq -f 'at%02g' {ACCOUNTS}); do userdel --force --remove "$name" 2>/dev/null; done
true
"""


@pytest.fixture(scope="module")
def at_work(guest: Guest) -> Iterator[Guest]:
    guest.run(script=PEOPLE, check=True)
    yield guest
    guest.run(script=GONE)
    guest.run([f"{product.TREE}/scripts/install", "--packages", product.PACKAGES, "--enable", "timer"], check=True)


def apt(guest: Guest, *words: str, code: int = 0) -> str:
    done = guest.run(script=f"{APT} {' '.join(words)} 2>&1", timeout=300)
    assert done.code == code, done.out
    return done.out


def test_an_upgrade_ends_no_process_and_no_limit_is_wider(at_work: Guest) -> None:
    said = at_work.run(script=UPGRADE, timeout=300, check=True).out.splitlines()
    logins = [line.split(maxsplit=1) for line in said if line[:1] == " "]
    assert [text for _, text in logins] == [f"0::{TREE.removeprefix('/sys/fs/cgroup')}/users/at01/login"]
    assert int(logins[0][0]) > 10
    assert said[1:] == ["active", "inactive"], "the timer was stopped before"


def test_it_is_not_removed_while_an_account_is_frozen(at_work: Guest) -> None:
    at_work.run(["paas-isolate", "freeze", "at02"], check=True)
    assert "would run again: at02" in apt(at_work, "remove", BOTH, code=100)
    assert at_work.run(["paas-isolate", "pam", "status"]).code == 0
    assert at_work.run(["systemctl", "is-active", "paas-isolate-daemon.service"]).out == "active\n"
    at_work.run(["paas-isolate", "thaw", "at02"], check=True)


def test_it_is_not_removed_while_a_line_by_hand_names_the_module(at_work: Guest) -> None:
    at_work.run(script="echo 'session optional pam_paas_isolate.so' >/etc/pam.d/by-hand", check=True)
    assert "/etc/pam.d/by-hand names ours" in apt(at_work, "remove", BOTH, code=100)
    assert at_work.run(["paas-isolate", "pam", "status"]).code == 0
    at_work.run(["rm", "/etc/pam.d/by-hand"], check=True)


def test_removed_it_lets_everybody_go_on_and_comes_back(at_work: Guest) -> None:
    said = apt(at_work, "remove", BOTH)
    assert f"{ACCOUNTS} processes of customers are out of the tree" in said
    assert at_work.run(script="pgrep -c -f '^sleep 100000'").out == f"{ACCOUNTS}\n"
    assert at_work.run(script=f"grep -l pam_paas_isolate /etc/pam.d/*; ls -d {TREE} /run/paas-isolate").out == ""
    assert at_work.run(script="su -l at01 -c true").code == 0
    apt(at_work, "install", f"{product.PACKAGES}/*.deb")
    at_work.run(["paas-isolate", "enable", "timer"], check=True)
    at_work.run(["paas-isolate", "reconcile", "--wait", "60"], check=True)
    assert at_work.run(script=f"cat {TREE}/users/at*/*/cgroup.procs | wc -l").out == f"{ACCOUNTS}\n"


def test_purged_it_leaves_the_accounts_files_and_else_the_host_as_it_was(at_work: Guest) -> None:
    said = apt(at_work, "purge", BOTH)
    assert "rm -r /etc/paas-isolate" in said
    at_work.run(["rm", "-r", "/etc/paas-isolate"], check=True)
    before = at_work.run(script=STATE, check=True).out.splitlines()
    apt(at_work, "install", f"{product.PACKAGES}/*.deb")
    at_work.run(script="echo 'account: at01' >/etc/paas-isolate/accounts.d/at01.yaml", check=True)
    at_work.run(script="paas-isolate reconcile && paas-isolate pam install && paas-isolate enable daemon", check=True)
    apt(at_work, "purge", BOTH)
    at_work.run(["rm", "-r", "/etc/paas-isolate"], check=True)
    after = at_work.run(script=STATE, check=True).out.splitlines()
    assert set(before) ^ set(after) == set()
