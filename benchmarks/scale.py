"""The curve: what an account costs with few accounts, and with many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import table
from benchmarks.ground import Place, bench, least, spent
from benchmarks.measure import recorded

SIZES = (100, 1_000, 10_000)
LARGE = 20_000
ROUNDS = 7
EVERY = 100
CHANGED = 5
"""The account whose file is edited."""


@dataclass(frozen=True)
class Point:
    """One size. Seconds by the clock, the interpreter's start left out except in `cold`; peak memory in kB."""

    accounts: int
    cold: float
    idle: float
    edit: float
    reading: float
    """The C loop that reads the same tree."""
    memory: int
    """Of the run that finds the edit."""
    memory_cold: int
    spoilt: float
    """With a mistake in every hundredth file, and nothing else to do."""
    others_changed: int
    """Knobs that differ after that; none should."""

    @property
    def ratio(self) -> float:
        return self.edit / self.reading


def curve(where: Place, sizes: Sequence[int], say: Callable[[str], None]) -> list[Point]:
    """Needs root, cgroup2, the product, gcc, strace."""
    _, idle_list = recorded(where)
    return [_point(where, size, idle_list, say) for size in sizes]


def _point(where: Place, accounts: int, idle_list: list[str], say: Callable[[str], None]) -> Point:
    with bench(where, accounts) as made:
        run = made.command("reconcile", "--cron")
        spent(run)  # compiles the specifications
        made.clear()
        start = least([spent([str(where.product / "python3"), "-I", "-c", "pass"]) for _ in range(ROUNDS)]).wall
        cold = spent(run)
        operations = made.multiplied(idle_list)
        idle, edit, reading = [], [], []
        for turn in range(ROUNDS):
            idle.append(spent(run))
            reading.append(made.descend(operations)[0])
            made.fleet.write_account(CHANGED, more=turn % 2 == 0)
            edit.append(spent(run))
        before = made.tree()
        for number in range(0, accounts, EVERY):
            made.fleet.spoil(number)
        spoilt = least([spent(run, code=4) for _ in range(ROUNDS + 1)])
        after = made.tree()
    edited = least(edit)
    point = Point(
        accounts=accounts,
        cold=cold.wall,
        idle=least(idle).wall - start,
        edit=edited.wall - start,
        reading=least(reading).wall,
        memory=edited.memory,
        memory_cold=cold.memory,
        spoilt=spoilt.wall - start,
        others_changed=sum(after.get(path) != text for path, text in before.items()) + len(after) - len(before),
    )
    say(f"{accounts} accounts: {point}")
    return point


def slope(points: Sequence[Point]) -> float:
    """kB of peak memory that one more account costs, between the two largest sizes."""
    less, more = points[-2:]
    return (more.memory - less.memory) / (more.accounts - less.accounts)


def markdown(points: Sequence[Point]) -> str:
    head = (
        "accounts:",
        "from nothing, ms each:",
        "nothing to do, ms each:",
        "one edited, s:",
        "C loop that reads it, s:",
    )
    lines = []
    for point in points:
        cold, idle = (seconds / point.accounts * 1000 for seconds in (point.cold, point.idle))
        times = (cold, idle, point.edit, point.reading)
        wrong = f"{point.others_changed} changed" if point.others_changed else "same tree"
        last = (f"{point.ratio:.2f}", f"{point.memory / 1024:.1f}", f"{point.spoilt / point.idle:.2f} times, {wrong}")
        lines.append((f"{point.accounts:,}", *(f"{figure:.3g}" for figure in times), *last))
    less, more = points[-2:]
    grown = f"{slope(points):.1f} kB an account between {less.accounts:,} and {more.accounts:,}"
    grid = table.grid((*head, "ratio:", "peak memory, MB:", "every 100th file wrong:"), lines)
    return f"{grid}\n\nPeak memory grows by {grown}."
