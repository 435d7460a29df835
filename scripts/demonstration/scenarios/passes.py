"""An edit of the YAML, a change of the kernel by hand, a typo, and two runs at once."""

import re
from collections.abc import Iterator

from demonstration.facts import DemonstrationError, Fact, size
from demonstration.target import Target

MEMORY = """
tell account "$(<"$TREE/users/$carol/memory.max")"
tell web "$(<"$TREE/users/$carol/web/memory.max")"
"""

TYPO = "account: {name}\nlimits:\n  memory: 5 12M\n"

TWO_RUNS = """
# proc_locks(5): major and minor of the device in hexadecimal, then the inode.
# shellcheck disable=SC2046
held=$(printf ' %02x:%02x:%d ' $(stat -c '%Hd %Ld %i' "$LOCK"))
# Without a fork: a run with nothing to do holds the lock for a moment only.
first_is_at_work() { read -r -d '' locks </proc/locks; [[ $locks == *"$held"* ]]; }
for attempt in {1..8}; do
    "${PAAS[@]}" reconcile >/dev/null 2>&1 &
    first=$!
    until first_is_at_work || ! kill -0 $first 2>/dev/null; do :; done
    # Stopped while it holds the lock, so that the second surely meets it.
    kill -STOP $first 2>/dev/null && sleep 0.2 && first_is_at_work && break
    kill -CONT $first 2>/dev/null
    wait $first
done
"${PAAS[@]}" reconcile --wait 0 >"${TMPDIR:-/tmp}/second.$$" 2>&1
tell second $?
tell words "$(tail -n 1 "${TMPDIR:-/tmp}/second.$$")"
rm -f "${TMPDIR:-/tmp}/second.$$"
kill -CONT $first
wait $first
tell first $?
"""


def edit(target: Target) -> Iterator[Fact | str]:
    carol = target.called("carol")
    before = target.measure(MEMORY)
    target.write({target.spec("carol"): changed(target.example("carol"), "max: 256M", "max: 384M")})
    answer = target.reconcile()
    after = target.measure(MEMORY)
    yield answer.fact(
        "edited",
        answer.code == 0 and after.number("account") == 384 << 20,
        f"{carol}.yaml says memory 384M instead of 256M: memory.max {size(before.number('account'))} ->"
        f" {size(after.number('account'))} in the kernel, {answer.seconds:.1f} s after",
        f"{384 << 20}, exit status 0",
    )
    yield answer.fact(
        "followed",
        after.number("web") == (384 << 20) * 8 // 10 // 4096 * 4096,
        f"web's 80% followed: {size(before.number('web'))} -> {size(after.number('web'))}",
        "80 % of 384M",
    )


def repair(target: Target) -> Iterator[Fact | str]:
    knob = f"users/{target.called('bob')}/pids.max"
    before = target.measure(f'tell value "$(<$TREE/{knob})"; echo max >$TREE/{knob}').text("value")
    planned = target.product("diff", "--exit-code")
    sentence = f"set pids.max of users/{target.called('bob')} to {before} (was max)"
    yield planned.fact(
        "seen",
        planned.code == 3 and sentence in planned.out,
        f"echo max >{knob}, by hand; diff (exit status {planned.code}): {sentence_about(planned.out, 'pids.max')}",
        sentence,
    )
    answer = target.reconcile()
    after = target.measure(f'tell value "$(<$TREE/{knob})"').text("value")
    yield answer.fact(
        "repaired",
        answer.code == 0 and after == before,
        f"reconcile: {sentence_about(answer.out, 'pids.max')}; the kernel has {after} again, {answer.seconds:.1f} s",
        f"{before} again",
    )


def typo(target: Target) -> Iterator[Fact | str]:
    alice, carol = target.called("alice"), target.called("carol")
    limit = f'tell alice "$(<$TREE/users/{alice}/memory.max)"\n' + MEMORY
    before = target.measure(limit)
    target.write({target.spec("alice"): TYPO.format(name=alice), target.spec("carol"): target.example("carol")})
    answer = target.reconcile()
    after = target.measure(limit)
    where = re.search(rf"\S*{alice}\.yaml:3:\d+: .*", answer.both)
    yield answer.fact(
        "complaint",
        answer.code == 4 and where is not None,
        f"exit status {answer.code}: {where[0] if where else answer.last_line()}",
        f"exit status 4, and a complaint about {alice}.yaml:3",
    )
    yield answer.fact(
        "kept",
        before.text("alice") == after.text("alice") != "max",
        f"{alice} keeps its {size(after.number('alice'))} meanwhile",
        before.text("alice"),
    )
    yield answer.fact(
        "others",
        after.number("account") == 256 << 20,
        f"{carol}'s change of the same minute was made: {size(before.number('account'))} ->"
        f" {size(after.number('account'))}",
        str(256 << 20),
    )
    target.write({target.spec("alice"): target.example("alice")})
    answer = target.reconcile()
    said = f"the typo mended: exit status {answer.code}, {answer.last_line()}"
    yield answer.fact("mended", answer.code == 0, said, "exit status 0")


def two_runs(target: Target) -> Iterator[Fact | str]:
    values = target.measure(TWO_RUNS)
    yield values.fact(
        "busy",
        values.number("second") == 75,
        f"a second run meets one at work: exit status {values.number('second')}, {values.text('words')}",
        "exit status 75",
    )
    first = values.number("first")
    yield values.fact("first run", first == 0, f"the first ended well: exit status {first}", "exit status 0")


def changed(text: str, old: str, new: str) -> str:
    if old not in text:
        raise DemonstrationError(f"the example says nothing of {old!r} any more", output=text)
    return text.replace(old, new)


def sentence_about(words: str, knob: str) -> str:
    """The line of `diff` or `reconcile` about this knob."""
    return next((" ".join(line.split()) for line in words.splitlines() if knob in line), "says nothing of it")
