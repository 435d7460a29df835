"""Any bytes in a request get an answer or a problem, and nothing of them gets into a header.

A path with a line break is no path of starlette's: the application itself answers it, with 404.
"""

import asyncio
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paas_isolate.control.table import VERBS
from paas_isolate.web.problem import MEDIA_TYPE, PROBLEMS
from tests.support.web.api_client import FILLED, app_of, path_of
from tests.support.web.control_link import FakeDaemon
from tests.support.web.raw_request import RawAnswer, ask_raw

ODD = st.sampled_from(
    [
        b"..",
        b"%2e%2e",
        b"%2F",
        b"%00",
        b"%0d%0aSet-Cookie:%20a=b",
        b"%",
        b"%zz",
        b"%ff",
        b"%c0%ae",
        b"%EF%BC%8F",
        b"\xff\xfe",
        b"<script>",
        b"alice%20",
        b"alice%0a",
        b"alice;x",
        b"--help",
        b"a" * 33,
        b"a" * 9000,
    ]
)
PIECE = st.one_of(
    ODD, st.binary(max_size=12), st.sampled_from([b"v1", b"accounts", b"alice", b"file", b"services", b"web"])
)
PATHS = st.lists(PIECE, max_size=7).map(
    lambda pieces: b"/v1/" + b"/".join(pieces).replace(b"\n", b"").replace(b"%0a", b"")
)
NAMES = st.sampled_from([b"period", b"from", b"lines", b"dry-run", b"after", b"account", b"if-match", b"verb", b""])
QUERIES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.tuples(st.one_of(NAMES, PIECE), PIECE), max_size=40).map(
        lambda pairs: b"&".join(name + b"=" + value for name, value in pairs)
    ),
)
HEADER = st.sampled_from(
    [
        b"if-match",
        b"if-none-match",
        b"last-event-id",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"cookie",
    ]
)
HEADERS = st.lists(st.tuples(HEADER, st.one_of(PIECE, st.binary(max_size=300))), max_size=8)
CHUNKS = st.lists(st.one_of(st.binary(max_size=64), st.just(b"[" * 100_000), st.just(b"&a *a\n" * 30_000)), max_size=4)
KNOWN = [path_of(verb).encode() for verb in VERBS if verb.name != "events"]
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "\x00"])
STATUSES = {200, 202, 204, 304, *(problem.status for problem in PROBLEMS)} - {401, 500}


def is_well(answer: RawAnswer, daemon: FakeDaemon) -> None:
    assert answer.status in STATUSES, answer
    assert not daemon.bugs
    for name, value in answer.headers:
        assert re.fullmatch(rb"[a-z-]+", name)
        assert re.fullmatch(rb"[\x20-\x7e]*", value)
        assert b"Set-Cookie" not in value
    kind = dict(answer.headers).get(b"content-type", b"").decode()
    if answer.body:
        assert kind in ("application/json", MEDIA_TYPE)
        json.loads(answer.body)


@pytest.mark.long
@given(METHODS, PATHS, QUERIES, HEADERS, CHUNKS)
@settings(max_examples=150, deadline=None)
def test_any_path(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], chunks: list[bytes]
) -> None:
    daemon = FakeDaemon()
    login = (b"authorization", b"Bearer root")
    is_well(asyncio.run(ask_raw(app_of(daemon), method, path, query, [login, *headers], chunks)), daemon)


@pytest.mark.long
@given(METHODS, st.sampled_from(KNOWN), QUERIES, HEADERS, CHUNKS, st.sampled_from([b"root", b"alice", b"nobody"]))
@settings(max_examples=300, deadline=None)
def test_any_request_to_a_path_that_there_is(
    method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], chunks: list[bytes], login: bytes
) -> None:
    daemon = FakeDaemon()
    path, _, needed = path.partition(b"?")
    query = b"&".join(filter(None, [needed, query]))
    all_headers = [(b"authorization", b"Bearer " + login), *headers]
    is_well(asyncio.run(ask_raw(app_of(daemon), method, path, query, all_headers, chunks)), daemon)
    for asked in daemon.asked:
        assert asked.about in ("", *FILLED.values())
        assert len(asked.body) <= asked.verb.body_cap


@pytest.mark.long
@given(st.one_of(st.binary(max_size=100), st.just(b"Bearer root\r\nx: y"), st.just(b"bearer  root")))
@settings(max_examples=100, deadline=None)
def test_any_login(words: bytes) -> None:
    answer = asyncio.run(ask_raw(app_of(FakeDaemon()), "GET", b"/v1/who", headers=[(b"authorization", words)]))
    assert answer.status == (401 if words.removeprefix(b"Bearer ") not in (b"root",) else 200)
