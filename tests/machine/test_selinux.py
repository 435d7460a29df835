"""In SELinux's enforcing mode, with Debian's policy and our module: customers come in, their services run, and
nothing that we do is denied."""

import re
from collections.abc import Iterator

import pytest
from testbed.guest import Guest
from testbed.recipe import SELINUX

pytestmark = pytest.mark.long

USERS = "/paas.slice/paas-tree.service/users"
SHELL = "unconfined_u:unconfined_r:unconfined_t"
LOOK = "cat /proc/self/cgroup; readlink /proc/self/ns/mnt; cat /proc/self/attr/current"

SCENE = """
set -eu
useradd --create-home --shell /bin/bash plain
useradd --create-home --shell /bin/bash viewed
echo 'account: plain' >/etc/paas-isolate/accounts.d/plain.yaml
cat >/etc/paas-isolate/accounts.d/viewed.yaml <<'END'
account: viewed
private: {processes: true, tmp: true, shm: true}
services:
  web: {run: exec sleep 100000}
  jobs: {entry: [cron, atd]}
END
echo 'network: {}' >>/etc/paas-isolate/config.yaml
paas-isolate enable daemon
paas-isolate reconcile --quiet --wait 60
paas-isolate pam install
restorecon -R -e /run/paas-isolate/views /run/paas-isolate /var/lib/paas-isolate
"""

JOBS = f"""
for user in plain viewed; do
    echo '* * * * * ({LOOK}) >cron.new 2>&1; mv cron.new cron' | crontab -u $user -
    su -l $user -c "echo '({LOOK}) >at.new 2>&1; mv at.new at' | at now" 2>&1
done
for try in $(seq 150); do
    [ ! -e /home/plain/cron -o ! -e /home/viewed/cron -o ! -e /home/plain/at -o ! -e /home/viewed/at ] || break
    sleep 1
done
crontab -r -u plain
crontab -r -u viewed
"""

# The first are of what customers and administrators start; the others of our own programs.
OURS = re.compile(
    r'paas|comm="(sshd|sshd-session|sftp-server|cron|atd|at|su|login|sudo)"|nsfs|cgroup_t|bpf_t|initrc_runtime_t'
)


@pytest.fixture(scope="module")
def enforcing() -> Iterator[Guest]:
    guest = Guest.start("selinux", variant=SELINUX)
    try:
        assert guest.run(["getenforce"]).out == "Enforcing\n"
        guest.run(script=SCENE, check=True, timeout=600)
        yield guest
    finally:
        guest.throw_away()


def expected(guest: Guest, account: str, leaf: str, said: str) -> None:
    cgroup, namespace, context = said.splitlines()
    assert cgroup == f"0::{USERS}/{account}/{leaf}"
    host = guest.run(["readlink", "/proc/1/ns/mnt"], check=True).out.strip()
    assert (namespace != host) == (account == "viewed")
    assert context.startswith(SHELL)


@pytest.mark.parametrize("account", ["plain", "viewed"])
def test_a_customer_comes_in_by_ssh_and_su(enforcing: Guest, account: str) -> None:
    expected(enforcing, account, "login", enforcing.run(["sh", "-c", LOOK], user=account).out)
    expected(enforcing, account, "login", enforcing.run(["su", "-l", account, "-c", LOOK]).out)
    expected(enforcing, account, "login", enforcing.run(["paas-enter", f"{account}/login", "--", "sh", "-c", LOOK]).out)
    assert f"account {account}" in enforcing.run(["paas-isolate", "me"], user=account).out


def test_a_customer_comes_in_by_cron_and_at(enforcing: Guest) -> None:
    queued = enforcing.run(script=JOBS, timeout=400)
    for account, leaf in (("plain", "login"), ("viewed", "jobs")):
        for way in ("cron", "at"):
            said = enforcing.run(["cat", f"/home/{account}/{way}"])
            assert said.code == 0, f"{queued.out}{queued.err}"
            expected(enforcing, account, leaf, said.out)


def test_a_service_runs(enforcing: Guest) -> None:
    procs = f"/sys/fs/cgroup{USERS}/viewed/web/cgroup.procs"
    assert enforcing.run(script=f"ps -o comm= -p $(paste -sd, {procs})").out.split() == ["paas-run", "sleep"]


def test_nothing_of_ours_was_denied(enforcing: Guest) -> None:
    denied = enforcing.run(script="(journalctl -b -o cat; cat /var/log/audit/audit.log) | grep 'avc: *denied'").out
    assert [line for line in denied.splitlines() if OURS.search(line)] == []
