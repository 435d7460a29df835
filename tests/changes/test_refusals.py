"""What happens to the processes of a refused login."""

import pytest

from paas_isolate.changes.refusals import SECONDS, as_refused
from paas_isolate.model import tree
from paas_isolate.model.world import Process

OUTSIDE = Process(1, 1001, "/system.slice/ssh.service", 1, "sshd", login=1.0)
MOVED = OUTSIDE._replace(cgroup="users/alice/login")


@pytest.mark.parametrize(
    ("process", "frozen", "expected"),
    [
        (OUTSIDE, False, MOVED),
        (OUTSIDE, True, None),
        (OUTSIDE._replace(login=SECONDS), True, MOVED._replace(cgroup=tree.NOWHERE)),
        (OUTSIDE._replace(login=-1.0), True, MOVED),
        (OUTSIDE._replace(cgroup="users/alice/web"), True, MOVED),
    ],
    ids=["an open account", "a frozen one", "after a while", "another process", "one that is inside"],
)
def test_as_refused(process: Process, frozen: bool, expected: Process | None) -> None:
    assert as_refused(process, MOVED, lambda _: frozen) == expected
    assert as_refused(process, None, lambda _: frozen) is None
