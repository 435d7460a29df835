"""The requests of the control socket: who may ask for which verb, and the answer. Pure: the functions are given.

Nobody but an administrator learns of another account, not even whether it exists: a request about it is answered as if
it did not, without looking it up. Who connects has the rights of their uid.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.changes.placement import Placement
from paas_isolate.control import request as lines
from paas_isolate.control.refusal import Reason, RefusedError
from paas_isolate.control.request import Asked, Caller, Keep, Narrow, Reply
from paas_isolate.control.table import BY_NAME, About, Access, Scope, Verb, checked
from paas_isolate.errors import PaasError
from paas_isolate.exits import Exit
from paas_isolate.model.account import Account, Fleet
from paas_isolate.spec.names import NAME_EXPECTED, SIZE_CAP, is_name


class Customers(NamedTuple):
    """The accounts of the last full pass."""

    fleet: Fleet
    places: Placement


class Request(NamedTuple):
    """What a verb's function is given. `found` is the account, with its fleet, where the verb is about one that exists.
    `send` is called later with the line of the answer, without an id; it returns False when the client has gone.
    `subscribe`: lines follow the answer; what it is given is called with what sends one."""

    verb: Verb
    caller: Caller
    by_customer: bool
    about: str
    options: Mapping[str, str]
    found: tuple[Fleet, Account] | None
    body: bytes = b""
    send: Callable[[bytes], bool] = lambda _: False
    subscribe: Callable[[Callable[[Callable[[bytes], bool]], None]], None] = lambda _: None

    @property
    def account(self) -> tuple[Fleet, Account]:
        assert self.found is not None
        return self.found


Answering = Callable[[Request], Reply | None]
"""It returns the answer or raises RefusedError; None says that it calls `request.send` later."""


class Later(NamedTuple):
    """The answer comes within so many seconds, or else `too_late` is to be sent."""

    seconds: float
    too_late: bytes


class Stream(NamedTuple):
    """After `line`, lines come until the client goes. `begin` is called with what sends one; it returns False when the
    client has gone."""

    line: bytes
    begin: Callable[[Callable[[bytes], bool]], None]


class Final(NamedTuple):
    """A line after which the connection is closed: what follows cannot be told from a body."""

    line: bytes


class WantsBody(NamedTuple):
    """So many bytes follow; `go` is to be called with them and with what sends a later answer. `busy` is the refusal
    where too many bodies come at once."""

    size: int
    go: Callable[[bytes, Callable[[bytes], bool]], "bytes | Later | Stream"]
    busy: bytes


Outcome = bytes | Later | Stream | WantsBody | Final | Caller | Keep
"""The line to answer; or what else to do with the connection. A Caller is who the connection's next line is to be asked
by."""


class Control:
    """`functions` are those of the verbs that the daemon answers itself, `work` that of all others. `customers` returns
    None before the first full pass. `bug` is called with exceptions that no verb should raise: no request of a
    customer ends the daemon."""

    def __init__(
        self,
        functions: Mapping[str, Answering],
        work: Answering,
        customers: Callable[[], Customers | None],
        bug: Callable[[Exception], None],
        verbs: Mapping[str, Verb] = BY_NAME,
    ) -> None:
        self._functions, self._work = functions, work
        self._customers, self._bug, self._verbs = customers, bug, verbs

    def ask(self, line: bytes, caller: Caller, send: Callable[[bytes], bool]) -> Outcome:
        """`send` gets what comes later. A body is received even where the request is refused: its lines are no
        requests."""
        try:
            asked = lines.read(line)
        except RefusedError as error:
            return Final(self._refusal(error, caller, None))
        if isinstance(asked, Narrow):
            return caller.narrowed(asked)
        if isinstance(asked, Keep):
            return asked
        try:
            request = self._permitted(asked, caller)
        except Exception as error:  # noqa: BLE001  (the client may be hostile; the loop serves others too)
            refused = self._refusal(error, caller, asked.id)
            if asked.body > SIZE_CAP:
                return Final(refused)
            return WantsBody(asked.body, lambda *_: refused, refused) if asked.body else refused
        if not asked.body:
            return self._answer(request, asked.id, send)
        busy = lines.refusal("too many send files at once: try again", Exit.BUSY, asked.id)
        return WantsBody(asked.body, lambda body, to: self._answer(request._replace(body=body), asked.id, to), busy)

    def _answer(self, request: Request, number: int | None, send: Callable[[bytes], bool]) -> bytes | Later | Stream:
        verb = request.verb
        subscribed: list[Callable[[Callable[[bytes], bool]], None]] = []
        try:
            reply = self._functions.get(verb.name, self._work)(
                request._replace(
                    send=lambda late: send(lines.numbered(late, number)),
                    subscribe=subscribed.append,
                )
            )
        except Exception as error:  # noqa: BLE001
            return self._refusal(error, request.caller, number)
        if reply is None:
            return Later(verb.patience, lines.refusal("it takes longer: look at it later", Exit.BUSY, number))
        line = lines.answer(reply, number)
        if not subscribed:
            return line
        (begin,) = subscribed
        return Stream(line, lambda more: begin(lambda event: more(lines.numbered(event, number))))

    def _refusal(self, error: Exception, caller: Caller, number: int | None) -> bytes:
        match error:
            case RefusedError():
                return lines.refusal(str(error), error.status, number, reason=error.reason)
            case PaasError() | OSError():
                words = str(error) if self._administers(caller) else "that cannot be had now"
                return lines.refusal(words, Exit.ERROR, number)
        self._bug(error)
        return lines.refusal("an error of paas-isolate's own; the log has it", Exit.ERROR, number)

    def who(self, request: Request) -> Reply:
        """What this caller may do: the account is that of a customer, None for others."""
        caller, customers = request.caller, self._customers()
        account = None
        if request.by_customer and customers is not None:
            with suppress(RefusedError):
                account = account_of_caller(customers, caller.uid)
        return {
            "uid": caller.uid,
            "administrator": not request.by_customer,
            "account": account and account.name,
            "suspended": bool(account and account.suspended),
            "scope": caller.scope.name.lower(),
            "accounts": None if caller.accounts is None else sorted(caller.accounts),
        }

    def may_hear(self, caller: Caller, account: str) -> bool:
        """Whether somebody may hear of an account; '': of the machine."""
        if self._administers(caller):
            return caller.accounts is None or account in caller.accounts
        customers = self._customers()
        if customers is None or not account:
            return False
        try:
            return account_of_caller(customers, caller.uid).name == account and caller.may_ask_about(account)
        except RefusedError:
            return False

    def _administers(self, caller: Caller) -> bool:
        if caller.uid == 0:
            return True
        customers = self._customers()
        return (
            customers is not None
            and caller.uid in customers.fleet.administrators
            and customers.places.account_of(caller.uid) is None  # an account that was made since the last full pass
        )

    def _permitted(self, asked: Asked, caller: Caller) -> Request:
        """RefusedError where this caller may not ask that."""
        administers = self._administers(caller)
        verb = self._verb(asked.verb, caller, administers)
        found = self._found(asked.about, caller, administers) if verb.about is About.ACCOUNT else None
        if verb.access is Access.CUSTOMER and not (found or administers):
            self._found("", caller, administers)  # who has no account has nothing to ask about
        if verb.about is About.NOTHING and asked.about:
            raise RefusedError(f"{verb.name} is about no account", Exit.WRONG)
        if verb.about in (About.NAME, About.PLAN):
            self._nameable(asked.about, verb, caller)
        if found and found[1].suspended and verb.needs > Scope.READ and not administers:
            raise _denied("your account is suspended: ask your provider")
        checked(verb, asked.options)
        if asked.body > (verb.body_cap if verb.body else 0):
            raise RefusedError(f"{verb.name} takes a body of {verb.body_cap if verb.body else 0} bytes at the most", 2)
        about = found[1].name if found else asked.about
        return Request(verb, caller, not administers, about, asked.options, found)

    def _verb(self, name: str, caller: Caller, administers: bool) -> Verb:
        verb = self._verbs.get(name)
        if verb is None:
            known = (
                each.name
                for each in self._verbs.values()
                if each.access is not Access.ROOT and (administers or each.access is not Access.ADMINISTRATOR)
            )
            raise RefusedError(f"no verb is called {name[:32]!r}; there are: {', '.join(known)}", Exit.WRONG)
        if verb.access is Access.ROOT and (caller.uid != 0 or caller.is_narrowed):
            raise _denied("this is for programs of root's alone")
        if verb.access is Access.ADMINISTRATOR and not administers:
            raise _denied("this needs an administrator")
        if caller.scope < verb.needs:
            raise _denied(f"this needs the scope {verb.needs.name.lower()}; yours is {caller.scope.name.lower()}")
        everybody = verb.access is Access.ADMINISTRATOR and verb.about in (About.NOTHING, About.PLAN)
        if everybody and caller.accounts is not None:
            raise _denied("this is about all accounts, and yours are only some")
        return verb

    def _found(self, name: str, caller: Caller, administers: bool) -> tuple[Fleet, Account]:
        """The account that a request is about, with its fleet."""
        customers = self._customers()
        if customers is None:
            raise RefusedError("the daemon has not looked at everything yet", Exit.BUSY)
        account = _named(customers.fleet, name, caller) if administers else account_of_caller(customers, caller.uid)
        if not administers and name not in ("", account.name):
            raise _no_such(name)
        if not caller.may_ask_about(account.name):
            raise _denied("your account is not one of those that this connection may ask about")
        return customers.fleet, account

    @staticmethod
    def _nameable(name: str, verb: Verb, caller: Caller) -> None:
        if not is_name(name):
            raise RefusedError(f"{name[:64]!r} is no name; expected {NAME_EXPECTED}", Exit.WRONG)
        if verb.about is About.NAME and not caller.may_ask_about(name):
            raise _no_such(name)


def account_of_caller(customers: Customers, uid: int) -> Account:
    """The account of a user who is not root."""
    account = customers.places.account_of(uid) if customers.fleet.governs(uid) else None
    if account is not None and uid not in customers.fleet.doubtful:
        return account
    if uid in customers.fleet.exempt:
        raise _denied("you are exempt: no account of this machine holds you, and no limit of it")
    raise _denied("you have no account on this machine")


def _named(fleet: Fleet, name: str, caller: Caller) -> Account:
    if not name:
        raise RefusedError("an administrator has no account: name one", Exit.WRONG)
    if not caller.may_ask_about(name) or (account := fleet.accounts.get(name)) is None:
        raise _no_such(name)
    return account


def _no_such(name: str) -> RefusedError:
    return RefusedError(f"no account is called {name[:64]!r}", Exit.WRONG, Reason.UNKNOWN)


def _denied(words: str) -> RefusedError:
    return RefusedError(words, Exit.ERROR, Reason.DENIED)
