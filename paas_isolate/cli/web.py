"""web: the page and the HTTP interface. A process of its own, which has no rights."""

import json
import os
import sys
from importlib.util import find_spec

import click

from paas_isolate.cli.options import Listen
from paas_isolate.control.logins import SOCKET
from paas_isolate.errors import HostError
from paas_isolate.listening import Place
from paas_isolate.web.setting import Setting, complaint

_NEEDED = ("starlette", "uvicorn")
DEFAULT = "127.0.0.1:8421"


@click.command()
@click.option("--listen", type=Listen(), default=DEFAULT, metavar="PLACE", help=f"{DEFAULT} or unix:/PATH.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="This machine's name in URLs; may be repeated.")
@click.option("--certificate", default="", metavar="FILE", help="Certificate and chain, PEM. SIGHUP reads it again.")
@click.option("--key", default="", metavar="FILE", help="The certificate's private key, PEM.")
@click.option("--behind-proxy", is_flag=True, help="With unix:/PATH: trust the last address of X-Forwarded-For.")
@click.option("--secure", is_flag=True, help="Browsers reach the proxy by TLS: cookies are for TLS alone.")
@click.option("--group", default="", metavar="GROUP", help="With unix:/PATH: this group may connect, too.")
@click.option("--helper", default=SOCKET, metavar="PATH", help=f"The login helper's socket ({SOCKET}).")
def web(
    listen: Place,
    names: tuple[str, ...],
    certificate: str,
    key: str,
    behind_proxy: bool,
    secure: bool,
    group: str,
    helper: str,
) -> int:
    """Serve the page for customers and administrators, and the HTTP interface.

    It needs no root and should have none: paas-isolate-web.service gives it a user without rights. Who logs in gets a
    connection to the daemon by way of the login helper. Without --name, requests are answered that name this machine
    localhost, or, where others can connect too, any name.
    """
    setting = Setting(listen, names, certificate, key, group, behind_proxy, secure, helper)
    if wrong := complaint(setting):
        raise click.UsageError(wrong)
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        packages = " ".join(f"python3-{name}" for name in missing)
        raise HostError(f"Python has no {' and no '.join(missing)}", hint=f"apt install {packages} (paas-isolate-web)")
    # Another program: this one has loaded much that the page does not need, and would keep it.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "paas_isolate.web", json.dumps(setting._asdict())])  # noqa: S606
