"""Text that a customer chose starts no line of its own in our output, and reaches no terminal as a control sequence."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from paas_isolate.changes.origin import OriginKind, OriginReason
from paas_isolate.cli import coverage, doctor, me, output, status
from paas_isolate.cli import run as running
from paas_isolate.cli.commands import invoke
from paas_isolate.daemon.account_report import AccountReport
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import Complaint, HostError, PaasError, SpecError
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps.cgroup import MoveProcess
from paas_isolate.model.world import Process
from paas_isolate.text import escaped, quoted
from paas_isolate.usage import CgroupStatus, Usage

pytestmark = pytest.mark.hostile

NASTY = "x\npaas-isolate: all is well\r\x1b[2J\x9b31m\x07\x7f\u202e\u2066\u200b\u2028\udc9b[/b][red]:smile:\x00"
texts = st.text(st.characters(), max_size=40)  # lone surrogates too
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def assert_harmless(printed: str, *, lines: int) -> None:
    assert printed.endswith("\n")
    assert printed.count("\n") == lines, printed
    bad = [letter for letter in printed if letter != "\n" and unicodedata.category(letter) in FORBIDDEN]
    assert bad == []
    printed.encode()  # no lone surrogate


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_escaped_text_is_one_line_in_which_everything_is_seen(text: str) -> None:
    for found in (escaped(text), quoted(text)):
        assert_harmless(found + "\n", lines=1)
    assert escaped(escaped(text)) == escaped(text)


@pytest.mark.parametrize("text", ["", "alice", "ALICE 42 %", "Größe: ½", "名前", "🙂", "C:\\temp", "[/b]", "it's"])
def test_what_can_be_seen_is_left_as_it_is(text: str) -> None:
    assert escaped(text) == text


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_errors_and_complaints_are_fit_to_be_shown(text: str) -> None:
    complaint = Complaint("accounts.d/" + text, text, line=3, key=text)
    for error, lines in (
        (PaasError(text), 1),
        (HostError(text, hint="look"), 2),
        (SpecError((complaint, complaint)), 2),
    ):
        assert_harmless(str(error) + "\n", lines=lines)


def _process(text: str) -> Process:
    return Process(12, 1000, f"/{text}", program=text)


PrintedBy = Callable[..., str]


@pytest.fixture(scope="module")
def printed_by() -> PrintedBy:
    """What a function prints, on both streams. (A fixture of hypothesis's would be that of all examples.)"""
    import contextlib
    import io

    def run(function: Callable[..., object], *arguments: object, **options: object) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            function(*arguments, **options)
        return out.getvalue()

    return run


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_each_way_to_say_something_is_one_line(printed_by: PrintedBy, text: str) -> None:
    assert_harmless(printed_by(output.line, text, fg="red"), lines=1)
    assert_harmless(printed_by(output.line, output.styled("ok", "green", text)), lines=1)
    moved = Outcome(MoveProcess(_process(text), "users/alice/other"), Status.DONE, reason=text)
    for ending in Status:
        assert_harmless(printed_by(output.line, output.outcome_line(moved._replace(status=ending), by=text)), lines=1)
    assert_harmless(printed_by(running.tell_outcome, moved, text), lines=1)
    assert_harmless(printed_by(running.tell_unmet, [text]), lines=1)


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_tables_have_a_line_for_each_row(printed_by: PrintedBy, text: str) -> None:
    printed = printed_by(output.table, ["PID", "PROGRAM"], [[text, text], ["1", text]])
    assert_harmless(printed, lines=4)
    assert escaped(text) in printed or not text.strip()  # no markup and no emoji is read into it
    line = CgroupStatus(text, f"users/{text}", text, {}, Usage(None, None, None, 0, 0, 0, 0, 0, False))
    assert_harmless(printed_by(output.table, status.TITLES, [status.row(line)]), lines=3)


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_json_says_what_was_found_and_nothing_else(printed_by: PrintedBy, text: str) -> None:
    printed = printed_by(output.print_json, {"program": text})
    assert_harmless(printed, lines=3)
    assert json.loads(printed) == {"program": text}


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_complaints_of_files_are_a_line_each(printed_by: PrintedBy, text: str) -> None:
    complaint = Complaint(f"accounts.d/{text}.yaml", text, 1, 1, text, warning=True)
    fleet = Fleet(Host(), {}, complaints=(complaint,), on_last_good={text: text})
    assert_harmless(printed_by(output.complain, fleet), lines=2)


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_a_traceback_is_not_continued_by_what_its_message_quotes(printed_by: PrintedBy, text: str) -> None:
    def fail() -> None:
        try:
            raise ValueError(text)
        except ValueError as error:
            output.bug(error)

    printed = printed_by(fail)
    assert "\npaas-isolate: all is well" not in printed
    assert_harmless(printed, lines=printed.count("\n"))


@settings(deadline=None)  # a machine at work
@example(NASTY)
@given(texts)
def test_reasons_of_coverage_are_a_line_each(printed_by: PrintedBy, text: str) -> None:
    reasons = [OriginReason(why, text) for why in OriginKind]
    said = list(coverage._reasons(reasons))
    assert_harmless("".join(printed_by(output.line, text) for text in said), lines=len(said))


def test_doctor_shows_what_it_found_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    checks = [Check("logins", Verdict.FAILED, NASTY.partition("\n")[2], NASTY)]
    monkeypatch.setattr(doctor, "_examined", lambda _: checks)
    assert invoke(["--etc", str(tmp_path), "doctor"]) == 5
    assert_harmless(capsys.readouterr().out, lines=2)


def test_a_customer_is_told_escaped_what_the_daemon_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = AccountReport("alice", notes=(NASTY,), addresses=(NASTY,))
    monkeypatch.setattr(me, "_report", lambda _: told)
    assert invoke(["me"]) == 0
    assert_harmless(capsys.readouterr().out, lines=6)


def test_wrong_usage_is_answered_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["status", "alice", NASTY.replace("\n", "").replace("\0", "")]) == 2
    assert "\x1b" not in (err := capsys.readouterr().err)
    assert "\u202e" not in err
