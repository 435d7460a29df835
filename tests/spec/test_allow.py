"""`allow` and `publish_ports`: what an account's file, which may be a reseller's word, gets by asking for it."""

import pytest

from paas_isolate.errors import SpecError
from paas_isolate.model.account import Fleet, Service
from paas_isolate.model.service_program import ServiceProgram
from paas_isolate.model.view import HIDDEN, View
from paas_isolate.spec.allow import HIDEABLE, is_hideable
from paas_isolate.spec.gather import UnusableFiles
from paas_isolate.spec.parse import DEFAULT, parse_host, parse_plan
from paas_isolate.spec.serialize import host_from, plain_host, plain_plan, plan_from
from tests.support.crowd import CROWD, Crowd, fleet, sold

CONFIG, P = "config.yaml", "plans.d/p.yaml"
A, B, C = "accounts.d/alice.yaml", "accounts.d/bob.yaml", "accounts.d/carol.yaml"
LEFT_OUT = " (it is left out)"


def said(found: Fleet) -> list[str]:
    return [str(complaint) for complaint in found.complaints]


def rlimits(found: Fleet) -> dict[str, int]:
    return dict(found.accounts["alice"].services[0].work.rlimits)


def asking(limits: str, more: str = "") -> str:
    return f"{more}services: {{web: {{run: ./x, rlimits: {{{limits}}}}}}}"


NO_PORT = "is 8300; expected no port of the machine, or `allow: [publish]` in config.yaml or in the plan"
LISTED = "expected a port of `publish_ports` in config.yaml"
PERMIT = "or `allow: [rlimits]` in config.yaml or in the plan (it is left out)"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("rtprio: 99", f"rtprio is 99; expected at most 0, {PERMIT}"),
        ("rtprio: unlimited", f"rtprio is unlimited; expected at most 0, {PERMIT}"),
        ("nice: 40", f"nice is 40; expected at most 20, {PERMIT}"),
        ("msgqueue: 1G", f"msgqueue is 1073741824; expected at most 819200, {PERMIT}"),
        ("memlock: 65M", f"memlock is 68157440; expected at most 64M, {PERMIT}"),
        ("memlock: unlimited", f"memlock is unlimited; expected at most 64M, {PERMIT}"),
    ],
)
def test_a_resource_limit_that_reaches_others_is_left_out_alone(limit: str, expected: str) -> None:
    found = fleet({A: asking(f"{limit}, nofile: 4096", "limits: {pids: 7}\n")})
    assert said(found) == [
        f"{A}:3:{len('services: {web: {run: ./x, rlimits: {' + limit) - len(limit.split(': ')[1]) + 1}"
        f": services.web.rlimits.{expected}"
    ]
    assert rlimits(found) == {"nofile": 4096}
    assert found.accounts["alice"].limits == {"pids": 7}
    assert not found.on_last_good
    for allowing in ({CONFIG: "allow: [rlimits]"}, {P: "allow: [rlimits]"}):
        assert not fleet({**allowing, A: asking(limit, "plan: p\n" if P in allowing else "")}).complaints


@pytest.mark.parametrize(
    "limit", ["rtprio: 0", "nice: 20", "msgqueue: 800K", "memlock: 64M", "core: unlimited", "nofile: 1M"]
)
def test_a_resource_limit_that_harms_nobody_passes(limit: str) -> None:
    assert not fleet({A: asking(limit)}).complaints


def test_as_much_may_be_locked_as_the_account_has_memory() -> None:
    assert not fleet({A: asking("memlock: 1G", "limits: {memory: 1G}\n")}).complaints
    assert not fleet({P: "limits: {memory: 1G}", A: asking("memlock: 1G", "plan: p\n")}).complaints
    assert "expected at most 1G" in said(fleet({A: asking("memlock: 2G", "limits: {memory: 1G}\n")}))[0]


def test_a_plan_is_roots_word() -> None:
    plan = "services: {web: {run: ./x, publish: 80, rlimits: {rtprio: 9}}}\nhide: [/etc/pam.d]"
    found = fleet({CONFIG: "network: {}\n", P: plan, A: "plan: p"})
    assert not found.complaints and rlimits(found) == {"rtprio": 9}
    alice = found.accounts["alice"]
    assert alice.view and "/etc/pam.d" in alice.view.hide
    assert alice.services[0].publish == 80
    again = "plan: p\nservices: {web: {publish: 80, rlimits: {rtprio: 9}}}\nhide: [/etc/pam.d]"
    assert not fleet({CONFIG: "network: {}\n", P: plan, A: again}).complaints  # what the plan says too
    found = fleet({P: plan, A: "plan: p\nservices: {web: {rlimits: {rtprio: 10}}}"})
    assert "rtprio is 10" in said(found)[0]
    assert rlimits(found) == {"rtprio": 9}


def test_what_a_plan_allows_takes_the_place_of_what_config_yaml_allows() -> None:
    files = {CONFIG: "allow: [rlimits]\n", P: "allow: []", A: asking("rtprio: 1", "plan: p\n"), B: asking("rtprio: 1")}
    assert [complaint.file for complaint in fleet(files).complaints] == [A]


@pytest.mark.parametrize(
    ("config", "port", "why"),
    [
        ("", 80, "is 80; expected a port of `publish_ports` in config.yaml (1024-65535)"),
        ("publish_ports: 8000-8999", 9000, "is 9000; expected a port of `publish_ports` in config.yaml (8000-8999)"),
        ("publish_ports: [8000-8999, 80]", 81, f"is 81; {LISTED} (8000-8999, 80)"),
        ("publish_ports: []", 8300, "is 8300; expected a port of `publish_ports` in config.yaml (none)"),
        ("allow: []", 8300, NO_PORT),
        ("", 8300, ""),
        ("publish_ports: [8000-8999, 80]", 80, ""),
    ],
)  # fmt: skip
def test_only_ports_of_the_list_are_published(config: str, port: int, why: str) -> None:
    found = fleet({CONFIG: f"network: {{}}\n{config}", A: f"services: {{web: {{listen: 80, publish: {port}}}}}"})
    assert [text.partition("publish ")[2] for text in said(found)] == ([why + LEFT_OUT] if why else [])
    assert found.accounts["alice"].services[0].publish == (0 if why else port)


@pytest.mark.parametrize("ports", ["x", "0", "8999-8000", "1-65536", "[1-2, x]", "{a: 1}", "01-9", "-5", "5-", "null"])
def test_what_are_no_ports_is_refused(ports: str) -> None:
    with pytest.raises(SpecError, match="expected a port, or a range"):
        parse_host(f"publish_ports: {ports}\n".encode(), CONFIG)


def test_the_last_good_config_keeps_what_it_allowed() -> None:
    host = parse_host(b"allow: [hide]\npublish_ports: [8000-8999, 80]\n", CONFIG)
    assert (host.allow, host.publish_ports) == (("hide",), ((8000, 8999), (80, 80)))
    assert host_from(plain_host(host)) == host
    older = {key: value for key, value in plain_host(host).items() if key not in ("allow", "publish_ports")}
    assert host_from(older).allow == DEFAULT.allow == ("publish", "users")
    for text in (b"", b"allow: []\n", b"allow: [users]\n"):
        plan = parse_plan(b"plan: p\n" + text, P)
        assert plan_from(plain_plan(plan)) == plan
    with pytest.raises(SpecError, match="expected publish, rlimits, hide or users"):
        parse_host(b"allow: [everything]\n", CONFIG)


@pytest.mark.parametrize(
    "path",
    ["/etc", "/etc/passwd", "/etc/pam.d/su", "//etc//sudoers", "/etc/ld.so.preload", "/etc/cron.deny", "/etc/sslx",
     "/etc/nginxx", "/usr/lib", "/lib/x86_64-linux-gnu/security", "/lib64", "/bin", "/sbin/x", "/run", "/run/faillock",
     "/run/paas-isolate", "/var", "/var/lib", "/var/run/faillock", "/var/spool/cron", "/dev/log", "/proc/self", "/sys"],
)  # fmt: skip
def test_what_set_uid_programs_go_by_is_not_hidden(path: str) -> None:
    found = fleet({A: f"private: {{tmp: true}}\nhide: [/srv/x, {path}]"})
    assert said(found)[0].startswith(f"{A}:3:16: hide[1] is '{path}', which set-uid programs may go by; expected")
    assert found.accounts["alice"].view == View(tmp="/var/lib/paas-isolate/private/alice", hide=(*HIDDEN, "/srv/x"))
    assert not fleet({CONFIG: "allow: [hide]", A: f"hide: [{path}]"}).complaints
    assert not fleet({CONFIG: f"hide: [{path}]", A: f"hide: [{path}]"}).complaints


def test_other_paths_are_hidden_as_ever() -> None:
    for path in ("/home", "/home/bob", "/srv/etc/passwd", "/opt", *HIDEABLE, "/etc/nginx/sites-enabled", "/usrlocal"):
        assert is_hideable(path), path
    assert all(is_hideable(path) for path in HIDDEN)


def test_a_file_names_other_users_only_where_that_is_allowed() -> None:
    files = {A: "users: [alice, carol]", B: "users: [bob]"}
    assert not fleet(files).complaints
    before = {"alice": sold("alice", alice=1001, carol=1003)}
    found = fleet({CONFIG: "allow: [publish]", **files}, last_good=before)
    why = "expected the user alice alone, or `allow: [users]` in config.yaml or in the plan"
    assert said(found) == [f"{A}:2:16: users[1] is 'carol'; {why}"]
    assert found.accounts["alice"] == before["alice"]  # left out she would be confined by nobody
    assert list(fleet({CONFIG: "allow: []", **files}).accounts) == ["bob"]
    assert not fleet({CONFIG: "allow: []", P: "allow: [users]", A: f"plan: p\n{files[A]}"}).complaints


def test_users_without_account_need_no_allowance() -> None:
    people = Crowd({"Odd.Name": 1004})
    found = fleet({CONFIG: "allow: []\nusers: {without_account: plan p}", P: ""}, people)
    assert list(found.accounts) == ["uid-1004"] and not found.complaints


OLD = (
    Service("rt", work=ServiceProgram(run="./x", rlimits={"rtprio": 99, "nofile": 9})),
    Service("web", publish=22),
)


def test_a_last_good_copy_keeps_nothing_that_is_not_allowed_today() -> None:
    copy = sold("alice", alice=1001)._replace(services=OLD, view=View(hide=("/x", "/etc/pam.d")), plan="p")
    wrong = UnusableFiles(accounts={"alice": "wrong"})
    kept = fleet({P: ""}, last_good={"alice": copy}, wrong=wrong).accounts["alice"]
    assert kept.services == (
        Service("rt", work=ServiceProgram(run="./x", rlimits={"nofile": 9})),
        Service("web"),
    )
    assert kept.view == View(hide=("/x",))
    allowed = {P: "allow: [rlimits, hide]\nservices: {web: {publish: 22}}"}
    assert fleet(allowed, last_good={"alice": copy}, wrong=wrong).accounts["alice"] == copy


def test_a_copy_of_a_plan_that_cannot_be_read_stays_whole() -> None:
    copy = sold("alice", alice=1001)._replace(services=OLD, plan="p")
    wrong = UnusableFiles(plans={"p": "wrong"})
    assert fleet({A: "plan: p"}, last_good={"alice": copy}, wrong=wrong).accounts["alice"] == copy


@pytest.mark.parametrize(
    "services", ["{a: {run: x, replicas: 100}, b: {run: x, replicas: 100}, c: {run: x, replicas: 57}}"]
)
def test_an_account_has_so_many_leaves_and_no_more(services: str) -> None:
    found = fleet({A: f"services: {services}", B: f"services: {services.replace('57', '56')}"})
    assert said(found) == [
        f"{A}:2:11: services has 257 services and replicas; expected at most 256, or more of them in the plan"
    ]
    assert list(found.accounts) == ["bob"]


@pytest.mark.parametrize("thief", ["users: [bob, alice]", "address: 10.77.0.2", "renamed_from: alice"])
def test_who_names_what_is_anothers_keeps_that_one_from_nothing(thief: str) -> None:
    before = {
        name: sold(name, **{name: CROWD.users[name]})._replace(addresses=(f"10.77.0.{CROWD.users[name] - 999}",))
        for name in (("alice",) if "renamed" in thief else ("alice", "bob"))
    }
    found = fleet({CONFIG: "network: {}\n", A: "suspended: true", B: thief}, last_good=before)
    assert [complaint.file for complaint in found.complaints] == [B]
    assert found.accounts["alice"].suspended
    assert list(found.on_last_good) == ["bob"] and found.accounts.get("bob") == before.get("bob")


def test_two_thieves_keep_the_third_from_nothing() -> None:
    before = {"bob": sold("bob", bob=1002)}
    for order in ((A, B, C), (B, C, A), (C, A, B)):
        files = {A: "users: [alice, bob]", B: "suspended: true", C: "users: [carol, bob]"}
        found = fleet({file: files[file] for file in order}, last_good=before)
        assert list(found.accounts) == ["bob"] and found.accounts["bob"].suspended
