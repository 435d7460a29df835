"""How a page gets its login, its form, and its HTML.

    async def bill(request: Request, login: Login) -> Response:
        told = await login.link.ask("bill")
        return render(request, "bill.html", bill=told)

    def routes() -> list[Route]:
        return [get("/bill", bill, administrator=True)]

A template extends "layout.html" and fills the blocks `title` and `main`. It has `login` (user, account, administrator,
suspended, scope, csrf), `path`, `static` (a function: the URL of a file in static/), and the filters of `filters.py`.
A form begins with `{{ csrf() }}` (a hidden field). What customers have chosen is text like any other: all is escaped.
An AskError that a page does not catch becomes a page that says its words.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from paas_isolate.control.refusal import Reason
from paas_isolate.exits import Exit
from paas_isolate.web.guard import allow_form
from paas_isolate.web.link import AskError, LinkClosedError
from paas_isolate.web.logins import Login
from paas_isolate.web.site import CSRF_HEADER, Site, site_of
from paas_isolate.web.templates import environment

Page = Callable[[Request, Login], Awaitable[Response]]
FIELDS = 64
"""Fields of a form at the most."""


def get(path: str, page: Page, *, administrator: bool = False) -> Route:
    """Who has not logged in is sent to the login. `administrator`: others are told that there is no such page."""
    return _route("GET", path, page, administrator)


def post(path: str, page: Page, *, administrator: bool = False, with_file: bool = False) -> Route:
    """For what changes something: the form must be one of this login's pages. `form(request)` has its fields.
    `with_file`: a field is the text of a file, and administrators may send a form that is as long."""
    return _route("POST", path, page, administrator, with_file=with_file)


def _route(method: str, path: str, page: Page, administrator: bool, *, with_file: bool = False) -> Route:
    async def answer(request: Request) -> Response:
        site = site_of(request)
        login = site.login_of(request)
        if login is None:
            return to_login(request)
        if with_file and login.administrator:
            allow_form(request)
        if method == "POST":
            await _read_own_form(site, request, login)
        return await _answered(site, request, login, page, administrator=administrator)

    return Route(path, answer, methods=[method])


async def _read_own_form(site: Site, request: Request, login: Login) -> None:
    """HTTPException 403 where another site, or a page of another login, may have made it."""
    forged = HTTPException(403, "This form is not of a page of this login. Open the page again.")
    if site.is_foreign(request):
        raise forged
    fields = await read_form(request)
    if login.is_forged(request.headers.get(CSRF_HEADER) or fields.get("csrf", "")):
        raise forged


async def _answered(site: Site, request: Request, login: Login, page: Page, *, administrator: bool) -> Response:
    if administrator and not login.administrator:
        raise HTTPException(404, "There is no such page.")
    try:
        return await page(request, login)
    except AskError as error:
        return render(request, "error.html", status=http_status(error), words=error.words)
    except LinkClosedError:
        await site.logins.end(request.cookies.get(site.cookie, ""))
        return to_login(request)


def http_status(error: AskError) -> int:
    """The HTTP status for an exit status of the daemon's (exits.py)."""
    if error.reason:
        return 404 if error.reason == Reason.UNKNOWN else 403
    return {int(Exit.WRONG): 400, int(Exit.BUSY): 503}.get(error.status, 500)


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form that is sent as application/x-www-form-urlencoded; of several of one name the last.
    HTTPException 400 where it is no such form."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError:
        raise HTTPException(400, "That is no form.") from None
    request.state.form = dict(pairs)
    return form(request)


def form(request: Request) -> Mapping[str, str]:
    """The fields of the form, in a page of `post`."""
    fields: Mapping[str, str] = request.state.form
    return fields


def is_part(request: Request) -> bool:
    """Whether htmx asks, for a part of a page."""
    return "hx-request" in request.headers


def render(request: Request, template: str, /, status: int = 200, **context: Any) -> Response:
    """A page from a template of templates/."""
    site = site_of(request)
    login = site.login_of(request)
    said: tuple[str, ...] = ()
    if login is not None and not is_part(request):
        said, login.said = login.said, ()
    text = environment().get_template(template).render(login=login, path=request.url.path, said=said, **context)
    return HTMLResponse(text, status)


def done(login: Login, path: str, *sentences: str) -> Response:
    """The browser gets this page next, and it says what was done."""
    login.said = sentences
    return redirect(path)


def redirect(path: str) -> Response:
    """The browser gets this page next (303: with GET)."""
    return RedirectResponse(path, 303)


def to_login(request: Request) -> Response:
    """htmx is told to load the login as a whole page."""
    if is_part(request):
        return Response(status_code=401, headers={"hx-redirect": "/login"})
    wanted = request.url.path if request.method == "GET" else "/"
    return redirect("/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}")
