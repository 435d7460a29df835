"""The command line, run each time in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from typing import IO, Any

from tests.support.waiting import wait_for

INSTALLED = "/usr/bin/paas-isolate"


@dataclass(frozen=True)
class Answer:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Run:
    """One run of paas-isolate.

    It is forked from this process, which has the product imported already: an emulated Python takes seconds for that.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  (open until the answer is read)
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._become_paas_isolate()

    def _become_paas_isolate(self) -> None:
        code = 1
        try:
            os.setsid()
            os.dup2(self._out.fileno(), 1)
            os.dup2(self._err.fileno(), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            from paas_isolate.cli import main

            code = main.run(list(self.words))
        except BaseException:  # noqa: BLE001  (what Python itself does at the end of a program)
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def has_ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def kill(self) -> None:
        if not self.has_ended():
            os.kill(self.pid, signal.SIGKILL)

    def answer(self, *, seconds: float = 60) -> Answer:
        try:
            wait_for(self.has_ended, what=f"paas-isolate {' '.join(self.words)} has ended", deadline=seconds)
        finally:
            self.kill()
        assert self.code is not None
        return Answer(self.code, _text(self._out), _text(self._err))


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode()


class Paas:
    """The command line: `paas("reconcile")`, `paas("diff", "--exit-code", code=3)`."""

    def __call__(self, *words: str, code: int | None = 0) -> Answer:
        """Fails the test when the exit status is another one than `code`; None takes any."""
        answer = self.start(*words).answer()
        told = f"paas-isolate {' '.join(words)}: exit status {answer.code}\n{answer.out}\n{answer.err}"
        assert code is None or answer.code == code, told
        return answer

    def start(self, *words: str) -> Run:
        return Run(words)

    def installed(self, *words: str, under: tuple[str, ...] = ()) -> Answer:
        """The installed program itself, with its own Python; `under` is what runs it (strace)."""
        done = subprocess.run([*under, INSTALLED, *words], capture_output=True, text=True)
        return Answer(done.returncode, done.stdout, done.stderr)
