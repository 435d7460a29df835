"""The file of an account or a plan, edited in the page: checked, shown as the plan of what will be done, then saved.

Nothing is kept here between the two: the text and the file's tag are in the form. `checked` is the hash of the text
whose plan was shown, so that no other text is saved. With the tag the daemon refuses to replace a file that somebody
has changed meanwhile.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from difflib import unified_diff
from hashlib import sha256
from typing import Any, NamedTuple

from markupsafe import escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.exits import Exit
from paas_isolate.spec.names import NAME_EXPECTED, SIZE_CAP, is_name
from paas_isolate.web.link import AskError
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.asking import name_in
from paas_isolate.web.pages.base import Page, done, form, get, http_status, post, render

_SPARE = 5
"""Lines of the editor below the last one of the text."""
_MOST = 1000
"""Lines of the editor at the most; it scrolls then."""
_WRONG = "Nothing was written: this is wrong"
_KINDS = {"+": "added", "-": "removed", "@": "place"}


class Kind(NamedTuple):
    """Accounts or plans. `file` and `put` are the verbs, `new` is the path of the page for a new one."""

    what: str
    directory: str
    path: str
    new: str
    file: str
    put: str
    example: str

    def file_name(self, name: str) -> str:
        return f"{self.directory}/{name}.yaml"

    def page_of(self, name: str) -> str:
        return f"{self.path}/{name}/file"


ACCOUNT = Kind("account", "accounts.d", "/accounts", "/new-account", "file", "put", "account: NAME\n")
PLAN = Kind("plan", "plans.d", "/plans", "/new-plan", "plan-file", "put-plan", "plan: NAME\nlimits: {}\n")


class Draft(NamedTuple):
    """What the form has. `tag` is '' for a file that is not there yet."""

    name: str
    text: str
    tag: str = ""
    checked: str = ""

    @property
    def hash(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    @property
    def condition(self) -> dict[str, str]:
        return {"if-match": self.tag} if self.tag else {"if-none-match": "*"}


class Shown(NamedTuple):
    """A complaint as the page shows it. `here` says that it is about the file of the form; `quoted` is that line."""

    here: bool
    place: str
    line: int
    column: int
    key: str
    text: str
    warning: bool
    quoted: str


async def _edit(kind: Kind, request: Request, login: Login) -> Response:
    name = name_in(request, kind.what)
    told = await login.link.ask(kind.file, name)
    return _page(request, kind, Draft(name, told["text"], told["etag"]))


async def _new(kind: Kind, request: Request, _: Login) -> Response:
    return _page(request, kind, Draft("", kind.example), is_new=True)


async def _sent(kind: Kind, request: Request, login: Login) -> Response:
    draft = _draft(form(request), name_in(request, kind.what))
    return await _checked_or_saved(kind, draft, request, login)


async def _sent_new(kind: Kind, request: Request, login: Login) -> Response:
    draft = _draft(form(request), form(request).get("name", "").strip())
    if not is_name(draft.name):
        return _page(request, kind, draft, is_new=True, status=400, refused=f"The name must be {NAME_EXPECTED}.")
    return await _checked_or_saved(kind, draft, request, login, is_new=True)


def _draft(fields: Mapping[str, str], name: str) -> Draft:
    """Browsers end each line with CR LF (HTML, 4.10.21.4)."""
    text = fields.get("text", "").replace("\r\n", "\n")
    if len(text.encode()) > SIZE_CAP:
        raise HTTPException(413, f"A file may have {SIZE_CAP // 1024} KiB.")
    return Draft(name, text, fields.get("tag", ""), fields.get("checked", ""))


async def _checked_or_saved(
    kind: Kind, draft: Draft, request: Request, login: Login, *, is_new: bool = False
) -> Response:
    """A text that differs from the one whose plan was shown is checked, not saved."""
    saves = form(request).get("do") == "save" and draft.checked == draft.hash
    options = draft.condition if saves else {**draft.condition, "dry-run": "1"}
    try:
        told = await login.link.ask(kind.put, draft.name, options, draft.text.encode())
    except AskError as error:
        return _refused(kind, draft, error, request, is_new=is_new)
    if told["conflict"]:
        return await _changed_meanwhile(kind, draft, request, login)
    if saves:
        return done(login, _home(kind, draft.name), f"{kind.file_name(draft.name)} was saved. The next run applies it.")
    more = f"and {told['more']} more" if told["more"] else ""
    return _page(
        request,
        kind,
        draft._replace(checked=draft.hash),
        is_new=is_new,
        plan=[*told["steps"], *([more] if more else [])],
        complaints=list(_shown(kind.file_name(draft.name), draft.text, told["complaints"])),
    )


def _refused(kind: Kind, draft: Draft, error: AskError, request: Request, *, is_new: bool) -> Response:
    if not error.complaints:
        return _page(request, kind, draft, is_new=is_new, status=http_status(error), refused=error.words)
    shown = list(_shown(kind.file_name(draft.name), draft.text, error.complaints))
    return _page(request, kind, draft, is_new=is_new, status=422, refused=_WRONG, complaints=shown)


async def _changed_meanwhile(kind: Kind, draft: Draft, request: Request, login: Login) -> Response:
    """Both texts, and what differs. The form has the tag of theirs: saving replaces it, if it stays as it is."""
    try:
        told = await login.link.ask(kind.file, draft.name)
    except AskError as error:
        if error.status != Exit.WRONG:
            raise
        told = {"text": "", "etag": ""}  # they have removed it
    theirs = told["text"]
    differing = [
        (_KINDS.get(line[:1], ""), line)
        for line in unified_diff(theirs.splitlines(), draft.text.splitlines(), lineterm="", n=2)
        if not line.startswith(("--- ", "+++ "))
    ]
    now = draft._replace(tag=told["etag"], checked="")
    return _page(request, kind, now, status=412, theirs=theirs, differing=differing)


def _shown(file: str, text: str, complaints: Iterable[Mapping[str, Any]]) -> Iterator[Shown]:
    lines = text.split("\n")
    for each in complaints:
        line, here = each["line"], each["file"] == file
        place = f"{each['file']}:{line}" if line else each["file"]
        quoted = lines[line - 1] if here and 0 < line <= len(lines) else ""
        yield Shown(
            here and bool(line), place, line, each["column"], each["key"], each["text"], each["warning"], quoted
        )


def _page(
    request: Request, kind: Kind, draft: Draft, *, is_new: bool = False, status: int = 200, **more: Any
) -> Response:
    heading = f"New {kind.what}" if is_new else kind.file_name(draft.name)
    complaints: list[Shown] = more.get("complaints", [])
    context: dict[str, Any] = {
        "refused": "",
        "complaints": (),
        "plan": None,
        "theirs": None,
        "differing": (),
        **more,
        "heading": heading,
        "wrong": {complaint.line for complaint in complaints if complaint.here and not complaint.warning},
        "action": kind.new if is_new else kind.page_of(draft.name),
        "naming": f"Name of the {kind.what}" if is_new else "",
        "named": draft.name,
        "label": f"The {kind.what}'s file (YAML)",
        "text": escape(draft.text),  # with all its characters: what is shown is what will be saved
        "tag": draft.tag,
        "checked": draft.checked,
        "rows": min(draft.text.count("\n") + 1 + _SPARE, _MOST),
        "back": _home(kind, "" if is_new else draft.name),
    }
    return render(request, "administrator/file.html", status, **context)


def _home(kind: Kind, name: str) -> str:
    return f"{kind.path}/{name}" if name and kind is ACCOUNT else kind.path


def _of(kind: Kind, page: Callable[[Kind, Request, Login], Awaitable[Response]]) -> Page:
    return lambda request, login: page(kind, request, login)


def routes() -> list[BaseRoute]:
    return [
        route
        for kind in (ACCOUNT, PLAN)
        for path, show, send in (
            (f"{kind.path}/{{{kind.what}}}/file", _edit, _sent),
            (kind.new, _new, _sent_new),
        )
        for route in (
            get(path, _of(kind, show), administrator=True),
            post(path, _of(kind, send), administrator=True, with_file=True),
        )
    ]
