"""The daemon is started: from here on nobody runs reconcile, and nobody waits for a timer."""

from collections.abc import Iterator

from demonstration.facts import Fact, milliseconds
from demonstration.scenarios.passes import changed
from demonstration.target import Target

WORDS = """
status() { unit_property paas-isolate-daemon StatusText; }
has_looked() { [[ $(status) == *account* ]]; }
is_at_work() { [[ $(unit_property paas-isolate.service ActiveState) == activ* ]]; }
is_alone() { has_looked && ! is_at_work; }
said() { journalctl --unit paas-isolate-daemon --output cat --quiet --lines 1 --grep "$1"; }
"""

SWITCHED_ON = """
begin=$(microseconds)
systemctl enable --quiet --now paas-isolate-daemon
tell heard $(($(microseconds) - begin))
eventually 60 has_looked
tell looked $?
tell status "$(status)"
"""

SAVED = """
knob=$TREE/users/$bob/pids.max
is_there() { [[ $(<"$knob") == 150 ]]; }
before=$(<"$knob")
begin=$(microseconds)
save
at_once 30 is_there
tell there $?
tell took $(($(microseconds) - begin))
tell before "$before"
"""

BY_HAND = """
knob=$TREE/users/$bob/pids.max
before=$(<"$knob")
is_back() { [[ $(<"$knob") == "$before" ]]; }
sentence="pids.max of users/$bob .*changed"
eventually 60 is_alone
begin=$(microseconds)
echo max >"$knob"
at_once 30 is_back
tell back $?
tell took $(($(microseconds) - begin))
tell value "$(<"$knob")"
eventually 10 said "$sentence" >/dev/null
tell words "$(said "$sentence")"
tell pid $$
"""


def daemon(target: Target) -> Iterator[Fact | str]:
    values = target.measure(WORDS + SWITCHED_ON)
    yield values.fact(
        "switched on",
        values.number("looked") == 0,
        f"systemctl enable --now paas-isolate-daemon: it hears after {values.number('heard') / 1e6:.1f} s;"
        f" systemctl status says {values.text('status')}",
        "it has looked at the accounts",
    )
    yield _saved(target)
    yield by_hand(target)


def _saved(target: Target) -> Fact:
    bob = target.called("bob")
    text = changed(target.example("bob"), "limits:\n", "limits:\n  pids: 150\n")
    values = target.measure(target.saves({"bob": text}) + SAVED)
    return values.fact(
        "saved",
        values.number("there") == 0 and values.text("before") == "200",
        f"{bob}.yaml says pids 150: in the kernel {milliseconds(values.number('took'))} after it was saved",
        "pids.max 150 instead of 200, within 30 s",
    )


def by_hand(target: Target) -> Fact:
    """A repair that the timer would make within a minute."""
    bob = target.called("bob")
    values = target.measure(WORDS + BY_HAND)
    words = " ".join(values.text("words").split())
    return values.fact(
        "by hand",
        values.number("back") == 0 and f"(was max); changed by pid {values.text('pid')} (bash, root)" in words,
        f"echo max >users/{bob}/pids.max, by hand; back after {milliseconds(values.number('took'))}, and the journal"
        f" says: {words}",
        f"{values.text('value')} again, and who it was: pid {values.text('pid')} (bash, root)",
    )
