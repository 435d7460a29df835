"""One account's trouble costs that account alone: wherever an error of our own is raised, the others are processed."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.errors import HostError, PaasError, trouble, without_broken


def raising(*broken: int) -> Callable[[Sequence[int]], list[int]]:
    def work(items: Sequence[int]) -> list[int]:
        for item in items:
            if item in broken:
                raise KeyError(item)
        return list(items)

    return work


@given(st.sets(st.integers(0, 60)), st.integers(0, 61))
def test_whoever_raises_is_left_out_and_named_and_nobody_else(broken: set[int], number: int) -> None:
    done, found = without_broken(raising(*broken), range(number))
    assert done == [item for item in range(number) if item not in broken]
    assert found.keys() == {item for item in broken if item < number}


@given(st.sets(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6))
def test_two_that_cannot_be_together_cost_one_of_them(pairs: set[tuple[int, int]]) -> None:
    def work(items: Sequence[int]) -> list[int]:
        if any(one in items and other in items for one, other in pairs):
            raise ValueError("together")
        return list(items)

    done, found = without_broken(work, range(21))
    assert {*done}.isdisjoint(found)
    assert {*done} | {*found} == {*range(21)}
    assert len(found) <= len(pairs)


def test_nothing_is_done_twice_while_nothing_is_raised() -> None:
    seen: list[Sequence[int]] = []

    def work(items: Sequence[int]) -> int:
        seen.append(items)
        return len(items)

    assert without_broken(work, range(20_000)) == (20_000, {})
    assert seen == [range(20_000)]


def test_one_of_many_is_found_in_few_tries() -> None:
    tries = 0

    def work(items: Sequence[int]) -> None:
        nonlocal tries
        tries += len(items)
        raising(7_777)(items)

    assert without_broken(work, range(20_000))[1].keys() == {7_777}
    assert tries <= 5 * 20_000


@pytest.mark.parametrize("error", [HostError("no tree"), PaasError("no")])
def test_what_a_person_can_mend_is_no_accounts(error: PaasError) -> None:
    def work(items: Sequence[int]) -> None:
        raise error

    with pytest.raises(PaasError):
        without_broken(work, range(3))


def test_what_is_raised_without_anybody_is_raised() -> None:
    def work(items: Sequence[int]) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        without_broken(work, range(3))


def test_what_an_exception_says_of_a_customer_is_escaped() -> None:
    try:
        raise ValueError("\x1b[2J\nNov 28 root: all is well \udcff")
    except ValueError as error:
        found = trouble(error)
    assert "\x1b" not in found.text + found.what
    assert "\n" not in found.what
    assert found.text.encode()


def test_the_place_is_the_same_whatever_the_message() -> None:
    def found(message: str) -> str:
        try:
            raise ValueError(message)
        except ValueError as error:
            return trouble(error).place

    assert found("1") == found("2")


def test_the_machines_word_has_no_traceback() -> None:
    assert trouble(OSError(28, "No space left on device")).text == ""


def test_who_it_is_is_asked_of_parts_alone_where_those_cost_less() -> None:
    whole = 0

    def work(items: Sequence[int]) -> list[int]:
        nonlocal whole
        whole += 1
        return raising(3, 77)(items)

    assert without_broken(work, range(100), raising(3, 77))[1].keys() == {3, 77}
    assert whole == 3  # at first, with nobody, and without the two


def test_what_parts_do_not_raise_is_found_by_the_whole() -> None:
    assert without_broken(raising(5), range(9), raising())[1].keys() == {5}
