"""Services through a reboot: they end in order while network and /home are there, and run again afterwards.

/home is a file system of its own, on a spare disk, so that it is unmounted before the machine is down.
"""

import json
from collections.abc import Iterator

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
useradd --create-home steady
cat >/home/steady/program.py <<'END'
"""
    + PROGRAM
    + r"""
END
cd /etc/paas-isolate
echo 'network: {}' >>config.yaml
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
"""
)

LOOK = r"""
for try in $(seq 60); do
    grep -c ready /home/steady/logs/web.log | grep -q 2 && break
    sleep 1
done
cat /home/steady/ending
echo
until [ "$(wc -l </home/steady/times)" -ge 2 ]; do sleep 1; done
echo "times=$(tr '\n' ' ' </home/steady/times)"
echo "failed units=$(systemctl list-units --failed --plain --no-legend | tr '\n' ' ')"
echo "status=$(paas-isolate status --json steady | tr -d "\n")"
"""

CLEAN = r"""
cd /etc/paas-isolate
systemctl stop paas-isolate.timer
paas-isolate start steady/resting
paas-isolate scale steady/many default
rm accounts.d/*
sed -i '/^network: {}$/d' config.yaml
paas-isolate reconcile --remove --wait 60 --quiet
userdel --force --remove steady
umount /home
sed -i '\|^/dev/vdb /home |d' /etc/fstab
systemctl daemon-reload
wipefs --all --quiet /dev/vdb
systemctl start paas-isolate.timer
"""


@pytest.fixture(scope="module")
def after(guest: Guest) -> Iterator[dict[str, str]]:
    guest.run(script=SCENE, check=True)
    try:
        guest.reboot()
        told = guest.run(script=LOOK, check=True).out
        yield dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    finally:
        guest.run(script=CLEAN)


def states(after: dict[str, str]) -> dict[str, str]:
    return {
        cgroup["name"]: cgroup["service"]["state"]
        for cgroup in json.loads(after["status"])["cgroups"]
        if cgroup["service"]
    }


def test_a_service_that_is_asked_to_end_still_has_network_and_home(after: dict[str, str]) -> None:
    assert (after["address"], after["route"], after["pid1"]) == ("answers", "there", "systemd")


def test_services_run_again_and_what_was_stopped_rests(after: dict[str, str]) -> None:
    assert states(after) == {
        "web": "running", "deaf": "running", "resting": "stopped", "many": "running", "many.2": "running",
        "many.3": "running", "ended": "failed", "at-it": "failed", "often": "waiting",
    }  # fmt: skip
    assert after["failed units"] == ""


def test_results_of_jobs_are_known_and_that_of_the_one_which_was_at_it(after: dict[str, str]) -> None:
    told = {
        cgroup["name"]: cgroup["service"]["last"]
        for cgroup in json.loads(after["status"])["cgroups"]
        if cgroup["service"]
    }
    assert (told["ended"]["status"], told["ended"]["succeeded"]) == (4, 0)
    assert (told["at-it"]["status"], told["at-it"]["signal"]) == (None, 15)
    assert told["often"]["status"] == 0
    assert told["web"] is None


def test_a_job_runs_again_and_never_twice_in_its_minute(after: dict[str, str]) -> None:
    minutes = [int(at) // 60 for at in after["times"].split()]
    assert len(minutes) >= 2
    assert len(set(minutes)) == len(minutes)
