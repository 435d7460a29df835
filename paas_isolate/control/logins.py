"""Logins to the page: where they are asked for, and why one was refused, as the login helper tells the daemon and
administrators read it. Pure.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.control.address import is_address
from paas_isolate.text import escaped

SOCKET = "/run/paas-isolate-session.sock"
"""Of the login helper."""
KIND = "login"
"""Of the events."""
NAME_LONGEST = 64
"""Characters of a user's name that are told."""


class Refusal(StrEnum):
    WRONG = "wrong"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    CLOSED = "closed"
    ROOT = "root"
    TOKEN = "token"  # noqa: S105  (a kind of refusal)


WORDS: Mapping[Refusal, str] = MappingProxyType(
    {
        Refusal.WRONG: "wrong password",
        Refusal.UNKNOWN: "there is no such user",
        Refusal.EXPIRED: "the password has expired",
        Refusal.CLOSED: "this user may not log in now",
        Refusal.ROOT: "root may not log in (web: {root: true} in config.yaml)",
        Refusal.TOKEN: "a token that is unknown, or has expired",
    }
)


class RefusedLogin(NamedTuple):
    """`user` is '' where no user of this machine was named: a name that is nobody's may be a password that was typed
    into the wrong field. `address` is '' where it is not known."""

    refusal: Refusal
    user: str = ""
    address: str = ""

    def options(self) -> dict[str, str]:
        """As the request `login-refused` has it."""
        user = escaped(self.user)[:NAME_LONGEST]
        return {"why": self.refusal.value, "user": user, "from": self.address}

    def __str__(self) -> str:
        who = f" of {self.user}" if self.user else ""
        where = f" from {self.address}" if self.address else ""
        return f"a login{who}{where} was refused: {WORDS[self.refusal]}"


def refused_login(options: Mapping[str, str]) -> RefusedLogin:
    """What a request tells. It was checked by the table; what is no address is left out."""
    address = options.get("from", "")
    user = escaped(options.get("user", ""))[:NAME_LONGEST]
    return RefusedLogin(Refusal(options["why"]), user, address if is_address(address) else "")
