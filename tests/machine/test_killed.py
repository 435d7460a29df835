"""The machine goes down at any moment while accounts are added, changed, removed: after boot everything converges."""

import random
import time

import pytest
from testbed.guest import Guest

ACCOUNTS = 6

PEOPLE = f"""
set -eu
systemctl stop paas-isolate.timer
for n in $(seq {ACCOUNTS}); do useradd --create-home "killed$n"; done
cat >/root/turn <<'END'
#!/bin/sh
# A panel that never rests: everybody gets another package, somebody goes, somebody comes back.
turn=0
while :; do
    turn=$((turn + 1))
    for n in $(seq {ACCOUNTS}); do
        if [ $(((n + turn) % 5)) = 0 ]; then
            paas-isolate account remove "killed$n"
        else
            printf 'account: killed%s\\nlimits: {{pids: %s, memory: 64M, io: 5M}}\\nservices: {{web%s: {{}}}}\\n' \\
                "$n" "$((turn + 40))" "$((turn % 3))" | paas-isolate account put "killed$n"
        fi
    done
    paas-isolate reconcile --remove --wait 30
done
END
chmod +x /root/turn
for n in $(seq {ACCOUNTS}); do  # whatever moment it is, some of them are there
    printf 'account: killed%s\\nlimits: {{pids: 40}}\\n' "$n" >"/etc/paas-isolate/accounts.d/killed$n.yaml"
done
paas-isolate reconcile --quiet
sync
"""

AT_WORK = "systemd-run --quiet --unit=killed-turn /root/turn"

AFTERWARDS = r"""
set -eu
cd /sys/fs/cgroup/paas.slice/paas-tree.service/users
ls -d killed* >/dev/null # made at boot
systemctl stop paas-isolate.timer
paas-isolate check
paas-isolate reconcile --remove --wait 30 --quiet
paas-isolate diff --exit-code
for file in /etc/paas-isolate/accounts.d/killed*.yaml; do
    name=$(basename "$file" .yaml)
    test "$(sed -n 's/.*pids: \([0-9]*\).*/\1/p' "$file")" = "$(cat "$name/pids.max")"
done
"""

GONE = f"""
rm -f /etc/paas-isolate/accounts.d/killed*.yaml /root/turn
paas-isolate reconcile --remove --wait 30 --quiet
for n in $(seq {ACCOUNTS}); do userdel --force --remove "killed$n"; done
systemctl start paas-isolate.timer
"""


def kill(guest: Guest, times: int) -> None:
    dice = random.Random()
    guest.run(script=PEOPLE, check=True)
    try:
        for turn in range(times):
            guest.run(script=AT_WORK, check=True)
            moment = dice.uniform(1, 20)
            time.sleep(moment)  # any moment
            guest.reboot(hard=True)
            after = guest.run(script=AFTERWARDS)
            assert after.code == 0, f"kill {turn + 1}, after {moment:.1f} s: {after.out}{after.err}"
    finally:
        guest.run(script=GONE)


def test_killed_at_a_random_moment(guest: Guest) -> None:
    kill(guest, 1)


@pytest.mark.long
def test_killed_at_fifty_random_moments(guest: Guest) -> None:
    kill(guest, 50)
