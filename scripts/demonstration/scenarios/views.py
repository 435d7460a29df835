"""Two customers who see only what is theirs."""

from collections.abc import Iterator

from demonstration.facts import Fact, Readings
from demonstration.target import Target

PRIVATE = "private: {processes: true, tmp: true, shm: true}\n"

# What each sees is asked in a login of theirs.
SEEN = """
asked() { su - "$alice" -c "
    echo own=\\$(ps -eo user= | grep -cx $alice)
    echo others=\\$(ps -eo user= | grep -cvx $alice)
    echo hers=\\$(cat /tmp/wages 2>&1)
    echo tree=\\$(ls $TREE/users)"; }
door() { [[ -L ${LOCK%/*}/doors/$(id -u "$1"):view ]]; }
have_views() { door "$alice" && door "$bob"; }
tell before "$(su - "$alice" -c 'ps -eo user=' | grep -cvx "$alice")"
save
eventually 60 have_views
tell views $?
su - "$bob" -c 'echo 4711 >/tmp/wages'
tell his "$(su - "$bob" -c 'cat /tmp/wages')"
asked
[[ -e /tmp/wages ]]
tell machine $?
tell mounts "$(grep -c paas-isolate /proc/self/mountinfo)"
"""


def view(target: Target) -> Iterator[Fact | str]:
    values = target.measure(target.saves({name: target.example(name) + PRIVATE for name in ("alice", "bob")}) + SEEN)
    alice, bob = target.called("alice"), target.called("bob")
    yield _processes(alice, values)
    yield values.fact(
        "tmp",
        values.text("his") == "4711" and "No such file" in values.text("hers") and values.number("machine") == 1,
        f"{bob} keeps something in /tmp, and finds it when he logs in again; {alice} does not, nor is it in the"
        " machine's own",
        f"4711 for {bob} alone",
    )
    yield values.fact(
        "the rest",
        values.text("tree") == alice and values.number("mounts") == 2,
        f"of the tree {alice} sees users/{values.text('tree')}; everything else is the machine's, whose mount table has"
        f" {values.text('mounts')} lines more",
        f"users/{alice} alone, 2 lines",
    )


def _processes(alice: str, values: Readings) -> Fact:
    before, others, own = (values.number(name) for name in ("before", "others", "own"))
    return values.fact(
        "processes",
        values.number("views") == 0 and before > others == 0 < own,
        f"{alice}'s ps showed {before} processes of others before; with `private:` in the file it shows {others}, and"
        f" {own} of hers",
        "none of others, and her own",
    )
