"""A quota of an account is lifted when its limit is gone; quotas that root set by hand stay."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.quota import calls
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.linux.quota.store import QuotaStore
from paas_isolate.model.quota import Quota
from paas_isolate.source.applied_quotas import FILE, AppliedQuotas
from tests.support.guest.machine import DAEMON, STATE, accounts, daemon, run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs
from tests.support.guest.quotas import file_system, living_at, mount
from tests.support.waiting import wait_for

TEN = {"max": "10M", "files": 100}
SOLD, BY_HAND = Quota(10 << 10, 100), Quota(2048, 7)


class QuotaHome:
    """alice and al share an account that was sold some of the disk where they live; of bob root has decided by hand."""

    def __init__(self, home: Path, sell: Callable[..., Customer], customer: Callable[[str], Customer]) -> None:
        self.home, self._sell = home, sell
        self.alice, self.al, self.bob = customer("alice"), customer("al"), customer("bob")
        sell("bob")
        self.set(self.bob, BY_HAND)

    def sells(self, *users: str, **body: Any) -> None:
        self._sell("alice", users=users or ("alice", "al"), **body)

    def set(self, whose: Customer, quota: Quota) -> None:
        DiskQuotas().set(str(self.home), whose.uid, quota)

    def of(self, whose: Customer) -> Quota:
        return DiskQuotas().usage(str(self.home), whose.uid).allowed

    @property
    def all(self) -> tuple[Quota, Quota]:
        assert self.of(self.bob) == BY_HAND
        return self.of(self.alice), self.of(self.al)


@contextmanager
def quota_home_at(
    place: Path, kind: str, sell: Callable[..., Customer], customer: Callable[[str], Customer]
) -> Iterator[QuotaHome]:
    with file_system(place, kind) as home:
        quota_home = QuotaHome(home, sell, customer)
        with living_at(home, quota_home.alice, quota_home.al, quota_home.bob):
            quota_home.sells(disk=TEN)
            yield quota_home


@pytest.fixture
def quota_home_on(
    tmp_path: Path, spec: Specs, sell: Callable[..., Customer], customer: Callable[[str], Customer]
) -> Callable[[str], AbstractContextManager[QuotaHome]]:
    """`quota_home_on("ext4")`"""
    return lambda kind: quota_home_at(tmp_path, kind, sell, customer)


@pytest.fixture
def quota_home(quota_home_on: Callable[[str], AbstractContextManager[QuotaHome]]) -> Iterator[QuotaHome]:
    with quota_home_on("ext4") as ready:
        yield ready


@pytest.fixture
def sold(quota_home: QuotaHome, paas: Paas) -> QuotaHome:
    """As a reconcile has made it."""
    paas("reconcile")
    assert quota_home.all == (SOLD, SOLD)
    return quota_home


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_without_the_key_the_limits_go(
    kind: str, quota_home_on: Callable[[str], AbstractContextManager[QuotaHome]], paas: Paas
) -> None:
    with quota_home_on(kind) as quota_home:
        paas("reconcile")
        assert quota_home.all == (SOLD, SOLD)
        quota_home.sells()
        uid, home = quota_home.al.uid, quota_home.home
        lift = f"lift the quota of uid {uid} of alice at {home} (was 10240 blocks of 1K, 100 files)"
        assert lift in paas("diff").out
        assert f"alice: to do: {lift}" in paas("status", "alice").out
        assert lift in paas("reconcile").out
        assert quota_home.all == (Quota(), Quota())
        assert paas("reconcile").out == "nothing to do\n"
        assert "disk of alice: 0 of unlimited, 0 of unlimited files" in paas("status", "alice").out
        quota_home.set(quota_home.alice, BY_HAND)  # from now on it is root's again
        assert paas("reconcile").out == "nothing to do\n"
        assert quota_home.all == (BY_HAND, Quota())


def test_who_leaves_an_account_has_no_limit_of_it(sold: QuotaHome, paas: Paas) -> None:
    sold.sells("alice", disk=TEN)
    paas("reconcile")
    assert sold.all == (SOLD, Quota())


def test_an_account_that_leaves_has_limits_until_its_last_process_ends(
    sold: QuotaHome, spec: Specs, paas: Paas
) -> None:
    program = sold.alice.runs("sleep", "1000", leaf="users/alice/other")
    spec.withdraw("alice")
    paas("reconcile", code=4)
    assert sold.all == (SOLD, SOLD)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    paas("reconcile")
    assert (sold.all, accounts()) == ((Quota(), Quota()), {"bob"})
    assert AppliedQuotas(str(STATE)).load() == {}


def test_an_account_whose_file_is_wrong_keeps_them(sold: QuotaHome, spec: Specs, paas: Paas) -> None:
    spec("accounts.d/alice.yaml", "account: alice\ndisk: {max: much}\n")
    paas("reconcile", code=4)
    assert sold.all == (SOLD, SOLD)


def test_an_account_of_another_name_keeps_them(sold: QuotaHome, spec: Specs, paas: Paas) -> None:
    spec.withdraw("alice")
    spec(
        "accounts.d/wonder.yaml",
        "account: wonder\nrenamed_from: alice\nusers: [alice, al]\nowner: alice\ndisk: {max: 10M, files: 100}\n",
    )
    assert "quota" not in paas("reconcile").out
    assert sold.all == (SOLD, SOLD)


def test_after_a_boot_nothing_is_lifted_by_accident(sold: QuotaHome, spec: Specs, paas: Paas) -> None:
    """There is no cgroup yet, and accounts.d has not come."""
    for name in ("login", "other", ""):
        Path(f"/sys/fs/cgroup/paas.slice/paas-tree.service/users/alice/{name}").rmdir()
    spec.path("alice").parent.rename(spec.path("alice").parent.with_name("away"))
    told = paas("reconcile", code=None)
    spec.path("alice").parent.with_name("away").rename(spec.path("alice").parent)
    assert told.code != 0
    assert sold.all == (SOLD, SOLD)


def test_what_was_forgotten_is_not_lifted(sold: QuotaHome, paas: Paas) -> None:
    (STATE / FILE).unlink()
    sold.sells()
    assert paas("reconcile").out == "nothing to do\n"
    assert sold.all == (SOLD, SOLD)
    sold.sells(disk=TEN)
    assert paas("reconcile").out == "nothing to do\n"
    sold.sells()
    assert paas("reconcile").out.count("lift the quota") == 2
    assert sold.all == (Quota(), Quota())


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_what_is_not_mounted_is_lifted_when_it_is(
    tmp_path: Path, kind: str, quota_home_on: Callable[[str], AbstractContextManager[QuotaHome]], paas: Paas
) -> None:
    """Another device has its number meanwhile, and a limit of the same uid."""
    other = tmp_path / "other"
    other.mkdir()
    with quota_home_on(kind) as sold:
        paas("reconcile")
        run("umount", str(sold.home))
        with file_system(other, kind) as there:
            DiskQuotas().set(str(there), sold.alice.uid, BY_HAND)
            sold.sells()
            has_disk = os.major(tmp_path.stat().st_dev) != 0  # below the home: /tmp is a tmpfs from Debian 13 on
            assert "quota" not in paas("reconcile", code=0 if has_disk else 1).out
            told = f"alice: the quota of uid {sold.alice.uid} is to be lifted, but its file"
            assert told in paas("status").out
            mount(sold.home)
            assert paas("reconcile").out.count("lift the quota") == 2
            assert sold.all == (Quota(), Quota())
            assert DiskQuotas().usage(str(there), sold.alice.uid).allowed == BY_HAND


def dies_at(monkeypatch: pytest.MonkeyPatch, *, before: bool, number: int) -> None:
    """The next run is killed before, or after, the so-many-th limit that it sets, or that it remembers."""
    real_call, real_save = calls._call, AppliedQuotas.save
    count = iter(range(1, 100))

    def now() -> bool:
        return next(count) == number

    def call(descriptor: int, command: int, uid: int, data: bytes) -> bytes:
        dies = command == calls._SETQUOTA and now()
        return bytes(_around(lambda: real_call(descriptor, command, uid, data), dies, before))

    def save(self: AppliedQuotas, given: Any) -> None:
        _around(lambda: real_save(self, given), now(), before)

    monkeypatch.setattr(calls, "_call", call)
    monkeypatch.setattr(AppliedQuotas, "save", save)


def _around(work: Callable[[], Any], dies: bool, before: bool) -> Any:
    if dies and before:
        os.kill(os.getpid(), signal.SIGKILL)
    done = work()
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return done


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_killed_between_two_writes_nothing_is_forgotten(
    quota_home: QuotaHome, paas: Paas, number: int, before: bool
) -> None:
    """Three writes set the limits, three lift them: the memory's and one of each user."""
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, before=before, number=number)
        paas("reconcile", code=-signal.SIGKILL)
    quota_home.sells()
    paas("reconcile")
    assert quota_home.all == (Quota(), Quota())

    quota_home.sells(disk=TEN)
    paas("reconcile")
    quota_home.sells()
    with pytest.MonkeyPatch.context() as patch:
        dies_at(patch, before=before, number=number)
        paas("reconcile", code=-signal.SIGKILL)
    paas("reconcile")
    assert quota_home.all == (Quota(), Quota())
    quota_home.set(quota_home.al, BY_HAND)
    assert paas("reconcile").out == "nothing to do\n"
    assert quota_home.all == (Quota(), BY_HAND)


def test_who_leaves_takes_them_along(sold: QuotaHome, paas: Paas) -> None:
    """scripts/install --remove."""
    store = QuotaStore(AppliedQuotas(str(STATE)))
    run("umount", str(sold.home))
    number, left = store.lift_all()
    assert (number, {row.uid for row in left}) == (0, {sold.alice.uid, sold.al.uid})
    mount(sold.home)
    assert store.lift_all() == (2, [])
    assert (sold.all, AppliedQuotas(str(STATE)).load()) == ((Quota(), Quota()), {})


def test_the_daemon_lifts_them_and_sets_those_of_who_comes(sold: QuotaHome) -> None:
    with daemon(accounts=2):
        sold.sells("alice", disk=TEN)
        wait_for(lambda: sold.all == (SOLD, Quota()), what="who left has no limit")
        sold.sells("alice", "al", disk=TEN)
        wait_for(lambda: sold.all == (SOLD, SOLD), what="who came has one")
        sold.sells()
        wait_for(lambda: sold.all == (Quota(), Quota()), what="nobody has")
    assert systemctl("is-active", DAEMON) != "active"
