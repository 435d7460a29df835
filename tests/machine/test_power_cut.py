"""A power cut takes what was not written to the disk. What an administrator has ordered was."""

import pytest
from testbed.guest import Guest

BEFORE_THE_CUT = r"""
set -eu
systemctl stop paas-isolate.timer
cd /etc/paas-isolate
useradd --create-home frozen
echo '{account: frozen, limits: {memory: 5 12M}}' >/root/wrong.yaml
echo '{account: frozen, limits: {memory: 64M}}' >accounts.d/frozen.yaml
sync  # what others have written is theirs to keep
paas-isolate reconcile --quiet
paas-isolate freeze frozen
"""

AFTER_THE_CUT = r"""
cd /sys/fs/cgroup/paas.slice/paas-tree.service/users/frozen
cat cgroup.freeze memory.max
cp /root/wrong.yaml /etc/paas-isolate/accounts.d/frozen.yaml
echo max >memory.max
paas-isolate reconcile --quiet 2>/dev/null
cat memory.max
"""

AND_AFTER_THAT = r"""
paas-isolate thaw frozen
rm /etc/paas-isolate/accounts.d/frozen.yaml /root/wrong.yaml
paas-isolate reconcile --quiet
userdel --force --remove frozen
systemctl start paas-isolate.timer
"""


@pytest.mark.long
def test_a_power_cut_forgets_no_freeze_and_no_last_good_limits(guest: Guest) -> None:
    guest.run(script=BEFORE_THE_CUT, check=True)
    try:
        guest.reboot(hard=True)
        limit = str(64 << 20)
        assert guest.run(script=AFTER_THE_CUT).out.split() == ["1", limit, limit]
    finally:
        guest.run(script=AND_AFTER_THAT)
