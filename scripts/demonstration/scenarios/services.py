"""A program that paas-isolate runs for a customer: started, killed, and as a job."""

from collections.abc import Iterator

from demonstration.facts import Fact
from demonstration.scenarios.views import PRIVATE
from demonstration.target import Target

PORT, NEXT_PORT = 8201, 8202
SERVICES = f"""\
services:
  queue:
    run: exec redis-server --port $PORT --bind 127.0.0.1 --save ''
    listen: {PORT}
    replicas: 2
  nightly:
    run: echo nothing to write to; exit 3
    schedule: "30 3 * * *"
"""

WORDS = f"""
port={PORT} next_port={NEXT_PORT}
main() {{ pgrep --uid "$alice" --full "redis-server.*:$port"; }}
both_answer() {{ answers $port && answers $next_port; }}
answers_again() {{ [[ $(main) != "$1" ]] && answers $port; }}
"""

STARTED = """
begin=$(microseconds)
save
eventually 60 both_answer
tell answer $?
tell took $(($(microseconds) - begin))
pid=$(main)
tell user "$(stat -c %U "/proc/$pid")"
tell place "$(cut -d: -f3 "/proc/$pid/cgroup")"
"""

KILLED = """
pid=$(main)
begin=$(microseconds)
kill -KILL "$pid"
answers $next_port
tell other $?
eventually 60 answers_again "$pid"
tell answers $?
tell took $(($(microseconds) - begin))
tell before "$pid"
tell after "$(main)"
"""

A_JOB = """
"${PAAS[@]}" start "$alice/nightly"
log=$(getent passwd "$alice" | cut -d: -f6)/logs/nightly.log
has_ended() { grep -q 'ended with exit status' "$log"; }
eventually 20 has_ended
tell said "$(head -n 1 "$log")"
tell end "$(tail -n 1 "$log")"
tell owner "$(stat -c %U "$log")"
"""


def service(target: Target) -> Iterator[Fact | str]:
    alice = target.called("alice")
    yield _started(target, alice)
    values = target.measure(WORDS + KILLED)
    yield values.fact(
        "killed",
        values.number("answers") == values.number("other") == 0 and values.text("before") != values.text("after"),
        f"kill -9 {values.text('before')}: after {values.number('took') / 1e6:.1f} s it is pid {values.text('after')},"
        " and answers; the other did so meanwhile",
        "another one answers within 60 s, and the other at once",
    )
    yield _job(target, alice)


def _started(target: Target, alice: str) -> Fact:
    text = target.example("alice") + PRIVATE + SERVICES
    values = target.measure(target.saves({"alice": text}) + WORDS + STARTED)
    place = values.text("place").rpartition("/users/")[2]
    return values.fact(
        "started",
        values.number("answer") == 0 and values.text("user") == alice and place == f"{alice}/queue",
        f"{alice}.yaml says `run: exec redis-server …` and `replicas: 2`: saved, and {values.number('took') / 1e6:.1f}"
        f" s later they answer on ports {PORT} and {NEXT_PORT}, as {values.text('user')}, in {place} and {place}.2",
        f"two answers, by processes of {alice} in leaves of their own",
    )


def _job(target: Target, alice: str) -> Fact:
    values = target.measure(A_JOB)
    said, end, owner = (values.text(name) for name in ("said", "end", "owner"))
    return values.fact(
        "a job",
        said == "nothing to write to" and end.endswith("ended with exit status 3") and owner == alice,
        f"nightly (`schedule: 30 3 * * *`), tried now by paas-isolate start: {owner}'s nightly.log says `{said}`, then"
        f" `{end}`",
        "what it says and its exit status 3, in a log of hers",
    )
