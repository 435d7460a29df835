"""Notices that are sent: what arrives, and that nobody's text becomes a header or a word of a command."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.errors import HostError
from paas_isolate.metering.notices import Due, Phase, Told
from paas_isolate.model.account import Account
from paas_isolate.model.limits import NO_LIMITS
from paas_isolate.model.notices import FAULTS, SHARES, MailConfig, NoticeRule, Target, Trigger
from paas_isolate.notices import send
from paas_isolate.notices.letter import Letters, Machine, address_of, facts
from paas_isolate.notices.send import UnsentError
from tests.support.receivers import drips, hooks, mails

NOW = 1_790_000_000_000
MACHINE = Machine("web1", "Europe/Berlin")
HOSTILE = "a\r\nBcc: evil@example.org\r\n\r\n$(touch x)`id`;|&\u202e\x1b[31m"


def account(name: str = "alice", **more: Any) -> Account:
    return Account(name, name, {name: 1001}, name, "/home/alice", "small", NO_LIMITS, (), **more)


def notice(
    what: str = "killed",
    phase: Phase = Phase.BEGINS,
    figure: int | None = 3,
    name: str = "alice",
    words: str = "customer",
) -> Due:
    share = what in SHARES
    trigger = Trigger(what, 3_600_000, number=0 if share or what == "stray" else 1, percent=90 if share else 0)
    rule = NoticeRule(f"{what} 3 times in 1h", trigger, Target("mail", (words,)))
    return Due(rule, name, phase, figure, NOW - 60_000, Told())


def said(due: Due, of: Account | None = None) -> dict[str, Any]:
    return facts(due, of or account(due.account), NOW, MACHINE)


@pytest.mark.parametrize("word", ["customer", "administrator"])
@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("what", [*FAULTS.values(), *SHARES, "stray"])
def test_each_kind_of_notice_has_its_words(what: str, phase: Phase, word: str, tmp_path: Path) -> None:
    due = notice(what, phase, None if phase is Phase.OVER else 3)
    mail = Letters(str(tmp_path)).mail(said(due), word, "a@example.org", MailConfig(), MACHINE)
    text = mail.get_content()
    assert "alice" in mail["Subject"]
    assert "None" not in text and "\n\n\n" not in text and not text.startswith("\n")
    assert ("is over" in text.lower()) == (phase is Phase.OVER)
    if word == "customer":
        assert "me notices off" in text
        assert phase is Phase.OVER or what == "stray" or "your site" in text


def test_a_mail_arrives(tmp_path: Path) -> None:
    with mails() as server:
        config = MailConfig(server.address, "paas@example.org")
        mail = Letters(str(tmp_path)).mail(said(notice()), "customer", "alice@example.org", config, MACHINE)
        send.by_mail(mail, "alice@example.org", config, MACHINE.name)
    (got,) = server.mails
    assert (got.sender, got.recipients) == ("paas@example.org", ("alice@example.org",))
    assert got.message["Subject"] == "alice: a program was ended because the memory was used up"
    assert got.message["Auto-Submitted"] == "auto-generated"
    assert "3 programs were ended" in got.text
    assert "Since: 2026-09-21 16:12 CEST" in got.text


@pytest.mark.parametrize("word", ["customer", "administrator"])
def test_no_name_becomes_a_header(word: str, tmp_path: Path) -> None:
    due = notice(name=HOSTILE)
    with mails() as server:
        config = MailConfig(server.address)
        data = said(due, account(HOSTILE)._replace(plan=HOSTILE))
        send.by_mail(Letters(str(tmp_path)).mail(data, word, "root", config, MACHINE), "root", config, "web1")
    (got,) = server.mails
    assert got.recipients == ("root",)
    assert sorted(got.message.keys()) == sorted(
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ]
    )
    assert got.message["Bcc"] is None
    assert "\nBcc" not in got.text and "\x1b" not in got.text and "\u202e" not in got.text


def test_a_template_of_roots_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "notices.d").mkdir()
    own = tmp_path / "notices.d/customer.txt.j2"
    own.write_text("Achtung {{ account }}\n\n{{ figure }} mal\n")
    mail = Letters(str(tmp_path)).mail(said(notice()), "customer", "a", MailConfig(), MACHINE)
    assert (mail["Subject"], mail.get_content()) == ("Achtung alice", "3 mal\n")
    own.write_text("{{ nothing_like_this }}")
    with pytest.raises(HostError, match=r"notices\.d/customer\.txt\.j2 cannot be used"):
        Letters(str(tmp_path)).mail(said(notice()), "customer", "a", MailConfig(), MACHINE)


def test_addresses() -> None:
    config = MailConfig(administrator="boss@example.org")
    assert address_of("administrator", account(), config) == "boss@example.org"
    assert address_of("customer", account(), config) == "alice"
    assert address_of("customer", account(mail="me@example.org"), config) == "me@example.org"
    assert address_of("customer", account("DOMAIN\\alice"), config) == ""
    assert address_of("customer", None, config) == ""
    assert address_of("x@example.org", account(), config) == "x@example.org"


def test_an_address_that_is_refused_is_not_the_servers_failure(tmp_path: Path) -> None:
    with mails() as server:
        server.refused.add("gone")
        config = MailConfig(server.address)
        mail = Letters(str(tmp_path)).mail(said(notice()), "customer", "gone", config, MACHINE)
        with pytest.raises(UnsentError, match="550 no such user") as error:
            send.by_mail(mail, "gone", config, "web1")
    assert error.value.target == "gone"


def test_servers_that_are_gone_or_drip_cost_their_time_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(send, "SECONDS", 0.5)
    mail = Letters(str(tmp_path)).mail(said(notice()), "customer", "a", MailConfig(), MACHINE)
    begin = time.monotonic()
    with pytest.raises(UnsentError, match="refused"):
        send.by_mail(mail, "a", MailConfig("127.0.0.1:1"), "web1")
    with drips() as port, pytest.raises(UnsentError, match=r"too long|timed out"):
        send.by_mail(mail, "a", MailConfig(f"127.0.0.1:{port}"), "web1")
    with drips() as port, pytest.raises(UnsentError):
        send.to_webhook(f"http://127.0.0.1:{port}/", {})
    assert time.monotonic() - begin < 5


def test_a_webhook_gets_json() -> None:
    with hooks() as server:
        send.to_webhook(server.url, said(notice(name=HOSTILE)))
    (got,) = server.posted
    assert got.path == "/hook"
    assert got.headers["Content-Type"] == "application/json"
    assert json.loads(got.body) == {
        "account": HOSTILE,
        "owner": HOSTILE,
        "plan": "small",
        "host": "web1",
        "when": "killed 3 times in 1h",
        "what": "killed",
        "phase": "begins",
        "figure": 3,
        "threshold": 1,
        "within_seconds": 3600,
        "since": (NOW - 60_000) // 1000,
        "time": NOW // 1000,
    }


def test_a_webhook_leads_nowhere_else() -> None:
    with hooks() as other, hooks() as server:
        server.status, server.location = 302, other.url
        with pytest.raises(UnsentError, match="answers 302"):
            send.to_webhook(server.url, {})
    assert other.posted == []


def test_a_webhook_that_fails_says_so() -> None:
    with hooks() as server:
        server.status = 500
        with pytest.raises(UnsentError, match="answers 500"):
            send.to_webhook(server.url, {})


def test_a_command_gets_the_notice_as_input_alone(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ncat >{tmp_path}/input\necho "$#" "$@" >{tmp_path}/words\nenv >{tmp_path}/env\n')
    program.chmod(0o755)
    send.to_command((str(program), "$(id)", "a b"), said(notice(name=HOSTILE)))
    assert json.loads((tmp_path / "input").read_text())["account"] == HOSTILE
    assert (tmp_path / "words").read_text() == "2 $(id) a b\n"
    assert "Bcc" not in (tmp_path / "env").read_text()


def test_a_command_that_hangs_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(send, "SECONDS", 0.3)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n(sleep 2; touch {tmp_path}/late) & sleep 60\n")
    program.chmod(0o755)
    with pytest.raises(UnsentError, match="takes longer than"):
        send.to_command((str(program),), {})
    time.sleep(2.2)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(("text", "expected"), [("#!/bin/sh\nexit 3\n", "ended with 3"), ("", "Exec format|ended")])
def test_a_command_that_fails_says_so(text: str, expected: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(text)
    program.chmod(0o755)
    with pytest.raises(UnsentError, match=expected):
        send.to_command((str(program),), {})
    with pytest.raises(UnsentError, match="No such file"):
        send.to_command((str(tmp_path / "none"),), {})
