"""--json of every command that shows something prints one JSON document with the keys that paas-isolate(8) lists."""

import json
import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.metering import report
from paas_isolate.metering.use import Use
from tests.support.command_line import FIRST, LEAVES, CommandLine, document, options

PAGE = Path(__file__).resolve().parents[2] / "man" / "paas-isolate.8"
COMPLAINT = {"file", "text", "line", "column", "key", "warning"}
CGROUP = {"name", "path", "state", "knobs", "use", "service"}
USE = {"memory", "pids", "cpu", "killed", "refused", "throttled", "read", "written", "frozen"}
CHECK = {"name", "verdict", "found", "mend"}

SHOW = [
    "check",
    "diff",
    "status",
    "me",
    "coverage",
    "top",
    "usage",
    "bill",
    "faults",
    "enable",
    "notices",
    "explain",
    "advise",
    "chart",
    "pam status",
    "pam test",
    "account list",
    "account plan",
    "account show",
    "plan list",
    "plan show",
    "net show",
    "net test",
    "doctor",
    "version",
    "token list",
]
DO = ["reconcile", "disable", "account put", "account remove", "plan put"]
"""These do something, and tell it."""
NO_DOCUMENT = {
    "schema": "is JSON already",
    "daemon": "stays",
    "metrics": "has a format of its own",
    "web": "stays",
    "logs": "shows a program's bytes",
    "exec": "is the command that it runs",
    "freeze": "acts",
    "thaw": "acts",
    "kill": "acts",
    "start": "acts",
    "stop": "acts",
    "restart": "acts",
    "scale": "acts",
    "token create": "acts",
    "token revoke": "acts",
    "pam install": "acts",
    "pam remove": "acts",
    "pam confirm": "acts",
    "leave": "acts",
    "net restore": "acts",
}


def test_every_command_that_shows_something_has_json() -> None:
    have = {words for words, command in LEAVES.items() if any("--json" in option.opts for option in options(command))}
    assert have == {*SHOW, *DO}
    assert have | NO_DOCUMENT.keys() == LEAVES.keys()


def told(command: str) -> set[str]:
    """The keys of the first table that the manual has for a command."""
    said = re.split(r"^\.Sh ", PAGE.read_text().partition(".Sh JSON OUTPUT")[2], flags=re.MULTILINE)[0]
    part = re.split(rf"^\.Ss {command}$", said, flags=re.MULTILINE)[1]
    table = part.partition(".El")[0]
    return {key for line in re.findall(r"^\.It Li (.+?) Ta ", table, re.M) for key in line.split(" , ")}


@pytest.mark.parametrize("words", ["check", "diff", "status", "status alice", "coverage", "coverage alice", "version"])
def test_an_object_with_the_keys_of_the_manual(words: str, place: CommandLine) -> None:
    place.tree()
    result = place(f"{words} --json")
    assert result.exit_code == 0
    assert document(result).keys() == told(words.split()[0])


def test_reconcile(made: CommandLine) -> None:
    made.write("accounts.d/bob.yaml", "account: bob\nplan: small\n")
    data = document(made("reconcile --json"))
    assert data.keys() == told("reconcile")
    assert {"step": "create users/bob", "ending": "done", "because": ""} in data["outcomes"]
    assert data["remaining"] == []


def test_diff_lists_steps_as_sentences(place: CommandLine) -> None:
    place.tree()
    assert document(place("diff --json"))["changes"][:3] == ["create penalty", "create users", "create users/alice"]


def test_complaints_tell_where_and_what(place: CommandLine) -> None:
    place.write("accounts.d/bob.yaml", "account: bob\nplan: smal\n")
    place.tree()
    for words in ("check", "diff"):
        data = document(place(f"{words} --json"))
        (complaint,) = data["complaints"]
        assert complaint.keys() == COMPLAINT
        assert (complaint["file"], complaint["line"], complaint["key"]) == ("accounts.d/bob.yaml", 2, "plan")
        assert [*data["kept"]] == ["bob"]


def test_check_has_a_document_where_config_yaml_cannot_be_used(place: CommandLine) -> None:
    place.config("frobnicate: 1\n")
    result = place("check --json")
    assert result.exit_code == 2
    assert [complaint["key"] for complaint in document(result)["complaints"]] == ["frobnicate"]


def test_status_lists_an_account_and_its_leaves(made: CommandLine) -> None:
    data = document(made("status alice --json"))
    assert [cgroup["path"] for cgroup in data["cgroups"]] == [
        f"users/alice{leaf}" for leaf in ("", "/login", "/other", "/web")
    ]
    for cgroup in data["cgroups"]:
        assert cgroup.keys() == CGROUP
        assert cgroup["use"].keys() == USE
        assert cgroup["state"] == "ok"
        assert cgroup["knobs"]["cgroup.freeze"] == "0"
    assert [cgroup["name"] for cgroup in document(made("status --json"))["cgroups"]] == ["alice"]


def test_status_of_a_frozen_account(made: CommandLine) -> None:
    assert made("freeze alice").exit_code == 0
    assert {cgroup["state"] for cgroup in document(made("status alice --json"))["cgroups"]} == {"frozen"}


def test_status_of_an_account_that_has_no_cgroup_yet(place: CommandLine) -> None:
    place.tree()
    assert document(place("status alice --json"))["cgroups"] == []
    assert place("status alice").stdout.startswith("alice has no cgroup yet: paas-isolate reconcile makes it\n")
    assert place("status").stdout.startswith("no account has a cgroup yet: paas-isolate reconcile makes it\n")
    (place.etc / "accounts.d/alice.yaml").unlink()
    assert place("status").stdout.startswith(f"no accounts yet: write one to {place.etc}/accounts.d, ")


def test_version_is_what_runs_here(place: CommandLine) -> None:
    words = "".join(f"{name} {number}\n" for name, number in document(place("version --json")).items())
    assert place("version").stdout == words


@pytest.mark.parametrize("config", ["", "frobnicate: 1\n"])
def test_doctor_lists_checks(config: str, place: CommandLine) -> None:
    place.unfit()
    place.config(config)
    found = document(place("doctor --json"))
    assert all(check.keys() == CHECK == told("doctor") for check in found)
    assert {check["verdict"] for check in found} <= {"OK", "FAILED", "SKIPPED"}
    assert ("config.yaml" in {check["name"] for check in found}) == bool(config)


def test_pam_status_where_logins_do_not_pass_the_module(place: CommandLine) -> None:
    place.tree()
    data = document(place("pam status --json"))
    assert data.keys() == told("pam status")
    assert data["doors"] == 0
    assert data["complete"] is data["waits_for_confirmation"] is False


def test_schema_is_a_document_without_being_asked(place: CommandLine) -> None:
    data = document(place("schema"))
    assert data["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"host", "plan", "account"} <= data["$defs"].keys()


OWN = {
    "account": "alice",
    "plan": "small",
    "addresses": ["10.0.0.2"],
    "cgroups": [
        {
            "name": "alice",
            "path": "users/alice",
            "state": "ok",
            "knobs": {},
            "service": None,
            "use": dict.fromkeys(USE, 0),
        }
    ],
    "watched": 1,
    "hits": [{"service": "web", "what": "killed", "number": 2, "since": 10, "until": 20}],
    "notes": ["a sentence"],
}


@contextmanager
def daemon(place: CommandLine, answer: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Who answers one question so; what was asked."""
    asked: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as ours:  # a path of 107 bytes at most
        place.run = Path(short)
        ours.bind(f"{short}/control.sock")
        ours.listen(1)
        ours.settimeout(20)

        def serve() -> None:
            connection, _ = ours.accept()
            with connection:
                asked.append(json.loads(connection.makefile().readline()))
                connection.sendall(json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(20)


def test_me_is_what_the_daemon_tells(place: CommandLine) -> None:
    with daemon(place, {"told": {**OWN, "of a later version": 1}}) as asked:
        result = place("me --json")
    assert asked == [{"verb": "me", "about": "", "options": {}}]
    assert document(result) == OWN
    assert OWN.keys() == told("me")


@pytest.mark.parametrize(
    ("answer", "status", "output", "errors"),
    [
        ({"told": {"said": ["restart alice/web"], "status": 0}}, 0, "restart alice/web\n", ""),
        ({"error": "no service of yours", "status": 2}, 2, "", "paas-isolate: no service of yours\n"),
        ({"error": "web is stopped until", "status": 4}, 4, "", "paas-isolate: web is stopped until\n"),
        (
            {"error": "one order a second: try again", "status": 75},
            75,
            "",
            "paas-isolate: one order a second: try again\n",
        ),
    ],
)
def test_an_order_ends_as_the_daemon_says(
    answer: dict[str, Any], status: int, output: str, errors: str, place: CommandLine
) -> None:
    with daemon(place, answer) as asked:
        result = place("me restart web")
    assert asked == [{"verb": "restart", "about": "", "options": {"service": "web"}}]
    assert (result.exit_code, result.stdout, result.stderr) == (status, output, errors)


USAGE = {
    "rows": [dict.fromkeys(["account", "leaf", "plan", "time"], "alice") | report.plain(Use(user=5_000_000, system=0))]
}
EXPLAINED = {
    **dict.fromkeys(("account", "from", "to", "time_zone"), "2026-10-25T14:05:00"),
    "summary": "Slow at 14:05: it used all.",
    "findings": [],
    "notes": ["A note."],
    "measured_seconds": 1.0,
}
INCIDENT = {
    "id": 1,
    "kind": "killed",
    "level": "leaf",
    "account": "alice",
    "leaf": "web",
    "plan": "small",
    "number": 2,
    "begin": "2026-10-25T14:05:00+00:00",
    "end": "2026-10-25T14:05:10+00:00",
    "amount": None,
    "limit": "1048576",
    "process": {"leaf": "web", "command": "php", "pid": 7},
    "pictures": [],
}
CHART = {
    "account": "alice",
    "leaf": "",
    "from": "2026-10-25T14:05:00",
    "to": "2026-10-25T15:05:00",
    "metrics": {"cpu": {"unit": "cores", "limits": {"used": 1.0}, "values": {"used": [0.5, None]}}, "new": {}},
}


@pytest.mark.parametrize(
    ("words", "options", "answer", "said"),
    [
        ("usage --period day --by=leaf", {"period": "day", "by": "leaf"}, USAGE, "5.0s"),
        ("faults --kind killed", {"kind": "killed"}, {"rows": [INCIDENT]}, "php (7)"),
        ("explain --at 14:05", {"at": "14:05"}, EXPLAINED, "Slow at 14:05: it used all.\n"),
        ("history", {}, CHART, "highest 0.5 of 1"),
    ],
)
def test_me_shows_what_the_worker_tells_as_root_sees_it(
    words: str, options: dict[str, str], answer: dict[str, Any], said: str, place: CommandLine
) -> None:
    for as_json in ("", " --json"):
        with daemon(place, {"told": answer}) as asked:
            result = place(f"me {words}{as_json}")
        assert asked == [{"verb": words.partition(" ")[0], "about": "", "options": options}]
        assert result.exit_code == 0, result.output
        assert document(result) == answer if as_json else said in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("usage alice", "expected me usage [--from …] [--to …] [--period …] [--by …]"),
        ("usage --top cpu", "usage has no option 'top'; there are: from, to, period, by"),
        ("faults --kind all", "expected killed, slowed"),
        ("--frobnicate", "No such option"),
    ],
)
def test_me_takes_only_options_of_the_verb(words: str, said: str, place: CommandLine) -> None:
    result = place(f"me {words}")
    assert result.exit_code == 2
    assert said in result.stderr


def test_me_of_somebody_without_an_account(place: CommandLine) -> None:
    with daemon(place, {"error": f"uid {FIRST} has no account", "status": 1}):
        result = place("me --json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"paas-isolate: uid {FIRST} has no account\n"
