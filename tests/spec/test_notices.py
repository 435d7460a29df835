"""The rules of notices, read strictly."""

import re

import pytest

from paas_isolate.errors import SpecError
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.model.notices import MailConfig, NoticeRule, Target, Trigger
from paas_isolate.spec.parse import parse_account, parse_host
from paas_isolate.spec.serialize import host_from, plain_host

MINUTE, HOUR = 60_000, 3_600_000


def metering(text: str) -> MeteringConfig:
    config = parse_host(f"metering:\n{text}".encode(), "config.yaml").metering
    assert config is not None
    return config


def rule(when: str, to: str = "{mail: administrator}") -> NoticeRule:
    (found,) = metering(f"  notices:\n    - {{when: '{when}', to: {to}}}\n").notices
    return found


def refused(text: str) -> str:
    with pytest.raises(SpecError) as wrong:
        metering(text)
    return str(wrong.value)


@pytest.mark.parametrize(
    ("when", "trigger"),
    [
        ("memory killed 3 times in 1h", Trigger("killed", HOUR, number=3)),
        ("memory killed", Trigger("killed", HOUR, number=1)),
        ("memory slowed 1 time in 5m", Trigger("slowed", 5 * MINUTE, number=1)),
        ("processes refused in 24h", Trigger("refused", 24 * HOUR, number=1)),
        ("cpu throttled 10 times", Trigger("throttled", HOUR, number=10)),
        ("io waited", Trigger("waited", HOUR, number=1)),
        ("disk full", Trigger("disk", HOUR, number=1)),
        ("cpu above 90% for 15m", Trigger("cpu", 15 * MINUTE, percent=90)),
        ("disk above 95%", Trigger("disk", 0, percent=95)),
        ("stray", Trigger("stray", MINUTE)),
        ("stray for 5m", Trigger("stray", 5 * MINUTE)),
    ],
)
def test_conditions(when: str, trigger: Trigger) -> None:
    assert rule(when).trigger == trigger
    assert rule(when).when == when


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("memory killed three times", "expected a condition such as"),
        ("Memory killed", "expected a condition such as"),
        ("memory killed 0 times in 1h", "expected a number of times from 1 to 1000000"),
        ("memory killed 99999999999 times in 1h", "expected a number of times"),
        ("memory killed 3 times in 1s", "expected a time from 5m to 24h"),
        ("memory killed 3 times in 25h", "expected a time from"),
        ("memory killed 3 times in 1y", "expected a duration such as 10s"),
        ("cpu above 0%", "expected a share of the limit from 1% to 100%"),
        ("cpu above 150%", "expected a share of the limit"),
        ("io above 90%", "expected a condition such as"),
        ("stray for 90d", "expected a time from"),
        ("٣ times", "expected a condition such as"),
    ],
)
def test_conditions_that_are_wrong(when: str, expected: str) -> None:
    said = refused(f"  notices:\n    - when: {when}\n      to: {{mail: administrator}}\n")
    assert said.startswith("config.yaml:3:13: metering.notices[0].when is ")
    assert expected in said


@pytest.mark.parametrize(
    ("to", "target"),
    [
        ("{mail: customer}", Target("mail", ("customer",))),
        ("{mail: me@example.org}", Target("mail", ("me@example.org",))),
        ("{webhook: 'https://example.org/a?b=c'}", Target("webhook", ("https://example.org/a?b=c",))),
        ("{command: [/usr/bin/logger, -t, paas]}", Target("command", ("/usr/bin/logger", "-t", "paas"))),
    ],
)
def test_targets(to: str, target: Target) -> None:
    assert rule("stray", to).to == target


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("{}", "has 0 of them; expected one of"),
        ("{mail: customer, webhook: 'https://example.org'}", "has 2 of them"),
        ("{mial: customer}", "did you mean mail?"),
        ("customer", "expected one of {command"),
        ("{mail: 'a@b\\nBcc: c@d'}", "expected a mail address"),
        ("{mail: 'a b@c'}", "expected a mail address"),
        ("{webhook: 'file:///etc/passwd'}", "expected a URL such as https"),
        ("{webhook: 'https://a b'}", "expected a URL such as https"),
        ("{command: logger}", "expected a list of words"),
        ("{command: [logger]}", "expected its path first"),
        ("{command: []}", "expected its path first"),
    ],
)
def test_targets_that_are_wrong(to: str, expected: str) -> None:
    said = refused(f"  notices:\n    - when: stray\n      to: {to}\n")
    assert expected in said
    assert re.match(r"config\.yaml:4:\d+: metering\.notices\[0\]\.to", said)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  notices: {when: stray}\n", "expected a list of rules"),
        ("  notices: [stray]\n", "expected a rule such as"),
        ("  notices: [{when: stray}]\n", "has no to; expected a rule"),
        ("  notices: [{to: {mail: customer}}]\n", "has no when; expected a rule"),
        ("  notices: [{when: stray, to: {mail: customer}, every: 1s}]\n", "expected a duration from 1m to 30d"),
        ("  notices: [{when: stray, to: {mail: a}}, {when: stray, to: {mail: a}}]\n", "is there twice; keep one"),
        ("  mail: {server: localhost}\n", "expected a host and a port such as localhost:25"),
        ("  mail: {server: 'localhost:x'}\n", "expected a host and a port"),
        ("  mail: {from: 'a\\nb'}\n", "expected a mail address"),
        ("  metrics: {leaves: yes}\n", "expected true or false"),
    ],
)
def test_other_mistakes(text: str, expected: str) -> None:
    assert expected in refused(text)


def test_all_of_it_outlives_the_cache() -> None:
    text = """
metering:
  metrics: {leaves: true}
  mail: {server: '[::1]:2525', from: a@b.example, administrator: root}
  notices:
    - {when: memory killed 3 times in 1h, to: {mail: customer}, every: 2h}
    - {when: stray, to: {command: [/bin/true, x]}}
"""
    host = parse_host(text.encode(), "config.yaml")
    assert host.metering is not None
    assert host.metering.mail == MailConfig("[::1]:2525", "a@b.example", "root")
    assert [each.every for each in host.metering.notices] == [2 * HOUR, HOUR]
    assert host_from(plain_host(host)) == host


def test_a_copy_of_an_older_version_has_no_rules() -> None:
    row = plain_host(parse_host(b"metering: {}\n", "config.yaml"))
    for key in ("notices", "mail", "metrics"):
        del row["metering"][key]
    assert host_from(row).metering == MeteringConfig()


def test_an_account_names_its_mail_and_its_command() -> None:
    account = parse_account(b"account: alice\nmail: me@example.org\non_high: php cache.php\n", "accounts.d/alice.yaml")
    assert (account.mail, account.on_high) == ("me@example.org", "php cache.php")
    with pytest.raises(SpecError, match="expected a mail address"):
        parse_account(b'account: alice\nmail: "a@b\\nBcc: c"\n', "accounts.d/alice.yaml")
