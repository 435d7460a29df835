"""Lists of cores in the kernel's notation: treated as sets without being expanded."""

from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.units import cores_without, parse_cpu_set

RUNS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1, max_size=8)


def written(runs: list[tuple[int, int]]) -> str:
    return ",".join(f"{first}-{first + more}" if more else str(first) for first, more in runs)


def expanded(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


@given(RUNS)
def test_a_list_is_told_as_the_set_that_it_is(runs: list[tuple[int, int]]) -> None:
    told = parse_cpu_set(written(runs))
    assert expanded(told) == expanded(written(runs))
    assert parse_cpu_set(told) == told
    assert told.count(",") < len(runs)


@given(RUNS, RUNS)
def test_what_is_left_of_a_list(runs: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    left = cores_without(written(runs), written(others))
    assert expanded(left) == expanded(written(runs)) - expanded(written(others))
