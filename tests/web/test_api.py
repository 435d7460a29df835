"""The interface, with the daemon's own Control behind it."""

import json
import time
from typing import Any

import pytest

from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import Reply, refusal
from paas_isolate.control.table import VERBS, Verb
from paas_isolate.daemon.control import Request
from tests.support.web.api_client import ApiClient, path_of
from tests.support.web.control_link import TAG, FakeDaemon

FILE = "/v1/accounts/alice/file"
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture
def client(daemon: FakeDaemon) -> ApiClient:
    return ApiClient(daemon)


def refuse(words: str, status: int) -> Any:
    def answer(_: Request) -> Reply:
        raise RefusedError(words, status)

    return answer


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.name != "events"], ids=lambda verb: verb.name)
def test_each_row_of_the_table_is_asked_by_its_method_and_path(client: ApiClient, verb: Verb) -> None:
    answer = client.ask(verb)
    assert answer.status_code == (202 if verb.later else 200), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    if verb.method == "GET":
        head = client.head(path_of(verb))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == answer.headers


def test_the_path_and_the_query_become_options(client: ApiClient, daemon: FakeDaemon) -> None:
    told = client.get("/v1/accounts/alice/services/web/logs?lines=20&number=2").json()
    assert (told["verb"], told["about"]) == ("logs", "alice")
    assert told["options"] == {"service": "web", "lines": "20", "number": "2"}
    assert client.get("/v1/accounts/alice/explain?at=2026-11-28%2014:05").json()["options"] == {
        "at": "2026-11-28 14:05"
    }


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/accounts/alice/usage?perod=day", 400, "usage has no option 'perod'; there are: from, to, period, by"),
        ("/v1/accounts/alice/usage?period=never", 400, "period is 'never'; expected day, week, month,"),
        ("/v1/accounts/alice/usage?period=day&period=day", 400, "a parameter is given twice"),
        ("/v1/accounts/alice/usage?period=%ff", 400, "the query is no list of name=value"),
        ("/v1/accounts/alice/usage?" + "&".join(f"a{i}=" for i in range(99)), 400, "the query is no list"),
        ("/v1/accounts/alice/services/web/logs?service=ssh", 400, "service is no parameter of the query"),
        ("/v1/accounts/alice/services/-rf/logs", 404, "no service can be called so"),
        ("/v1/accounts/%3Cscript%3E", 404, "no account can be called so"),
        ("/v1/accounts/nobody", 404, "no account is called 'nobody'"),
        ("/v1/accounts/..%2F..%2Fetc", 404, "the interface has no such path"),
        ("/v1/tokens", 405, ""),
        ("/v1/none", 404, "the interface has no such path"),
        ("/v1/", 404, "the interface has no such path"),
    ],
)
def test_what_is_wrong_is_refused_as_a_problem(client: ApiClient, path: str, status: int, words: str) -> None:
    answer = client.request("PUT" if path == "/v1/tokens" else "GET", path)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert problem["status"] == status
    assert problem["type"].startswith("/v1/docs#")
    assert problem["title"]
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("verb", "exit_status", "status"),
    [
        ("usage", 2, 400),
        ("file", 2, 404),
        ("plan-file", 2, 404),
        ("logs", 2, 404),
        ("revoke", 2, 404),
        ("put", 2, 400),
        ("usage", 3, 500),
        ("usage", 1, 500),
        ("doctor", 5, 500),
        ("usage", 75, 503),
    ],
)
def test_exit_statuses_have_http_statuses(
    client: ApiClient, daemon: FakeDaemon, verb: str, exit_status: int, status: int
) -> None:
    daemon.answers[verb] = refuse("it is so", exit_status)
    answer = client.ask(verb)
    assert answer.status_code == status
    assert answer.json()["detail"] == "it is so"
    assert answer.json()["exit_status"] == exit_status
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_wrong_file_is_refused_with_its_lines(client: ApiClient, daemon: FakeDaemon) -> None:
    answer = client.put(FILE, content=b"limits:\n\tmemory: 1G\n", headers=YAML)
    assert answer.status_code == 422
    assert answer.json()["complaints"] == [
        {
            "file": "accounts.d/alice.yaml",
            "line": 2,
            "column": 1,
            "key": "limits",
            "text": "found a tab; expected spaces",
            "warning": False,
        }
    ]
    assert daemon.files["alice"] == b"plan: small\n"


def test_a_file_is_written_where_it_is_the_one_that_was_read(client: ApiClient, daemon: FakeDaemon) -> None:
    tag = client.get(FILE).headers["etag"]
    assert client.put(FILE, content=b"plan: big\n", headers={**YAML, "If-Match": tag}).status_code == 200
    assert daemon.files["alice"] == b"plan: big\n"
    assert client.put(FILE, content=b"plan: x\n", headers={**YAML, "If-Match": f"W/{tag}"}).status_code == 200
    other = client.put(FILE, content=b"plan: y\n", headers={**YAML, "If-Match": TAG.replace("0", "1")})
    assert (other.status_code, other.json()["exit_status"]) == (412, 3)
    assert client.delete(FILE, headers={"If-Match": TAG}).json()["options"] == {"if-match": TAG}
    assert client.put(FILE, content=b"plan: z\n", headers={**YAML, "If-Match": '"a", "b"'}).status_code == 412
    assert client.put(FILE, content=b"plan: z\n", headers={**YAML, "If-None-Match": TAG}).status_code == 400
    assert daemon.files["alice"] == b"plan: x\n"


def test_without_a_tag_a_file_is_written_as_the_command_does(client: ApiClient, daemon: FakeDaemon) -> None:
    assert client.put(FILE, content=b"plan: big\n").status_code == 200
    assert daemon.files["alice"] == b"plan: big\n"


def test_a_new_file_only_where_there_is_none(client: ApiClient, daemon: FakeDaemon) -> None:
    client.put("/v1/accounts/carol/file", content=b"plan: big\n", headers={"If-None-Match": "*"})
    assert daemon.asked[-1].options == {"if-none-match": "*"}
    assert daemon.asked[-1].about == "carol"


def test_a_dry_run_writes_nothing(client: ApiClient, daemon: FakeDaemon) -> None:
    answer = client.put(f"{FILE}?dry-run=1", content=b"plan: big\n")
    assert answer.json()["steps"] == ["alice: memory.max 1G -> 2G"]
    assert "etag" not in answer.headers
    assert daemon.files["alice"] == b"plan: small\n"


def test_a_file_that_is_known_is_not_sent_again(client: ApiClient) -> None:
    for known in (TAG, f'"x", W/{TAG}', "*"):
        answer = client.get(FILE, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", TAG)
    assert client.get(FILE, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "size", "media", "status"),
    [
        ("PUT", FILE, 256 << 10, "application/yaml; charset=utf-8", 200),
        ("PUT", FILE, (256 << 10) + 1, "application/yaml", 413),
        ("PUT", FILE, 0, "application/yaml", 400),
        ("PUT", FILE, 10, "application/x-www-form-urlencoded", 415),
        ("PUT", FILE, 10, "multipart/form-data; boundary=x", 415),
        ("POST", "/v1/accounts/alice/freeze", 1, "text/plain", 400),
        ("GET", "/v1/accounts/alice", 1, "text/plain", 400),
        ("DELETE", FILE, 1 << 20, "text/plain", 400),
    ],
)
def test_bodies_are_bounded(
    client: ApiClient, daemon: FakeDaemon, method: str, path: str, size: int, media: str, status: int
) -> None:
    for content in (b"#" * size, iter([b"#" * (size // 2), b"#" * (size - size // 2)])):
        answer = client.request(method, path, content=content, headers={"Content-Type": media})
        assert answer.status_code == status
        assert [request.body for request in daemon.asked] == ([b"#" * size] if status == 200 else [])
        daemon.asked.clear()


def test_methods_are_listed(client: ApiClient) -> None:
    assert client.options(FILE).headers["allow"] == "GET, PUT, DELETE, HEAD, OPTIONS"
    assert client.options("/v1/events").headers["allow"] == "GET, OPTIONS"
    assert client.patch(FILE).headers["allow"] == "GET, PUT, DELETE, HEAD, OPTIONS"
    assert client.head("/v1/reconcile").status_code == 405


def test_what_takes_long_is_looked_at_later(client: ApiClient, daemon: FakeDaemon) -> None:
    held: list[Request] = []
    daemon.answers["reconcile"] = lambda request: held.append(request)
    with client:
        begun = client.post("/v1/reconcile?account=alice")
        where = begun.headers["location"]
        assert begun.status_code == 202
        assert begun.json()["state"] == client.get(where).json()["state"] == "running"
        held[0].send(b'{"told":{"done":3}}\n')
        assert _ended(client, where) == {**begun.json(), "state": "done", "result": {"done": 3}}
        for login in ("admin", "alice", "root-administer"):
            other = client.get(where, headers={"Authorization": f"Bearer {login}"})
            assert other.status_code == 404
        assert client.get("/v1/operations/0000000000000000").status_code == 404


def test_what_fails_later_is_told_there(client: ApiClient, daemon: FakeDaemon) -> None:
    held: list[Request] = []
    daemon.answers["reconcile"] = lambda request: held.append(request)
    with client:
        where = client.post("/v1/reconcile").headers["location"]
        held[0].send(refusal("another run holds the lock", 75))
        ended = _ended(client, where)
        assert (ended["state"], ended["problem"]["status"]) == ("failed", 503)


def test_operations_are_bounded(client: ApiClient, daemon: FakeDaemon) -> None:
    held: list[Request] = []
    daemon.answers["reconcile"] = lambda request: held.append(request)
    with client:
        assert [client.post("/v1/reconcile").status_code for _ in range(3)] == [202, 202, 429]
        for request in held:
            request.send(b'{"told":{}}\n')
        del daemon.answers["reconcile"]
        first = client.post("/v1/reconcile").headers["location"]
        for _ in range(16):
            assert client.post("/v1/reconcile").status_code == 202
        assert client.get(first).status_code == 404


def _ended(client: ApiClient, where: str) -> dict[str, Any]:
    deadline = time.monotonic() + 5
    while True:
        state: dict[str, Any] = client.get(where).json()
        if state["state"] != "running":
            return state
        assert time.monotonic() < deadline


def test_no_text_of_a_customer_is_in_a_header(client: ApiClient, daemon: FakeDaemon) -> None:
    text = "x\r\nSet-Cookie: a=b"
    daemon.answers["file"] = lambda _: {"etag": text, "text": text}
    answer = client.get(FILE)
    assert "etag" not in answer.headers
    assert not any("Set-Cookie" in value for value in answer.headers.values())


def test_half_a_character_is_answered(client: ApiClient, daemon: FakeDaemon) -> None:
    daemon.answers["me"] = lambda _: {"name": "\udcff<script>"}
    assert json.loads(client.get("/v1/accounts/alice").content) == {"name": "\udcff<script>"}
