"""Refused logins: sshd still forks a child with the customer's uid, which shows the reason and ends.

In a frozen leaf the child would hang, and root's sshd with it. So it is not moved there; it is ended after SECONDS, for
a client that keeps the connection open would have a process outside all limits.
"""

from collections.abc import Callable

from paas_isolate.model import tree
from paas_isolate.model.world import Process

SECONDS = 10.0


def as_refused(process: Process, moved: Process | None, frozen: Callable[[str], bool]) -> Process | None:
    """What to do with a process that should be `moved`: mostly `moved` itself. For a refused login (its target is
    `frozen`) it is None, or after SECONDS `moved` with NOWHERE as its cgroup."""
    if moved is None or process.login < 0 or process.confined or not frozen(moved.cgroup):
        return moved
    return moved._replace(cgroup=tree.NOWHERE) if process.login >= SECONDS else None
