"""What an administrator does with an account: freeze, thaw, scale, remove, and a run for it alone."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.web.logins import Login
from paas_isolate.web.pages.asking import name_in, options_of, said
from paas_isolate.web.pages.base import done, form, get, post, render

_OF = "/accounts/{account}"


async def ask_to_freeze(request: Request, _: Login) -> Response:
    account = name_in(request)
    return render(
        request,
        "administrator/confirm.html",
        heading=f"Freeze {account}",
        consequences=[
            f"All processes of {account} stop where they are: sites no longer answer, mails and jobs wait.",
            "Logins are refused.",
            "It stays so, also after a reboot, until the account is thawed.",
        ],
        action=f"/accounts/{account}/freeze",
        fields={},
        button="Freeze",
        back=f"/accounts/{account}",
    )


async def freeze(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("freeze", account)
    return done(login, f"/accounts/{account}", f"{account} is frozen.", *said(told))


async def thaw(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("thaw", account)
    return done(login, f"/accounts/{account}", f"{account} goes on.", *said(told))


async def scale(request: Request, login: Login) -> Response:
    account = name_in(request)
    options = options_of("scale", form(request), "service", "replicas")
    told = await login.link.ask("scale", account, options)
    words = f"{options.get('service')}: {options.get('replicas')} replicas are wanted."
    return done(login, f"/accounts/{account}", words, *said(told))


async def ask_to_remove(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("file", account)
    return render(
        request,
        "administrator/confirm.html",
        heading=f"Remove {account}",
        consequences=[
            f"The file accounts.d/{account}.yaml is removed.",
            "Its services are stopped, its limits are lifted and its addresses are given back once its last process has"
            " ended; until then its state is 'leaving', and the limits hold.",
            "Its user, home, mails and databases stay: they belong to the machine.",
            "What it used stays in the bill.",
        ],
        action=f"/accounts/{account}/remove",
        fields={"tag": told["etag"]},
        button="Remove",
        back=f"/accounts/{account}",
    )


async def remove(request: Request, login: Login) -> Response:
    """Where the file was changed since the page was shown, it is shown again."""
    account = name_in(request)
    tag = form(request).get("tag", "")
    told = await login.link.ask("remove", account, {"if-match": tag or "*"})
    if told["conflict"]:
        words = f"Somebody has changed the file of {account} meanwhile. Nothing was removed."
        return done(login, f"/accounts/{account}/remove", words)
    return done(login, "/accounts", f"The file of {account} was removed.")


def routes() -> list[BaseRoute]:
    return [
        get(f"{_OF}/freeze", ask_to_freeze, administrator=True),
        post(f"{_OF}/freeze", freeze, administrator=True),
        post(f"{_OF}/thaw", thaw, administrator=True),
        post(f"{_OF}/scale", scale, administrator=True),
        get(f"{_OF}/remove", ask_to_remove, administrator=True),
        post(f"{_OF}/remove", remove, administrator=True),
    ]
