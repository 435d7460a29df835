"""Sends notices: to a program of root's, to a webhook, by mail. Each has SECONDS, whatever the other side does.

Nothing of a notice becomes a word of a command, a part of a URL or a header of a request: it is input, or a body.
"""

import json
import os
import signal
import smtplib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from http.client import HTTPException
from typing import Any, NoReturn

from paas_isolate.errors import in_words
from paas_isolate.model.notices import MailConfig

SECONDS = 10.0
_FAREWELL = 2.0
"""Seconds for whatever is done after the time limit."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class UnsentError(Exception):
    """It was not sent. `target` is what cannot be reached: the mail server, or one address."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(f"{target}: {why}")
        self.target = target


def to_command(words: Sequence[str], said: dict[str, Any]) -> None:
    """Run a program with the notice as JSON on its standard input. UnsentError where it fails or takes too long; it is
    killed then, with what it started."""
    target = words[0]
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={"PATH": _PATH, "LANG": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise UnsentError(target, in_words(error)) from error
    try:
        process.communicate(json.dumps(said).encode() + b"\n", timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise UnsentError(target, f"takes longer than {SECONDS:.0f} s") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise UnsentError(target, f"ended with {process.returncode}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The URL is root's, and no answer leads elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def to_webhook(url: str, said: dict[str, Any]) -> None:
    """Send the notice as JSON. UnsentError unless the answer is one of 2xx."""
    request = urllib.request.Request(  # noqa: S310  (the URL begins with http: the parser of config.yaml sees to it)
        url,
        data=json.dumps(said).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "paas-isolate"},
    )
    try:
        with _within(SECONDS), urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS):
            return
    except urllib.error.HTTPError as error:
        raise UnsentError(url, f"answers {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise UnsentError(url, str(error)) from error


def by_mail(message: EmailMessage, to: str, config: MailConfig, host: str) -> None:
    """Hand the mail to the SMTP server. UnsentError with the server, or with the address where that alone is
    refused."""
    name, _, port = config.server.rpartition(":")
    try:
        with (
            _within(SECONDS),
            smtplib.SMTP(name.strip("[]"), int(port), local_hostname=host, timeout=SECONDS) as server,
        ):
            server.send_message(message, from_addr=config.sender, to_addrs=[to])
    except smtplib.SMTPRecipientsRefused as error:
        raise UnsentError(to, f"is refused by {config.server}: {_answer(error)}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise UnsentError(config.server, str(error)) from error


def _answer(error: smtplib.SMTPRecipientsRefused) -> str:
    return "; ".join(f"{code} {text.decode(errors='replace')}" for code, text in error.recipients.values())


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """TimeoutError when the block takes longer. A time limit of a socket holds for each of its answers, and who sends
    a byte now and then is never late."""
    before = signal.signal(signal.SIGALRM, _late)
    signal.setitimer(signal.ITIMER_REAL, seconds, _FAREWELL)  # smtplib says goodbye, and waits for an answer again
    try:
        yield
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _late(*_: object) -> NoReturn:
    raise TimeoutError("it takes too long")
