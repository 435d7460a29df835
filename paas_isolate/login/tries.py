"""How often somebody may try to log in to the page: by name, by address, and all together.

It is a count of its own: who guesses here does not lock a customer out of ssh. A name may be a password that was typed
into the wrong field, and is chosen by strangers: neither it nor an address is kept, only a hash with a key that is gone
with the next boot.
"""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paas_isolate.control.address import Allowance, network_of

FILE = "web-tries"
MOST = 2048
"""Names and addresses that are counted. Further ones are counted as if they were one."""

NAME = Allowance(10, 1 / 60)
ADDRESS = Allowance(30, 1 / 10)
ALL = Allowance(300, 3)
"""A try costs about a fifth of a second of a core."""

_Used = dict[str, tuple[float, float]]
"""By hash: how many tries are counted, and when (monotonic clock)."""


class Tries:
    """The counts in the directory `run`. Each try is counted before the password is looked at, so that many at once do
    not pass; a login that succeeds takes its own back. OSError where the file cannot be written."""

    def __init__(self, run: str, name: str, address: str) -> None:
        """`name` is '' for a token: nobody guesses one of 32 random bytes."""
        self._path = os.path.join(run, FILE)
        self._kinds = {"all": ALL, f"address {network_of(address)}": ADDRESS}
        if name:
            self._kinds[f"name {name}"] = NAME

    def take(self) -> bool:
        """Whether one more is allowed; it is counted then."""
        now = time.monotonic()
        with _counts(self._path) as counts:
            used: _Used = counts["used"]
            _forget(used, now)
            found = {_key(used, counts["key"], kind): allowance for kind, allowance in self._kinds.items()}
            level = {key: allowance.level(used.get(key), now) for key, allowance in found.items()}
            if any(level[key] + 1 > allowance.burst for key, allowance in found.items()):
                return False
            used |= {key: (level[key] + 1, now) for key in found}
            return True

    def give_back(self) -> None:
        with _counts(self._path) as counts:
            used: _Used = counts["used"]
            for key in {_key(used, counts["key"], kind) for kind in self._kinds} & used.keys():
                level, since = used[key]
                used[key] = max(0.0, level - 1), since


@contextmanager
def _counts(path: str) -> Iterator[dict[str, Any]]:
    """The file's content, which is written back; it is locked meanwhile. What a killed process left begins anew."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "r+", encoding="ascii") as file:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            counts = json.load(file)
        except ValueError:
            counts = {"key": secrets.token_hex(16), "used": {}}
        yield counts
        file.seek(0)
        json.dump(counts, file)
        file.truncate()


def _key(used: _Used, secret: str, kind: str) -> str:
    if kind == "all":
        return kind
    word = kind.partition(" ")[0]
    key = word[0] + hashlib.blake2b(kind.encode(), key=bytes.fromhex(secret), digest_size=8).hexdigest()
    return key if key in used or len(used) < MOST else word


def _forget(used: _Used, now: float) -> None:
    """Drop what has run out."""
    rates = {"n": NAME, "a": ADDRESS}
    for key in [key for key in used if len(key) > len("address") and rates[key[0]].level(used[key], now) <= 0]:
        del used[key]
