"""The tokens of the HTTP interface: secrets that act as root, narrowed to a scope and to accounts.

A token is `pi_` and 32 random bytes. Only its SHA-256 is kept, in a file that root alone can read: nobody can guess 32
random bytes, so a slow hash would protect nothing.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.replace_file import Durability, replace_file

FILE = "tokens.json"
PREFIX = "pi_"
MOST = 1000
"""Tokens that may exist at once."""
_BYTES = 32


class Token(NamedTuple):
    """`id` is what it is called by. `accounts` are those it may ask about; None: all. `expires` and `created` are Unix
    times; it never expires where `expires` is None. `scope` is read, operate or administer."""

    id: str
    name: str
    scope: str
    accounts: tuple[str, ...] | None
    created: int
    expires: int | None
    digest: str

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


def made(
    *, name: str, scope: str, accounts: tuple[str, ...] | None, now: int, expires: int | None, ids: Iterable[str]
) -> tuple[Token, str]:
    """A new token, and its secret, which is shown once. Its id is none of `ids`."""
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    taken = {*ids}
    number = next(each for each in iter(lambda: secrets.token_hex(4), "") if each not in taken)
    return Token(number, name, scope, accounts, now, expires, digest_of(secret)), secret


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def found(tokens: Iterable[Token], secret: str, now: float) -> Token | None:
    """The token with this secret; None where there is none, or it has expired. It takes the same time for each."""
    digest, match = digest_of(secret), None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            match = token
    return None if match is None or match.expired(now) else match


def load(state: str) -> tuple[Token, ...]:
    """Those in the state directory. HostError where the file cannot be read."""
    path = os.path.join(state, FILE)
    try:
        with open(path, encoding="utf-8") as file:
            return tuple(_token(row) for row in json.load(file)["tokens"])
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostError(
            f"{path} is damaged", hint=f"rm {path}: then no token is valid; make those that are needed again"
        ) from error


def _token(row: dict[str, object]) -> Token:
    accounts = row["accounts"]
    token = Token(**{**row, "accounts": None if accounts is None else tuple(accounts)})  # type: ignore[arg-type]
    if not re.fullmatch("[0-9a-f]{64}", token.digest):
        raise ValueError("no digest")
    return token


def save(state: str, tokens: Iterable[Token]) -> None:
    """For root alone. The caller holds the lock of tokens. OSError where it cannot be written."""
    text = json.dumps({"tokens": [token._asdict() for token in tokens]}, indent=1)
    replace_file(os.path.join(state, FILE), text.encode(), Durability.NAME, mode=0o600, makes_directory=True)
