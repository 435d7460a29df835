"""Where the page listens, and by which names. Pure, and without the libraries of the page."""

import re
from ipaddress import ip_address
from typing import NamedTuple

SOCKET = "/run/paas-isolate-session.sock"
"""Of the login helper."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Place(NamedTuple):
    """A port of an address, or a path."""

    address: str = ""
    port: int = 0
    path: str = ""


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


def place(text: str) -> Place:
    """`127.0.0.1:8421`, `[::1]:8421` or `unix:/PATH`. ValueError with what was expected."""
    expected = ValueError("127.0.0.1:PORT, [::1]:PORT or unix:/PATH")
    if text.startswith("unix:/"):
        return Place(path=text.removeprefix("unix:"))
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})", text, re.ASCII)
    if not found or int(found[3]) > 65535:
        raise expected
    try:
        address = ip_address(found[1] or found[2])
    except ValueError:
        raise expected from None
    if bool(found[1]) != (address.version == 6):
        raise expected
    return Place(str(address), int(found[3]))


def complaint(setting: Setting) -> str:
    """What is wrong with the options together; '' where nothing is."""
    at = setting.listen
    if bool(setting.certificate) != bool(setting.key):
        return "--certificate and --key go together"
    if setting.behind_proxy and not at.path:
        return "--behind-proxy needs --listen unix:/PATH: whoever else connects could say where they come from"
    if setting.group and not at.path:
        return "--group goes with --listen unix:/PATH"
    if not at.path and not setting.certificate and not ip_address(at.address).is_loopback:
        return "passwords would be sent in the clear: --certificate and --key, or a proxy in front"
    return ""


def hosts(setting: Setting) -> frozenset[str]:
    """The names that requests may have. Without --name: those of loopback where only this machine can connect, else
    all: a proxy knows its own names."""
    if setting.names:
        return frozenset(setting.names)
    at = setting.listen
    return LOOPBACK if at.address and ip_address(at.address).is_loopback else frozenset()
