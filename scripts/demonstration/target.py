"""Where the demonstration takes place: how scripts run there, its tree and its files."""

import json
import shlex
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demonstration import examples
from demonstration.facts import DemonstrationError, Fact, Readings

PRELUDE = (Path(__file__).resolve().parent / "prelude.sh").read_text()
PATIENCE = 120.0


@dataclass(frozen=True)
class Answer:
    """How a script ended. `code` 124: it took longer than its patience."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def both(self) -> str:
        return self.out + self.err

    def fact(self, name: str, ok: bool, said: str, expected: str) -> Fact:
        return Fact(name, ok, said, expected, self.both)

    def json(self) -> Any:
        """What the product printed with --json."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise DemonstrationError("its output is no JSON", output=self.both) from None

    def last_line(self) -> str:
        """The product prints its summary on standard output, or else a complaint on standard error."""
        lines = (self.out.strip() or self.err.strip()).splitlines()
        return lines[-1] if lines else ""


class Target(ABC):
    tree: str
    """The tree's root."""
    etc: str
    lock: str
    paas: tuple[str, ...]
    """The command line of the product, without arguments."""
    names: dict[str, str]
    """Account of the examples -> its name here."""
    ports: dict[str, int]
    """Account of the examples -> the port of its program."""

    @abstractmethod
    def execute(self, script: str, *, patience: float) -> Answer:
        """Runs a bash script as root, for `patience` seconds at most."""

    def log_in(self, user: str, script: str) -> Answer | None:  # noqa: ARG002
        """Runs the script in a login through sshd and PAM; None where nobody can log in."""
        return None

    @abstractmethod
    def install(self) -> str:
        """Installs the product; returns a sentence about it."""

    @abstractmethod
    def hold_schedule(self) -> None:
        """From now on, nothing else runs reconcile."""

    @abstractmethod
    def add_users(self, users: list[str]) -> None: ...

    @abstractmethod
    def reboot(self) -> float:
        """Reboots; returns the seconds until it is up again."""

    @property
    def excused(self) -> str:
        """Name of a check of `doctor` that may fail here; '' for none."""
        return ""

    def called(self, account: str) -> str:
        return self.names[account]

    def run(self, script: str, *, patience: float = PATIENCE) -> Answer:
        begin = time.monotonic()
        answer = self.execute(self.header() + script, patience=patience)
        return Answer(answer.code, answer.out, answer.err, time.monotonic() - begin)

    def measure(self, script: str, *, patience: float = PATIENCE) -> Readings:
        """The readings of a script. DemonstrationError where it does not end with status 0."""
        answer = self.run(script, patience=patience)
        if answer.code != 0:
            what = f"took longer than {patience:.0f} s" if answer.code == 124 else f"ended with status {answer.code}"
            raise DemonstrationError(f"a script of this step {what}", output=answer.both)
        return Readings.of(answer.out)

    def product(self, *words: str) -> Answer:
        """Runs the product with these arguments, as root."""
        return self.run(f'"${{PAAS[@]}}" {shlex.join(words)}')

    def reconcile(self) -> Answer:
        return self.product("reconcile", "--wait", "60")

    def write(self, files: dict[str, str]) -> None:
        """Writes files: path below the configuration directory -> text."""
        self.measure("set -e; umask 022\n" + self.writes(files))

    def writes(self, files: dict[str, str]) -> str:
        """The lines of a script that write these files."""
        return "\n".join(f"printf %s {shlex.quote(text)} >{self.etc}/{path}" for path, text in files.items())

    def saves(self, texts: dict[str, str]) -> str:
        """A function `save` for a script: it writes these texts into the accounts' files."""
        return f"save() {{\n{self.writes({self.spec(account): text for account, text in texts.items()})}\n}}\n"

    def example(self, account: str) -> str:
        """The file of an example account, with the names of this target."""
        return examples.renamed(examples.accounts()[account], self.names)

    def spec(self, account: str) -> str:
        """Path of the account's file below the configuration directory."""
        return f"accounts.d/{self.called(account)}.yaml"

    def header(self) -> str:
        settings = {"TREE": self.tree, "ETC": self.etc, "LOCK": self.lock}
        settings |= {name: called for name, called in self.names.items() if name.isidentifier()}
        settings |= {f"{name}_port": str(port) for name, port in self.ports.items()}
        lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
        return "\n".join([*lines, f"PAAS=({shlex.join(self.paas)})", PRELUDE])
