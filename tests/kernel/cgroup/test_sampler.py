"""The sampler on the kernel's own files."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from paas_isolate.linux.cgroup.sampler import LOOK_ANYWAY, SLOW_LEAVES, Sampler
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.metering.reading import Counters, Reading

pytestmark = pytest.mark.kernel

BURN = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass"


@pytest.fixture
def users(cgroups: CgroupTree) -> Iterator[CgroupTree]:
    for path in ("users", "users/alice", "users/alice/web", "users/alice/login", "users/bob", "users/bob/web"):
        cgroups.create(path)
    yield cgroups


def opened(users: CgroupTree, known: dict[str, Counters] | None = None, files: int = 100) -> Sampler:
    return Sampler(f"{users.root}/users", lambda _: "", known or {}, open_files=files)


def burn(users: CgroupTree, path: str, seconds: float = 0.05) -> None:
    with users.directory(path) as directory:
        enter = f"echo 0 >/proc/self/fd/{directory}/cgroup.procs; exec \"$0\" -c '{BURN.format(seconds=seconds)}'"
        subprocess.run(["sh", "-c", enter, sys.executable], check=True, pass_fds=[directory])


def paths(readings: list[Reading]) -> list[str]:
    return sorted(reading.path for reading in readings)


ALL = ["alice", "alice/login", "alice/web", "bob", "bob/web"]


@pytest.mark.parametrize("files", [0, 7, 100])
def test_only_what_did_something_is_read_again(users: CgroupTree, files: int) -> None:
    with opened(users, files=files) as sampler:
        first, gone = sampler.sample(slow=False)
        assert (paths(first), gone) == (ALL, [])
        for _ in range(4):
            assert sampler.sample(slow=False) == ([], [])
            burn(users, "users/alice/web")
            moved, _ = sampler.sample(slow=False)
            assert paths(moved) == ["alice", "alice/web"]
            assert all((each.counters.user or 0) + (each.counters.system or 0) >= 50_000 for each in moved)


def test_an_idle_account_is_looked_at_now_and_then(users: CgroupTree) -> None:
    with opened(users) as sampler:
        sampler.sample(slow=False)
        seen = [paths(sampler.sample(slow=False)[0]) for _ in range(LOOK_ANYWAY)]
    assert sorted(path for each in seen for path in each) == ALL


@pytest.mark.parametrize("files", [0, 100])
def test_a_cgroup_that_is_gone_and_one_of_its_name_that_was_made_anew(users: CgroupTree, files: int) -> None:
    with opened(users, files=files) as sampler:
        (before,) = (each for each in sampler.sample(slow=False)[0] if each.path == "alice/web")
        for _ in range(2):
            burn(users, "users/alice/web")
            sampler.sample(slow=False)
        users.remove("users/alice/web")
        users.create("users/alice/web")
        burn(users, "users/alice/web", 0.3)
        readings, gone = sampler.sample(slow=False)
        assert gone == ["alice/web"]
        burn(users, "users/alice/web")
        again, _ = sampler.sample(slow=False)
        (new,) = (each for each in [*readings, *again] if each.path == "alice/web")
        assert new.inode != before.inode
        for path in ("users/bob/web", "users/bob"):
            users.remove(path)
        assert sorted(sampler.sample(slow=False)[1]) == ["bob", "bob/web"]


def test_who_used_nothing_since_an_earlier_program_looked_is_not_read(users: CgroupTree) -> None:
    with opened(users) as sampler:
        known = {each.path: each.counters for each in sampler.sample(slow=False)[0]}
    burn(users, "users/alice/web")
    with opened(users, known) as sampler:
        assert paths(sampler.sample(slow=False)[0]) == ["alice", "alice/web"]


@pytest.mark.parametrize("files", [0, 100])
def test_slow_files_of_leaves_are_read_less_often_and_none_is_forgotten(users: CgroupTree, files: int) -> None:
    with opened(users, files=files) as sampler:
        sampler.sample(slow=True)
        slow: dict[str, int] = {"alice": 0, "alice/web": 0}
        for _ in range(SLOW_LEAVES):
            burn(users, "users/alice/web", 0.01)
            for each in sampler.sample(slow=True)[0]:
                slow[each.path] += each.counters.cpu_some is not None
    assert slow == {"alice": SLOW_LEAVES, "alice/web": 1}


def test_the_last_reading_has_all_files(users: CgroupTree) -> None:
    with opened(users) as sampler:
        sampler.sample(slow=False)
        burn(users, "users/alice/web")
        found = sampler.whole("alice")
        assert paths(found) == ["alice", "alice/login", "alice/web"]
        assert all(each.counters.cpu_some is not None for each in found)
        assert sampler.whole("nobody") == []


def test_no_descriptor_is_left_open(users: CgroupTree) -> None:
    before = os.listdir("/proc/self/fd")
    with opened(users, files=12) as sampler:
        for _ in range(3):
            burn(users, "users/alice/web")
            sampler.sample(slow=True)
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 13
        users.remove("users/alice/web")
        sampler.sample(slow=True)
    assert os.listdir("/proc/self/fd") == before


def test_half_of_the_descriptors_are_left_to_others(users: CgroupTree) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 8, hard))
    try:
        with opened(users, files=10_000) as sampler:
            for _ in range(3):
                burn(users, "users/alice/web", 0.01)
                burn(users, "users/bob/web", 0.01)
                sampler.sample(slow=False)
            assert len(os.listdir("/proc/self/fd")) <= before + (before + 8) // 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tree_that_is_gone(users: CgroupTree) -> None:
    with opened(users) as sampler:
        sampler.sample(slow=False)
        for path in ("alice/web", "alice/login", "alice", "bob/web", "bob"):
            users.remove(f"users/{path}")
        users.remove("users")
        with pytest.raises(FileNotFoundError):
            sampler.sample(slow=False)
