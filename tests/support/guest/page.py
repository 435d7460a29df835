"""A browser without a screen: it keeps cookies, sends forms as a page has them, and follows redirects."""

import json
import re
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from typing import Any, NamedTuple
from urllib.parse import urlencode

PAGE = "http://127.0.0.1:8421"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Answer(NamedTuple):
    """`path` is where the redirects ended."""

    status: int
    path: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Browser:
    """`token` is sent as a bearer token, where there is one."""

    def __init__(self, token: str = "") -> None:
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Answer:
        return self._open(urllib.request.Request(PAGE + path, headers=self._headers))

    def send(self, path: str, method: str = "POST", body: bytes = b"", **headers: str) -> Answer:
        request = urllib.request.Request(PAGE + path, data=body, method=method, headers=self._headers | headers)
        return self._open(request)

    def submit(self, path: str, page: str = "", **fields: str) -> Answer:
        """A form of `page`, whose hidden token is sent along."""
        found = _CSRF.search(self.get(page or path).text)
        data = urlencode({"csrf": found.group(1) if found else "", **fields}).encode()
        return self._open(urllib.request.Request(PAGE + path, data=data, headers={"Origin": PAGE}))

    def log_in(self, user: str, password: str) -> Answer:
        data = urlencode({"user": user, "password": password}).encode()
        return self._open(urllib.request.Request(f"{PAGE}/login", data=data, headers={"Origin": PAGE}))

    def _open(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.url.removeprefix(PAGE), answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.url.removeprefix(PAGE), error.read().decode())
