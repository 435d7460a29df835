"""Where the page listens, and by which names. Pure, and without the libraries of the page."""

from typing import NamedTuple

from paas_isolate.control.logins import SOCKET as SOCKET
from paas_isolate.listening import Place

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Setting(NamedTuple):
    """`names` are the names of this machine in URLs; `group` may connect to the path, beside our own user. `secure`:
    browsers come by TLS, ours or the proxy's."""

    listen: Place
    names: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    group: str = ""
    behind_proxy: bool = False
    secure: bool = False
    helper: str = SOCKET


def complaint(setting: Setting) -> str:
    """What is wrong with the options together; '' where nothing is."""
    at = setting.listen
    if bool(setting.certificate) != bool(setting.key):
        return "--certificate and --key go together"
    if setting.behind_proxy and not at.path:
        return "--behind-proxy needs --listen unix:/PATH: whoever else connects could say where they come from"
    if setting.group and not at.path:
        return "--group goes with --listen unix:/PATH"
    if not at.path and not setting.certificate and not at.is_loopback:
        return "passwords would be sent in the clear: --certificate and --key, or a proxy in front"
    return ""


def hosts(setting: Setting) -> frozenset[str]:
    """The names that requests may have. Without --name: those of loopback where only this machine can connect, else
    all: a proxy knows its own names."""
    if setting.names:
        return frozenset(setting.names)
    at = setting.listen
    return LOOPBACK if at.is_loopback else frozenset()
