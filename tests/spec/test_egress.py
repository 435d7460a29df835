"""`egress`: from what is written to what applies."""

import pytest

from paas_isolate.changes import egress
from paas_isolate.changes.ruleset import change
from paas_isolate.errors import SpecError
from paas_isolate.model.network import EgressAssignment, Rules
from paas_isolate.spec.parse import parse_account
from tests.support.crowd import fleet

A, CONFIG, PLAN = "accounts.d/alice.yaml", "config.yaml", "plans.d/p.yaml"
ON = "network: {}"


def sold(text: str) -> tuple[str, ...]:
    found = fleet({CONFIG: ON, A: f"egress: {text}"})
    assert not found.complaints
    return found.accounts["alice"].egress


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("allow", ()),
        ("deny", ("deny all",)),
        ("{deny: [smtp, metadata]}", ("deny smtp", "deny metadata")),
        ("{deny: [private], allow: [dns]}", ("allow dns", "deny private")),
        ("{allow: [443, 8000-8100]}", ("allow port 443", "allow port 8000-8100", "deny all")),
        ("{deny: [203.0.113.0/24, 203.0.113.9:25]}", ("deny 203.0.113.0/24", "deny 203.0.113.9 port 25")),
        ("{deny: ['2001:db8::/32', '[2001:DB8::1]:25-26']}", ("deny 2001:db8::/32", "deny 2001:db8::1 port 25-26")),
        ("{limit: {smtp: 100/h}}", ("limit smtp 100/h",)),
        ("{limit: {smtp: 1/s}, deny: [smtp]}", ("deny smtp", "limit smtp 1/s")),
        ("{limit: {smtp: 999999/d}, allow: [587]}", ("allow port 587", "deny all", "limit smtp 999999/d")),
        ("{deny: ['[2001:db8::1]', 203.0.113.9/32]}", ("deny 2001:db8::1", "deny 203.0.113.9")),
    ],
)
def test_what_is_written_is_asked_in_this_order(written: str, meant: tuple[str, ...]) -> None:
    assert sold(written) == meant


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("denied", "egress is 'denied'; expected allow, deny, or a mapping"),
        ("[smtp]", "expected allow, deny, or a mapping"),
        ("{}", "egress is empty; expected allow: or deny:"),
        ("{limit: {}}", "alice.yaml:2:17: egress.limit is empty; expected a mapping such as {smtp: 100/h}"),
        ("{limit: 100/h}", "egress.limit is '100/h'; expected a mapping such as {smtp: 100/h}"),
        ("{limit: {mail: 100/h}}", "egress.limit.mail"),
        *(
            (
                f"{{limit: {{smtp: {rate}}}}}",
                f"alice.yaml:2:24: egress.limit.smtp is '{rate}'; expected new connections",
            )
            for rate in ("100", "0/h", "-1/h", "1000000/d", "010/h", "1.5/h", "100/w", "100/hour", "100 /h", "\u0661/h")
        ),
        ("{limit: {smtp: }}", "by s, m, h or d, such as 100/h"),
        ("{deny: []}", "egress.deny is an empty list; expected a place"),
        ("{denny: [smtp]}", "egress.denny"),
        ("{deny: [stmp]}", "egress.deny[0] is 'stmp'; expected smtp, dns, metadata, private, a port"),
        ("{deny: [0]}", "egress.deny[0] is '0'; expected ports from 1 to 65535"),
        ("{deny: [66000]}", "expected ports from 1 to 65535"),
        ("{deny: [90-80]}", "the lower one first"),
        ("{deny: [025]}", "egress.deny[0] is '025'; expected smtp"),
        ("{deny: [10.0.0.1/8]}", "expected 10.0.0.0/8, for the network begins there"),
        ("{deny: [10.0.0.256]}", "expected smtp"),
        ("{deny: ['10.0.0.1:']}", "expected smtp"),
        ("{deny: ['[10.0.0.1]:25']}", "expected smtp"),
        ("{deny: ['2001:db8::1:x']}", "expected smtp"),
        ("{deny: ['fe80::1%eth0']}", "expected smtp"),
        ("{deny: ['10.0.0.0/8 accept']}", "expected smtp"),
    ],
)
def test_what_is_wrong_is_told(written: str, complaint: str) -> None:
    with pytest.raises(SpecError) as wrong:
        parse_account(f"account: alice\negress: {written}".encode(), A)
    assert complaint in str(wrong.value)


def test_the_accounts_word_takes_the_place_of_the_plans() -> None:
    plan = {CONFIG: ON, PLAN: "egress: {deny: [smtp]}"}
    assert fleet(plan | {A: "plan: p"}).accounts["alice"].egress == ("deny smtp",)
    assert fleet(plan | {A: "plan: p\negress: deny"}).accounts["alice"].egress == ("deny all",)
    assert fleet(plan | {A: "plan: p\negress: allow"}).accounts["alice"].egress == ()


def test_without_a_network_it_is_told_that_nothing_enforces_it() -> None:
    assert fleet({A: "egress: deny"}).not_enforced() == {"alice": ["egress"]}
    assert fleet({CONFIG: ON, A: "egress: deny"}).not_enforced() == {}


def test_what_is_sold_is_rules_of_one_chain() -> None:
    some = ("allow 2001:db8::1 port 25-26", "deny port 443", "deny 10.0.0.0/8", "deny all")
    assert list(egress.rules(some)) == [
        'ip6 daddr 2001:db8::1 tcp dport 25-26 return comment "allow 2001:db8::1 port 25-26"',
        'ip6 daddr 2001:db8::1 udp dport 25-26 return comment "allow 2001:db8::1 port 25-26"',
        'tcp dport 443 goto deny comment "deny port 443"',
        'udp dport 443 goto deny comment "deny port 443"',
        'ip daddr 10.0.0.0/8 goto deny comment "deny 10.0.0.0/8"',
        'goto deny comment "deny all"',
    ]
    assert egress.chain(some) != egress.chain(some[1:])


def test_what_a_limited_egress_allows_goes_on_to_the_limit() -> None:
    assert list(egress.rules(("allow port 587", "deny smtp", "limit smtp 100/h"))) == [
        'tcp dport 587 goto limit_100_h comment "allow port 587"',
        'udp dport 587 goto limit_100_h comment "allow port 587"',
        'tcp dport 25 goto deny comment "deny smtp"',
        'goto limit_100_h comment "limit smtp 100/h"',
    ]
    assert list(egress.limit_rules("20/m")) == [
        "tcp sequence @mail_syns return",
        "tcp flags & (syn | ack) == syn tcp dport { 25, 465, 587 } "
        "update @limit_20_m { meta skuid limit rate over 20/minute burst 20 packets } goto deny",
    ]


def test_egresses_with_one_rate_have_one_limit() -> None:
    sentences = ("limit smtp 5/h",), ("deny dns", "limit smtp 5/h"), ("deny dns",)
    rules = [
        Rules(egress=frozenset(EgressAssignment(n, each) for n, each in enumerate(some)))
        for some in (sentences, sentences[:1])
    ]
    made = change(rules[0], Rules())
    assert made.count("add set inet paas_isolate limit_5_h {") == 1
    assert (
        made.index("add set")
        < made.index("add chain inet paas_isolate limit_5_h")
        < made.index("add chain inet paas_isolate egress_")
    )
    assert "limit_5_h" not in change(rules[1], rules[0])
    gone = change(Rules(), rules[0])
    assert gone.rindex("delete chain inet paas_isolate egress_") < gone.index(
        "delete chain inet paas_isolate limit_5_h"
    )
    assert gone.index("delete chain inet paas_isolate limit_5_h") < gone.index("delete set inet paas_isolate limit_5_h")


@pytest.mark.parametrize(
    ("sentences", "address", "port", "denied"),
    [
        ((), "192.0.2.1", 25, False),
        (("deny all",), "192.0.2.1", 443, True),
        (("allow port 443", "deny all"), "192.0.2.1", 443, False),
        (("allow port 400-450", "deny all"), "2001:db8::1", 451, True),
        (("allow dns", "deny all"), "192.0.2.1", 53, False),
        (("deny private",), "10.1.2.3", 80, True),
        (("deny private",), "2001:db8::1", 80, False),
        (("deny 192.0.2.0/24 port 25",), "192.0.2.7", 25, True),
        (("deny 192.0.2.0/24 port 25",), "192.0.2.7", 26, False),
        (("deny 2001:db8::1",), "2001:db8::1", 26, True),
        (("limit smtp 5/h",), "192.0.2.7", 25, False),
        (("deny smtp", "limit smtp 5/h"), "192.0.2.7", 25, True),
    ],
)
def test_which_connections_an_egress_denies(sentences: tuple[str, ...], address: str, port: int, denied: bool) -> None:
    assert egress.denies(sentences, address, port) is denied
