"""The plan above a plan: mistakes, and what it would change."""

import pytest

from paas_isolate.model.account import AccountSpec, Plan
from paas_isolate.model.limits import UNLIMITED
from paas_isolate.spec.next_plan import Change, Comparison, compare
from paas_isolate.spec.parse import parse_account, parse_plan
from paas_isolate.spec.serialize import plain_plan, plan_from
from tests.support.crowd import fleet

A = "accounts.d/alice.yaml"


def plan(name: str, text: str) -> Plan:
    return parse_plan(f"plan: {name}\n{text}".encode(), f"plans.d/{name}.yaml")


def account(text: str = "") -> AccountSpec:
    return parse_account(f"account: alice\n{text}".encode(), A)


def test_it_is_kept_with_the_plan() -> None:
    small = plan("small", "next: big\n")
    assert small.next == "big"
    assert plan_from(plain_plan(small)) == small
    assert plan("big", "").next == ""


@pytest.mark.parametrize(
    ("files", "complaints"),
    [
        ({"small": "next: big", "big": ""}, []),
        ({"small": "next: big"}, ["plans.d/small.yaml:2:7: next is 'big', and there is no such plan"]),
        (
            {"small": "next: small"},
            ["plans.d/small.yaml:2:7: next is 'small', which leads back to it (small -> small)"],
        ),
        (
            {"a": "next: b", "b": "next: c", "c": "next: b"},
            ["next is 'c', which leads back to it (b -> c -> b)", "next is 'b', which leads back to it (c -> b -> c)"],
        ),
    ],
)
def test_a_next_plan_exists_and_does_not_lead_back(files: dict[str, str], complaints: list[str]) -> None:
    found = fleet({A: f"plan: {min(files)}"} | {f"plans.d/{name}.yaml": text for name, text in files.items()})
    assert len(found.complaints) == len(complaints)
    for complaint, expected in zip(found.complaints, complaints, strict=True):
        assert expected in str(complaint)
        assert not complaint.warning
    assert found.accounts["alice"].plan == min(files), "nothing else depends on it"
    assert not found.on_last_good


def test_what_it_would_change() -> None:
    small = plan("small", "limits: {cpu: 100%, memory: 1G, io: 5M, pids: 100}\ndisk: {max: 10G}\n")
    big = plan("big", "limits: {cpu: 200%, memory: 1G, io: {read: unlimited, write: 5M}}\ndisk: {max: 20G}\n")
    assert compare(account(), small, big) == Comparison(
        (
            Change("limits.cpu.max", 100_000, 200_000),
            Change("limits.pids", 100, None),
            Change("limits.io.read", 5 << 20, UNLIMITED),
            Change("disk.max", 10 << 30, 20 << 30),
        ),
        (),
        (),
    )


def test_what_the_accounts_own_file_says_stays() -> None:
    small, big = plan("small", "limits: {cpu: 100%, pids: 10}\n"), plan("big", "limits: {cpu: 200%, pids: 20}\n")
    assert compare(account("limits: {cpu: 100%}\n"), small, big).limits == (Change("limits.pids", 10, 20),)


def test_services_that_come_and_go() -> None:
    small = plan("small", "services: {web: {limits: {pids: 10}}, old: {run: ./a}, own: {run: ./b}}\n")
    big = plan("big", "services: {web: {limits: {pids: 20}}, redis: {run: redis}}\n")
    found = compare(account("services: {own: {run: ./c}}\n"), small, big)
    assert found == Comparison((Change("services.web.limits.pids", 10, 20),), ("redis",), ("old",))
