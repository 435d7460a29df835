"""Services that paas-isolate runs: their keys, which exclude each other, and what an account keeps of its plan's."""

import json
import marshal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.errors import SpecError
from paas_isolate.model.account import Service
from paas_isolate.model.service_program import DEFAULT, NO_WORK, Failure, Health, Log, ServiceProgram
from paas_isolate.spec import scalars
from paas_isolate.spec.parse import parse_account, parse_host
from paas_isolate.spec.serialize import account_from, plain_account, plain_sold, sold_from
from tests.support.crowd import CROWD, fleet

A, P = "accounts.d/alice.yaml", "plans.d/p.yaml"

WORKS = {
    "run: exec ./serve --port $PORT": ServiceProgram("exec ./serve --port $PORT"),
    "run: 5": ServiceProgram("5"),
    "run: x, directory: ~/app, environment_file: /srv/env": ServiceProgram("x", "~/app", environment_file="/srv/env"),
    "run: x, directory: '~'": ServiceProgram("x", "~"),
    "run: x, environment: {A: b, B_2: 3, C: true, _D: '', x-why: because}": ServiceProgram(
        "x", environment={"A": "b", "B_2": "3", "C": "true", "_D": ""}
    ),
    "run: x, restart: on-failure, stop_timeout: 1m": ServiceProgram("x", restart="on-failure", stop_timeout=60_000),
    "run: x, stop_timeout: 0s": ServiceProgram("x", stop_timeout=0),
    "run: x, health: {run: y}": ServiceProgram("x", health=Health("y", 30_000, 3)),
    "run: x, health: {run: y, every: 100ms, failures: 1}": ServiceProgram("x", health=Health("y", 100, 1)),
    "run: x, replicas: 100": ServiceProgram("x", replicas=100),
    "run: x, umask: 027": ServiceProgram("x", umask="027"),
    "run: x, umask: '0077'": ServiceProgram("x", umask="0077"),
    "run: x, rlimits: {nofile: 4096, core: 0, memlock: 64M, cpu: unlimited, as: max, x-y: z}": ServiceProgram(
        "x", rlimits={"nofile": 4096, "core": 0, "memlock": 64 << 20, "cpu": -1, "as": -1}
    ),
    "run: x, no_new_privs: false": ServiceProgram("x", no_new_privs=False),
    "run: x, log: {max: 1K}": ServiceProgram("x", log=Log(1024, 3)),
    "run: x, log: {keep: 0}": ServiceProgram("x", log=Log(10 << 20, 0)),
    "run: x, schedule: '*/5 8-17 * * MON-FRI'": ServiceProgram("x", schedule="*/5 8-17 * * MON-FRI"),
    "run: x, schedule: '@daily', on_failure: {mail: a.b+c@example.com}": ServiceProgram(
        "x", schedule="0 0 * * *", on_failure=Failure("a.b+c@example.com")
    ),
    "run: x, restart: never, on_failure: {run: 'echo $RESULT'}": ServiceProgram(
        "x", restart="never", on_failure=Failure(run="echo $RESULT")
    ),
}


def parsed(text: str) -> Service:
    account = parse_account(f"account: alice\nservices: {{web: {{{text}}}}}".encode(), A)
    return account.services[0]


@pytest.mark.parametrize("text", WORKS)
def test_a_service_is_what_its_file_says(text: str) -> None:
    assert parsed(text) == Service("web", work=WORKS[text])


@pytest.mark.parametrize("text", WORKS)
def test_it_survives_being_kept(text: str) -> None:
    account = parse_account(f"account: alice\nservices: {{web: {{{text}}}}}".encode(), A)
    assert account_from(marshal.loads(marshal.dumps(plain_account(account)))) == account
    sold = fleet({A: f"services: {{web: {{{text}}}}}"}).accounts["alice"]
    assert sold_from(json.loads(json.dumps(plain_sold(sold)))) == sold


CRONTAB = 'expected a time in the notation of crontab, such as "*/5 * * * *" or @daily'
LIMIT = "expected a whole number, a size such as 64M, or unlimited"
WRONG = {
    "run: ''": "3:14: run is ''; expected one line of text",
    'run: "a\\nb"': "3:14: run is 'a\\nb'; expected one line of text",
    "run: [x]": "3:14: run is a list; expected one line of text",
    "direktory: /x": "3:9: direktory is not a key of this place; did you mean directory?",
    "directory: app": "3:20: directory is 'app'; expected an absolute path or ~/PATH",
    "directory: ~bob/app": "3:20: directory is '~bob/app'; expected an absolute path or ~/PATH",
    "environment: [A=b]": "3:22: environment is a list; expected a mapping of variables",
    "environment: {1A: c}": "3:23: environment.1A is '1A'; expected the name of a variable, such as QUEUE",
    "environment: {A=B: c}": "3:23: environment.'A=B' is 'A=B'; expected the name of a variable, such as QUEUE",
    "environment: {A: [1]}": "3:26: environment.A is a list; expected a text",
    "environment_file: env": "3:27: environment_file is 'env'; expected an absolute path or ~/PATH",
    "restart: on_failure": "3:18: restart is 'on_failure'; expected always, on-failure or never",
    "stop_timeout: 10": "3:23: stop_timeout is '10'; expected a duration such as 10s",
    "health: {every: 5s}": "3:17: health has no run; expected {run: COMMAND}",
    "health: {run: y, every: 0s}": "3:33: health.every is '0s'; expected a duration of at least 100ms, such as 30s",
    "health: {run: y, failures: 0}": "3:36: health.failures is '0'; expected a whole number from 1 to 1000, such as 3",
    "schedule: daily": f"3:19: schedule is 'daily'; {CRONTAB}",
    "schedule: '@reboot'": f"3:19: schedule is '@reboot'; {CRONTAB}",
    "schedule: '61 * * * *'": f"3:19: schedule is '61 * * * *'; {CRONTAB}",
    "schedule: '* * * * * *'": f"3:19: schedule is '* * * * * *'; {CRONTAB}",
    "schedule: '0 0 30 2 *'": "3:19: schedule is '0 0 30 2 *'; expected a date that exists: this one never comes",
    "replicas: 0": "3:19: replicas is '0'; expected a whole number from 1 to 100, such as 3",
    "umask: 27": "3:16: umask is '27'; expected three octal digits such as 027",
    "umask: 888": "3:16: umask is '888'; expected three octal digits such as 027",
    "rlimits: {nofiles: 1}": "3:19: rlimits.nofiles is not a key of this place; did you mean nofile?",
    "rlimits: {nofile: -1}": f"3:27: rlimits.nofile is '-1'; {LIMIT}",
    "rlimits: {nofile: 010}": f"3:27: rlimits.nofile is '010'; {LIMIT}",
    "no_new_privs: yes": "3:23: no_new_privs is 'yes'; expected true or false",
    "log: 10M": "3:14: log is '10M'; expected a mapping",
    "log: {max: 0}": "3:20: log.max is '0'; expected a size of at least 1K, such as 10M",
    "log: {keep: 101}": "3:21: log.keep is '101'; expected a whole number from 0 to 100, such as 3",
    "on_failure: {mail: a'b@c}": '3:28: on_failure.mail is "a\'b@c"; expected a mail address such as me@example.org',
    "on_failure: {mails: a}": "3:22: on_failure.mails is not a key of this place; did you mean mail?",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_once_with_its_place(text: str) -> None:
    with pytest.raises(SpecError) as refused:
        parse_account(f"account: alice\nservices:\n  web: {{{text}}}".encode(), A)
    told = [str(complaint).removeprefix(f"{A}:").replace("services.web.", "") for complaint in refused.value.complaints]
    assert told == [WRONG[text]]


def test_the_leaves_of_every_account_take_no_command() -> None:
    with pytest.raises(SpecError, match=r"services\.other\.run is not a key of this place"):
        parse_account(b"account: alice\nservices: {other: {run: x}}", A)


def test_the_host_says_what_becomes_of_the_suspended() -> None:
    assert parse_host(b"", "config.yaml").suspension == "freeze"
    assert parse_host(b"suspension: stop", "config.yaml").suspension == "stop"
    with pytest.raises(SpecError, match="suspension is 'kill'; expected freeze or stop"):
        parse_host(b"suspension: kill", "config.yaml")


@given(text=st.text(max_size=30) | st.text("0123456789*/,-#LW@ MONSU", max_size=30))
def test_a_schedule_is_taken_or_refused_in_words(text: str) -> None:
    try:
        taken = scalars.SCHEDULE.parse(text)
    except ValueError as refused:
        assert str(refused) == scalars.SCHEDULE.expected
    else:
        assert len(taken.split()) == 5


def test_a_schedule_of_thousands_of_digits_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="notation of crontab"):
        scalars.SCHEDULE.parse(f"{'9' * 5000} * * * *")


CONFLICTS = {
    "directory: /srv": (
        " warning: services.web.directory has no effect without run; add run, or leave it out",
        True,
    ),
    "no_new_privs: false": (
        " warning: services.web.no_new_privs has no effect without run; add run, or leave it out",
        True,
    ),
    "run: x, schedule: '@daily', replicas: 2": (
        "2:56: services.web.replicas is given for a job, which runs once at a time; leave it out",
        False,
    ),
    "run: x, schedule: '@daily', restart: always": (
        "2:55: services.web.restart is always for a job, which is started by its schedule; leave it out",
        False,
    ),
    "run: x, schedule: '@daily', health: {run: y}": (
        "2:54: services.web.health is given for a job, whose exit status says how it went; leave it out",
        False,
    ),
    "run: x, listen: 65535, replicas: 2": (
        "2:34: services.web.listen is 65535, and 2 replicas need ports up to 65536; expected one that leaves enough",
        False,
    ),
}


@pytest.mark.parametrize("text", CONFLICTS)
def test_what_cannot_be_together(text: str) -> None:
    expected, warning = CONFLICTS[text]
    found = fleet({A: f"services: {{web: {{{text}}}}}"})
    assert [(str(complaint), complaint.warning) for complaint in found.complaints] == [(f"{A}:{expected}", warning)]
    assert ("alice" in found.accounts) == warning


def test_what_cannot_be_together_names_the_other_file() -> None:
    found = fleet(
        {
            P: "services: {web: {run: x, schedule: '@daily'}}",
            A: "plan: p\nservices: {web: {replicas: 2}}",
        }
    )
    expected = "services.web.replicas is given for a job, which runs once at a time; leave it out"
    assert [str(it) for it in found.complaints] == [f"{A}:3:28: {expected} (services.web.schedule is in {P})"]


def test_services_that_run_have_ports_of_their_own() -> None:
    text = "services: {api: {run: x, listen: 8000, replicas: 3}, web: {run: y, listen: 8002}}"
    (complaint,) = fleet({A: text}).complaints
    assert (
        str(complaint)
        == f"{A}:2:76: services.web.listen leads to port 8002, which the service api has; each has its own"
    )
    assert not fleet({A: text.replace("8002", "8003")}).complaints


def test_a_job_may_say_never() -> None:
    assert not fleet({A: "services: {web: {run: x, schedule: '@daily', restart: never, replicas: 1}}"}).complaints


def test_an_account_adds_to_what_its_plan_runs() -> None:
    found = fleet(
        {
            P: """
services:
  web:
    run: serve $account
    environment: {A: plan, B: plan}
    rlimits: {nofile: 100, core: 0}
    health: {run: check, failures: 9}
    log: {max: 1M, keep: 9}
    replicas: 3
    stop_timeout: 20s
""",
            A: """
plan: p
services:
  web:
    environment: {B: own, C: own}
    rlimits: {nofile: 200}
    health: {run: "true"}
    stop_timeout: 0s
    replicas: 1
""",
        }
    )
    assert not found.complaints
    assert found.accounts["alice"].services[0].work == ServiceProgram(
        "serve alice",
        environment={"A": "plan", "B": "own", "C": "own"},
        rlimits={"nofile": 200, "core": 0},
        health=Health("true"),
        log=Log(1 << 20, 9),
        replicas=1,
        stop_timeout=0,
    )


def test_account_and_owner_stand_for_the_accounts_own() -> None:
    text = """
users: [bob]
services:
  web:
    run: serve $account as $owner on $PORT, $accounts
    directory: /srv/$account
    environment: {WHO: $owner}
    environment_file: ~/$account.env
    health: {run: check $account}
    restart: never
    on_failure: {run: tell $owner}
"""
    found = fleet({A: text})
    assert not found.complaints
    assert found.accounts["alice"].services[0].work == ServiceProgram(
        "serve alice as bob on $PORT, $accounts",
        "/srv/alice",
        {"WHO": "bob"},
        "~/alice.env",
        "never",
        health=Health("check alice"),
        on_failure=Failure(run="tell bob"),
    )


def test_a_plan_is_filled_for_each_of_its_accounts() -> None:
    """Also where nothing but a health check asks for it."""
    plan = "services: {web: {run: serve, health: {run: check $account}}}"
    found = fleet({P: plan, A: "plan: p", "accounts.d/bob.yaml": "plan: p"}, CROWD)
    checks = {name: sold.services[0].work.health for name, sold in found.accounts.items()}
    assert checks == {"alice": Health("check alice"), "bob": Health("check bob")}


def test_what_nobody_says_has_a_default() -> None:
    work = ServiceProgram("x", umask="077", no_new_privs=True, stop_timeout=0).complete()
    assert (work.run, work.umask, work.no_new_privs, work.stop_timeout) == ("x", "077", True, 0)
    for key in ("directory", "restart", "replicas", "log", "on_failure"):
        assert getattr(work, key) == getattr(DEFAULT, key)
    assert NO_WORK.says_nothing
    assert not ServiceProgram(no_new_privs=False).says_nothing
