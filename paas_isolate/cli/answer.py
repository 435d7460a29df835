"""Runs a command of the program in this process, and makes one line of what it printed: the answer to a question that
was asked through the control socket."""

import json
import sys
from collections.abc import Sequence
from io import BufferedIOBase, TextIOWrapper
from typing import Any

import click

from paas_isolate.cli import output
from paas_isolate.cli.commands import invoked
from paas_isolate.control import request as lines
from paas_isolate.control.refusal import Reason
from paas_isolate.errors import PaasError, SpecError, in_words
from paas_isolate.exits import Exit, exit_of

LONGEST = 1 << 20
"""Bytes that a command may print."""
_ERRORS = 1 << 16
"""Bytes of its standard error that are kept."""
_SHOWN = (Exit.CONVERGED, Exit.DIFFERS, Exit.PARTLY)
"""Exit statuses after which the text that was printed is the answer."""
_HIDDEN = "that cannot be had now"
"""What a customer gets of errors that may name other accounts, or files of the machine."""
_OTHERS = "no account is called"
"""The beginning of wrong usage that goes on with the name of another account (installation.unknown)."""

_MISSING = _OTHERS, "no plan is called"


class _TooLongError(Exception):
    """More was printed than an answer may have."""


class _Kept(BufferedIOBase):
    """Keeps what is written. What is too much is dropped, or, where it is `strict`, an error."""

    name = ""

    def __init__(self, most: int, *, strict: bool) -> None:
        self.data = bytearray()
        self._most, self._strict = most, strict

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        if self._strict and len(self.data) + size > self._most:
            raise _TooLongError
        self.data += bytes(data)[: self._most - len(self.data)]
        return size


def answer(words: Sequence[str], *, for_customer: bool) -> bytes:
    """The line of the answer. A bug is printed to standard error as it is now."""
    printed, errors = _Kept(LONGEST, strict=True), _Kept(_ERRORS, strict=False)
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _text(printed), _text(errors)
    try:
        status = invoked(list(words))
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001  (a bug ends one answer)
        return _refused(error, before, for_customer=for_customer)
    finally:
        sys.stdout, sys.stderr = before
    return _told(status, bytes(printed.data), bytes(errors.data), for_customer=for_customer)


def _text(raw: _Kept) -> TextIOWrapper:
    return TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


def _refused(error: Exception, before: tuple[Any, Any], *, for_customer: bool) -> bytes:
    match error:
        case _TooLongError():
            return lines.refusal("the answer is too long: ask for less", Exit.ERROR)
        case click.ClickException():
            words = error.format_message()
            reason = Reason.UNKNOWN if words.startswith(_MISSING) else Reason.OTHER
            words = _HIDDEN if for_customer and words.startswith(_OTHERS) else words
            return lines.refusal(words, Exit.WRONG, reason=reason)
        case SpecError() if not for_customer:
            return lines.refusal(str(error), exit_of(error), complaints=error.complaints)
        case PaasError() | OSError():
            status = exit_of(error) if isinstance(error, PaasError) else Exit.ERROR
            if for_customer:
                return lines.refusal(_HIDDEN, Exit.BUSY if status == Exit.BUSY else Exit.ERROR)
            return lines.refusal(in_words(error), status)
    sys.stdout, sys.stderr = before
    output.bug(error)
    return lines.refusal("an error of paas-isolate's own; the log has it", Exit.ERROR)


def _told(status: int, printed: bytes, errors: bytes, *, for_customer: bool) -> bytes:
    """JSON that was printed is an answer whatever the exit status; text is one where the command did what it should."""
    text = printed.decode(errors="replace")
    try:
        data = json.loads(text)
    except ValueError:
        data = {"lines": text.splitlines()}
        if status not in _SHOWN:
            said = (errors.decode(errors="replace") or text).strip()
            return lines.refusal(_HIDDEN if for_customer or not said else said, status)
    told = data if isinstance(data, dict) else {"rows": data}
    return lines.answer(told | {"status": status} if status else told)
