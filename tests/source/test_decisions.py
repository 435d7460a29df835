"""What an administrator has decided, and what a customer may decide."""

from pathlib import Path

from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions

WEB = "alice/web"


def test_a_customer_starts_what_they_have_stopped_themselves() -> None:
    rested = Decisions().order("stop", WEB, by_customer=True)
    assert WEB in rested.stopped
    assert rested.may_start(WEB)
    assert rested.order("start", WEB, by_customer=True) == Decisions()


def test_what_an_administrator_has_stopped_is_theirs_to_start() -> None:
    stopped = Decisions().order("stop", WEB)
    for decided in (stopped, stopped.order("stop", WEB, by_customer=True)):
        assert not decided.may_start(WEB)
    later = Decisions().order("stop", WEB, by_customer=True).order("stop", WEB)
    assert not later.may_start(WEB)
    assert later.order("start", WEB) == Decisions()


def test_all_of_it_is_kept(tmp_path: Path) -> None:
    decided = Decisions(
        frozen=frozenset({"bob"}),
        stopped=frozenset({WEB, "bob/x"}),
        stopped_by_customer=frozenset({WEB}),
        scaled={"bob/x": 3},
    )
    decisions.save(str(tmp_path), decided)
    assert decisions.load(str(tmp_path)) == decided
    assert decided.restricted_to({"alice"}) == Decisions(stopped=frozenset({WEB}), stopped_by_customer=frozenset({WEB}))
