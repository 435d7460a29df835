"""Steps for the cgroups of the tree and their processes."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.steps.base import step
from paas_isolate.model.world import Process


@step
class CreateCgroup(NamedTuple):
    """Make one cgroup."""

    path: str
    mode: int = 0o755

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"create {self.path}"


@step
class EnableControllers(NamedTuple):
    """Enable controllers for the children of a cgroup (cgroup.subtree_control)."""

    path: str
    controllers: tuple[str, ...]

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"enable {' '.join(self.controllers)} below {self.path or 'the tree'}"


@step
class SetKnob(NamedTuple):
    """Write one knob. `was` is None where the cgroup does not exist yet."""

    path: str
    knob: str
    value: str
    was: str | None = None

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        was = f" (was {_shown(self.was)})" if self.was is not None else ""
        return f"set {self.knob} of {self.path or 'the tree'} to {_shown(self.value)}{was}"


@step
class LowerMemory(NamedTuple):
    """Lower memory.max of a cgroup with processes: reclaim the memory first, so that the kernel kills none of them.

    `high` is the text of memory.high afterwards. Ends as pending where the memory cannot be reclaimed.
    """

    path: str
    value: str
    was: str
    high: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"lower memory.max of {self.path} to {self.value} (was {self.was})"


@step
class MoveProcess(NamedTuple):
    """Move one process to its cgroup. With `to` NOWHERE the process is ended: its login was refused."""

    process: Process
    to: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.to)

    def __str__(self) -> str:
        name = f" ({self.process.program})" if self.process.program else ""
        if self.to == tree.NOWHERE:
            return f"end process {self.process.pid}{name} in {self.process.cgroup}: its login was refused"
        return f"move process {self.process.pid}{name} from {self.process.cgroup} to {self.to}"


@step
class EndRevoked(NamedTuple):
    """End the processes of one uid in a cgroup: the uid is another account's now."""

    path: str
    uid: int

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"end what runs in {self.path} as uid {self.uid}, which is another account's now"


@step
class RemoveCgroup(NamedTuple):
    """Remove one empty cgroup."""

    path: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"remove {self.path}"


def _shown(text: str) -> str:
    return text.replace("\n", "; ") or "nothing"
