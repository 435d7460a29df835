"""The requests of the control socket: who may ask for which verb, and the answer. Pure: the verbs are given.

Nobody but an administrator learns of another account, not even whether it exists: a request about it is answered as if
it did not, without looking it up.

Who connects has the rights of their uid. `{"narrow": {"scope": "read", "accounts": ["alice"]}}` as the first line takes
rights away for the rest of the connection; nothing gives rights.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, IntEnum
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
    """Who may ask for a verb, and whether it is about an account. Administrators are root and the users that
    config.yaml names."""

    ANYBODY = "about no account"
    OWNER = "a customer about their own account; an administrator about the one that the first word names"
    ADMINISTRATOR = "an administrator"


class Scope(IntEnum):
    """What a connection may do. Each includes those before it."""

    READ = 0
    OPERATE = 1
    ADMINISTER = 2


class Caller(NamedTuple):
    """Who asks, and what is left of their rights: `accounts` are those they may ask about; None: no such bound."""

    uid: int
    pid: int
    scope: Scope = Scope.ADMINISTER
    accounts: frozenset[str] | None = None

    def narrowed(self, scope: Scope, accounts: frozenset[str] | None) -> "Caller":
        both = [each for each in (self.accounts, accounts) if each is not None]
        return self._replace(scope=min(self.scope, scope), accounts=frozenset.intersection(*both) if both else None)

    def may_ask_about(self, account: str) -> bool:
        return self.accounts is None or account in self.accounts


class Request(NamedTuple):
    """What a verb's function is given. `about` is the account, with its fleet, where the verb is about one
    (Access.OWNER); `words` follow the verb's name. `answer` is called later where the answer is not known at once."""

    caller: Caller
    by_customer: bool
    words: tuple[str, ...]
    about: tuple[Fleet, Account] | None
    answer: Callable[[Reply], None]

    @property
    def account(self) -> tuple[Fleet, Account]:
        assert self.about is not None
        return self.about


class Verb(NamedTuple):
    """`function` returns the answer or raises RefusedError; None says that it calls `request.answer` within `patience`
    seconds. `needs` is the scope of a connection that may ask."""

    name: str
    may: Access
    needs: Scope
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

    def ask(self, line: bytes, caller: Caller, answer: Callable[[bytes], None]) -> bytes | float | Caller:
        """The line to answer; the seconds within which `answer` will be called with it; or, after a line that narrows,
        the caller as the connection's next line is to be asked by."""
        try:
            asked = _read(line)
            if isinstance(asked, _Narrow):
                return caller.narrowed(*asked)
            name, words = asked
            administers = self._administers(caller)
            verb = self._verb(name, caller, administers)
            about, words = self._about(verb, words, caller, administers)
            request = Request(caller, not administers, words, about, lambda late: answer(_line({"told": late})))
            reply = verb.function(request)
        except RefusedError as no:
            return refusal(str(no), no.status)
        except (PaasError, OSError) as error:
            return refusal(str(error) if self._administers(caller) else "that cannot be had now", Exit.ERROR)
        except Exception as error:  # noqa: BLE001  (the client may be hostile; the loop serves others too)
            self._bug(error)
            return refusal("an error of paas-isolate's own; the log has it", Exit.ERROR)
        return verb.patience if reply is None else _line({"told": reply})

    def _administers(self, caller: Caller) -> bool:
        if caller.uid == 0:
            return True
        customers = self._customers()
        return (
            customers is not None
            and caller.uid in customers.fleet.administrators
            and customers.places.account_of(caller.uid) is None  # an account that was made since the last full pass
        )

    def _verb(self, name: str, caller: Caller, administers: bool) -> Verb:
        verb = self._verbs.get(name)
        if verb is None:
            known = (each.name for each in self._verbs.values() if administers or each.may is not Access.ADMINISTRATOR)
            raise RefusedError(f"no verb is called {name[:32]!r}; there are: {', '.join(known)}", Exit.WRONG)
        if verb.may is Access.ADMINISTRATOR and not administers:
            raise RefusedError("this needs an administrator")
        if caller.scope < verb.needs:
            raise RefusedError(f"this needs the scope {verb.needs.name.lower()}; yours is {caller.scope.name.lower()}")
        if verb.may is Access.ADMINISTRATOR and caller.accounts is not None:
            raise RefusedError("this is about all accounts, and yours are only some")
        return verb

    def _about(
        self, verb: Verb, words: tuple[str, ...], caller: Caller, administers: bool
    ) -> tuple[tuple[Fleet, Account] | None, tuple[str, ...]]:
        """The account with its fleet, and the words that are left: of `ACCOUNT/SERVICE`, the service."""
        if verb.may is not Access.OWNER:
            return None, words
        customers = self._customers()
        if customers is None:
            raise RefusedError("the daemon has not looked at everything yet", Exit.BUSY)
        first, slash, service = words[0].partition("/") if words else ("", "", "")
        account = _named(customers.fleet, first, caller) if administers else account_of_caller(customers, caller.uid)
        if not caller.may_ask_about(account.name):
            raise RefusedError("your account is not one of those that this connection may ask about")
        if administers or (slash and first == account.name):
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


def _named(fleet: Fleet, name: str, caller: Caller) -> Account:
    if not name:
        raise RefusedError("an administrator has no account: name one", Exit.WRONG)
    if not caller.may_ask_about(name) or (account := fleet.accounts.get(name)) is None:
        raise RefusedError(f"no account is called {name[:64]!r}", Exit.WRONG)
    return account


class _Narrow(NamedTuple):
    scope: Scope
    accounts: frozenset[str] | None


def _read(line: bytes) -> tuple[str, tuple[str, ...]] | _Narrow:
    """Verb and words. Thousands of brackets raise RecursionError; UnicodeDecodeError is a ValueError."""
    try:
        request = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise RefusedError("that is no line of JSON", Exit.WRONG) from None
    if isinstance(request, dict) and "narrow" in request:
        return _read_narrow(request)
    name, words = (request.get("verb"), request.get("words", [])) if isinstance(request, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise RefusedError('expected {"verb": "…", "words": ["…"]}', Exit.WRONG)
    return name, tuple(words)


def _read_narrow(request: dict[str, object]) -> _Narrow:
    """What cannot be read must not leave the connection with more rights than were meant: it is refused."""
    bounds = request["narrow"]
    if len(request) == 1 and isinstance(bounds, dict) and bounds.keys() <= {"scope", "accounts"}:
        scope, accounts = bounds.get("scope", "administer"), bounds.get("accounts")
        names = isinstance(accounts, list) and all(isinstance(name, str) for name in accounts)
        if isinstance(scope, str) and scope in _SCOPES and (accounts is None or names):
            return _Narrow(_SCOPES[scope], None if accounts is None else frozenset(accounts))
    raise RefusedError('expected {"narrow": {"scope": "read|operate|administer", "accounts": ["…"]}}', Exit.WRONG)


_SCOPES = {scope.name.lower(): scope for scope in Scope}


def refusal(words: str, status: int) -> bytes:
    return _line({"error": words, "status": status})


def _line(reply: Reply) -> bytes:
    return json.dumps(reply, default=str, separators=(",", ":")).encode() + b"\n"
