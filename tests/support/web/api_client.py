"""The interface with the daemon's own Control behind it, and a token for each kind of login."""

from collections.abc import Mapping

from httpx import Response
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient

from paas_isolate.control.request import Narrow
from paas_isolate.control.table import BY_NAME, Scope, Verb
from paas_isolate.web import api, openapi
from paas_isolate.web.link import Link
from tests.support.web.control_link import ADMIN, ALICE, BOB, NOBODY, FakeDaemon

FILLED = {"account": "alice", "service": "web", "plan": "small", "token": "0123abcd"}
QUERY: Mapping[str, str] = {"scale": "?replicas=2", "switch-notices": "?state=off"}
"""What the verbs need beside their path."""
LOGINS: Mapping[str, tuple[int, Narrow | None]] = {
    "root": (0, None),
    "admin": (ADMIN, None),
    "alice": (ALICE, None),
    "bob": (BOB, None),
    "nobody": (NOBODY, None),
    **{f"root-{scope.name.lower()}": (0, Narrow(scope, None, "")) for scope in Scope},
    **{f"alice-{scope.name.lower()}": (ALICE, Narrow(scope, None, "")) for scope in Scope},
    "root-bob": (0, Narrow(Scope.ADMINISTER, frozenset({"bob"}), "")),
}


def path_of(verb: str | Verb, **names: str) -> str:
    """The path of a verb about alice, with what it needs."""
    row = BY_NAME[verb] if isinstance(verb, str) else verb
    return row.path.format(**{**FILLED, **names}) + QUERY.get(row.name, "")


def app_of(daemon: FakeDaemon, logins: Mapping[str, tuple[int, Narrow | None]] = LOGINS) -> Starlette:
    links: dict[str, Link] = {name: daemon.link(*login) for name, login in logins.items()}

    async def find_link(request: Request) -> Link:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in links:
            raise HTTPException(401, "log in")
        return links[token]

    return Starlette(routes=[*openapi.routes(), *api.routes(find_link)])


class ApiClient(TestClient):
    """`login` names one of LOGINS; '' is none."""

    def __init__(self, daemon: FakeDaemon, login: str = "root") -> None:
        headers = {"Authorization": f"Bearer {login}"} if login else {}
        super().__init__(app_of(daemon), headers=headers)

    def ask(self, verb: str | Verb, **names: str) -> Response:
        """What the row asks of alice, with all that it needs."""
        row = BY_NAME[verb] if isinstance(verb, str) else verb
        body = b"plan: small\n" if row.body else None
        answer: Response = self.request(row.method, path_of(row, **names), content=body)
        return answer
