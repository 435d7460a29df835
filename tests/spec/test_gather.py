"""From files to a fleet and complaints."""

import time
from decimal import Decimal

import pytest

from paas_isolate.model.account import Account, AccountSpec, Match, Plan, Service
from paas_isolate.model.limits import UNLIMITED, Percent
from paas_isolate.model.service_program import ServiceProgram
from paas_isolate.model.view import HIDDEN, View
from paas_isolate.spec.gather import UnusableFiles, gather
from paas_isolate.spec.parse import DEFAULT
from tests.support.crowd import CROWD, MACHINE, Crowd, fleet, sold

A, B, C, P = "accounts.d/alice.yaml", "accounts.d/bob.yaml", "accounts.d/carol.yaml", "plans.d/p.yaml"


def test_limits_merge_knob_by_knob() -> None:
    found = fleet(
        {
            P: "limits: {cpu: {max: 100%, weight: 50}, memory: {max: 1G, swap: 0}, pids: 100, io: 5M}",
            A: "plan: p\nlimits: {memory: 2G, pids: unlimited, io: {read: 9M}}",
        }
    )
    assert not found.complaints
    assert found.accounts["alice"].limits == {
        "cpu.max": 100_000,
        "cpu.weight": 50,
        "memory.max": 2 << 30,
        "memory.swap": 0,
        "pids": UNLIMITED,
        "io.read": 9 << 20,
        "io.write": 5 << 20,
    }
    assert found.accounts["alice"].uids == {"alice": 1001}
    assert found.accounts["alice"].home == "/home/alice"
    assert found.accounts["alice"].plan == "p"


def test_services_merge_by_name() -> None:
    found = fleet(
        {
            P: """
services:
  php: {match: {program: php-fpm*, command: "*pool $account* $owner $accounts"}, limits: {memory: 80%, pids: 9}}
  web: {match: {program: apache2}, priority: 3, entry: [cron]}
egress: deny
""",
            A: """
users: [bob]
plan: p
private: {tmp: true}
services:
  php: {limits: {pids: 5}}
  web: {match: {program: nginx}, run: ./x}
  more: {match: {user: $owner}}
""",
        }
    )
    alice = found.accounts["alice"]
    assert alice.services == (
        Service("more", match=Match(user="bob")),
        Service(
            "php",
            {"memory.max": Percent(Decimal(80)), "pids": 5},
            Match(program="php-fpm*", command="*pool alice* bob $accounts"),
        ),
        Service("web", {}, Match(program="nginx"), 3, ("cron",), work=ServiceProgram(run="./x")),
    )
    assert alice.view == View(tmp="/var/lib/paas-isolate/private/alice", hide=HIDDEN)


def test_a_name_with_glob_characters_fits_itself_alone() -> None:
    services = (Service("a", match=Match(user="$owner")),)
    account = AccountSpec("alice", A, ("we[i]rd*",), "we[i]rd*", None, services=services)
    found = gather(DEFAULT, {}, {"alice": account}, Crowd({"we[i]rd*": 1001}), MACHINE, lambda _: None)
    assert found.accounts["alice"].services[0].match.user == "we[[]i]rd[*]"


def test_who_names_no_plan_has_the_default_one() -> None:
    files = {"config.yaml": "default_plan: p", P: "limits: {pids: 7}", A: ""}
    assert fleet(files).accounts["alice"].limits == {"pids": 7}


COMPLAINTS = {
    "low above max, of two files": (
        {P: "limits: {memory: 2G}", A: "plan: p\nlimits:\n  memory: {low: 3G}"},
        f"{A}:4:17: limits.memory.low is 3G, above memory.max with 2G; expected at most that "
        f"(limits.memory.max is in {P})",
    ),
    "high above max": (
        {P: "limits: {memory: {high: 3G}}", A: "plan: p\nlimits: {memory: 2G}"},
        f"{A}:3:18: limits.memory.high is 3G, above memory.max with 2G; expected at most that "
        f"(limits.memory.high is in {P})",
    ),
    "low above high": (
        {A: "limits: {memory: {low: 90%, high: 80%, max: 1G}}"},
        f"{A}:2:24: limits.memory.low is 921.6M, above memory.high with 819.2M; expected at most that",
    ),
    "burst above max": (
        {A: "limits: {cpu: {max: 50%, burst: 60%}}"},
        f"{A}:2:33: limits.cpu.burst is 60%, above cpu.max with 50%; expected at most that",
    ),
    "cores that do not exist": (
        {A: "limits: {cpu: {set: 1-3}}"},
        f"{A}:2:21: limits.cpu.set is 1-3, but cores 2-3 do not exist; expected cores among 0-1",
    ),
    "percent without its sign": (
        {A: "limits: {cpu: 150}"},
        f"{A}:2:15: limits.cpu.max is 150 cores, and this machine has 2; write 150% for percent of one core",
    ),
    "in a service": (
        {A: "services: {web: {limits: {memory: {max: 50%, low: 1G}}}}\nlimits: {memory: 1G}"},
        f"{A}:2:51: services.web.limits.memory.low is 1G, above memory.max with 512M; expected at most that",
    ),
    "no such plan": (
        {P: "", A: "plan: q"},
        f"{A}:2:7: plan is 'q', and there is no such plan; expected p",
    ),
    "no such default plan": (
        {"config.yaml": "default_plan: q", A: ""},
        "config.yaml:1:15: default_plan is 'q', and there is no such plan; expected a file in plans.d",
    ),
    "no such user": (
        {A: "users: [alice, ghost]"},
        f"{A}:2:16: users[1] is 'ghost', who is no user of this machine; make the user, or take the name out",
    ),
    "no such user, by default": (
        {"accounts.d/ghost.yaml": ""},
        "accounts.d/ghost.yaml: users is 'ghost', who is no user of this machine",
    ),
    "root": (
        {A: "users: [root]"},
        f"{A}:2:9: users[0] is 'root' with uid 0; expected a uid from 1000 to 59999",
    ),
    "nobody": (
        {A: "users: [nobody]"},
        f"{A}:2:9: users[0] is 'nobody' with uid 65534; expected a uid from 1000 to 59999",
    ),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_what_cannot_be(case: str) -> None:
    files, expected = COMPLAINTS[case]
    found = fleet(files)
    assert [str(complaint)[: len(expected)] for complaint in found.complaints] == [expected]
    assert not found.complaints[0].warning
    assert not found.accounts
    assert all(reason.endswith("there is no last good copy") for reason in found.on_last_good.values())
    assert len(found.on_last_good) == 1


WARNINGS = {
    "service above its account": (
        {A: "limits: {pids: 5}\nservices: {web: {limits: {pids: 6}}}"},
        f"{A}: warning: services.web.limits.pids is 6, above the account's 5, which holds for both",
    ),
    "high without swap": (
        {A: "limits: {memory: {max: 2G, high: 1G, swap: 0}}"},
        f"{A}: warning: limits.memory.high is given together with memory.swap 0, which can stall a program",
    ),
    "high of a service, swap of its account": (
        {P: "limits: {memory: {swap: 0}}", A: "plan: p\nservices: {web: {limits: {memory: {high: 1G}}}}"},
        f"{A}: warning: services.web.limits.memory.high is given together with memory.swap 0",
    ),
    "more than the machine": (
        {A: "limits: {cpu: 800%}"},
        f"{A}: warning: limits.cpu.max is 800% of a core, and this machine has 2 cores; it is cut to 200%",
    ),
    "exempt": (
        {A: "users: [alice, admin]"},
        f"{A}: warning: users[1] is 'admin', who is exempt: never confined, whatever an account says",
    ),
    "exempt, but nobody": (
        {"config.yaml": "users: {exempt: [ghost]}", A: ""},
        "config.yaml: warning: users.exempt names ghost, who is no user of this machine",
    ),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_should_not_be(case: str) -> None:
    files, expected = WARNINGS[case]
    found = fleet(files)
    assert [str(complaint)[: len(expected)] for complaint in found.complaints] == [expected]
    assert list(found.accounts) == ["alice"]
    assert not found.on_last_good


def test_what_is_wrong_with_a_plan_is_said_once() -> None:
    found = fleet({P: "limits: {cpu: 800%}", A: "plan: p", B: "plan: p", C: "plan: p\nlimits: {pids: 3}"})
    assert [str(it) for it in found.complaints] == [
        f"{P}: warning: limits.cpu.max is 800% of a core, and this machine has 2 cores; it is cut to 200%"
    ]


def test_a_missing_default_plan_is_said_once_and_looked_up_once() -> None:
    looks: list[str] = []

    def text_of(file: str) -> bytes:
        looks.append(file)
        return b"default_plan: q"

    accounts = {name: AccountSpec(name, f"accounts.d/{name}.yaml", (name,), name) for name in ("alice", "bob")}
    host = DEFAULT._replace(default_plan="q")
    found = gather(host, {}, accounts, CROWD, MACHINE, lambda _: None, text_of=text_of)
    assert len(found.complaints) == 1
    assert looks == ["config.yaml"]


def test_the_exempt_are_in_no_account() -> None:
    found = fleet({A: "users: [alice, admin]", B: "users: [bob, admin]\nowner: bob"})
    assert found.exempt == {1100}
    assert [dict(account.uids) for account in found.accounts.values()] == [{"alice": 1001}, {"bob": 1002}]


def test_no_user_of_an_account_is_an_administrator() -> None:
    """Every program of theirs, such as a web site, would be one. The group sudo has the user admin."""
    found = fleet({"config.yaml": 'administrators: ["@sudo", bob, ghost]', B: ""})
    assert found.administrators == {1100}
    assert [str(complaint) for complaint in found.complaints] == [
        "config.yaml: warning: administrators names ghost, who is no user of this machine",
        "config.yaml: warning: administrators names uid 1002 of the account bob, who is no administrator: every "
        "program of theirs would be one",
    ]


def test_a_user_of_two_accounts_is_of_none() -> None:
    found = fleet({A: "users: [alice, carol]", B: "users: [bob, carol]", C: "users: [admin]"})
    assert [str(complaint) for complaint in found.complaints if not complaint.warning] == [
        f"{B}:2:14: users[1] is 'carol' (uid 1003), who belongs to {A}; a user is in one account at most",
        f"{A}:2:16: users[1] is 'carol' (uid 1003), who belongs to {B}; a user is in one account at most",
    ]
    assert set(found.on_last_good) == {"alice", "bob"}
    assert list(found.accounts) == ["carol"]


def test_two_names_of_one_uid_are_one_user() -> None:
    people = Crowd({"alice": 1001, "alias": 1001})
    for network in ("", "network: {}"):
        found = fleet({"config.yaml": network, A: "", B: "users: [alias]"}, people)
        assert set(found.on_last_good) == {"alice", "bob"}
        assert [str(it) for it in found.complaints] == [
            f"{B}:2:9: users[0] is 'alias', another name of 'alice' (uid 1001), who belongs to {A}; name both in one"
        ]
    assert fleet({A: "users: [alice, alias]"}, people).accounts["alice"].uids == {"alice": 1001, "alias": 1001}


def test_a_wrong_account_stays_as_it_was() -> None:
    copies = {"alice": sold("alice", alice=1001)}
    found = fleet({A: "plan: q"}, last_good=copies)
    assert found.accounts == copies
    assert found.on_last_good == {"alice": "its plan q cannot be used"}


def test_accounts_of_a_wrong_plan_stay_as_they_were_without_a_complaint_each() -> None:
    copies = {"alice": sold("alice", alice=1001)}
    found = fleet({A: "plan: q", B: "plan: q"}, last_good=copies, wrong=UnusableFiles(plans={"q": "unreadable"}))
    assert found.accounts == copies
    assert found.on_last_good == {
        "alice": "its plan q cannot be used",
        "bob": "its plan q cannot be used; there is no last good copy",
    }
    assert not found.complaints


def test_a_wrong_file_hands_its_users_to_nobody() -> None:
    """alice.yaml has a typing mistake, while bob.yaml claims her user: two accounts would own one uid."""
    copies = {"alice": sold("alice", alice=1001), "bob": sold("bob", bob=1002)}
    wrong = UnusableFiles(accounts={"alice": "accounts.d/alice.yaml cannot be used"})
    found = fleet({B: "users: [bob, alice]"}, last_good=copies, wrong=wrong)
    assert found.accounts == copies
    assert set(found.on_last_good) == {"alice", "bob"}
    assert [str(it) for it in found.complaints] == [
        f"{B}:2:14: users[1] is 'alice' (uid 1001), who is in the last good copy of {A}; "
        "a user is in one account at most"
    ]


def test_last_good_copies_that_clash_are_not_both_used() -> None:
    copies = {"alice": sold("alice", alice=1001), "bob": sold("bob", alice=1001)}
    wrong = UnusableFiles(accounts={"alice": "wrong", "bob": "wrong"})
    found = fleet({}, last_good=copies, wrong=wrong)
    assert list(found.accounts) == ["alice"]
    assert found.on_last_good == {"alice": "wrong", "bob": "wrong; its last good copy clashes with that of alice"}


def test_a_user_that_cannot_be_resolved_keeps_the_uid_that_it_had() -> None:
    copies = {"alice": sold("alice", alice=1001, ldap=2001)}
    found = fleet({A: "users: [alice, ldap]\nlimits: {pids: 5}"}, last_good=copies)
    assert found.accounts["alice"].uids == {"alice": 1001, "ldap": 2001}
    assert found.accounts["alice"].limits == {"pids": 5}
    assert found.on_last_good == {"alice": "the user ldap cannot be resolved; keeps uid 2001"}
    assert [complaint.warning for complaint in found.complaints] == [True]


def test_an_old_copy_confines_nobody_who_is_exempt_now() -> None:
    copies = {"alice": sold("alice", alice=999, admin=1100, bob=1002)}
    found = fleet({A: "plan: q"}, last_good=copies)
    assert found.accounts["alice"].uids == {"alice": 1001, "bob": 1002}  # alice was made anew


GUARANTEED = "limits: {{memory: {{max: 3G, min: {}}}}}"


THREE_QUARTERS = {"config.yaml": "ceiling: {memory: 75%}"}  # of 4G


def guaranteeing(name: str, size: int) -> Account:
    return sold(name, **{name: CROWD.users[name]})._replace(limits={"memory.min": size << 30})


def test_no_more_is_guaranteed_than_there_is() -> None:
    copies = {"alice": guaranteeing("alice", 0), "bob": guaranteeing("bob", 2)}
    files = {A: GUARANTEED.format("50%"), B: GUARANTEED.format("2G"), C: GUARANTEED.format("1G")}
    found = fleet({**THREE_QUARTERS, **files}, last_good=copies)
    assert [str(it) for it in found.complaints] == [
        f"{A}:2:33: limits.memory.min is 1.5G; others are guaranteed 2G, "
        "and all customers together have 3G; expected less"
    ]
    assert found.accounts["alice"] == copies["alice"]
    assert set(found.on_last_good) == {"alice"}
    assert found.accounts["carol"].limits["memory.min"] == 1 << 30


def test_who_wants_less_than_before_keeps_it() -> None:
    copies = {"bob": guaranteeing("bob", 2)}
    found = fleet({**THREE_QUARTERS, A: GUARANTEED.format("2G"), B: GUARANTEED.format("1.5G")}, last_good=copies)
    assert found.accounts["bob"].limits["memory.min"] == 3 << 29
    assert "memory.min" not in found.accounts["alice"].limits
    assert found.accounts["alice"].limits["memory.max"] == 3 << 30  # a new customer gets everything else
    assert not found.on_last_good


def test_what_a_wrong_account_keeps_is_not_there_for_others() -> None:
    copies = {"bob": guaranteeing("bob", 2)}
    wrong = UnusableFiles(accounts={"bob": "accounts.d/bob.yaml cannot be used"})
    found = fleet({**THREE_QUARTERS, A: GUARANTEED.format("2G")}, last_good=copies, wrong=wrong)
    assert "memory.min" not in found.accounts["alice"].limits
    assert found.accounts["bob"] == copies["bob"]


def test_a_plan_may_guarantee_too_much_to_its_last_customer() -> None:
    files = {P: "limits: {memory: {max: 2G, min: 2G}}", A: "plan: p", B: "plan: p"}
    found = fleet({**THREE_QUARTERS, **files})
    assert [name for name, it in found.accounts.items() if "memory.min" in it.limits] == ["alice"]
    assert "limits.memory.min is 2G; others are guaranteed 2G" in str(found.complaints[0])
    assert str(found.complaints[0]).startswith(P)
    assert str(found.complaints[0]).endswith("expected less for bob (it gets no guarantee)")


def test_users_without_an_account_are_guaranteed_what_is_left() -> None:
    files = {P: "limits: {memory: {max: 2G, min: 1G}}", A: "plan: p"}
    everybody = {"config.yaml": "ceiling: {memory: 75%}\nusers: {without_account: plan p}"}
    found = fleet({**everybody, **files}, Crowd({"alice": 1001, "bob": 1002, "carol": 1003, "dave": 1004}))
    assert [name for name, it in found.accounts.items() if "memory.min" in it.limits] == ["alice", "bob", "carol"]
    assert found.accounts["dave"].limits["memory.max"] == 2 << 30


def test_a_name_that_is_told_otherwise_is_the_same_user() -> None:
    """sssd with a default domain: getpwnam("alice") answers `alice@corp`."""

    class Corporate(Crowd):
        def names_of(self, uid: int) -> frozenset[str]:
            return frozenset({"alice@corp"})

    found = fleet({A: "plan: q"}, Corporate({"alice": 1001}), last_good={"alice": sold("alice", alice=1001)})
    assert found.accounts["alice"].uids == {"alice": 1001}


def test_a_uid_that_is_anothers_now_is_not_kept() -> None:
    """alice was deleted, and bob was made after her with the uid that was free."""
    people, copies = Crowd({"bob": 1001}), {"alice": sold("alice", alice=1001)}
    found = fleet({A: "", B: ""}, people, last_good=copies)
    assert {name: account.uids for name, account in found.accounts.items()} == {"alice": {}, "bob": {"bob": 1001}}
    assert found.on_last_good == {"alice": f"uid 1001 of alice is claimed by {B}"}
    assert [str(it) for it in found.complaints] == [
        f"{A}: users is 'alice', who is no user of this machine any more: uid 1001 is bob, of {B}; "
        "take the name out, or remove the file"
    ]
    assert (found.revoked, found.doubtful, found.renamed) == ({"alice": frozenset({1001})}, frozenset(), {})


BOTH = {"alice": sold("alice", alice=1001, al=1004)}


@pytest.mark.parametrize("home", ["/home/alice", "/home/alice/www"])
def test_a_user_with_a_new_name_and_the_old_home_is_the_same(home: str) -> None:
    people = Crowd({"dave": 1001, "al": 1004}, homes={"dave": home})
    found = fleet({A: "users: [alice, al]\nlimits: {pids: 5}"}, people, last_good=BOTH)
    assert found.accounts["alice"].uids == {"alice": 1001, "al": 1004}
    assert found.accounts["alice"].limits == {"pids": 5}
    assert [str(it) for it in found.complaints] == [
        f"{A}: warning: users[0] is 'alice', who is no user of this machine any more; uid 1001 is now called dave; "
        "write users: [dave, al] and owner: dave"
    ]
    assert found.on_last_good == {"alice": "uid 1001 of alice is now called dave"}
    assert (found.renamed, found.doubtful, found.revoked) == ({"alice": "dave"}, frozenset(), {})


def test_a_new_name_beside_the_old_one_in_the_same_file_is_the_same_user() -> None:
    found = fleet({A: "users: [alice, dave]"}, Crowd({"dave": 1001}), last_good={"alice": sold("alice", alice=1001)})
    assert found.accounts["alice"].uids == {"alice": 1001, "dave": 1001}
    assert (found.renamed, found.doubtful) == ({"alice": "dave"}, frozenset())
    assert "write users: [dave]" in str(found.complaints[0])


@pytest.mark.parametrize("home", ["", "/", "/nonexistent", "/home/alic", "/home/alice2"])
def test_a_uid_with_another_home_may_be_another_person(home: str) -> None:
    copy = BOTH["alice"]._replace(home=home if len(home) < 2 or home == "/nonexistent" else "/home/alice")
    people = Crowd({"dave": 1001, "al": 1004}, homes={"dave": home})
    found = fleet({A: "users: [alice, al]"}, people, last_good={"alice": copy})
    assert found.accounts["alice"].uids == {"alice": 1001, "al": 1004}, "the limits stay"
    assert (found.renamed, found.doubtful, found.revoked) == ({}, frozenset({1001}), {})
    assert [complaint.warning for complaint in found.complaints] == [False]
    assert "logins are refused; if it is the same person, write users: [dave, al]" in str(found.complaints[0])


def test_what_is_kept_by_its_copy_alone_is_judged_like_all_others() -> None:
    wrong = UnusableFiles(accounts={"alice": "accounts.d/alice.yaml cannot be used"})
    renamed = Crowd({"dave": 1001, "al": 1004}, homes={"dave": "/home/alice"})
    found = fleet({}, renamed, last_good=BOTH, wrong=wrong)
    assert (found.renamed, found.doubtful, found.revoked) == ({"alice": "dave"}, frozenset(), {})
    assert "uid 1001 is now called dave; write users: [dave, al]" in str(found.complaints[0])
    other = Crowd({"dave": 1001, "al": 1004})
    assert fleet({}, other, last_good=BOTH, wrong=wrong).doubtful == {1001}
    claimed = fleet({"accounts.d/dave.yaml": ""}, other, last_good=BOTH, wrong=wrong)
    assert claimed.revoked == {"alice": {1001}}
    assert {name: it.uids for name, it in claimed.accounts.items()} == {"alice": {"al": 1004}, "dave": {"dave": 1001}}
    assert "uid 1001 is dave, of accounts.d/dave.yaml" in str(claimed.complaints[0])


def test_a_claim_counts_though_its_file_cannot_be_read_any_more() -> None:
    copies = {"alice": sold("alice", alice=1001), "dave": sold("dave", dave=1001)}
    found = fleet({A: ""}, Crowd({"dave": 1001}), last_good=copies, wrong=UnusableFiles(accounts={"dave": "wrong"}))
    assert found.revoked == {"alice": {1001}}
    assert found.accounts["dave"].uids == {"dave": 1001}


def test_the_address_goes_with_the_uid() -> None:
    copies = {"alice": sold("alice", alice=1001)._replace(addresses=("10.77.0.2", "fd77:7061:6173::2"))}
    files = {"config.yaml": "network: {}", A: "", "accounts.d/dave.yaml": ""}
    found = fleet(files, Crowd({"dave": 1001}), last_good=copies)
    assert [account.addresses for account in found.accounts.values()] == [(), ("10.77.0.2", "fd77:7061:6173::2")]
    copies["alice"] = copies["alice"]._replace(addresses=("10.77.9.9", "fd77:7061:6173::9"))
    assert fleet(files, Crowd({"dave": 1001}), last_good=copies).accounts["alice"].addresses[0] == "10.77.9.9"


def test_of_an_account_without_a_file_only_another_person_is_shut_out_or_ended() -> None:
    copies = {"alice": sold("alice", alice=1001)}
    assert fleet({}, Crowd({"alice": 1001}), last_good=copies).doubtful == frozenset()
    assert fleet({}, Crowd({}), last_good=copies).doubtful == frozenset()
    assert fleet({}, Crowd({"dave": 1001}), last_good=copies).doubtful == {1001}
    same = Crowd({"dave": 1001}, homes={"dave": "/home/alice"})
    assert fleet({}, same, last_good=copies).doubtful == frozenset()
    dave = {"accounts.d/dave.yaml": ""}
    assert fleet(dave, same, last_good=copies).revoked == {}, "account and user were renamed at once: all is moved"
    assert fleet(dave, Crowd({"dave": 1001}), last_good=copies).revoked == {"alice": {1001}}
    renamed = {"accounts.d/dave.yaml": "renamed_from: alice"}
    assert fleet(renamed, Crowd({"dave": 1001}), last_good=copies).revoked == {}, "it goes on in the old cgroup"


def test_a_name_that_has_another_uid_now_takes_the_account_with_it() -> None:
    found = fleet({A: ""}, Crowd({"alice": 1002, "dave": 1001}), last_good={"alice": sold("alice", alice=1001)})
    assert found.accounts["alice"].uids == {"alice": 1002}
    assert not found.complaints
    assert (found.renamed, found.doubtful, found.revoked) == ({}, frozenset(), {})


def test_a_renamed_account_keeps_its_directory() -> None:
    renamed = {A: "renamed_from: old"}
    assert fleet(renamed).accounts["alice"].directory == "old"
    assert fleet(renamed, last_good={"old": sold("old", "older")}).accounts["alice"].directory == "older"
    assert fleet(renamed, last_good={"alice": sold("alice", "oldest")}).accounts["alice"].directory == "oldest"


def test_two_accounts_of_one_directory_are_refused() -> None:
    found = fleet({A: "renamed_from: bob", B: ""})
    assert [str(it) for it in found.complaints] == [
        f"{B}:1:10: account leads to the cgroup bob, which belongs to {A}; each has its own",
        f"{A}:2:15: renamed_from leads to the cgroup bob, which belongs to {B}; each has its own",
    ]
    assert set(found.on_last_good) == {"alice", "bob"}


def test_the_old_name_of_a_wrong_account_is_not_removed() -> None:
    assert "old" in fleet({A: "renamed_from: old\nplan: q"}).on_last_good


def test_users_without_account_get_one_of_their_own() -> None:
    people = Crowd({**CROWD.users, "Odd.Name": 1004, "carols": 1005}, CROWD.groups)
    files = {
        "config.yaml": "users: {without_account: plan p}",
        P: "limits: {pids: 9}",
        A: "",
        "accounts.d/carol.yaml": "users: [carols]",
    }
    found = fleet(files, people)
    assert {account.name: (dict(account.uids), account.plan) for account in found.accounts.values()} == {
        "alice": ({"alice": 1001}, None),
        "bob": ({"bob": 1002}, "p"),
        "carol": ({"carols": 1005}, None),
        "uid-1003": ({"carol": 1003}, "p"),
        "uid-1004": ({"Odd.Name": 1004}, "p"),
    }
    assert found.accounts["bob"].limits == {"pids": 9}


def test_users_of_a_wrong_account_get_none_of_their_own() -> None:
    files = {"config.yaml": "users: {without_account: plan p}", P: "", A: "users: [alice, carol]\nplan: q"}
    wrong = UnusableFiles(accounts={"bob": "wrong"})
    found = fleet(files, wrong=wrong, last_good={"bob": sold("bob", bob=1002)})
    assert set(found.accounts) == {"bob"}
    assert set(found.on_last_good) == {"alice", "bob"}


def test_ten_thousand_accounts_take_well_under_a_second() -> None:
    names = [f"u{i}" for i in range(10_000)]
    people = Crowd({name: 1000 + i for i, name in enumerate(names)})
    accounts = {name: AccountSpec(name, f"accounts.d/{name}.yaml", (name,), name, "p") for name in names}
    plans = {"p": Plan("p", P, {"pids": 9}, (Service("php", match=Match(command="*$account*")),))}
    began = time.process_time()
    found = gather(DEFAULT, plans, accounts, people, MACHINE, lambda _: None)
    assert time.process_time() - began < 1
    assert len(found.accounts) == 10_000
