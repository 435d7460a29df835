"""The entry point. Every error that a person can correct ends as a message and an exit status, not as a traceback."""

import gc
import io
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn, cast

from paas_isolate.errors import PaasError, in_words
from paas_isolate.exits import Exit, exit_of

SCHEDULED = (["reconcile", "--cron"], ["reconcile", "--quiet"])
"""What cron and the timer run every minute. It works without click, whose import takes longer than all of ours."""


def main() -> None:
    gc.disable()  # imported objects stay anyway (_run enables it again, except for the runs of every minute)
    sys.excepthook = _bug
    # A character that the locale cannot encode must not end root's command (standard error does this by default).
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    if _directories(sys.argv[1:])[1] not in SCHEDULED:
        sys.exit(code)
    _end(code)


def _end(code: int) -> NoReturn:
    """Exit without Python's teardown, which visits each of a million objects. None of them needs a finalizer."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # the reader has closed the pipe
            stream.flush()
    os._exit(code)


def _bug(_: type[BaseException], error: BaseException, __: object) -> None:
    from paas_isolate.cli import output  # late, as in run

    output.bug(error)


def run(words: list[str]) -> int:
    """Run the command line `words` (without the program's name), print errors, and return the exit status."""
    for stream in (sys.stdout, sys.stderr):  # the path of a home may have bytes that are not UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from paas_isolate.cli import output  # late: main disables gc before the many imports that this brings

    try:
        return _run(words)
    except BrokenPipeError:  # `paas-isolate status | head`: not our error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.ERROR
    except KeyboardInterrupt:
        return 130
    except PaasError as error:
        output.lines(f"paas-isolate: {error}", err=True)
        return exit_of(error)
    except OSError as error:  # a full disk, an unreadable file: a state of the machine, not our bug
        output.line(f"paas-isolate: {in_words(error)}", err=True)
        return Exit.ERROR


def _run(words: list[str]) -> int:
    directories, rest = _directories(words)
    if rest in SCHEDULED:
        # Late: only after main has disabled gc.
        from paas_isolate.cli.run import RunOptions, reconcile
        from paas_isolate.installation import Installation

        gc.disable()  # a run makes no cycles worth collecting, and ends soon
        return reconcile(Installation(**directories), RunOptions(cron="--cron" in rest, quiet="--quiet" in rest))
    gc.enable()
    from paas_isolate.cli.commands import invoke  # late: click, 19 ms

    return invoke(words)


def _directories(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The directories given by leading global options (`--etc DIR`, not `--etc=DIR`), and the remaining words."""
    directories, rest = {}, list(words)
    while len(rest) > 2 and rest[0] in ("--etc", "--state", "--run"):
        option, directory, *rest = rest
        directories[option[2:]] = directory
    return directories, rest
