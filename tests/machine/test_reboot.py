"""Accounts and services through a reboot: one scene, one reboot, many checks. A service ends in order while network and
/home are there, and runs again afterwards.

/home is a file system of its own, on a spare disk, so that it is unmounted before the machine is down.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from testbed.guest import Guest

# Asked to end, it still serves at its own address, knows a way out of the machine, takes its time, and writes to its
# home who is pid 1 then: systemd hands over to systemd-shutdown when all units have been stopped, /home among them.
PROGRAM = r"""
import os, signal, socket, time
def end(*_):
    said = []
    try:
        with socket.create_server((os.environ["ADDRESS"], 8200)) as server:
            with socket.create_connection(server.getsockname(), 5):
                said.append("address=answers")
    except OSError as error:
        said.append(f"address={error}")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(("10.0.2.2", 9))
            said.append("route=there")
    except OSError as error:
        said.append(f"route={error}")
    time.sleep(3)
    said.append("pid1=" + open("/proc/1/comm").read().strip())
    with open("ending", "w") as file:
        file.write("\n".join(said))
        file.flush()
        os.fsync(file.fileno())
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
"""

SCENE = (
    r"""
set -eu
systemctl stop paas-isolate.timer
mkfs.ext4 -q /dev/vdb
echo '/dev/vdb /home ext4 nofail 0 0' >>/etc/fstab
systemctl daemon-reload
mount /home
cd /etc/paas-isolate
for name in idle busy wrong frozen suspended; do
    useradd --create-home $name
    echo "{account: $name, limits: {memory: 64M, cpu: 80%, pids: 40}}" >accounts.d/$name.yaml
done
echo '{account: suspended, limits: {pids: 40}, suspended: true}' >accounts.d/suspended.yaml
echo 'network: {}' >>config.yaml
useradd --create-home steady
cat >/home/steady/program.py <<'END'
"""
    + PROGRAM
    + r"""
END
cat >accounts.d/steady.yaml <<'END'
account: steady
limits: {pids: 100}
services:
  web: {run: exec python3 program.py, limits: {memory: 64M}}
  resting: {run: exec sleep 1000, limits: {memory: 64M}}
  deaf: {run: "trap '' TERM; while :; do sleep 1; done", stop_timeout: 2s, limits: {memory: 64M}}
  many: {run: exec sleep 1000, replicas: 2, limits: {memory: 64M}}
  ended: {run: exit 4, schedule: "0 0 1 1 *", limits: {memory: 64M}}
  at-it: {run: exec sleep 1000, schedule: "0 0 1 1 *", limits: {memory: 64M}}
  often: {run: "date +%s >>times; sync", schedule: "* * * * *", limits: {memory: 64M}}
END
paas-isolate reconcile --quiet
paas-isolate scale steady/many 3
paas-isolate stop steady/resting
until grep -q ready /home/steady/logs/web.log; do sleep 0.2; done
paas-isolate start steady/ended || true
paas-isolate start steady/at-it
until [ -s /home/steady/times ]; do sleep 1; paas-isolate reconcile --quiet || true; done
paas-isolate reconcile --quiet || true
paas-isolate freeze frozen
echo '{account: wrong, limits: {memory: 5 12M}}' >accounts.d/wrong.yaml
paas-isolate reconcile --quiet 2>/dev/null || [ $? = 4 ]

start() { # SCRIPT: as `busy`, in its account, out of this session
    local run="exec setsid setpriv --reuid busy --regid busy --clear-groups sh -c '$1'"
    (echo 0 >/sys/fs/cgroup/paas.slice/paas-tree.service/users/busy/other/cgroup.procs
     cd /home/busy; sh -c "$run" <>/dev/null >/home/busy/output 2>&1 &)
}
# One that is asked, and takes its time to end in order; one that does not listen. Each notes who is pid 1 then:
# systemd hands over to systemd-shutdown when all units have been stopped, /home among them.
start 'trap "echo \$(date +%s) \$(cat /proc/1/comm) >asked; sleep 4; cat /proc/1/comm >done; exit" TERM
       echo >ready1; while :; do sleep 0.2; done'
start 'trap "" TERM; echo >ready2; while :; do echo $(date +%s) $(cat /proc/1/comm) >beat; sleep 0.2; done'
chown -R busy: /home/busy
until [ -e /home/busy/ready1 ] && [ -e /home/busy/ready2 ]; do sleep 0.1; done
"""
)

LOOK = r"""
cd /sys/fs/cgroup/paas.slice/paas-tree.service/users
for path in idle/memory.max idle/cpu.max idle/pids.max busy/memory.max wrong/memory.max wrong/pids.max \
    frozen/cgroup.freeze frozen/pids.max suspended/cgroup.freeze suspended/pids.max idle/cgroup.freeze; do
    echo "$path=$(cat $path)"
done
for unit in paas-isolate-network.service network-pre.target paas-isolate-boot.service systemd-user-sessions.service \
    cron.service; do
    echo "$unit=$(systemctl show --property=ActiveEnterTimestampMonotonic --value $unit)"
done
echo "boot ended=$(systemctl show --property=ExecMainExitTimestampMonotonic --value paas-isolate-boot.service)"
echo "ruleset=$(journalctl -b -u paas-isolate-network.service -o cat | grep made)"
nft list table inet paas_isolate >/dev/null && echo "table=there"
echo "boot result=$(systemctl show --property=Result --value paas-isolate-boot.service)"
echo "failed units=$(systemctl list-units --failed --plain --no-legend | tr '\n' ' ')"
cd /home/busy
for file in asked done beat; do echo "$file=$(cat $file 2>&1)"; done
echo "restore=$(journalctl -b -u paas-isolate-network.service -o short-monotonic | tail -n 4 | tr "\n" " ")"
echo "complaint=$(journalctl -b -u paas-isolate-boot.service -o cat | grep accounts.d/wrong.yaml | head -n 1)"
for try in $(seq 60); do
    grep -c ready /home/steady/logs/web.log | grep -q 2 && break
    sleep 1
done
cat /home/steady/ending
echo
until [ "$(wc -l </home/steady/times)" -ge 2 ]; do sleep 1; done
echo "times=$(tr '\n' ' ' </home/steady/times)"
echo "status=$(paas-isolate status --json steady | tr -d "\n")"
"""

CLEAN = r"""
cd /etc/paas-isolate
systemctl stop paas-isolate.timer
paas-isolate thaw frozen
paas-isolate start steady/resting
paas-isolate scale steady/many default
rm accounts.d/*
sed -i '/^network: {}$/d' config.yaml
paas-isolate reconcile --remove --wait 60 --quiet
for name in idle busy wrong frozen suspended steady; do userdel --force --remove $name; done
umount /home
sed -i '\|^/dev/vdb /home |d' /etc/fstab
systemctl daemon-reload
wipefs --all --quiet /dev/vdb
systemctl start paas-isolate.timer
"""


@pytest.fixture(scope="module")
def after(guest: Guest) -> Iterator[dict[str, str]]:
    """What is found after the reboot, before any reconcile but that of the boot."""
    guest.run(script=SCENE, check=True)
    try:
        guest.reboot()
        told = guest.run(script=LOOK, check=True).out
        yield dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    finally:
        guest.run(script=CLEAN)


def test_limits_are_there_after_the_boot(after: dict[str, str]) -> None:
    assert after["idle/memory.max"] == after["busy/memory.max"] == str(64 << 20)
    assert (after["idle/cpu.max"], after["idle/pids.max"]) == ("80000 100000", "40")
    assert after["failed units"] == "", after["restore"]


def test_limits_are_there_before_anybody_may_log_in(after: dict[str, str]) -> None:
    boot = int(after["boot ended"])
    assert 0 < boot < int(after["systemd-user-sessions.service"])
    assert boot < int(after["cron.service"])


def test_the_ruleset_is_there_before_the_network_is(after: dict[str, str]) -> None:
    assert after["ruleset"] == "made the ruleset of the network, for 12 addresses and uids"
    assert 0 < int(after["paas-isolate-network.service"]) <= int(after["network-pre.target"])
    assert after["table"] == "there"


def test_a_wrong_file_keeps_its_last_good_limits(after: dict[str, str]) -> None:
    assert (after["wrong/memory.max"], after["wrong/pids.max"]) == (str(64 << 20), "40")
    assert "accounts.d/wrong.yaml:1:35: limits.memory is '5 12M'; expected a size" in after["complaint"]
    assert after["boot result"] == "success"


def test_what_is_frozen_stays_so(after: dict[str, str]) -> None:
    assert (after["frozen/cgroup.freeze"], after["suspended/cgroup.freeze"]) == ("1", "1")
    assert (after["frozen/pids.max"], after["suspended/pids.max"]) == ("40", "40")
    assert after["idle/cgroup.freeze"] == "0"


def test_customers_are_asked_to_end_and_get_their_time_while_their_home_is_there(after: dict[str, str]) -> None:
    assert after["asked"].split()[1] == "systemd"
    assert after["done"] == "systemd"


def test_who_does_not_listen_is_ended_when_the_time_is_over(after: dict[str, str]) -> None:
    asked, (last, by) = int(after["asked"].split()[0]), after["beat"].split()
    assert by == "systemd"
    assert 6 <= int(last) - asked < 40


def services(after: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What status says of each service of steady."""
    cgroups = json.loads(after["status"])["cgroups"]
    return {cgroup["name"]: cgroup["service"] for cgroup in cgroups if cgroup["service"]}


def test_a_service_that_is_asked_to_end_still_has_network_and_home(after: dict[str, str]) -> None:
    assert (after["address"], after["route"], after["pid1"]) == ("answers", "there", "systemd")


def test_services_run_again_and_what_was_stopped_rests(after: dict[str, str]) -> None:
    assert {name: service["state"] for name, service in services(after).items()} == {
        "web": "running", "deaf": "running", "resting": "stopped", "many": "running", "many.2": "running",
        "many.3": "running", "ended": "failed", "at-it": "failed", "often": "waiting",
    }  # fmt: skip


def test_results_of_jobs_are_known_and_that_of_the_one_which_was_at_it(after: dict[str, str]) -> None:
    told = {name: service["last"] for name, service in services(after).items()}
    assert (told["ended"]["status"], told["ended"]["succeeded"]) == (4, 0)
    assert (told["at-it"]["status"], told["at-it"]["signal"]) == (None, 15)
    assert told["often"]["status"] == 0
    assert told["web"] is None


def test_a_job_runs_again_and_never_twice_in_its_minute(after: dict[str, str]) -> None:
    minutes = [int(at) // 60 for at in after["times"].split()]
    assert len(minutes) >= 2
    assert len(set(minutes)) == len(minutes)
