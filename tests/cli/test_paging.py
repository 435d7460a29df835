"""Long lists in pages."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.cli.paging import Asked, page_of

NAMES = st.text("abc-_09", min_size=1, max_size=4)


@given(st.sets(st.tuples(NAMES, NAMES, st.one_of(st.just(""), NAMES))), st.integers(1, 5))
def test_pages_follow_each_other_without_a_gap(rows: set[tuple[str, str, str]], limit: int) -> None:
    every = sorted(rows)
    found: list[tuple[str, str, str]] = []
    after: str | None = ""
    while after is not None:
        page, after = page_of(every, lambda row: row, Asked(limit, after))
        assert len(page) <= limit
        found += page
    assert found == every


def test_without_a_limit_there_is_one_page() -> None:
    assert page_of(["a", "b"], lambda row: (row,), Asked()) == (["a", "b"], None)


def test_a_row_that_is_gone_is_no_gap() -> None:
    assert page_of(["a", "c", "d"], lambda row: (row,), Asked(1, "b")) == (["c"], "c")
    assert page_of(["a"], lambda row: (row,), Asked(1, "z")) == ([], None)


def test_what_is_no_place_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--after is a/b; expected `next` of the page before"):
        page_of(["a"], lambda row: (row,), Asked(1, "a/b"))
