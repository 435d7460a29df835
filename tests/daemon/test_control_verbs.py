"""Who may ask the daemon for what, and what is answered: without a socket or a daemon."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import Caller, Keep, Reply
from paas_isolate.control.table import SERVICE, VERBS, About, Access, Parameter, Scope, Verb, command_of
from paas_isolate.daemon.control import Control, Customers, Final, Later, Request, Stream, WantsBody
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS

ALICE, SECOND, BOB, EXEMPT, NOBODY, ADMIN, SYSTEM = 1001, 1002, 1003, 1004, 1005, 1006, 33
Ask = Callable[..., dict[str, Any]]


def sold(name: str, **uids: int) -> Account:
    return Account(name, name, uids, name, "/", None, NO_LIMITS, ())


FLEET = Fleet(
    Host(),
    {"inn": sold("inn", alice=ALICE, second=SECOND, boss=EXEMPT), "bob": sold("bob", bob=BOB, www=SYSTEM)},
    exempt=frozenset({EXEMPT}),
    administrators=frozenset({ADMIN, BOB}),
)


def told(asked: Request) -> Reply:
    return {"account": asked.found and asked.found[1].name, "about": asked.about, "options": dict(asked.options)}


def refuse(asked: Request) -> Reply:
    raise RefusedError(f"no service of yours is called {asked.options['service']!r}", 2)


def broken(_: Request) -> Reply:
    raise KeyError("a bug")


def follow(asked: Request) -> Reply:
    asked.subscribe(lambda send: FOLLOWERS.append(send))
    return {"last": ""}


FOLLOWERS: list[Callable[[bytes], bool]] = []
NUMBER = Parameter("number", "A number.", "[0-9]+", "digits", "--number")


def row(name: str, access: Access, about: About, needs: Scope, *parameters: Parameter, body: str = "") -> Verb:
    return Verb(name, access, about, needs, "", "GET", f"/{name}", parameters, ("do", "{account}"), body=body)


ROWS = (
    row("ping", Access.ANYBODY, About.NOTHING, Scope.READ),
    row("me", Access.CUSTOMER, About.ACCOUNT, Scope.READ, NUMBER),
    row("restart", Access.CUSTOMER, About.ACCOUNT, Scope.OPERATE, SERVICE),
    row("follow", Access.CUSTOMER, About.NOTHING, Scope.READ),
    row("reconcile", Access.ADMINISTRATOR, About.NOTHING, Scope.ADMINISTER),
    row("freeze", Access.ADMINISTRATOR, About.ACCOUNT, Scope.OPERATE),
    row("put", Access.ADMINISTRATOR, About.NAME, Scope.ADMINISTER, body="A file."),
    row("put-plan", Access.ADMINISTRATOR, About.PLAN, Scope.ADMINISTER, body="A file."),
    row("broken", Access.ANYBODY, About.NOTHING, Scope.READ),
    row("later", Access.ANYBODY, About.NOTHING, Scope.READ)._replace(patience=60),
)
FUNCTIONS = {"restart": refuse, "broken": broken, "later": lambda _: None, "follow": follow}
BUGS: list[Exception] = []


def nobody(_: bytes) -> bool:
    return False


def kept_in(lines: list[bytes]) -> Callable[[bytes], bool]:
    def send(line: bytes) -> bool:
        lines.append(line)
        return True

    return send


@pytest.fixture
def control() -> Control:
    customers = Customers(FLEET, Placement(FLEET))
    return Control(FUNCTIONS, told, lambda: customers, BUGS.append, {verb.name: verb for verb in ROWS})


@pytest.fixture
def ask(control: Control) -> Ask:
    def one(uid: int, verb: str, about: str = "", narrow: Sequence[object] = (), **options: str) -> dict[str, Any]:
        caller = Caller(uid, 1)
        for bounds in narrow:
            narrowed = control.ask(json.dumps({"narrow": bounds}).encode(), caller, nobody)
            assert isinstance(narrowed, Caller)
            caller = narrowed
        request = {"verb": verb, "about": about, "options": options}
        line = control.ask(json.dumps(request).encode(), caller, nobody)
        assert isinstance(line, bytes)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        said: dict[str, Any] = json.loads(line)
        return said

    return one


@pytest.mark.parametrize(("uid", "name"), [(ALICE, "inn"), (SECOND, "inn"), (BOB, "bob")])
def test_a_user_asks_about_the_own_account(ask: Ask, uid: int, name: str) -> None:
    assert ask(uid, "me") == ask(uid, "me", name) == {"told": {"account": name, "about": name, "options": {}}}


@pytest.mark.parametrize(
    ("uid", "verb", "error"),
    [
        (EXEMPT, "me", "you are exempt"),
        (NOBODY, "me", "you have no account"),
        (SYSTEM, "me", "you have no account"),
        (ALICE, "reconcile", "this needs an administrator"),
        (NOBODY, "reconcile", "this needs an administrator"),
        (0, "me", "an administrator has no account"),
        (ALICE, "sudo", "there are: ping, me, restart, follow, broken, later"),
        (0, "sudo", "there are: ping, me, restart, follow, reconcile,"),
    ],
)
def test_a_refused_request_says_why(ask: Ask, uid: int, verb: str, error: str) -> None:
    assert error in ask(uid, verb)["error"]


@pytest.mark.parametrize("verb", [row.name for row in ROWS])
def test_other_accounts_look_like_none(ask: Ask, verb: str) -> None:
    """Of an account that there is and of one that there is not, the same but for the word itself."""
    for options in ({}, {"service": "web"}, {"number": "1"}):
        there = json.dumps(ask(ALICE, verb, "bob", **options)) if verb not in ("later", "follow") else ""
        not_there = json.dumps(ask(ALICE, verb, "rob", **options)) if verb not in ("later", "follow") else ""
        assert there.replace("bob", "rob") == not_there


def test_options_are_looked_at_before_anything_is_done(ask: Ask) -> None:
    assert ask(ALICE, "me", number="7")["told"]["options"] == {"number": "7"}
    assert ask(ALICE, "me", number="x")["error"] == "number is 'x'; expected digits"
    assert ask(ALICE, "me", number="7\n")["status"] == 2
    assert ask(ALICE, "me", path="x")["error"] == "me has no option 'path'; there are: number"
    assert ask(ALICE, "restart")["error"].startswith("restart needs service: a name")
    assert ask(ALICE, "ping", "inn")["error"] == "ping is about no account"


@pytest.mark.parametrize("name", ["", "../x", "-l", "a/b", "A", "x" * 40, "a\n"])
def test_what_need_not_exist_has_a_name_all_the_same(ask: Ask, name: str) -> None:
    assert "is no name" in ask(0, "put", name)["error"]
    assert "is no name" in ask(0, "put-plan", name)["error"]


def test_a_bug_goes_into_the_log_and_not_to_the_customer(ask: Ask) -> None:
    BUGS.clear()
    assert ask(ALICE, "broken") == {"error": "an error of paas-isolate's own; the log has it", "status": 1}
    assert [type(bug) for bug in BUGS] == [KeyError]


def test_before_the_first_pass_no_account_is_known() -> None:
    control = Control({}, told, lambda: None, BUGS.append)
    line = control.ask(b'{"verb": "me"}', Caller(ALICE, 1), nobody)
    assert isinstance(line, bytes)
    assert json.loads(line)["status"] == 75


def test_what_comes_later_has_the_id_of_its_request(control: Control) -> None:
    sent: list[bytes] = []
    asked: list[Request] = []
    late = Control({"ping": lambda request: asked.append(request)}, told, lambda: None, BUGS.append)
    later = late.ask(b'{"verb": "ping", "id": 7}', Caller(ALICE, 1), kept_in(sent))
    assert isinstance(later, Later)
    assert json.loads(later.too_late) == {"id": 7, "error": "it takes longer: look at it later", "status": 75}
    assert asked[0].send(b'{"told":1}\n')
    assert json.loads(sent[0]) == {"id": 7, "told": 1}


def test_lines_follow_an_answer(control: Control) -> None:
    FOLLOWERS.clear()
    stream = control.ask(b'{"verb": "follow", "id": 3}', Caller(ALICE, 1), nobody)
    assert isinstance(stream, Stream)
    assert json.loads(stream.line) == {"id": 3, "told": {"last": ""}}
    sent: list[bytes] = []
    stream.begin(kept_in(sent))
    assert FOLLOWERS[0](b'{"event":1}\n')
    assert json.loads(sent[0]) == {"id": 3, "event": 1}


def test_who_has_no_account_follows_nothing(ask: Ask) -> None:
    for uid in (NOBODY, EXEMPT, SYSTEM):
        assert ask(uid, "follow")["status"] == 1


def test_a_body_comes_after_the_line(control: Control) -> None:
    wants = control.ask(b'{"verb": "put", "about": "new", "body": 3}', Caller(0, 1), nobody)
    assert isinstance(wants, WantsBody)
    assert wants.size == 3
    answer = wants.go(b"x: 1", nobody)
    assert isinstance(answer, bytes)
    assert json.loads(answer)["told"]["about"] == "new"


@pytest.mark.parametrize(
    ("uid", "line"),
    [
        (ALICE, {"verb": "put", "about": "inn", "body": 30}),
        (ALICE, {"verb": "me", "body": 30}),
        (0, {"verb": "reconcile", "body": 30}),
        (0, {"verb": "put", "about": "../x", "body": 30}),
        (0, {"verb": "none", "body": 30}),
    ],
)
def test_the_lines_of_a_body_that_is_refused_are_no_requests(control: Control, uid: int, line: object) -> None:
    wants = control.ask(json.dumps(line).encode(), Caller(uid, 1), nobody)
    assert isinstance(wants, WantsBody)
    assert wants.size == 30
    refused = wants.go(b'{"verb": "reconcile"}\n', nobody)
    assert isinstance(refused, bytes)
    assert json.loads(refused)["error"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"verb": "put", "about": "new", "body": 262145}',
        b'{"verb": "put", "about": "new", "body": "9"}',
        b'{"verb": "put", "about": "new", "body": -9}',
        b'{"verb": "put", "about": "new", "body": true}',
        b'{"verb": "put", "about": "new", "size": 9}',
        b"not JSON",
    ],
)
def test_where_a_body_cannot_be_told_from_lines_nothing_more_is_read(control: Control, line: bytes) -> None:
    final = control.ask(line, Caller(0, 1), nobody)
    assert isinstance(final, Final)
    assert json.loads(final.line)["status"] == 2


def test_a_suspended_customer_can_order_nothing() -> None:
    fleet = FLEET._replace(accounts={"inn": FLEET.accounts["inn"]._replace(suspended=True)})
    customers = Customers(fleet, Placement(fleet))
    control = Control(FUNCTIONS, told, lambda: customers, BUGS.append, {verb.name: verb for verb in ROWS})
    ordered = control.ask(b'{"verb": "restart", "options": {"service": "web"}}', Caller(ALICE, 1), nobody)
    assert isinstance(ordered, bytes)
    assert json.loads(ordered)["error"] == "your account is suspended: ask your provider"
    looked = control.ask(b'{"verb": "me"}', Caller(ALICE, 1), nobody)
    assert isinstance(looked, bytes)
    assert "told" in json.loads(looked)


def test_an_administrator_asks_as_root_does(ask: Ask) -> None:
    assert ask(ADMIN, "me", "inn")["told"]["account"] == "inn"
    assert "told" in ask(ADMIN, "reconcile")


def test_no_users_of_an_account_is_an_administrator(ask: Ask) -> None:
    """The account may have been made after the last full pass."""
    assert ask(BOB, "reconcile")["error"] == "this needs an administrator"
    assert ask(BOB, "me", "inn")["error"] == "no account is called 'inn'"


READ_INN = {"scope": "read", "accounts": ["inn"]}


@pytest.mark.parametrize("uid", [0, ADMIN])
def test_a_narrow_connection_has_fewer_rights(ask: Ask, uid: int) -> None:
    assert ask(uid, "me", "inn", narrow=[READ_INN])["told"]["account"] == "inn"
    assert "no account is called" in ask(uid, "me", "bob", narrow=[READ_INN])["error"]
    assert (
        ask(uid, "restart", "inn", service="web", narrow=[READ_INN])["error"]
        == "this needs the scope operate; yours is read"
    )
    assert "needs the scope" in ask(uid, "reconcile", narrow=[{"scope": "operate"}])["error"]
    assert "are only some" in ask(uid, "reconcile", narrow=[{"accounts": ["inn"]}])["error"]
    assert "are only some" in ask(uid, "put-plan", "gold", narrow=[{"accounts": ["inn"]}])["error"]
    assert ask(uid, "freeze", "inn", narrow=[{"accounts": ["inn"]}])["told"]["account"] == "inn"
    assert ask(uid, "put", "inn", narrow=[{"accounts": ["inn"]}])["told"]["about"] == "inn"
    for verb in ("freeze", "put"):
        assert ask(uid, verb, "bob", narrow=[{"accounts": ["inn"]}])["error"] == "no account is called 'bob'"


def test_a_customers_narrow_connection_has_fewer_rights(ask: Ask) -> None:
    assert ask(ALICE, "me", narrow=[READ_INN])["told"]["account"] == "inn"
    assert "not one of those" in ask(ALICE, "me", narrow=[{"accounts": ["bob"]}])["error"]
    assert "needs the scope" in ask(ALICE, "restart", service="web", narrow=[{"scope": "read"}])["error"]


def test_narrowing_never_gives_rights_back(ask: Ask) -> None:
    wider = [READ_INN, {"scope": "administer", "accounts": ["inn", "bob"]}, {}]
    assert "no account is called" in ask(0, "me", "bob", narrow=wider)["error"]
    assert "needs the scope" in ask(0, "restart", "inn", service="web", narrow=wider)["error"]
    assert ask(ALICE, "reconcile", narrow=[{"scope": "administer"}])["error"] == "this needs an administrator"


@pytest.mark.parametrize(
    "line",
    [
        {"narrow": None},
        {"narrow": []},
        {"narrow": {"scope": "root"}},
        {"narrow": {"scope": ["read"]}},
        {"narrow": {"scope": {}}},
        {"narrow": {"accounts": "inn"}},
        {"narrow": {"accounts": [1]}},
        {"narrow": {"account": ["inn"]}},
        {"narrow": {"scope": "read"}, "verb": "ping"},
        {"narrow": {"from": "alice"}},
        {"narrow": {"from": "fe80::1%eth0"}},
        {"narrow": {"from": 7}},
        {"keep": True, "narrow": {}},
    ],
)
def test_what_cannot_be_read_as_narrow_is_refused(control: Control, line: object) -> None:
    """Else the connection would go on with all its rights."""
    final = control.ask(json.dumps(line).encode(), Caller(0, 1), nobody)
    assert isinstance(final, Final)
    assert json.loads(final.line)["status"] == 2


def test_where_a_person_asks_from_is_for_the_log(control: Control) -> None:
    narrowed = control.ask(b'{"narrow": {"from": "192.0.2.7"}}', Caller(ALICE, 1), nobody)
    assert isinstance(narrowed, Caller)
    assert str(narrowed) == f"uid {ALICE} from 192.0.2.7"
    again = control.ask(b'{"narrow": {"from": "192.0.2.8"}}', narrowed, nobody)
    assert again == narrowed


def test_a_connection_can_be_kept(control: Control) -> None:
    assert control.ask(b'{"keep": true}', Caller(ALICE, 1), nobody) == Keep()


def test_who_may_hear_of_what(control: Control) -> None:
    heard = {
        uid: [name for name in ("inn", "bob", "") if control.may_hear(Caller(uid, 1), name)]
        for uid in (ALICE, BOB, ADMIN, NOBODY, EXEMPT, 0)
    }
    everything = ["inn", "bob", ""]
    assert heard == {ALICE: ["inn"], BOB: ["bob"], ADMIN: everything, NOBODY: [], EXEMPT: [], 0: everything}
    bound = Caller(0, 1, accounts=frozenset({"inn"}))
    assert [name for name in everything if control.may_hear(bound, name)] == ["inn"]


def test_each_row_is_reached_by_one_method_and_path() -> None:
    assert len({(verb.method, verb.path) for verb in VERBS}) == len({verb.name for verb in VERBS}) == len(VERBS)


def test_what_is_written_needs_more_than_to_read() -> None:
    assert [verb.name for verb in VERBS if verb.method != "GET" and verb.needs is Scope.READ] == []
    assert [verb.name for verb in VERBS if verb.method == "GET" and verb.needs is Scope.OPERATE] == []


def test_the_words_of_a_command() -> None:
    verbs = {verb.name: verb for verb in VERBS}
    usage = command_of(verbs["usage"], "inn", {"by": "day"}, by_customer=True)
    assert usage == ["usage", "--json", "--by=day", "--", "inn"]
    scale = command_of(verbs["scale"], "inn", {"service": "web", "replicas": "2"}, by_customer=False)
    assert scale == ["scale", "--", "inn/web", "2"]
    put = command_of(verbs["put"], "inn", {"dry-run": "1"}, by_customer=False)
    assert put == ["account", "put", "--json", "--dry-run", "--", "inn"]
    assert command_of(verbs["explain"], "inn", {}, by_customer=True)[2:] == ["--for-customer", "--", "inn"]
    assert command_of(verbs["revoke"], "", {"token": "0123abcd"}, by_customer=False) == [
        *("token", "revoke"),
        *("--", "0123abcd"),
    ]
