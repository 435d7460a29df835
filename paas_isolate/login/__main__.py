"""The login helper: one process for each login to the page. `paas-isolate-session.socket` starts it with the connection
of the web process as standard input.

It answers with one line: `{"told": {"user": "alice", …}}`, with what the verb `who` says, or `{"error": "a sentence",
"status": 1}`. After a success the connection is one to the daemon, with the rights of who has logged in.
"""

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import NamedTuple, NoReturn

from paas_isolate.control.logins import Refusal, RefusedLogin
from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import answer, refusal
from paas_isolate.errors import HostError, PaasError
from paas_isolate.exits import Exit
from paas_isolate.linux.system import control_socket
from paas_isolate.login import connect, relay
from paas_isolate.login.connect import Identity
from paas_isolate.login.request import Password, Token, is_user, receive
from paas_isolate.login.tries import Tries
from paas_isolate.text import escaped

_LIBRARIES = "/usr/lib/paas-isolate"
"""As paas_isolate/__main__.py has it."""
_USER = "paas-isolate-login"
"""Who copies the bytes."""
_AUTHENTICATION = 60
"""Seconds until the process is ended when PAM or the daemon does not answer."""
_WITH_PASSWORD, _WITH_TOKEN = 12 * 3600, 60
"""Seconds until the connection of a login is ended; that of a token so soon that a revoked one ends within a minute."""
_FAILURE = 5.0
"""Seconds after which a failure is told. PAM's own delay is within: how long it took says nothing about the user."""
_WRONG = "wrong user name or password"
_REPORT = 1.0
"""Seconds that the daemon has to hear of a refused login. Without a daemon the log alone has it."""
_NO_NEW_PRIVS = 38  # prctl(2)


class _RefusedError(RefusedError):
    """A login is refused, with these words; administrators are told of `login`."""

    def __init__(self, words: str, login: RefusedLogin) -> None:
        super().__init__(words)
        self.login = login


class Places(NamedTuple):
    """The directories of the product."""

    etc: str
    state: str
    run: str


def main() -> None:
    places = Places(*sys.argv[1:4])
    signal.alarm(_AUTHENTICATION)
    begun = time.monotonic()
    web = socket.socket(fileno=0)
    try:
        asked = receive(web)
        tries = _taken(asked, places.run)
        try:
            identity = _of_token(asked, places) if isinstance(asked, Token) else _of_password(asked, places)
        except RefusedError as error:
            if isinstance(error, _RefusedError):
                control_socket.ask(places.run, "login-refused", error.login.options(), seconds=_REPORT)
            time.sleep(max(0.0, begun + _FAILURE - time.monotonic()))
            raise
        tries.give_back()
        seconds = _WITH_TOKEN if isinstance(asked, Token) else _WITH_PASSWORD
        del asked
        daemon, who = connect.connect(places.run, identity)
    except RefusedError as error:
        _tell(web, refusal(str(error), error.status))
        return
    _log(f"{identity.name} logs in{_from(str(identity.bounds['from']))}")
    _tell(web, answer({"user": identity.name, **who}))
    _become_relay(web, daemon, seconds)


def _tell(web: socket.socket, line: bytes) -> None:
    """Unless it has gone; the relay notices that, too."""
    with suppress(OSError):
        web.sendall(line)


def _taken(asked: Password | Token, run: str) -> Tries:
    """RefusedError where it was tried too often."""
    tries = Tries(run, asked.user if isinstance(asked, Password) else "", asked.address)
    if not tries.take():
        _log(f"too many tries{_from(asked.address)}")
        raise RefusedError("too many tries: wait a minute", Exit.BUSY)
    return tries


def _of_token(asked: Token, places: Places) -> Identity:
    """RefusedError where no token is that."""
    from paas_isolate.source import tokens  # who has a password does not pay for it

    try:
        known = tokens.load(places.state)
    except HostError as error:
        _log(str(error))
        raise RefusedError("the tokens cannot be read now") from None
    token = tokens.found(known, asked.token, time.time())
    if token is None:
        _log(f"refused: a token that is unknown, or has expired{_from(asked.address)}")
        raise _RefusedError("this token is unknown, or has expired", RefusedLogin(Refusal.TOKEN, "", asked.address))
    accounts = None if token.accounts is None else list(token.accounts)
    bounds = {"scope": token.scope, "accounts": accounts, "from": asked.address}
    return Identity(f"token {token.id}", 0, 0, bounds)


def _of_password(asked: Password, places: Places) -> Identity:
    """RefusedError where the password is wrong, or the user may not log in; a stranger gets the same words for each."""
    from paas_isolate.login import password

    entry = password.entry_of(asked.user) if is_user(asked.user) else None
    if not is_user(asked.user):
        _log(f"refused: no name of a user{_from(asked.address)}")
        raise _RefusedError(_WRONG, RefusedLogin(Refusal.UNKNOWN, "", asked.address))
    if entry and entry.pw_uid == 0 and not _root_may(places.etc):
        _log(f"refused: root, which config.yaml does not let in (web: {{root: true}}){_from(asked.address)}")
        raise _RefusedError(_WRONG, RefusedLogin(Refusal.ROOT, entry.pw_name, asked.address))
    verdict = password.check(asked.user, asked.password, asked.address)
    who = f"uid {entry.pw_uid}" if entry else "an unknown user"  # its name may be a password
    if verdict is not password.Verdict.RIGHT or entry is None:
        _log(f"refused: {who}: {verdict.name.lower()}{_from(asked.address)}")
        words = _WRONG if verdict is password.Verdict.WRONG or entry is None else verdict.value
        why = Refusal(verdict.name.lower()) if entry else Refusal.UNKNOWN
        raise _RefusedError(words, RefusedLogin(why, entry.pw_name if entry else "", asked.address))
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, {"from": asked.address})


def _root_may(etc: str) -> bool:
    from paas_isolate.spec.parse import parse_host  # 60 ms, for root alone

    try:
        with open(os.path.join(etc, "config.yaml"), "rb") as file:
            return parse_host(file.read(), "config.yaml").web_root
    except (OSError, PaasError):
        return False


def _become_relay(web: socket.socket, daemon: socket.socket, seconds: int) -> NoReturn:
    """Replace this program by the one that copies: all that this one knows is gone."""
    import ctypes
    import pwd

    user = pwd.getpwnam(_USER)
    if ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    os.dup2(web.fileno(), 0)
    os.dup2(daemon.fileno(), 1)
    signal.alarm(seconds)
    words = [sys.executable, "-ISB", relay.__file__, str(user.pw_uid), str(user.pw_gid)]
    os.execve(sys.executable, words, {})  # noqa: S606  (words of our own)


def _from(address: str) -> str:
    return f" from {address}" if address else ""


def _log(text: str) -> None:
    sys.stderr.write(f"{escaped(text)}\n")


if __name__ == "__main__":
    sys.path.append(_LIBRARIES)
    main()
