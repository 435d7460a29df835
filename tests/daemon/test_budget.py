"""An account that causes more events than its budget allows is paused; other accounts are not."""

from paas_isolate.daemon.budget import EACH, TOTAL, Budget
from paas_isolate.linux.events.proc_connector import EVERYBODY

ALICE, BOB, CAROL = 1001, 1002, 1003


def test_ordinary_events_pause_nobody() -> None:
    budget = Budget()
    for second in range(1000):
        budget.spend(0.04, {ALICE: 10}, float(second))
        assert not budget.paused(second)


def test_an_account_over_its_budget_is_paused_alone_and_resumed() -> None:
    budget = Budget()
    budget.spend(EACH.most + 0.1, {ALICE: 9900, BOB: 100}, 0.0)
    assert budget.paused(0.0) == {ALICE}
    assert budget.paused(4.9) == {ALICE}
    assert budget.paused(20.0) == frozenset()


def test_a_storm_without_an_end_costs_its_share() -> None:
    """In ten minutes, where half of a core would be spent while it is heard."""
    budget, spent = Budget(), 0.0
    for step in range(6000):
        now = step / 10
        if ALICE not in budget.paused(now):
            budget.spend(0.05, {ALICE: 100}, now)
            spent += 0.05
    assert spent / 600 < EACH.share * 1.1


def test_several_that_overrun_together_are_paused_and_the_others_are_not() -> None:
    budget = Budget()
    storm = {2000 + n: 1000 for n in range(20)}
    budget.spend(0.001, {CAROL: 1}, 0.0)
    budget.spend(TOTAL.most + 0.1, {**storm, CAROL: 1}, 0.1)
    assert budget.paused(0.1) == set(storm)


def test_without_a_single_cause_all_are_paused() -> None:
    budget = Budget()
    budget.spend(TOTAL.most + 0.1, {2000 + n: 1 for n in range(200)}, 0.0)
    assert budget.paused(0.0) == {EVERYBODY}
    assert budget.paused(10.0) == frozenset()


def test_more_uids_than_the_filter_holds_pause_everybody() -> None:
    budget = Budget()
    for uid in range(100):
        budget.spend(EACH.most + 0.1, {uid: 1}, 0.0)
    assert EVERYBODY in budget.paused(0.0)
