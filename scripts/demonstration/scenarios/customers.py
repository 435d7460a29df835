"""What a customer may ask for, and what happens to one who is suspended."""

from collections.abc import Iterator

from demonstration.facts import Fact, milliseconds
from demonstration.scenarios.services import PORT, SERVICES, WORDS
from demonstration.scenarios.views import PRIVATE
from demonstration.target import Target

SUSPENDED = "suspended: true\n"

ME = """
su - "$alice" -c 'paas-isolate me'
"""

ORDERED = """
before=$(main)
tell words "$(su - "$alice" -c 'paas-isolate me restart queue' | tail -n 1)"
eventually 30 answers_again "$before"
tell answers $?
tell before "$before"
tell after "$(main)"
tell neighbour "$(su - "$bob" -c 'paas-isolate me restart queue' 2>&1 | head -n 1)"
"""

STOOD_STILL = """
stands_still() { grep -q 'frozen 1' "$TREE/users/$alice/cgroup.events"; }
tell pid "$(main)"
begin=$(microseconds)
save
at_once 60 stands_still
tell still $?
tell took $(($(microseconds) - begin))
tell words "$(su - "$alice" -c id 2>&1 | head -n 1)"
tell neighbour "$(su - "$bob" -c 'id -un')"
"""

WENT_ON = """
begin=$(microseconds)
save
eventually 60 answers $port
tell answers $?
tell took $(($(microseconds) - begin))
tell pid "$(main)"
tell login "$(su - "$alice" -c 'id -un')"
"""


def me(target: Target) -> Iterator[Fact | str]:
    alice, bob = target.called("alice"), target.called("bob")
    answer = target.run(ME)
    yield from answer.out.rstrip().splitlines()
    hers = answer.out.startswith(f"account {alice}, plan small") and "nightly is failed: the last" in answer.out
    yield answer.fact(
        "me",
        answer.code == 0 and hers and bob not in answer.out,
        f"paas-isolate me, as {alice}, without root: limits beside use, which were hit lately, how her services are",
        f"her account and services, and nothing of {bob}",
    )
    values = target.measure(WORDS + ORDERED)
    yield values.fact(
        "an order",
        values.number("answers") == 0 and values.text("before") != values.text("after"),
        f"paas-isolate me restart queue: pid {values.text('before')} became {values.text('after')}, and answers",
        "another one answers",
    )
    yield values.fact(
        "not of others",
        "no service of yours" in values.text("neighbour"),
        f"the same as {bob}: {values.text('neighbour')}",
        "no service of his is called so",
    )


def suspended(target: Target) -> Iterator[Fact | str]:
    alice, bob = target.called("alice"), target.called("bob")
    text = target.example("alice") + PRIVATE + SERVICES
    before = target.measure(target.saves({"alice": text + SUSPENDED}) + WORDS + STOOD_STILL)
    yield before.fact(
        "stands still",
        before.number("still") == 0,
        f"{alice}.yaml says `suspended: true`: all of hers stands still {milliseconds(before.number('took'))} after it"
        " was saved",
        f"users/{alice} is frozen",
    )
    yield before.fact(
        "refused",
        "suspended" in before.text("words") and before.text("neighbour") == bob,
        f"{alice} logs in: {before.text('words')} ({bob} gets in)",
        f"{alice} refused in words, {bob} in",
    )
    after = target.measure(target.saves({"alice": text}) + WORDS + WENT_ON)
    yield after.fact(
        "goes on",
        after.number("answers") == 0 and after.text("pid") == before.text("pid") and after.text("login") == alice,
        f"the line is gone: the same pid {after.text('pid')} answers on port {PORT} {after.number('took') / 1e6:.1f} s"
        f" after, and {alice} gets in",
        f"pid {before.text('pid')} answers, and {alice} gets in",
    )
