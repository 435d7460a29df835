"""The pages of administrators. The daemon decides who is one; to all others these pages do not exist."""

from starlette.routing import BaseRoute

from paas_isolate.web.pages.administrator import account, accounts, files, machine, money, tokens


def routes() -> list[BaseRoute]:
    parts = accounts, account, files, machine, money, tokens
    return [route for part in parts for route in part.routes()]
