"""Logins that were refused: sshd still makes a child of the customer's uid, which tells them why and ends.

In a frozen leaf it would sleep, and the sshd of root that made it too. So it is left alone for a while, and then ended:
whoever holds the connection open would have a process outside all limits.
"""

from collections.abc import Callable

from paas_isolate.model import tree
from paas_isolate.model.world import Process

SECONDS = 10.0


def as_refused(process: Process, moved: Process | None, frozen: Callable[[str], bool]) -> Process | None:
    """What becomes of a process that is to be `moved`: the same, but nothing of a login that is refused, or NOWHERE for
    its place when it has had its time."""
    if moved is None or process.login < 0 or process.confined or not frozen(moved.cgroup):
        return moved
    return moved._replace(cgroup=tree.NOWHERE) if process.login >= SECONDS else None
