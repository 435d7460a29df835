"""Which user a trial of the logins takes, and which session it expects."""

import pytest

from paas_isolate import pam_rollout
from paas_isolate.changes.doors import desired_doors
from paas_isolate.linux.pam.session import Session
from paas_isolate.model.account import Account, Fleet, Host, Service
from paas_isolate.pam_rollout import TrialContext

ALICE, BOB = 1001, 1002


def sold(name: str, uid: int, **more: object) -> Account:
    services = (Service("nightly", entry=("cron",)),)
    return Account(name, name, {name: uid}, name, "/", None, {}, services)._replace(**more)  # type: ignore[arg-type]


def machine(*held: str, **more: object) -> TrialContext:
    fleet = Fleet(Host(), {"alice": sold("alice", ALICE, **more), "bob": sold("bob", BOB)})
    return TrialContext(fleet, lambda cgroup: cgroup, desired_doors(fleet, held), ())


def landed(cgroup: str) -> Session:
    return Session(0, "", "", cgroup, 100.0)


REFUSED = Session(14, "Cannot make/remove an entry", "This account is suspended.", "", 100.0)


@pytest.mark.parametrize("on", [machine("alice"), machine("alice/login"), machine(suspended=True)])
def test_who_may_not_log_in_is_no_trial(on: TrialContext) -> None:
    assert pam_rollout.customer(on) == (BOB, "bob")
    assert not pam_rollout.wrong_for(on, ALICE, REFUSED, "sshd")
    assert "suspended or frozen" in pam_rollout.wrong_for(on, ALICE, landed("users/alice/login"), "sshd")


def test_with_nobody_to_try_there_is_no_trial() -> None:
    assert pam_rollout.customer(machine("alice", "bob")) is None


@pytest.mark.parametrize(("service", "leaf"), [("sshd", "login"), ("cron", "nightly")])
def test_a_session_belongs_behind_its_door(service: str, leaf: str) -> None:
    on = machine("alice/other")
    assert pam_rollout.customer(on) == (ALICE, "alice")
    assert not pam_rollout.wrong_for(on, ALICE, landed(f"users/alice/{leaf}"), service)
    assert (
        pam_rollout.wrong_for(on, ALICE, landed("/user.slice"), service)
        == f"is in /user.slice; expected users/alice/{leaf}"
    )
    assert pam_rollout.wrong_for(on, ALICE, REFUSED, service).startswith("does not open")
