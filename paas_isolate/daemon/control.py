"""The requests of the control socket: who may ask for which verb, and the answer. Pure: the verbs are given.

Nobody but root learns of another account, not even whether it exists: a request about it is answered as if it did not,
without looking it up.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from paas_isolate.changes.placement import Placement
from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit
from paas_isolate.model.account import Account, Fleet

Reply = Mapping[str, object]
"""An answer, as JSON has it."""


class RefusedError(PaasError):
    """A request is refused, with these words and this exit status."""

    def __init__(self, words: str, status: int = Exit.ERROR) -> None:
        super().__init__(*words.split("\n"))
        self.status = status


class Customers(NamedTuple):
    """The accounts of the last full pass."""

    fleet: Fleet
    places: Placement


class Access(Enum):
    """Who may ask for a verb, and whether it is about an account."""

    ANYBODY = "about no account"
    OWNER = "a customer about their own account; root about the one that the first word names"
    ROOT = "root alone"


class Request(NamedTuple):
    """What a verb's function is given. `about` is the account, with its fleet, where the verb is about one
    (Access.OWNER); `words` follow the verb's name. `answer` is called later where the answer is not known at once."""

    uid: int
    pid: int
    words: tuple[str, ...]
    about: tuple[Fleet, Account] | None
    answer: Callable[[Reply], None]

    @property
    def account(self) -> tuple[Fleet, Account]:
        assert self.about is not None
        return self.about


class Verb(NamedTuple):
    """`function` returns the answer or raises RefusedError; None says that it calls `request.answer` within `patience`
    seconds."""

    name: str
    may: Access
    function: Callable[[Request], Reply | None]
    patience: float = 5.0


class Control:
    """`customers` returns None before the first full pass. `bug` is called with exceptions that no verb should raise:
    no request of a customer ends the daemon."""

    def __init__(
        self,
        verbs: Iterable[Verb],
        customers: Callable[[], Customers | None],
        bug: Callable[[Exception], None],
    ) -> None:
        self._verbs = {verb.name: verb for verb in verbs}
        self._customers, self._bug = customers, bug

    def ask(self, line: bytes, uid: int, pid: int, answer: Callable[[bytes], None]) -> bytes | float:
        """The line to answer; or the seconds within which `answer` will be called with it."""
        try:
            name, words = _read(line)
            verb = self._verb(name, uid)
            about, words = self._about(verb, words, uid)
            reply = verb.function(Request(uid, pid, words, about, lambda late: answer(_line({"told": late}))))
        except RefusedError as no:
            return refusal(str(no), no.status)
        except (PaasError, OSError) as error:
            return refusal(str(error) if uid == 0 else "that cannot be had now", Exit.ERROR)
        except Exception as error:  # noqa: BLE001  (the client may be hostile; the loop serves others too)
            self._bug(error)
            return refusal("an error of paas-isolate's own; the log has it", Exit.ERROR)
        return verb.patience if reply is None else _line({"told": reply})

    def _verb(self, name: str, uid: int) -> Verb:
        verb = self._verbs.get(name)
        if verb is None:
            known = (each.name for each in self._verbs.values() if uid == 0 or each.may is not Access.ROOT)
            raise RefusedError(f"no verb is called {name[:32]!r}; there are: {', '.join(known)}", Exit.WRONG)
        if verb.may is Access.ROOT and uid != 0:
            raise RefusedError("this needs root")
        return verb

    def _about(
        self, verb: Verb, words: tuple[str, ...], uid: int
    ) -> tuple[tuple[Fleet, Account] | None, tuple[str, ...]]:
        """The account with its fleet, and the words that are left: of `ACCOUNT/SERVICE`, the service."""
        if verb.may is not Access.OWNER:
            return None, words
        customers = self._customers()
        if customers is None:
            raise RefusedError("the daemon has not looked at everything yet", Exit.BUSY)
        first, slash, service = words[0].partition("/") if words else ("", "", "")
        account = account_of_caller(customers, uid) if uid else _named(customers.fleet, first)
        if uid == 0 or (slash and first == account.name):
            words = (service, *words[1:]) if slash else words[1:]
        return (customers.fleet, account), words


def account_of_caller(customers: Customers, uid: int) -> Account:
    """The account of a user who is not root."""
    account = customers.places.account_of(uid) if customers.fleet.governs(uid) else None
    if account is not None and uid not in customers.fleet.doubtful:
        return account
    if uid in customers.fleet.exempt:
        raise RefusedError("you are exempt: no account of this machine holds you, and no limit of it")
    raise RefusedError("you have no account on this machine")


def _named(fleet: Fleet, name: str) -> Account:
    if not name:
        raise RefusedError("root has no account of its own: name one", Exit.WRONG)
    if (account := fleet.accounts.get(name)) is None:
        raise RefusedError(f"no account is called {name[:64]!r}", Exit.WRONG)
    return account


def _read(line: bytes) -> tuple[str, tuple[str, ...]]:
    """Verb and words. Thousands of brackets raise RecursionError; UnicodeDecodeError is a ValueError."""
    try:
        request = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise RefusedError("that is no line of JSON", Exit.WRONG) from None
    name, words = (request.get("verb"), request.get("words", [])) if isinstance(request, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RefusedError('expected {"verb": "…", "words": ["…"]}', Exit.WRONG)
    return name, tuple(words)


def refusal(words: str, status: int) -> bytes:
    return _line({"error": words, "status": status})


def _line(reply: Reply) -> bytes:
    return json.dumps(reply, default=str, separators=(",", ":")).encode() + b"\n"
