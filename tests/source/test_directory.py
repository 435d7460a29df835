"""Specification files on a disk: what is read, what is refused, what is kept for the next run."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.errors import SpecError
from paas_isolate.model.account import AccountSpec
from paas_isolate.source import cache, directory, files, spec_reader
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.source.files import identity, settled
from paas_isolate.spec.parse import DEFAULT
from paas_isolate.spec.serialize import account_from
from tests.support.crowd import CROWD, MACHINE, Crowd
from tests.support.paths import SOURCE
from tests.support.spec_files import ALICE, SpecFiles


@pytest.fixture
def machine(tmp_path: Path) -> SpecFiles:
    return SpecFiles(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened, in order."""
    names: list[str] = []
    read = files.SafeDirectory.read

    def reads(self: files.SafeDirectory, name: str) -> tuple[bytes, files.Identity]:
        names.append(self.shown + name)
        return read(self, name)

    monkeypatch.setattr(files.SafeDirectory, "read", reads)
    return names


def settle() -> None:
    """Until no file is younger than a tick."""
    time.sleep(files.TICK / 1e9 + 0.005)


def test_a_machine_without_config_has_the_defaults(machine: SpecFiles) -> None:
    found = machine.load()
    assert found.host == DEFAULT
    assert found.accounts["alice"].limits == {"pids": 100}
    assert found.complaints == ()
    assert not found.on_last_good
    assert not found.removal_blocked


def test_only_yaml_files_are_read(machine: SpecFiles) -> None:
    for name in (".alice.yaml", "alice.yaml~", "README", "bob.yaml.dpkg-new"):
        machine.write(f"accounts.d/{name}", "nonsense: [")
    assert machine.load().complaints == ()
    machine.write("accounts.d/bob.yml", "account: bob")
    found = machine.load()
    assert [str(complaint) for complaint in found.complaints] == [
        "accounts.d/bob.yml: warning: is not read; name it bob.yaml"
    ]


def test_a_name_that_is_none(machine: SpecFiles) -> None:
    machine.write("accounts.d/Bob.yaml", "account: Bob")
    found = machine.load()
    assert "'Bob' is no name for a file here" in str(found.complaints[0])
    assert not found.on_last_good


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


UNFIT: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (_link, "is a symbolic link; expected a regular file"),
    "fifo": (_fifo, "is a device, fifo or socket; expected a regular file"),
    "directory": (_directory, "is a directory; expected a regular file"),
    "group": (lambda path: path.chmod(0o664), "may be written by others (mode 0664); run: chmod go-w "),
    "others": (lambda path: path.chmod(0o646), "may be written by others (mode 0646); run: chmod go-w "),
    "hard link": (lambda path: os.link(path, path.with_suffix(".b")), "has 2 hard links; expected one; run: "),
    "size": (lambda path: os.truncate(path, 1 << 30), "has 1073741824 bytes; expected at most 256K"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_file_that_others_could_have_written_is_not_read(machine: SpecFiles, case: str) -> None:
    spoil, expected = UNFIT[case]
    good = machine.load()
    spoil(machine.etc / "accounts.d/alice.yaml")
    found = machine.load()
    assert [str(complaint)[: len("accounts.d/alice.yaml: ") + len(expected)] for complaint in found.complaints] == [
        f"accounts.d/alice.yaml: {expected}"
    ]
    assert found.accounts == good.accounts
    assert found.on_last_good == {"alice": "accounts.d/alice.yaml cannot be used"}


def test_a_file_of_somebody_else(machine: SpecFiles) -> None:
    found = SpecDirectory(str(machine.etc), str(machine.state), os.getuid() + 1).load(CROWD, MACHINE)
    owner = os.getuid() + 1
    path = machine.etc / "accounts.d/alice.yaml"
    expected = f"belongs to uid {os.getuid()}; expected {owner}; run: chown {owner} {path}"
    assert f"accounts.d/alice.yaml: {expected}" in [str(complaint) for complaint in found.complaints]


def test_a_directory_that_others_may_change(machine: SpecFiles) -> None:
    (machine.etc / "accounts.d").chmod(0o777)
    found = machine.load()
    assert "accounts.d/: warning: may be changed by others" in str(found.complaints[0])
    assert list(found.accounts) == ["alice"]


def test_a_file_that_changes_while_it_is_read(machine: SpecFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel writes in place: the first half of a file must not become a plan without limits."""
    path, texts = machine.etc / "plans.d/p.yaml", ["plan: p\nlimits: {pids: 33}\n"]
    read = os.read

    def reads(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if data.startswith(b"plan") and texts:
            path.write_text(texts.pop())
        return data

    monkeypatch.setattr(os, "read", reads)
    assert machine.load().accounts["alice"].limits == {"pids": 33}
    texts.extend(f"plan: p\nlimits: {{pids: {10**i}}}\n" for i in range(9))
    path.write_text("plan: p\n")
    found = machine.load()
    assert "plans.d/p.yaml: changes while it is read" in str(found.complaints[0])
    assert found.accounts["alice"].limits == {"pids": 33}


def test_a_file_that_vanishes_was_never_there(machine: SpecFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: files.SafeDirectory, name: str) -> tuple[bytes, files.Identity]:
        raise FileNotFoundError(name)

    monkeypatch.setattr(files.SafeDirectory, "read", gone)
    found = machine.load()
    assert (found.accounts, found.on_last_good, found.complaints) == ({}, {}, ())


def test_an_unchanged_run_opens_no_file(machine: SpecFiles, parsed: list[str]) -> None:
    machine.write("config.yaml", "default_plan: p\n")
    settle()
    first = machine.load()
    assert parsed == ["config.yaml", "plans.d/p.yaml", "accounts.d/alice.yaml"]
    assert machine.load() == first
    assert len(parsed) == 3
    machine.write("accounts.d/alice.yaml", ALICE + "limits: {pids: 5}\n")
    assert machine.load().accounts["alice"].limits == {"pids": 5}
    assert parsed[3:] == ["accounts.d/alice.yaml"]


def test_an_unchanged_run_imports_no_yaml(machine: SpecFiles) -> None:
    settle()
    machine.load()
    program = f"""
import os, sys
from paas_isolate.source.directory import SpecDirectory
from tests.support.crowd import CROWD, MACHINE
assert list(SpecDirectory({str(machine.etc)!r}, {str(machine.state)!r}, os.getuid()).load(CROWD, MACHINE).accounts)
print("yaml" in sys.modules)
"""
    path = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], env=path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_file_that_was_only_just_written_is_read_again(
    machine: SpecFiles, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one tick of the clock a second write leaves the same times and may leave the same size."""
    written = machine.write("accounts.d/alice.yaml", ALICE).stat().st_ctime_ns
    with monkeypatch.context() as clock:
        clock.setattr(
            "paas_isolate.source.spec_reader.time.time_ns", lambda: written
        )  # a busy machine may take longer than a tick
        machine.load()
        machine.load()
    assert parsed.count("accounts.d/alice.yaml") == 2
    settle()
    machine.load()
    machine.load()
    assert parsed.count("accounts.d/alice.yaml") == 3


def edits_that_are_missed(machine: SpecFiles, edits: int) -> list[int]:
    """Written in place, of one size, as fast as it goes: dozens of them within a tick."""
    path = machine.write("accounts.d/alice.yaml", ALICE)
    missed = []
    for edit in range(10_000, 10_000 + edits):
        path.write_text(f"{ALICE}limits: {{pids: {edit}}}\n")
        if machine.load().accounts["alice"].limits != {"pids": edit}:
            missed.append(edit)
    return missed


def test_no_edit_is_missed(machine: SpecFiles) -> None:
    assert edits_that_are_missed(machine, 300) == []


@pytest.mark.long
def test_none_of_ten_thousand_edits_is_missed(machine: SpecFiles) -> None:
    assert edits_that_are_missed(machine, 10_000) == []


def test_when_an_identity_can_be_trusted(tmp_path: Path) -> None:
    second = 1_000_000_000
    of = identity(os.stat(tmp_path))
    assert not settled((*of[:3], 5 * second + 1, *of[4:]), 5 * second + 2)
    assert settled((*of[:3], 5 * second + 1, *of[4:]), 5 * second + files.TICK + 2)
    assert not settled((*of[:3], 5 * second, *of[4:]), 6 * second)  # a file system of whole seconds
    assert not settled((*of[:3], 9 * second + 1, *of[4:]), 5 * second)  # the clock went back


def test_a_complaint_comes_back_without_reading_again(machine: SpecFiles, parsed: list[str]) -> None:
    machine.write("accounts.d/bob.yaml", "account: bob\nlimits: {memory: 5 12M}\n")
    settle()
    first = machine.load()
    assert [str(complaint) for complaint in first.complaints] == [
        "accounts.d/bob.yaml:2:18: limits.memory is '5 12M'; expected a size such as 512M"
    ]
    parsed.clear()
    assert machine.load() == first
    assert parsed == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"alice", b"alicf"),
        lambda data: b"x" + data,
        lambda data: data.replace(b"compiled 1", b"compiled 0"),
    ],
)
def test_damaged_state_is_as_none(machine: SpecFiles, parsed: list[str], damage: Callable[[bytes], bytes]) -> None:
    settle()
    first = machine.load()
    path = machine.state / "compiled"
    path.write_bytes(damage(path.read_bytes()))
    parsed.clear()
    assert machine.load() == first
    assert len(parsed) == 2
    assert cache.load(str(machine.state))


def test_an_edit_is_written_behind_what_is_known(machine: SpecFiles, parsed: list[str]) -> None:
    for number in range(40):
        machine.write(f"plans.d/a{number}.yaml", f"plan: a{number}\nlimits: {{pids: 40}}\n")
    settle()
    machine.load()
    path = machine.state / "compiled"
    before = path.read_bytes()
    machine.write("plans.d/a7.yaml", "plan: a7\nlimits: {pids: 7}\n")
    (machine.etc / "plans.d" / "a8.yaml").unlink()
    settle()
    edited = machine.load()
    after = path.read_bytes()
    assert after.startswith(before)
    assert len(before) < len(after) < len(before) * 1.25
    parsed.clear()
    assert machine.load() == edited
    assert parsed == []
    path.write_bytes(after[:-1])  # the run was ended while it wrote
    assert machine.load() == edited
    assert parsed == ["plans.d/a7.yaml"]
    assert path.read_bytes() == after


def test_many_edits_do_not_make_the_file_grow_for_ever(machine: SpecFiles) -> None:
    settle()
    machine.load()
    path = machine.state / "compiled"
    first = path.stat().st_size
    for number in range(50):
        machine.write("accounts.d/alice.yaml", f"account: alice\nlimits: {{pids: {number + 10}}}\n")
        machine.load()
    assert path.stat().st_size < first * 1.5


def test_state_that_others_may_write_is_as_none(machine: SpecFiles) -> None:
    machine.load()
    (machine.state / "compiled").chmod(0o622)
    assert cache.load(str(machine.state)) is None


def test_state_is_for_its_owner_alone(machine: SpecFiles) -> None:
    machine.write("config.yaml", "")
    machine.load()
    assert machine.kept() == ["compiled", "last-good/accounts/alice.json", "last-good/host.json"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (machine.state / "last-good").rglob("*"))
    assert (machine.state / "compiled").stat().st_mode & 0o777 == 0o600


def test_who_only_looks_writes_nothing(machine: SpecFiles) -> None:
    machine.load(remember=False)
    assert not machine.state.exists()


def test_state_that_cannot_be_written_stops_nothing(machine: SpecFiles) -> None:
    machine.state.write_text("not a directory")
    found = machine.load()
    assert list(found.accounts) == ["alice"]
    assert "the last good copies are old" in str(found.complaints[0])


def test_an_unchanged_run_writes_nothing(machine: SpecFiles) -> None:
    machine.write("config.yaml", "")
    settle()
    machine.load()
    machine.load()
    before = written(machine)
    machine.load()
    assert written(machine) == before


def written(machine: SpecFiles) -> dict[Path, tuple[int, ...]]:
    """What a write would change of each file and directory. A read may change the time of access."""
    stats = {path: path.stat() for path in machine.state.rglob("*")}
    return {path: (stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def copy_of(machine: SpecFiles, name: str = "alice") -> str:
    return (machine.state / f"last-good/accounts/{name}.json").read_text()


def test_a_last_good_copy_follows_account_plan_host_and_users(machine: SpecFiles) -> None:
    machine.load()
    machine.write("plans.d/p.yaml", "plan: p\nlimits: {pids: 200}\n")
    machine.load()
    assert '"pids": 200' in copy_of(machine)
    machine.write("accounts.d/alice.yaml", "account: alice\n")
    machine.write("plans.d/q.yaml", "plan: q\nlimits: {pids: 300}\n")
    machine.write("config.yaml", "default_plan: q\n")
    machine.load()
    assert '"pids": 300' in copy_of(machine)
    machine.load(Crowd({"alice": 1050}))
    assert '"alice": 1050' in copy_of(machine)


def test_a_lost_copy_is_made_anew(machine: SpecFiles) -> None:
    settle()
    machine.load()
    SpecDirectory(str(machine.etc), str(machine.state)).last_good.forget("alice")
    assert machine.kept() == ["compiled"]
    machine.load()
    assert machine.kept() == ["compiled", "last-good/accounts/alice.json"]


def test_a_wrong_account_stays_with_its_copy_until_it_is_mended(machine: SpecFiles) -> None:
    good = machine.load()
    machine.write("accounts.d/alice.yaml", "account: alice\nlimits: {pids: none}\n")
    for _ in range(2):
        found = machine.load()
        assert found.accounts == good.accounts
        assert list(found.on_last_good) == ["alice"]
    assert '"pids": 100' in copy_of(machine)
    machine.write("accounts.d/alice.yaml", ALICE)
    assert not machine.load().on_last_good


def test_a_wrong_plan_keeps_its_accounts(machine: SpecFiles) -> None:
    good = machine.load()
    machine.write("plans.d/p.yaml", "plan: p\nlimits: {pids: 1_000}\n")
    found = machine.load()
    assert found.accounts == good.accounts
    assert found.on_last_good == {"alice": "its plan p cannot be used"}
    assert len(found.complaints) == 1


def test_a_copy_of_another_version_is_none(machine: SpecFiles) -> None:
    machine.load()
    path = machine.state / "last-good/accounts/alice.json"
    for text in (path.read_text().replace('"version": 1', '"version": 99'), "{", "[]", '{"version": 1, "kept": []}'):
        path.write_text(text)
        assert SpecDirectory(str(machine.etc), str(machine.state)).last_good.account("alice") is None


def test_a_wrong_host_stays_as_it_was(machine: SpecFiles) -> None:
    machine.write("config.yaml", "users: {first_uid: 500}\n")
    machine.load()
    machine.write("config.yaml", "users: {first_uid: x}\n")
    found = machine.load()
    assert found.host.first_uid == 500
    assert "config.yaml:1:20: users.first_uid is 'x'" in str(found.complaints[0])


def test_a_host_that_never_was_right_is_an_error(machine: SpecFiles) -> None:
    machine.write("config.yaml", "users: {first_uid: x}\n")
    with pytest.raises(SpecError, match=r"config\.yaml:1:20: users\.first_uid is 'x'"):
        machine.load()


def test_without_accounts_d_nobody_is_gone(machine: SpecFiles) -> None:
    good = machine.load()
    (machine.etc / "accounts.d").rename(machine.etc / "elsewhere")
    found = machine.load()
    assert found.removal_blocked == "accounts.d is missing"
    assert found.accounts == good.accounts
    assert found.on_last_good == {"alice": "accounts.d is missing"}
    assert [str(complaint) for complaint in found.complaints] == ["accounts.d: is missing"]


def test_an_account_whose_file_is_gone_is_gone(machine: SpecFiles) -> None:
    machine.load()
    (machine.etc / "accounts.d/alice.yaml").unlink()
    found = machine.load()
    assert (found.accounts, found.on_last_good, found.removal_blocked) == ({}, {}, "")
    assert "last-good/accounts/alice.json" in machine.kept()  # until the reconciler has removed the tree


def test_without_plans_d(machine: SpecFiles) -> None:
    (machine.etc / "plans.d/p.yaml").unlink()
    (machine.etc / "plans.d").rmdir()
    found = machine.load()
    assert [str(complaint) for complaint in found.complaints] == [
        "accounts.d/alice.yaml:2:7: plan is 'p', and there is no such plan; expected a file in plans.d"
    ]


def test_kinds_survive_being_kept(machine: SpecFiles) -> None:
    """The same fleet from files and from what was kept of them."""
    machine.write(
        "accounts.d/bob.yaml",
        "account: bob\nlimits: {cpu: 2, memory: {max: unlimited, high: 12.5%}}\n"
        "services: {web: {match: {program: a}, priority: 2, entry: [cron], limits: {memory: 50%}}}\n",
    )
    settle()
    first = machine.load()
    assert machine.load() == first
    assert spec_reader.ACCOUNT.back(spec_reader.ACCOUNT.plain(_bob())) == _bob()


def test_what_was_parsed_is_not_made_again_from_its_row(machine: SpecFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def back(row: dict[str, Any]) -> AccountSpec:
        made.append(row["name"])
        return account_from(row)

    monkeypatch.setattr(directory, "ACCOUNT", spec_reader.ACCOUNT._replace(back=back))
    settle()
    machine.load()
    assert made == []
    machine.write("accounts.d/bob.yaml", "account: bob\n")
    settle()
    machine.load()
    assert made == ["alice"], "bob's file is new"
    machine.load()
    assert made == ["alice", "alice", "bob"]


def _bob() -> object:
    text = b"account: bob\nusers: [bob, eve]\nsuspended: true\nrenamed_from: rob\nlimits: {cpu: 1.5}\n"
    return spec_reader.ACCOUNT.parse(text, "accounts.d/bob.yaml")
