"""A damaged decisions.json: what only looks answers without it and says so; what writes refuses."""

import json
from pathlib import Path

import pytest

from paas_isolate.source import decisions
from tests.support.command_line import NO_LIMIT, CommandLine, document

DAMAGE = [
    ("{", "it is not JSON"),
    ("[]", "its content is wrong"),
    ('{"held": []}', "its key 'departed' is missing"),
    ('{"held": [], "departed": [], "said": [], "scaled": []}', "its content is wrong"),
    ("[" * 100_000, "its content is wrong"),
]


def damage(place: CommandLine, text: str = "{") -> Path:
    path = place.state / decisions.FILE
    path.write_text(text)
    return path


@pytest.mark.parametrize("words", ["status", "status alice", "diff", "diff --exit-code"])
@pytest.mark.parametrize(("text", "why"), DAMAGE)
def test_what_looks_answers_and_names_the_damage(words: str, text: str, why: str, made: CommandLine) -> None:
    path = damage(made, text)
    before = made.files()
    result = made(words)
    assert result.exit_code == 4, result.output
    assert "alice" in result.stdout or result.stdout == "nothing else differs\n"
    assert f"{path} is damaged: {why}" in result.stderr
    assert f"rm {path}" in result.stderr
    assert "not shown, because it depends on that file" in result.stderr
    assert made.files() == before


@pytest.mark.parametrize("words", ["status", "diff"])
def test_json_stays_one_document(words: str, made: CommandLine) -> None:
    keys = document(made(f"{words} --json")).keys()
    damage(made)
    result = made(f"{words} --json")
    assert (result.exit_code, document(result).keys()) == (4, keys)
    assert "is damaged" in result.stderr


def test_what_the_kernel_has_frozen_counts_as_frozen(made: CommandLine) -> None:
    assert made("freeze alice").exit_code == 0
    damage(made)
    assert "cgroup.freeze" not in made("diff").stdout
    (line,) = document(made("status --json"))["cgroups"]
    assert line["state"] == "frozen"


def test_a_new_account_is_shown_and_an_old_one_is_not_removed(made: CommandLine) -> None:
    made.write("accounts.d/bob.yaml", "account: bob\n")
    (made.etc / "accounts.d/alice.yaml").unlink()
    assert "remove users/alice\n" in made("diff").stdout
    damage(made)
    shown = made("diff").stdout
    assert "create users/bob\n" in shown
    assert "alice" not in shown


def test_what_was_scaled_or_stopped_by_hand_is_not_guessed(made: CommandLine) -> None:
    program = "run: sleep 1d, replicas: 2"
    made.write("accounts.d/alice.yaml", f"account: alice\nplan: small\nservices: {{web: {{{program}, {NO_LIMIT}}}}}\n")
    assert "create users/alice/web.2\n" in made("diff").stdout
    damage(made)
    shown = made("diff").stdout
    assert "web.2" not in shown
    assert "start " not in shown


@pytest.mark.parametrize("words", ["reconcile", "thaw alice"])
def test_what_writes_refuses(words: str, made: CommandLine) -> None:
    path = damage(made)
    result = made(words)
    assert result.exit_code in (4, 5), result.output
    assert f"{path} is damaged" in result.output
    assert path.read_text() == "{"


def test_doctor_names_the_damage(made: CommandLine) -> None:
    assert decisions.FILE not in [check["name"] for check in document(made("doctor --json"))]
    path = damage(made)
    result = made("doctor --json")
    (check,) = [check for check in json.loads(result.stdout) if check["name"] == decisions.FILE]
    assert (result.exit_code, check["verdict"]) == (5, "FAILED")
    assert f"{path} is damaged" in check["found"]
    assert f"rm {path}" in check["mend"]
