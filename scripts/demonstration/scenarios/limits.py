"""Customers run into their limits, and nobody else notices."""

import re
from collections.abc import Iterator

from demonstration.facts import Fact, Readings, share, size
from demonstration.target import Target

SAMPLE = 5
"""Seconds after which a run of reconcile takes another sample: half of `metering.every`."""

HOG = """
leaf=$TREE/users/$carol/web
tell limit "$(<"$leaf/memory.max")"
tell before "$(field "$leaf/memory.events" oom_group_kill)"
tell neighbour_before "$(field "$TREE/users/$bob/memory.events" oom_kill)"
start_inside "$carol/login" "$carol" sleep 300 &
session=$!
# Large pages: a fault for each small one is a long way where the processor is emulated.
start_inside "$carol/web" "$carol" python3 -ISc '
import mmap
held = []
while True:
    more = mmap.mmap(-1, 8 << 20)
    more.madvise(mmap.MADV_HUGEPAGE)
    more[::4096] = b"x" * (len(more) // 4096)
    held.append(more)
' 2>/dev/null &
hog=$!
asked=0 answered=0
begin=$SECONDS
while ((asked < 40)) || kill -0 $hog 2>/dev/null; do
    ((SECONDS - begin < 100)) || break
    asked=$((asked + 1))
    ! http "$bob_port" || answered=$((answered + 1))
    sleep 0.05
done
kill -0 $hog 2>/dev/null && kill -KILL $hog
wait $hog 2>/dev/null
tell status $?
tell asked $asked
tell answered $answered
tell after "$(field "$leaf/memory.events" oom_group_kill)"
tell neighbour_after "$(field "$TREE/users/$bob/memory.events" oom_kill)"
tell peak "$(<"$leaf/memory.peak")"
tell login_kills "$(field "$TREE/users/$carol/login/memory.events" oom_kill)"
kill -0 $session 2>/dev/null
tell session $?
kill -KILL $session
wait $session 2>/dev/null
true
"""

LOOP = """
start_inside "$carol/web" "$carol" python3 -ISc 'while True: pass' &
carols=$!
start_inside "$bob/other" "$bob" python3 -ISc 'while True: pass' &
bobs=$!
sleep 1
used() { field "$TREE/users/$1/cpu.stat" usage_usec; }
throttled() { field "$TREE/users/$1/cpu.stat" nr_throttled; }
begin=$(microseconds) carol_used=$(used "$carol") bob_used=$(used "$bob") carol_throttled=$(throttled "$carol")
sleep 6
tell passed $(($(microseconds) - begin))
tell carol $(($(used "$carol") - carol_used))
tell bob $(($(used "$bob") - bob_used))
tell throttled $(($(throttled "$carol") - carol_throttled))
tell cores "$(nproc)"
kill -KILL $carols $bobs
wait $carols $bobs 2>/dev/null
true
"""

BOMB = """
leaf=$TREE/users/$carol/web
tell limit "$(<"$leaf/pids.max")"
tell account "$(<"$TREE/users/$carol/pids.max")"
tell before "$(field "$leaf/pids.events" max)"
start_inside "$carol/web" "$carol" python3 -ISc '
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.5)
' >/dev/null 2>&1 &
full() { (($(<"$leaf/pids.current") >= $(<"$leaf/pids.max"))); }
eventually 20 full
sleep 1
tell reached "$(<"$leaf/pids.current")"
tell after "$(field "$leaf/pids.events" max)"
begin=$(microseconds)
tell forks "$(inside "$carol/login" "$carol" bash -c '
    n=0; for i in {1..5}; do /bin/true && n=$((n + 1)); done; echo $n
')"
tell forks_took $(($(microseconds) - begin))
http "$bob_port"
tell neighbour $?
"""

EMPTY = """
eventually 10 grep -q 'populated 0' "$TREE/users/$carol/web/cgroup.events"
tell left "$(wc -l <"$TREE/users/$carol/web/cgroup.procs")"
"""


def memory(target: Target) -> Iterator[Fact | str]:
    carol, bob = target.called("carol"), target.called("bob")
    values = target.measure(HOG, patience=150)
    limit, killed = values.number("limit"), values.number("after") - values.number("before")
    yield values.fact(
        "memory hog",
        killed >= 1 and values.number("status") == 137,
        f"{carol}'s hog was killed at {size(values.number('peak'))} of {size(limit)} in users/{carol}/web"
        f" (oom_group_kill {killed}: the leaf as a whole)",
        "oom_group_kill 1, killed by signal 9 (status 137)",
    )
    asked, answered = values.number("asked"), values.number("answered")
    victims = values.number("neighbour_after") - values.number("neighbour_before")
    yield values.fact(
        "memory neighbour",
        asked == answered and victims == 0,
        f"{bob}'s server answered {answered} of {asked} requests meanwhile (oom_kill {victims})",
        "every request answered, oom_kill 0",
    )
    kills = values.number("login_kills")
    yield values.fact(
        "memory login",
        values.number("session") == 0 and kills == 0,
        f"a process of {carol}'s in users/{carol}/login went on (oom_kill {kills})",
        "it lives",
    )
    yield from _explained(target, carol)
    yield from _top(target, (carol, bob))


def _explained(target: Target, carol: str) -> Iterator[Fact | str]:
    """Without the daemon a run of reconcile takes the sample in which the kill is found."""
    target.measure(f"sleep {SAMPLE}")
    target.reconcile()
    answer = target.product("explain", carol)
    found = re.search(r"killed .* in web: web needed more memory than its \S+", answer.out)
    yield answer.fact(
        "explain",
        answer.code == 0 and found is not None,
        f"paas-isolate explain {carol}:",
        "a process in web was killed at its limit",
    )
    yield from answer.out.rstrip().splitlines()


def _top(target: Target, accounts: tuple[str, ...]) -> Iterator[Fact | str]:
    answer = target.product("top", "--once", "--every", "1", "--sort", "memory", "--limit", "5")
    seen = sum(f"{name} " in answer.out for name in accounts)
    said = f"top shows {seen} of the {len(accounts)} accounts beside their limits:"
    yield answer.fact("top", answer.code == 0 and seen == len(accounts), said, "exit status 0, both accounts")
    yield from answer.out.splitlines()


def cpu(target: Target) -> Iterator[Fact | str]:
    carol, bob = target.called("carol"), target.called("bob")
    values = target.measure(LOOP)
    passed = values.number("passed")
    held, free = (share(values.number(name), passed) for name in ("carol", "bob"))
    seconds = passed / 1e6
    throttled = values.number("throttled")
    yield values.fact(
        "busy loop",
        held <= 27 and throttled > 0,
        f"{carol}'s endless loop was held to {held:.1f} % of a core over {seconds:.1f} s (its share is 25 %), throttled"
        f" {throttled} times",
        "at most 25 % + 2, throttled",
    )
    least = 50 if values.number("cores") == 1 else 60
    yield values.fact(
        "loop neighbour",
        free >= least,
        f"{bob}'s loop beside it got {free:.1f} % of a core (allowed: 200 %; a single thread)",
        f"at least {least} %",
    )


def processes(target: Target) -> Iterator[Fact | str]:
    carol = target.called("carol")
    values = target.measure(BOMB)
    limit, refused = values.number("limit"), values.number("after") - values.number("before")
    yield values.fact(
        "fork bomb",
        values.number("reached") == limit and refused > 0,
        f"{carol}'s fork bomb stopped at {values.number('reached')} of {limit} processes in users/{carol}/web,"
        f" {refused} forks refused; the account may have {values.number('account')}",
        f"{limit} processes, forks refused",
    )
    yield _login_leaf(carol, values)
    yield from _login(target, carol)
    answer = target.product("kill", f"{carol}/web", "--grace", "2")
    left = target.measure(EMPTY).number("left")
    said = f"kill {carol}/web: {answer.last_line()} in {answer.seconds:.1f} s, {left} left"
    yield answer.fact("bomb ended", answer.code == 0 and left == 0, said, "exit status 0, 0 left")


def _login_leaf(carol: str, values: Readings) -> Fact:
    took = values.number("forks_took") / 1e6
    return values.fact(
        "login leaf",
        values.number("forks") == 5 and values.number("neighbour") == 0,
        f"meanwhile a shell in users/{carol}/login started {values.number('forks')} of 5 programs in {took:.1f} s,"
        " and the neighbour's server answers",
        "5 programs, the neighbour answers",
    )


def _login(target: Target, carol: str) -> Iterator[Fact]:
    answer = target.log_in(carol, 'echo "user=$(id -un)"; echo "place=$(cut -d: -f3- /proc/self/cgroup)"')
    if answer is None:
        return
    values = Readings.of(answer.out).values
    said = f"{carol} logged in by ssh meanwhile, in {answer.seconds:.1f} s (into {values.get('place', 'nowhere')})"
    yield answer.fact("ssh", values.get("user") == carol, said, "a login")
