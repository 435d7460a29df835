"""The entry point: every error that a person can mend ends as words and an exit status."""

import gc
import io
import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn, cast

from paas_isolate.errors import PaasError, in_words
from paas_isolate.exits import Exit, exit_of

SCHEDULED = (["reconcile", "--cron"], ["reconcile", "--quiet"])
"""What cron and the timer run every minute. It does without click, whose import costs more than all of ours."""


def main() -> None:
    gc.disable()  # what is imported stays (_run enables it for all but the runs of every minute)
    sys.excepthook = _bug
    # No letter of a customer's ends root's command where the locale does not have it (standard error does so already).
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    if _directories(sys.argv[1:])[1] not in SCHEDULED:
        sys.exit(code)
    _end(code)


def _end(code: int) -> NoReturn:
    """Without a look at each of a million objects, which the kernel takes all at once: none needs an end of its own."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever read what is said is gone
            stream.flush()
    os._exit(code)


def _bug(_: type[BaseException], error: BaseException, __: object) -> None:
    from paas_isolate.cli import output  # as in run

    output.bug(error)


def run(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):  # a home may have bytes in its path that are no letters: none ends a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    from paas_isolate.cli import output  # all that it imports is what gc is put off for

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
    except OSError as error:  # a full disk, a file that is not ours to read: the machine's word, not our bug
        output.line(f"paas-isolate: {in_words(error)}", err=True)
        return Exit.ERROR


def _run(words: list[str]) -> int:
    directories, rest = _directories(words)
    if rest in SCHEDULED:
        from paas_isolate.cli.run import RunOptions, reconcile
        from paas_isolate.installation import Installation

        gc.disable()  # a run makes no cycles worth finding, and ends soon
        return reconcile(Installation(**directories), RunOptions(cron="--cron" in rest, quiet="--quiet" in rest))
    gc.enable()
    from paas_isolate.cli.commands import invoke

    return invoke(words)


def _directories(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The global options at the beginning, as far as they are written in the plain way; and the rest."""
    found, rest = {}, list(words)
    while len(rest) > 2 and rest[0] in ("--etc", "--state", "--run"):
        option, directory, *rest = rest
        found[option[2:]] = directory
    return found, rest
