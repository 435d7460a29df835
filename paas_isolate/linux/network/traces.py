"""Whether something of ours may be in the network of this machine, at the price of a few looks at files.

It imports nothing of the network: a machine without `network:` asks it at each pass.
"""

import os

from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.model.network import OLD_LINK, PINS, RULESET


def of_installation(run: str, state: str) -> bool:
    """Whether a ruleset of the installation with these directories is saved: it is saved when it is installed, and
    deleted when it is removed."""
    return any(os.path.exists(os.path.join(directory, RULESET)) for directory in (run, state))


def of_machine(pins: str = PINS, links: str = "/sys/class/net") -> bool:
    """Whether there are pins of a gate, the link of 0.1, or names of accounts in hosts(5), of any installation."""
    if os.path.exists(pins) or os.path.exists(os.path.join(links, OLD_LINK)):
        return True
    try:
        return bool(HostsFile().observe())
    except OSError:
        return False
