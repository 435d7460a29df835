"""Files that panels write are checked first, then replaced whole, or not at all."""

from pathlib import Path

import pytest

from paas_isolate.errors import HostError, SpecError
from paas_isolate.source import write
from paas_isolate.source.directory import SpecDirectory
from tests.support.crowd import CROWD, MACHINE
from tests.support.spec_files import ALICE, SpecFiles


@pytest.fixture
def machine(tmp_path: Path) -> SpecFiles:
    return SpecFiles(tmp_path)


def put(machine: SpecFiles, file: str, text: str) -> None:
    directory = SpecDirectory(str(machine.etc), str(machine.state), machine.etc.stat().st_uid)
    write.put(directory, file, text.encode(), CROWD, MACHINE)


def files(machine: SpecFiles) -> dict[str, str]:
    return {str(path.relative_to(machine.etc)): path.read_text() for path in machine.etc.rglob("*") if path.is_file()}


def test_what_is_right_is_written_whole(machine: SpecFiles) -> None:
    put(machine, "accounts.d/bob.yaml", "account: bob\n")
    put(machine, "accounts.d/alice.yaml", f"{ALICE}limits: {{pids: 7}}\n")
    assert sorted(files(machine)) == ["accounts.d/alice.yaml", "accounts.d/bob.yaml", "plans.d/p.yaml"]
    assert machine.load().accounts["alice"].limits == {"pids": 7}
    assert (machine.etc / "accounts.d/bob.yaml").stat().st_mode & 0o777 == 0o600  # `environment` holds secrets


WRONG = [
    (
        "a mistake of its own",
        "accounts.d/alice.yaml",
        "account: alice\nlimits: {pids: many}\n",
        "limits.pids is 'many'",
    ),
    ("no YAML at all", "accounts.d/alice.yaml", "\0", "accounts.d/alice.yaml"),
    ("another name", "accounts.d/alice.yaml", "account: bob\n", "account is 'bob'; expected alice"),
    ("a user of another account", "accounts.d/bob.yaml", "account: bob\nusers: [alice]\n", "alice"),
    ("a user that there is not", "accounts.d/bob.yaml", "account: bob\nusers: [nobody-here]\n", "nobody-here"),
    ("what it may not ask for", "accounts.d/bob.yaml", "account: bob\nservices: {a: {publish: 22}}\n", "publish_ports"),
    ("a plan that there is not", "accounts.d/alice.yaml", "account: alice\nplan: q\n", "q"),
    ("a plan that no longer fits", "plans.d/p.yaml", "plan: p\nlimits: {memory: {max: 1G, low: 2G}}\n", "low"),
]


@pytest.mark.parametrize("case", WRONG, ids=[case[0] for case in WRONG])
def test_what_is_wrong_changes_nothing(machine: SpecFiles, case: tuple[str, str, str, str]) -> None:
    _, file, text, complaint = case
    before = files(machine)
    with pytest.raises(SpecError, match=complaint):
        put(machine, file, text)
    assert files(machine) == before


def test_what_was_wrong_before_is_not_held_against_it(machine: SpecFiles) -> None:
    machine.write("accounts.d/bob.yaml", "account: bob\nlimits: {pids: many}\n")
    put(machine, "accounts.d/alice.yaml", ALICE)
    put(machine, "accounts.d/bob.yaml", "account: bob\n")
    assert machine.load().complaints == ()


def test_removal(machine: SpecFiles) -> None:
    directory = SpecDirectory(str(machine.etc), str(machine.state))
    write.remove(directory, "accounts.d/alice.yaml")
    assert sorted(files(machine)) == ["plans.d/p.yaml"]
    with pytest.raises(HostError, match="is not there"):
        write.remove(directory, "accounts.d/alice.yaml")
