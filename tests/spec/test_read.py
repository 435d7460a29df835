"""Hostile and mistaken YAML: refused in words, with a place, quickly."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paas_isolate.errors import SpecError
from paas_isolate.spec.parse import parse_account, parse_host, parse_plan
from paas_isolate.spec.read import Pairs, Scalar, locate, read, read_again

REFUSED = {
    "alias": (b"a: 1\nb: *a\n", "2:4: *a is an alias; write the value out"),
    "anchor": (b"a: &x 1\n", "1:4: &x is an anchor; leave it out"),
    "anchor of a list": (b"a: &x [1]\n", "1:4: &x is an anchor; leave it out"),
    "merge key": (b"a:\n  <<: {b: 1}\n", "2:3: << is a merge key; write the keys out"),
    "tag": (b"a: !!python/object:os.system x\n", "1:4: 'tag:yaml.org,2002:python/object:os.syst…' is a tag"),
    "empty tag": (b"a: ! x\n", "1:4: '!' is a tag; leave it out"),
    "twice": (b"a: 1\nb: 2\na: 3\n", "3:1: 'a' is here a second time (first in line 1); keep one"),
    "twice, quoted": (b"{a: 1, 'a': 2}", "1:8: 'a' is here a second time"),
    "list as key": (b"? [a]\n: 1\n", "1:3: a list or mapping stands where a key is expected"),
    "documents": (b"a: 1\n---\nb: 2\n", "2:1: a second document begins here; expected one a file"),
    "byte order mark": (b"\xef\xbb\xbfa: 1\n", "1:1: begins with a byte order mark"),
    "UTF-16": ("a: 1".encode("utf-16"), "1:1: has byte 0xff, which is not UTF-8"),
    "latin-1": (b"a: 1\nb: caf\xe9\n", "2:7: has byte 0xe9, which is not UTF-8"),
    "NUL": (b"a: 1\nb: x\x00\n", "2:5: has the character U+0000, which cannot be seen"),
    "escape": (b"a: \x1b[31m", "1:4: has the character U+001B"),
    "bidi": ("a: \u202etxt".encode(), "1:4: has the character U+202E"),
    "zero width": ("a: b\u200bc".encode(), "1:5: has the character U+200B"),
    "bidi, written as an escape": (rb'a: "\u202e"', "1:4: has the character U+202E"),
    "NUL, written as an escape": (rb'a: "x\0"', "1:4: has the character U+0000"),
    "lone carriage return": (b"a: 1\rb: 2", "1:5: has the character U+000D"),
    "too long": (b"#" * (256 * 1024 + 1), "has 262145 bytes; expected at most 256K"),
    "lists": (b"[" * 100_000, "1:17: nested deeper than 16 levels; expected a flatter file"),
    "dashes": (b"- " * 100_000, "nested deeper than 16 levels"),
    "mappings": (b"{a: " * 60_000, "nested deeper than 16 levels"),
    "keys": (b"? " * 100_000, "1:3: a list or mapping stands where a key is expected"),
    "values": (b"[" + b"a," * 120_000, "more than 10000 values; expected a smaller file"),
    "unclosed": (b"a: [1, 2", "expected YAML"),
    "tab": (b"a:\n\tb: 1", "2:1: "),
    "directive": (b"# x\n%YAML 1.1\n---\na: 1\n", "2:1: a directive begins here; leave it out"),
    "laughs": (b"a: &a [x]\nb: &b [*a, *a]\n", "1:4: &a is an anchor"),
}


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
