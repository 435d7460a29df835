"""The daemon is switched on: from here on nobody runs reconcile, and nobody waits for it."""

from collections.abc import Iterator

from demonstration.acts.wheel import changed
from demonstration.facts import Fact
from demonstration.ground import Ground

WORDS = """
of() { systemctl show --property "$2" --value "$1"; }
status() { of paas-isolate-daemon StatusText; }
has_looked() { [[ $(status) == *account* ]]; }
is_at_work() { [[ $(of paas-isolate.service ActiveState) == activ* ]]; }
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


def daemon(ground: Ground) -> Iterator[Fact | str]:
    told = ground.measure(WORDS + SWITCHED_ON)
    yield Fact(
        "switched on",
        told.number("looked") == 0,
        f"systemctl enable --now paas-isolate-daemon: it hears after {told.number('heard') / 1e6:.1f} s;"
        f" systemctl status says {told.text('status')}",
        "it has looked at the accounts",
        told.output,
    )
    yield _saved(ground)
    yield by_hand(ground)


def _saved(ground: Ground) -> Fact:
    bob = ground.called("bob")
    text = changed(ground.example("bob"), "limits:\n", "limits:\n  pids: 150\n")
    told = ground.measure(ground.saves({"bob": text}) + SAVED)
    return Fact(
        "saved",
        told.number("there") == 0 and told.text("before") == "200",
        f"{bob}.yaml says pids 150: in the kernel {milliseconds(told.number('took'))} after it was saved",
        "pids.max 150 instead of 200, within 30 s",
        told.output,
    )


def by_hand(ground: Ground) -> Fact:
    """What the timer would mend within a minute."""
    bob = ground.called("bob")
    told = ground.measure(WORDS + BY_HAND)
    words = " ".join(told.text("words").split())
    return Fact(
        "by hand",
        told.number("back") == 0 and f"(was max); changed by pid {told.text('pid')} (bash, root)" in words,
        f"echo max >users/{bob}/pids.max, by hand; back after {milliseconds(told.number('took'))}, and the journal"
        f" says: {words}",
        f"{told.text('value')} again, and who it was: pid {told.text('pid')} (bash, root)",
        told.output,
    )


def milliseconds(passed: int) -> str:
    """Of microseconds: 3.8 ms, 120 ms."""
    return f"{passed / 1000:.1f} ms" if passed < 10_000 else f"{passed / 1000:.0f} ms"
