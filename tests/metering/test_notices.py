"""Which notices are due: once an interval, and once more when it is over."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.metering.faults import Fault, Kind, Level
from paas_isolate.metering.notices import LOOK, Phase, Told, above, due, faults_of
from paas_isolate.model.notices import NoticeRule, Target, Trigger

MINUTE, HOUR = 60_000, 3_600_000
NOW = 1_790_000_000_000
TO = Target("mail", ("customer",))
KILLED = NoticeRule("memory killed 3 times in 1h", Trigger("killed", HOUR, number=3), TO, HOUR)
CPU = NoticeRule("cpu above 90% for 15m", Trigger("cpu", 15 * MINUTE, percent=90), TO, HOUR)


class Story:
    """Looks, one a minute, with what is sent."""

    def __init__(self, rule: NoticeRule) -> None:
        self.rule, self.now, self.looked = rule, NOW, 0
        self.memory: Mapping[str, Mapping[str, Told]] = {}

    def look(self, figure: int | None, *, sends: bool = True, after: int = MINUTE) -> list[Phase]:
        self.now += after
        found = {self.rule.key: {} if figure is None else {"alice": figure}}
        notices, told = due([self.rule], found, self.memory, self.now, self.looked)
        for each in notices if sends else ():
            told[self.rule.key][each.account] = each.after
        self.memory, self.looked = told, self.now
        return [each.phase for each in notices]

    def looks(self, number: int, figure: int | None) -> list[Phase]:
        return [phase for _ in range(number) for phase in self.look(figure)]


def test_a_fault_is_told_at_once_then_once_an_interval_and_when_it_is_over() -> None:
    story = Story(KILLED)
    assert story.look(3) == [Phase.BEGINS]
    assert story.looks(59, 5) == []
    assert story.look(5) == [Phase.LASTS]
    assert story.look(None) == [Phase.OVER]
    assert story.looks(100, None) == []
    assert story.memory == {KILLED.key: {}}


def test_what_begins_again_within_the_interval_waits_for_its_end() -> None:
    story = Story(KILLED)
    assert story.look(3) == [Phase.BEGINS]
    told = [phase for _ in range(25) for phase in (*story.look(None), *story.look(3))]
    assert told == [Phase.OVER]
    assert story.looks(10, 3) == [Phase.BEGINS]


def test_a_share_holds_after_all_of_its_time() -> None:
    story = Story(CPU)
    assert story.looks(15, 95) == []
    assert story.look(95) == [Phase.BEGINS]
    assert story.look(None) == [Phase.OVER]
    assert story.looks(14, 95) == []
    assert story.look(None) == []
    assert story.looks(15, 95) == []


def test_time_in_which_nobody_looked_is_not_time_above() -> None:
    story = Story(CPU)
    assert story.looks(10, 95) == []
    assert story.look(95, after=HOUR) == []
    assert story.looks(14, 95) == []
    assert story.look(95) == [Phase.BEGINS]


def test_what_was_not_sent_is_due_again() -> None:
    story = Story(KILLED)
    for _ in range(3):
        assert story.look(3, sends=False) == [Phase.BEGINS]
    assert story.look(3) == [Phase.BEGINS]
    assert story.look(None, sends=False) == [Phase.OVER]
    assert story.look(None) == [Phase.OVER]
    assert story.look(None) == []


def test_the_end_of_what_was_never_told_is_not_told() -> None:
    story = Story(KILLED)
    assert story.look(3, sends=False) == [Phase.BEGINS]
    assert story.look(None) == []


def test_a_source_that_cannot_be_read_ends_nothing() -> None:
    story = Story(KILLED)
    story.look(3)
    notices, told = due([KILLED], {}, story.memory, story.now + MINUTE, story.looked)
    assert notices == []
    assert told == story.memory


def test_rules_that_are_gone_are_forgotten() -> None:
    story = Story(KILLED)
    story.look(3)
    assert due([CPU], {CPU.key: {}}, story.memory, story.now, story.looked) == ([], {CPU.key: {}})


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    story = Story(KILLED)
    assert story.look(3) == [Phase.BEGINS]
    assert story.look(3, after=-24 * HOUR) == [Phase.LASTS]
    assert story.look(3) == []


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=300))
def test_two_notices_of_an_interval_at_most_and_begin_and_end_in_turn(looks: list[tuple[bool, bool]]) -> None:
    story, sent = Story(KILLED), []
    for holds, sends in looks:
        for phase in story.look(3 if holds else None, sends=sends):
            if sends:
                sent.append((story.now, phase))
    is_open = False
    for _, phase in sent:
        assert phase is (Phase.BEGINS if not is_open else phase)
        assert phase in ((Phase.LASTS, Phase.OVER) if is_open else (Phase.BEGINS,))
        is_open = phase is not Phase.OVER
    begun = [at for at, phase in sent if phase is not Phase.OVER]
    assert all(later - before >= HOUR for before, later in pairwise(begun))


def fault(minutes: float, number: int = 1, directory: str = "alice", level: Level = Level.LEAF) -> Fault:
    return Fault(Kind.KILLED, level, directory, "web", "small", 0, NOW - int(minutes * MINUTE), number)


def test_faults_count_within_the_time_of_the_rule() -> None:
    trigger = KILLED.trigger
    assert faults_of(trigger, [fault(1), fault(59, 2)], NOW) == {"alice": 3}
    assert faults_of(trigger, [fault(1), fault(60, 2)], NOW) == {}
    assert faults_of(trigger, [fault(-1, 5)], NOW) == {}
    assert faults_of(trigger, [fault(1, 5)._replace(kind=Kind.SLOWED)], NOW) == {}


@pytest.mark.parametrize("level", [Level.ALL, Level.MACHINE])
def test_what_others_did_is_no_fault_of_an_account(level: Level) -> None:
    assert faults_of(KILLED.trigger, [fault(1, 9, level=level), fault(1, 9, directory="")], NOW) == {}


def test_a_share_is_above_and_not_at() -> None:
    assert above(CPU.trigger, {"a": 0.9, "b": 0.91, "c": 0.899}) == {"b": 91}
    assert LOOK == MINUTE
