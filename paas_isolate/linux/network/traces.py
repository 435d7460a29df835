"""Whether something of ours may be in the network of this machine, at the price of a few looks at files.

It imports nothing of the network: a machine without `network:` asks it at each pass.
"""

import os
from contextlib import suppress

from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.model.network import OLD_LINK, PINS, RULESET


def of_installation(run: str, state: str) -> bool:
    """Whether a ruleset of the installation with these directories is saved: it is saved when it is installed, and
    deleted when it is removed."""
    return any(os.path.exists(os.path.join(directory, RULESET)) for directory in (run, state))


def forget_installation(run: str, state: str) -> None:
    """Delete the saved rulesets, for an installation that has no network: what is restored at boot, and what a later
    pass would look for. OSError where that is not allowed."""
    for directory in (run, state):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, RULESET))


def of_machine(pins: str = PINS, links: str = "/sys/class/net") -> bool:
    """Whether there are pins of a gate, the link of 0.1, or names of accounts in hosts(5), of any installation."""
    if os.path.exists(pins) or os.path.exists(os.path.join(links, OLD_LINK)):
        return True
    try:
        return bool(HostsFile().observe())
    except OSError:
        return False
