"""account list, show, put and remove, plan list and status --host: with a ledger that a test makes up."""

import hashlib
import json
import time

import pytest

from paas_isolate.metering.faults import Kind
from paas_isolate.metering.reading import Counters, Levels, Reading
from tests.support import ledger
from tests.support.command_line import CommandLine, document
from tests.support.ledger import MB, Metered

NEW = "account: bob\nplan: small\n"


def tag(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


@pytest.fixture
def three(made: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """alice, bob and carol; bob has used most CPU time, carol holds most memory. dave's file is wrong."""
    for name in ("bob", "carol"):
        made.write(
            f"accounts.d/{name}.yaml", f"account: {name}\nplan: small\nsuspended: {str(name == 'carol').lower()}\n"
        )
    made.write("accounts.d/dave.yaml", "account: dave\nplan: smal\n")
    made.config("metering: {}\n")
    made("reconcile")
    monkeypatch.setattr(ledger, "WALL", int(time.time() - 600) * 1000)
    metered = Metered(made.state)
    for minute in range(11):
        used = {"alice": (1, 10), "bob": (30, 20), "carol": (0, 300)}
        readings = [
            Reading(name, 7, Counters(user=cpu * minute * 1_000_000, system=0), Levels(memory=held * MB, pids=3))
            for name, (cpu, held) in used.items()
        ]
        killed = [ledger.fault(Kind.KILLED, minute * 60, "bob/web", 2)] if minute == 5 else []
        metered.sampled(minute * 60, *readings, faults=killed)
    metered.writer.close()
    return made


def names(place: CommandLine, words: str) -> list[str]:
    return [row["account"] for row in document(place(f"account list --json {words}"))["rows"]]


def test_accounts_are_listed_by_name(three: CommandLine) -> None:
    data = document(three("account list --json"))
    assert (data["total"], data["next"]) == (4, None)
    assert {row["account"]: row["state"] for row in data["rows"]} == {
        "alice": "ok",
        "bob": "ok",
        "carol": "suspended",
        "dave": "kept",
    }
    bob, dave = data["rows"][1], data["rows"][3]
    assert bob["cpu_cores"] == pytest.approx(0.5)
    assert (bob["memory"], bob["pids"], bob["faults"]) == (20 * MB, 3, 2)
    assert (dave["memory"], dave["cpu_cores"]) == (None, None)
    assert "smal" in dave["note"] or dave["note"]


@pytest.mark.parametrize(
    ("by", "order"), [("cpu", ["bob", "alice", "carol", "dave"]), ("memory", ["carol", "bob", "alice", "dave"])]
)
def test_pages_follow_each_other_in_any_order(by: str, order: list[str], three: CommandLine) -> None:
    found, after = [], ""
    for _ in order:
        page = document(three(f"account list --json --sort {by} --limit 1 {f'--after={after}' if after else ''}"))
        found += [row["account"] for row in page["rows"]]
        after = page["next"]
    assert found == order
    assert after is None


def test_pages_by_name(three: CommandLine) -> None:
    assert names(three, "--limit 2") == ["alice", "bob"]
    assert names(three, "--limit 2 --after bob") == ["carol", "dave"]
    assert names(three, "--search aro") == ["carol"]
    wrong = three("account list --after bob --sort cpu")
    assert wrong.exit_code == 2
    assert "in the same order" in wrong.stderr


def test_a_list_without_a_ledger_or_a_tree(place: CommandLine) -> None:
    place.person(root=True)
    place.unfit()
    if place.etc.stat().st_uid != 0:
        pytest.skip("for root only files of root's count")
    (row,) = document(place("account list --json"))["rows"]
    assert (row["account"], row["state"], row["memory"]) == ("alice", "pending", None)
    assert "alice" in place("account list").stdout


def test_a_file_is_shown_with_its_tag(made: CommandLine) -> None:
    text = (made.etc / "accounts.d/alice.yaml").read_text()
    assert document(made("account show alice --json")) == {
        "name": "alice",
        "file": "accounts.d/alice.yaml",
        "text": text,
        "etag": tag(text),
    }
    assert made("account show alice").stdout == text
    assert made("plan show small").stdout == "plan: small\n"
    missing = made("account show nobody")
    assert (missing.exit_code, "no account is called 'nobody'" in missing.stderr) == (2, True)


def test_a_file_is_written_if_it_is_what_was_seen(made: CommandLine) -> None:
    before = (made.etc / "accounts.d/alice.yaml").read_text()
    after = before + "suspended: true\n"
    conflict = made(f"account put alice --json --if-match {tag('x')}", stdin=after)
    assert conflict.exit_code == 3
    assert document(conflict) | {"name": ""} == {
        "name": "",
        "file": "accounts.d/alice.yaml",
        "changed": False,
        "conflict": True,
        "etag": tag(before),
    }
    assert (made.etc / "accounts.d/alice.yaml").read_text() == before
    told = document(made(f"account put alice --json --if-match {tag(before)}", stdin=after))
    assert (told["changed"], told["conflict"], told["etag"]) == (True, False, tag(after))
    assert (made.etc / "accounts.d/alice.yaml").read_text() == after
    assert not document(made("account put alice --json --if-match *", stdin=after))["changed"]


def test_a_new_file_is_written_if_there_is_none(made: CommandLine) -> None:
    words = "account put bob --if-none-match *"
    assert made(words, stdin=NEW).exit_code == 0
    again = made(words, stdin=NEW)
    assert (again.exit_code, again.stdout) == (3, "")
    assert made("account put carol --if-match *", stdin="account: carol\n").exit_code == 3


def test_a_dry_run_says_what_would_be_done(made: CommandLine) -> None:
    before = made.files()
    told = document(made("account put bob --dry-run --json", stdin=NEW))
    assert told["steps"][0] == "create users/bob"
    assert (told["changed"], told["dry_run"], told["more"]) == (True, True, 0)
    assert "create users/bob\n" in made("account put bob --dry-run", stdin=NEW).stdout
    same = (made.etc / "accounts.d/alice.yaml").read_text()
    assert made("account put alice --dry-run", stdin=same).stdout == "nothing would change\n"
    frozen = made("plan put small --dry-run", stdin="plan: small\nlimits: {memory: {kill: process}}\n")
    assert frozen.exit_code == 0
    assert made("account put bob --dry-run", stdin="account: bob\nplan: smal\n").exit_code == 2
    assert made.files() == before


def test_a_file_is_removed_if_it_is_what_was_seen(made: CommandLine) -> None:
    file = made.etc / "accounts.d/alice.yaml"
    text = file.read_text()
    assert made(f"account remove alice --if-match {tag('x')}").exit_code == 3
    assert file.exists()
    assert document(made(f"account remove alice --json --if-match {tag(text)}"))["changed"]
    assert not file.exists()


def test_plans_are_listed_with_their_accounts(made: CommandLine) -> None:
    made.write("plans.d/large.yaml", "plan: large\nlimits: {cpu: 150%, memory: 1G}\n")
    data = document(made("plan list --json"))
    assert [(plan["plan"], plan["accounts"]) for plan in data["plans"]] == [("large", 0), ("small", 1)]
    assert data["plans"][0]["limits"]["cpu.max"] == "150%"
    assert data["plans"][0]["limits"]["memory.max"] == "1G"
    assert "150%" in made("plan list").stdout


def test_the_machine_is_shown(three: CommandLine) -> None:
    data = document(three("status --host --json"))
    assert data["accounts"] == {"total": 4, "active": 2, "ok": 2, "suspended": 1, "kept": 1}
    assert data["complaints"] == 1
    assert data["machine"]["cores"] >= 1
    assert "4 accounts: 2 ok, 1 suspended, 1 kept\n" in three("status --host").stdout
    assert three("status --host alice").exit_code == 2


def test_arguments_are_left_out(three: CommandLine) -> None:
    (found,) = json.loads(three("faults --json --no-command-lines").stdout)
    assert (found["number"], found["process"]) == (2, None)


def test_what_the_next_plan_would_change(made: CommandLine) -> None:
    made.write("plans.d/small.yaml", "plan: small\nnext: big\nlimits: {memory: 1G, pids: 100}\n")
    made.write("plans.d/big.yaml", "plan: big\nlimits: {memory: 2G, cpu: 150%}\nservices: {redis: {run: redis}}\n")
    made.write("accounts.d/alice.yaml", "account: alice\nplan: small\nlimits: {pids: 50}\n")
    assert document(made("account plan alice --json")) == {
        "account": "alice",
        "plan": "small",
        "next": "big",
        "limits": [
            {"limit": "limits.cpu.max", "meaning": "CPU time", "now": None, "then": "150%"},
            {"limit": "limits.memory.max", "meaning": "memory", "now": "1G", "then": "2G"},
        ],
        "services_added": ["redis"],
        "services_removed": [],
    }
    told = made("account plan alice").stdout
    assert "NOW (small)" in told and "WITH big" in told and "new services: redis" in told
    assert document(made("plan list --json"))["plans"][1]["next"] == "big"


def test_a_plan_that_is_the_last(made: CommandLine) -> None:
    assert made("account plan alice").stdout == "plan small; it names no next plan\n"
    data = document(made("account plan alice --json"))
    assert (data["next"], data["limits"]) == (None, [])
    missing = made("account plan nobody")
    assert (missing.exit_code, "no account is called 'nobody'" in missing.stderr) == (2, True)


def test_a_file_that_is_wrong_says_nothing_of_the_next_plan(made: CommandLine) -> None:
    made.write("accounts.d/alice.yaml", "account: alice\nplan: [small\n")
    wrong = made("account plan alice")
    assert (wrong.exit_code, "its file cannot be used" in wrong.stderr) == (1, True)


def test_a_next_plan_that_there_is_not_is_not_written(made: CommandLine) -> None:
    wrong = made("plan put small", stdin="plan: small\nnext: big\n")
    assert wrong.exit_code == 2
    assert "plans.d/small.yaml:2:7: next is 'big', and there is no such plan" in wrong.stderr


def test_the_place_of_a_warning_is_that_of_the_text_that_was_sent(made: CommandLine) -> None:
    text = "account: alice\nplan: small\n\npeers: [nobody]\n"
    data = document(made("account put alice --dry-run --json", stdin=text))
    assert [(each["line"], each["key"]) for each in data["complaints"]] == [(4, "peers[0]")]
