"""A power cut loses what was not written to the disk; the administrator's orders were."""

import pytest
from testbed.guest import Guest

BEFORE_THE_CUT = r"""
set -eu
systemctl stop paas-isolate.timer
cd /etc/paas-isolate
useradd --create-home frozen
echo '{account: frozen, limits: {memory: 64M}}' >accounts.d/frozen.yaml
paas-isolate reconcile --quiet
echo '{account: frozen, limits: {memory: 5 12M}}' >accounts.d/frozen.yaml
sync  # all but what comes now
paas-isolate freeze frozen
"""

AFTER_THE_CUT = r"""
cd /sys/fs/cgroup/paas.slice/paas-tree.service/users/frozen
cat cgroup.freeze memory.max
"""

AND_AFTER_THAT = r"""
paas-isolate thaw frozen
rm /etc/paas-isolate/accounts.d/frozen.yaml
paas-isolate reconcile --quiet
userdel --force --remove frozen
systemctl start paas-isolate.timer
"""


@pytest.mark.long
def test_a_power_cut_forgets_no_freeze_and_no_last_good_limits(guest: Guest) -> None:
    guest.run(script=BEFORE_THE_CUT, check=True)
    try:
        guest.reboot(hard=True)
        assert guest.run(script=AFTER_THE_CUT).out.split() == ["1", str(64 << 20)]
    finally:
        guest.run(script=AND_AFTER_THAT)
