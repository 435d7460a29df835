"""The exit statuses of paas-isolate(8): each is reached, by each command that can end so."""

import fcntl
import os
import time
from collections.abc import Iterator

import pytest
from click.testing import Result

from tests.support.command_line import CommandLine

WRONG = "account: bob\nplan: smal\n"


def assert_ends(result: Result, status: int, *said: str) -> None:
    assert result.exit_code == status, result.output
    for each in said:
        assert each in result.output


@pytest.mark.parametrize("words", ["check", "schema", "version", "diff", "status", "status alice", "coverage"])
def test_0_what_shows_has_shown(words: str, place: CommandLine) -> None:
    place.tree()
    assert_ends(place(words), 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("reconcile", "nothing to do\n"),
        ("reconcile --quiet", ""),
        ("reconcile --cron", ""),
        ("reconcile --account alice", "nothing to do\n"),
        ("diff", "nothing differs\n"),
        ("diff --exit-code", "nothing differs\n"),
        ("freeze alice", "done     set cgroup.freeze of users/alice to 1 (was 0)\n"),
        ("freeze alice/web", "done     set cgroup.freeze of users/alice/web to 1 (was 0)\n"),
        ("thaw alice", ""),
        ("kill alice", "0 processes ended\n"),
        ("kill --all --grace 0", "0 processes ended\n"),
        ("account remove bob", ""),
        ("net restore", "nothing to do\n"),
    ],
)
def test_0_what_should_be_is(words: str, said: str, made: CommandLine) -> None:
    if words.startswith("account remove"):
        made.write("accounts.d/bob.yaml", WRONG)
    result = made(words)
    assert (result.exit_code, result.output) == (0, said)


@pytest.mark.parametrize(
    ("words", "file", "text"),
    [
        ("account put bob", "accounts.d/bob.yaml", "account: bob\nplan: small\n"),
        ("plan put large", "plans.d/large.yaml", "plan: large\n"),
    ],
)
def test_0_a_file_that_is_right_is_put(words: str, file: str, text: str, made: CommandLine) -> None:
    assert_ends(made(words, stdin=text), 0)
    assert (made.etc / file).read_text() == text


def test_0_warnings_alone_are_no_mistake(place: CommandLine) -> None:
    place.write("accounts.d/notes.txt", "")
    assert_ends(place("check"), 0)


def test_1_a_step_that_fails(made: CommandLine) -> None:
    (made.place / "cgroup/ours/cpu.weight").unlink()
    assert_ends(
        made("reconcile"), 1, "failed   set cpu.weight of the tree to 50: this kernel offers no cpu.weight here"
    )


def test_1_a_service_whose_file_is_wrong(made: CommandLine) -> None:
    made.write("accounts.d/bob.yaml", WRONG)
    for words in ("start bob/web", "restart bob/web", "scale bob/web 2", "logs bob/web"):
        assert_ends(made(words), 1, "bob: its plan smal cannot be used")


@pytest.mark.parametrize("words", ["freeze alice", "stop alice/web", "kill alice"])
def test_1_or_more_never_a_traceback_where_a_disk_is_damaged(words: str, made: CommandLine) -> None:
    (made.state / "decisions.json").write_text("{")
    result = made(words)
    assert result.exit_code in (0, 1, 2, 4, 5)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("words", ["check", "check --json"])
def test_2_a_specification_is_wrong(words: str, place: CommandLine) -> None:
    place.write("accounts.d/bob.yaml", WRONG)
    assert_ends(place(words), 2, "accounts.d/bob.yaml", "is 'smal', and there is no such plan; expected small")


@pytest.mark.parametrize("words", ["check", "diff", "status", "coverage", "pam status", "reconcile", "thaw alice"])
def test_2_config_yaml_is_wrong_and_never_was_right(words: str, place: CommandLine) -> None:
    place.tree()
    place.config("frobnicate: 1\n")
    if place.etc.stat().st_uid == 0:
        place.person(root=True)
    elif words in ("reconcile", "thaw alice"):
        pytest.skip("for root only files of root's count")
    assert_ends(place(words), 2, "config.yaml:5:1: frobnicate is not a key of this place; expected one of tree")


@pytest.mark.parametrize("words", ["account put bob", "plan put small"])
@pytest.mark.parametrize("text", ["account: [", WRONG, "", "plan: small\nlimits: {memory: much}\n"])
def test_2_a_file_that_is_wrong_is_not_put(words: str, text: str, made: CommandLine) -> None:
    before = made.files()
    result = made(words, stdin=text)
    assert_ends(result, 2)
    assert result.stderr
    assert made.files() == before


def test_3_something_differs(place: CommandLine) -> None:
    place.tree()
    assert_ends(place("diff --exit-code"), 3, "create users/alice\n")
    assert_ends(place("diff --exit-code --json"), 3)


def test_3_logins_do_not_pass_the_module(place: CommandLine) -> None:
    place.tree()
    assert_ends(place("pam status"), 3, "logins do not pass the module: paas-isolate pam install")


def test_4_an_account_is_kept_as_it_is(made: CommandLine) -> None:
    made.write("accounts.d/alice.yaml", "account: alice\nplan: smal\n")
    for words in ("reconcile", "reconcile --quiet", "reconcile --json"):
        assert_ends(made(words), 4)
    assert_ends(made("reconcile --cron"), 4, "alice: keeps its last good limits: its plan smal cannot be used")
    result = made("reconcile --cron")
    assert (result.exit_code, result.output) == (4, ""), "the same complaint once a day"


GOING = ("bob", "carol", "dave", "erin")


def test_4_too_many_accounts_would_go(made: CommandLine) -> None:
    for name in GOING:
        made.write(f"accounts.d/{name}.yaml", f"account: {name}\n")
    assert made("reconcile").exit_code == 0
    for name in GOING:
        (made.etc / f"accounts.d/{name}.yaml").unlink()
    assert_ends(made("reconcile"), 4, "bob is not removed: ", "--remove")


def test_4_what_is_frozen_is_not_remembered(made: CommandLine) -> None:
    (made.state / "decisions.json").write_text("{")
    result = made("freeze alice")
    assert_ends(result, 4, "not remembered in ", "has it until a reboot")
    assert (made.place / "cgroup/ours/users/alice/cgroup.freeze").read_text().strip() == "1"


KERNEL = ["diff", "status", "coverage", "pam status", "me", "doctor"]
ROOT = {
    "reconcile": "",
    "daemon --once": "",
    "usage": "",
    "bill --month 2026-09": "",
    "faults": "",
    "freeze alice": "",
    "thaw alice": "",
    "kill alice": "",
    "kill --all": "",
    "start alice/web": "",
    "stop alice/web": "",
    "restart alice/web": "",
    "scale alice/web 2": "",
    "logs alice/web": "",
    "exec alice/web -- true": "",
    "account put bob": "account: bob\n",
    "account remove alice": "",
    "plan put small": "plan: small\n",
    "pam install": "",
    "pam remove": "",
    "pam confirm": "",
    "pam test alice": "",
    "net show": "",
    "net test": "",
    "net restore": "",
}


@pytest.mark.parametrize("words", KERNEL)
def test_5_no_cgroup2_is_mounted(words: str, place: CommandLine) -> None:
    place.unfit()
    assert_ends(place(words), 5, "cgroup2")


@pytest.mark.parametrize("words", ["reconcile", "daemon --once", "freeze alice", "thaw alice", "kill alice"])
def test_5_no_cgroup2_is_mounted_for_root(words: str, made: CommandLine) -> None:
    made.unfit()
    result = made(words)
    assert_ends(result, 5, "no cgroup2 file system is mounted\n  boot with systemd.unified_cgroup_hierarchy=1")


@pytest.mark.parametrize(("words", "stdin"), ROOT.items(), ids=list(ROOT))
def test_5_this_needs_root(words: str, stdin: str, place: CommandLine) -> None:
    place.tree()
    before = place.files()
    result = place(words, stdin=stdin)
    assert_ends(result, 5)
    assert result.stderr == "paas-isolate: this needs root\n  sudo paas-isolate …\n"
    assert place.files() == before


@pytest.mark.parametrize("words", ["net show", "net test", "net show --json"])
def test_5_this_machine_has_no_network_of_accounts(words: str, made: CommandLine) -> None:
    assert_ends(made(words), 5, "put `network: {}` into config.yaml")


@pytest.mark.parametrize("words", ["check", "diff", "status", "coverage", "doctor", "pam status"])
def test_5_there_is_no_such_directory(words: str, place: CommandLine) -> None:
    place.etc = place.etc / "missing"
    assert_ends(place(words), 5, "missing cannot be read: No such file or directory\n  name another by --etc DIR")


@pytest.fixture
def busy(place: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Another run holds the lock, and who waits for it waits no real time."""
    place.person(root=True)
    place.tree()
    slept = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: slept[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: slept.__setitem__(0, slept[0] + seconds))
    fd = os.open(place.run / "lock", os.O_RDONLY | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield place
    os.close(fd)


LOCKED = [
    words
    for words in ROOT
    if words
    not in (
        "usage",
        "bill --month 2026-09",
        "faults",
        "freeze alice",
        "stop alice/web",
        "kill alice",
        "kill --all",
        "net show",
        "net test",
        "daemon --once",
    )
    and not words.startswith(("logs", "exec"))
]


@pytest.mark.parametrize("words", [*LOCKED, "reconcile --wait 0", "reconcile --json", "reconcile --quiet"])
def test_75_another_run_holds_the_lock(words: str, busy: CommandLine) -> None:
    before = busy.files()
    result = busy(words, stdin=ROOT.get(words, ""))
    assert_ends(result, 75, f"paas-isolate: another run is at work: process {os.getpid()} (")
    assert result.stdout == ""
    assert busy.files() == before


def test_75_cron_says_nothing_of_it(busy: CommandLine) -> None:
    result = busy("reconcile --cron")
    assert (result.exit_code, result.output) == (75, "")


@pytest.mark.parametrize(
    ("words", "waits"), [("reconcile --wait 5", True), ("reconcile", True), ("reconcile --wait 0", False)]
)
def test_75_who_waits_says_for_whom(words: str, waits: bool, busy: CommandLine) -> None:
    assert ("waits for another run" in busy(words).stderr) == waits
