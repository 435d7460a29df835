"""A client of paas_isolate's HTTP interface, for programs of your own. It needs Python 3.11 and nothing else.

    client = Client("https://host.example.org", token)
    client.ask("usage", account="alice", period="month")
    file = client.ask("file", account="alice")
    client.ask("put", b"plan: big\\n", account="alice", if_match=file["etag"])
    for event in client.events():
        print(event["account"], event["sentence"])

The verbs and their parameters are those of /v1/openapi.json (operationId). In a name - becomes _, and what Python
keeps for itself ends with one: from_="2026-10-01".
"""

import json
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

PATIENCE = 90.0
"""Seconds within which an answer must come. Event streams are never silent for so long."""
PAUSE = 3.0
"""Seconds until a broken stream of events is opened again."""
_LATER = (429, 502, 503, 504)


class RefusedError(Exception):
    """`problem` has status, title, detail, and exit_status and complaints where there are some (RFC 9457)."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        lines = [f"{each['file']}:{each['line']}: {each['text']}" for each in problem.get("complaints", ())]
        super().__init__("\n".join([f"{problem['status']} {problem['detail']}", *lines]))
        self.problem = problem
        self.status: int = problem["status"]


class Client:
    """`certificate`: a file with the certificate of the server or its authority, where the machine does not know it."""

    def __init__(self, address: str, token: str, certificate: str | None = None) -> None:
        self._address, self._token = address.rstrip("/"), token
        context = ssl.create_default_context(cafile=certificate)
        self._opener = build_opener(HTTPSHandler(context=context), ProxyHandler({}))  # no proxy gets the token
        paths = self._json("GET", "/v1/openapi.json")["paths"]
        self._verbs = {
            operation["operationId"]: (method.upper(), path, operation["parameters"])
            for path, methods in paths.items()
            for method, operation in methods.items()
        }

    def ask(self, verb: str, body: bytes | None = None, /, **names: str) -> dict[str, Any]:
        """The answer; of what takes long, its result, when that is there. RefusedError where it is refused."""
        told = self._json(*self._request(verb, names), body)
        while told.get("state") == "running" and "id" in told:
            time.sleep(1)
            told = self._json("GET", f"/v1/operations/{told['id']}")
        if told.get("state") == "failed" and "problem" in told:
            raise RefusedError(told["problem"])
        return dict(told.get("result", told))

    def events(self, after: str = "") -> Iterator[dict[str, Any]]:
        """Events as they happen, without end; those after the event with the id `after` first. When the connection
        breaks, it is made again. RefusedError where it is refused."""
        while True:
            try:
                with self._open("GET", "/v1/events", {"Last-Event-ID": after} if after else {}) as stream:
                    for line in stream:
                        field, _, value = line.decode().rstrip("\n").partition(": ")
                        if field == "id":
                            after = value
                        elif field == "data" and value != "{}":
                            yield json.loads(value)
            except OSError:
                pass
            except RefusedError as error:
                if error.status not in _LATER:
                    raise
            time.sleep(PAUSE)

    def _request(self, verb: str, names: Mapping[str, str]) -> tuple[str, str, dict[str, str]]:
        method, path, parameters = self._verbs[verb]
        places = {each["name"].lower().replace("-", "_"): each for each in parameters}
        of: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
        for name, value in names.items():
            parameter = places[name.rstrip("_")]
            of[parameter["in"]][parameter["name"]] = value
        filled = path.format(**{name: quote(value, safe="") for name, value in of["path"].items()})
        return method, f"{filled}?{urlencode(of['query'])}" if of["query"] else filled, of["header"]

    def _json(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> dict[str, Any]:
        with self._open(method, path, headers or {}, body) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def _open(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> HTTPResponse:
        media = {"Content-Type": "application/yaml"} if body is not None else {}
        every = {"Authorization": f"Bearer {self._token}", **media, **headers}
        request = Request(self._address + path, body, every, method=method)
        try:
            opened: HTTPResponse = self._opener.open(request, timeout=PATIENCE)
            return opened
        except HTTPError as error:
            with error:
                raise RefusedError(_problem(error)) from None


def _problem(error: HTTPError) -> dict[str, Any]:
    try:
        return dict(json.load(error))
    except ValueError:  # of a proxy
        return {"status": error.code, "detail": error.reason}


if __name__ == "__main__":  # ADDRESS TOKEN-FILE VERB [NAME=VALUE ...]
    address, token_file, verb, *words = sys.argv[1:]
    asked = Client(address, Path(token_file).read_text().strip())
    if verb == "events":
        for event in asked.events():
            print(json.dumps(event), flush=True)
    else:
        print(json.dumps(asked.ask(verb, **dict(word.split("=", 1) for word in words)), indent=2))
