"""Ending processes: a leaf with little cpu.max gets one core meanwhile, and its limit back afterwards."""

import pytest

from paas_isolate import terminate as ending
from paas_isolate.errors import HostError

SOLD = {
    "users/a": "2000 100000",
    "users/a/web": "max 100000",
    "users/a/slow": "1000 100000",
    "users/b": "250000 100000",
    "users/b/web": "50000 100000",
}


class Tree:
    """Cgroups whose processes end when they have a core."""

    root = mount = ""

    def __init__(self, *, deaf: bool = False) -> None:
        self.knobs, self.deaf = dict(SOLD), deaf
        self.written: list[tuple[str, str]] = []
        self.killed: list[str] = []

    def children(self, path: str) -> list[str]:
        return [account.rpartition("/")[2] for account in SOLD if account.rpartition("/")[0] == path]

    def pids(self, path: str) -> tuple[int, ...]:
        return ()

    def populated(self, path: str) -> bool:
        return self.deaf or "2000" in self.knobs["users/a"]

    def kill(self, path: str) -> None:
        self.killed.append(path)

    def read(self, path: str, knob: str) -> str | None:
        return self.knobs[path]

    def write(self, path: str, knob: str, text: str) -> None:
        self.knobs[path] = text
        self.written.append((path, text))


def test_an_account_that_hardly_gets_cpu_time_has_a_core_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_PROMPT", 0)
    tree = Tree()
    ending.terminate(tree, ["users/a"], grace=0)  # type: ignore[arg-type]
    assert tree.killed == ["users/a"]
    assert tree.written[:2] == [("users/a", "100000 100000"), ("users/a/slow", "100000 100000")]
    assert tree.knobs == SOLD


def test_it_gets_back_what_it_was_sold_also_where_it_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "_PROMPT", 0)
    monkeypatch.setattr(ending, "_KILL_SECONDS", 0)
    tree = Tree(deaf=True)
    with pytest.raises(HostError, match="do not end even by SIGKILL"):
        ending.terminate(tree, ["users/b/web"], grace=0)  # type: ignore[arg-type]
    assert tree.written == [("users/b/web", "100000 100000"), ("users/b/web", "50000 100000")]
    assert tree.knobs == SOLD
