"""Hostile and mistaken YAML is refused in words, with line and column, quickly."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paas_isolate.errors import SpecError
from paas_isolate.spec.parse import parse_account, parse_host, parse_plan
from paas_isolate.spec.read import Pairs, Scalar, locate, read, read_again
from tests.support.refused_files import REFUSED


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    data, complaint = REFUSED[case]
    began = time.process_time()
    with pytest.raises(SpecError) as refused:
        read(data, "x.yaml")
    assert time.process_time() - began < 1
    assert str(refused.value).startswith("x.yaml:")
    assert complaint in str(refused.value)


def test_a_file_may_be_empty_or_end_its_lines_like_windows() -> None:
    assert read(b"", "x") is None
    assert read(b"# nothing\n", "x") is None
    assert read(b'a: "first\n%second"\n', "x") is not None
    root = read(b"a: 1\r\nb: no\r\n", "x")
    assert isinstance(root, Pairs)
    assert root.pairs["b"][1] == Scalar(2, 4, "no", plain=True)


def test_the_python_parser_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML built without libyaml."""
    import yaml

    monkeypatch.delattr(yaml, "CSafeLoader")
    for case in ("alias", "anchor", "tag", "twice", "documents", "lists", "mappings", "merge key"):
        data, complaint = REFUSED[case]
        with pytest.raises(SpecError) as refused:
            read(data, "x.yaml")
        assert complaint in str(refused.value)
    assert read(b"a: [1, {b: 'c'}]", "x") is not None


LOCATED = b"limits:\n  memory: 4G\nusers: [a,\n  b]\nservices: {web: {limits: {cpu: {max: 5%}}}}\n"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("limits.memory.max", (2, 11)),
        ("users[1]", (4, 3)),
        ("users[7]", (3, 8)),
        ("services.web.limits.cpu.max", (5, 38)),
        ("plan", (0, 0)),
    ],
)
def test_a_place_is_found_as_deep_as_it_exists(key: str, place: tuple[int, int]) -> None:
    assert locate(read_again(LOCATED), key) == place


def test_a_place_in_a_file_that_is_no_yaml_any_more() -> None:
    assert locate(read_again(b"{"), "limits") == (0, 0)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(
            st.sampled_from(
                [
                    "account",
                    "limits",
                    "memory",
                    "services",
                    "users",
                    "login",
                    "match",
                    "tree",
                    "io",
                    ": ",
                    "\n",
                    "  ",
                    "[",
                    "]",
                    "{",
                    "}",
                    ",",
                    "a",
                    "512M",
                    "010",
                    "x-",
                    "-",
                    "'",
                    '"',
                    "\\",
                    "%",
                    "~",
                    "|",
                ]
            ),
            max_size=30,
        ).map(lambda words: "".join(words).encode()),
    )
)
@example(b"users: [[a]]")
@example(b"account: [x]\nservices: {a: b, c: [d], e: {match: f}}")
@example(b"limits: {cpu: {max: {a: b}}, io: [1]}")
@example(b"tree: []\nusers: a\nceiling: [b]\npenalty: c")
@example("limits: {cpu: ١٢٣, pids: ²}".encode())
def test_whatever_the_bytes_only_a_complaint_comes_out(data: bytes) -> None:
    for parse, file in (
        (parse_account, "accounts.d/a.yaml"),
        (parse_plan, "plans.d/a.yaml"),
        (parse_host, "config.yaml"),
    ):
        try:
            parse(data, file)
        except SpecError as refused:
            assert refused.complaints
            assert all(line.isprintable() for line in str(refused).split("\n"))
