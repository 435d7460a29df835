"""What holds for the bytes of any specification: for the fuzzer and for its findings."""

import json
import marshal
import re
import time
from typing import Any, NamedTuple
from unittest import mock

import yaml

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.source.spec_reader import ACCOUNT, HOST, PLAN, DocumentKind

FILES = ((ACCOUNT, "accounts.d/a.yaml"), (PLAN, "plans.d/a.yaml"), (HOST, "config.yaml"))
SECONDS = 1.0
LONGEST = 1000
PYTHON_BYTES = 256
"""Small files are also read as PyYAML does without libyaml: the same promises, thirty times slower."""

# Unicode's Default_Ignorable_Code_Point, where it counts as a letter or a mark: str.isprintable() takes those.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


class BrokenError(AssertionError):
    """`promise` is the same for all inputs that break it in one way."""

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise


class _Outcome(NamedTuple):
    thing: Any
    complaints: tuple[Complaint, ...]


def check(data: bytes) -> None:
    """As each of the three documents. Raises BrokenError."""
    for kind, file in FILES:
        _check(kind, data, file)
    if len(data) <= PYTHON_BYTES:
        with mock.patch.object(yaml, "CSafeLoader", yaml.SafeLoader):
            for kind, file in FILES:
                _check(kind, data, file)


def _check(kind: DocumentKind, data: bytes, file: str) -> None:
    outcome = _read(kind, data, file)
    for complaint in outcome.complaints:
        check_words(str(complaint))
        _check_place(complaint, data)
    if outcome.thing is not None:
        _check_kept(kind, outcome.thing)
    if _read(kind, data, file) != outcome:
        raise BrokenError("the same bytes are read the same", file)


def _read(kind: DocumentKind, data: bytes, file: str) -> _Outcome:
    begin = time.process_time()
    try:
        outcome = _Outcome(kind.parse(data, file), ())
    except SpecError as refused:
        outcome = _Outcome(None, refused.complaints)
    except Exception as error:
        raise BrokenError(f"no {type(error).__name__} comes out", f"{file}: {error}") from error
    took = time.process_time() - begin
    if took > SECONDS:
        raise BrokenError("no file takes long", f"{file}: {took:.1f} s of CPU time")
    if outcome.thing is None and not outcome.complaints:
        raise BrokenError("whoever refuses says why", file)
    return outcome


def check_words(said: str) -> None:
    """A complaint can be printed as it is. Raises BrokenError."""
    if not said.isprintable() or _UNSEEN.search(said):
        raise BrokenError("complaints can be seen", ascii(said[:LONGEST]))
    if len(said) > LONGEST:
        raise BrokenError("complaints are short", f"{len(said)} characters: {said[:100]} ...")


def _check_place(complaint: Complaint, data: bytes) -> None:
    lines = data.split(b"\n")
    if not 0 <= complaint.line <= len(lines) or bool(complaint.line) != bool(complaint.column):
        raise BrokenError("complaints name a place in the file", f"{len(lines)} lines: {complaint}")


def _check_kept(kind: DocumentKind, thing: Any) -> None:
    """As paas_isolate.source keeps it: a host as JSON too, for the day when config.yaml is wrong."""
    row = kind.plain(thing)
    rows = [row, marshal.loads(marshal.dumps(row))]
    if kind is HOST:
        rows.append(json.loads(json.dumps(row)))
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BrokenError("what is read is text", f"{thing}: {error}") from error
    for kept in rows:
        back = kind.back(kept)
        if back != thing or kind.plain(back) != row:
            raise BrokenError("what is kept comes back", f"{thing} as {back}")
