"""What a command printed, as the line of an answer."""

import json
from collections.abc import Callable
from typing import Any

import click
import pytest

from paas_isolate.cli import answer as module
from paas_isolate.cli import output
from paas_isolate.cli.answer import LONGEST, answer
from paas_isolate.errors import BusyError, Complaint, HostError, SpecError

HIDDEN = {"error": "that cannot be had now", "status": 1}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def one(command: Callable[[], int], *, for_customer: bool = False) -> dict[str, Any]:
        monkeypatch.setattr(module, "invoked", lambda _: command())
        line = answer(["usage"], for_customer=for_customer)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        told: dict[str, Any] = json.loads(line)
        return told

    return one


def printing(data: object, status: int = 0) -> Callable[[], int]:
    def command() -> int:
        output.print_json(data)
        return status

    return command


def saying(text: str, status: int = 0, errors: str = "") -> Callable[[], int]:
    def command() -> int:
        if text:
            output.lines(text)
        if errors:
            output.line(errors, err=True)
        return status

    return command


def shouting(data: bytes) -> Callable[[], int]:
    def command() -> int:
        output.raw(data)
        return 0

    return command


def raising(error: Exception) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def test_json_is_told_with_its_exit_status(run: Callable[..., dict[str, Any]]) -> None:
    assert run(printing({"a": "x\ny"})) == {"told": {"a": "x\ny"}}
    assert run(printing({"a": 1}, 3)) == {"told": {"a": 1, "status": 3}}
    assert run(printing([1, 2], 4)) == {"told": {"rows": [1, 2], "status": 4}}
    assert run(printing([{"verdict": "FAILED"}], 5)) == {"told": {"rows": [{"verdict": "FAILED"}], "status": 5}}


def test_text_is_told_as_lines(run: Callable[..., dict[str, Any]]) -> None:
    assert run(saying("done a\ndone b")) == {"told": {"lines": ["done a", "done b"]}}
    assert run(saying("")) == {"told": {"lines": []}}
    assert run(shouting(b"\xff<script>\n")) == {"told": {"lines": ["�<script>"]}}


def test_text_of_a_failure_is_an_error(run: Callable[..., dict[str, Any]]) -> None:
    assert run(saying("failed x", 1)) == {"error": "failed x", "status": 1}
    assert run(saying("", 1, "why")) == {"error": "why", "status": 1}
    assert run(saying("of /etc", 1), for_customer=True) == HIDDEN


def test_a_flood_is_cut_off(run: Callable[..., dict[str, Any]]) -> None:
    told = run(saying("x" * (LONGEST + 1)))
    assert told == {"error": "the answer is too long: ask for less", "status": 1}
    assert run(saying("", 0, "x" * (LONGEST + 1))) == {"told": {"lines": []}}


def test_errors_have_their_status(run: Callable[..., dict[str, Any]]) -> None:
    complaint = Complaint("accounts.d/bob.yaml", "is wrong", 3, 1, "plan")
    wrong = run(raising(SpecError((complaint,))))
    assert (wrong["status"], wrong["complaints"]) == (2, [complaint._asdict()])
    assert run(raising(HostError("no ledger", hint="do"))) == {"error": "no ledger\n  do", "status": 5}
    assert run(raising(BusyError("another")))["status"] == 75
    assert "denied" in run(raising(PermissionError(13, "denied", "/etc/x")))["error"]


def test_a_customer_learns_of_nothing_but_their_own_options(run: Callable[..., dict[str, Any]]) -> None:
    complaint = Complaint("accounts.d/bob.yaml", "is wrong")
    for error in (SpecError((complaint,)), HostError("/etc/paas-isolate"), OSError(2, "no", "/etc/x")):
        assert run(raising(error), for_customer=True) == HIDDEN
    assert run(raising(BusyError("bob's")), for_customer=True) == {**HIDDEN, "status": 75}
    hint = click.UsageError("no account is called 'alice'; did you mean bob?")
    assert run(raising(hint), for_customer=True) == {**HIDDEN, "status": 2, "reason": "unknown"}
    usage = run(raising(click.UsageError("--period is x; expected week")), for_customer=True)
    assert usage == {"error": "--period is x; expected week", "status": 2}


def test_a_bug_is_in_the_log(run: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(raising(KeyError("secret")), for_customer=True)["error"] == "an error of paas-isolate's own; the log has it"
    )
    assert "KeyError: 'secret'" in capsys.readouterr().err
