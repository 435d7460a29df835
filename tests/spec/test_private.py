"""`private`, `hide` and `disk`: how they are read, and how an account's are merged with its plan's."""

import pytest

from paas_isolate.errors import SpecError
from paas_isolate.model.account import AccountSpec, Host, Plan
from paas_isolate.model.limits import UNLIMITED
from paas_isolate.model.view import HIDDEN, PrivateTmpConfig, View
from paas_isolate.spec.merge import merge_view
from paas_isolate.spec.parse import parse_account, parse_host, parse_plan
from paas_isolate.spec.serialize import account_from, host_from, plain_account, plain_host, plain_plan, plan_from


def account(text: str) -> AccountSpec:
    return parse_account(f"account: a\n{text}".encode(), "accounts.d/a.yaml")


def plan(text: str) -> Plan:
    return parse_plan(f"plan: p\n{text}".encode(), "plans.d/p.yaml")


@pytest.mark.parametrize(
    ("of_plan", "own", "expected"),
    [
        ("", "", None),
        ("", "private: {tmp: false}", None),
        ("", "private: {processes: true}", View(True, "", False, HIDDEN)),
        ("private: {processes: true, tmp: true}", "private: {tmp: false}", View(True, "", False, HIDDEN)),
        ("private: {tmp: true}", "", View(False, "/var/lib/paas-isolate/private/a", False, HIDDEN)),
        ("private: {shm: true}", "private: {shm: false}", None),
        ("hide: [/p]", "hide: [/a, /p]", View(hide=(*HIDDEN, "/p", "/a"))),
    ],
)
def test_key_by_key(of_plan: str, own: str, expected: View | None) -> None:
    assert merge_view(Host(), plan(of_plan), account(own), "a") == expected


def test_the_hosts_words() -> None:
    host = parse_host(b"private: {tmp: /home/.tmp, age: 2d}\nhide: [/x]\n", "config.yaml")
    assert (host.private, host.hide) == (PrivateTmpConfig("/home/.tmp", 2 * 86_400_000), ("/x",))
    assert merge_view(host, None, account("private: {tmp: true}"), "d") == View(tmp="/home/.tmp/d", hide=("/x",))
    nothing = parse_host(b"hide: []\n", "config.yaml")
    assert nothing.hide == ()
    for each in (host, nothing, Host()):
        assert host_from(plain_host(each)) == each


def test_what_is_kept_comes_back() -> None:
    text = "private: {processes: true, shm: false}\nhide: [/x]\ndisk: {max: 10G, files: unlimited}\n"
    assert account(text).disk == {"max": 10 << 30, "files": UNLIMITED}
    assert account_from(plain_account(account(text))) == account(text)
    assert plan_from(plain_plan(plan(text))) == plan(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("private: true", "private is 'true'; expected a mapping such as {processes: true, tmp: true, shm: true}"),
        ("private: {proceses: true}", "private.proceses is not a key of this place; did you mean processes?"),
        ("private: {tmp: yes}", "private.tmp is 'yes'; expected true or false"),
        ("hide: /etc", "hide is '/etc'; expected a list of paths"),
        ("hide: [etc]", "hide[0] is 'etc'; expected an absolute path without dots"),
        ("hide: [/]", "hide[0] is '/'; expected an absolute path without dots"),
        ("disk: {max: 10}", "disk.max is '10'; expected a size of at least 1M, such as 10G (or the word unlimited)"),
        ("disk: {files: 1.5}", "disk.files is '1.5'; expected a whole number such as 200"),
        ("disk: 10G", "disk is '10G'; expected a mapping such as {max: 10G, files: 200000}"),
    ],
)
def test_complaints(text: str, said: str) -> None:
    with pytest.raises(SpecError) as wrong:
        account(text)
    assert said in str(wrong.value)
