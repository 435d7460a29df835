"""Where the demonstration takes place: one way to run a script, one tree, one set of files."""

import shlex
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from demonstration import examples
from demonstration.facts import DemonstrationError, Readings

PRELUDE = (Path(__file__).resolve().parent / "prelude.sh").read_text()
PATIENCE = 120.0


@dataclass(frozen=True)
class Answer:
    """How a script ended. 124: it took longer than its patience."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def both(self) -> str:
        return self.out + self.err

    def last_line(self) -> str:
        """The product sums up on standard output; what it complains about is on the other."""
        lines = (self.out.strip() or self.err.strip()).splitlines()
        return lines[-1] if lines else ""


class Ground(ABC):
    tree: str
    """The tree's root."""
    etc: str
    lock: str
    paas: tuple[str, ...]
    """The command line of the product."""
    names: dict[str, str]
    """What the accounts of the examples are called here."""
    ports: dict[str, int]
    """Where the programs of an account listen."""

    @abstractmethod
    def execute(self, script: str, *, patience: float) -> Answer:
        """A bash script, as root."""

    def log_in(self, user: str, script: str) -> Answer | None:  # noqa: ARG002
        """The script in a real login, through sshd and PAM; None where nobody can log in."""
        return None

    @abstractmethod
    def install(self) -> str:
        """Puts the product there; what was done, in words."""

    @abstractmethod
    def hold_schedule(self) -> None:
        """From now on, each run of reconcile is one that is shown."""

    @abstractmethod
    def add_users(self, users: list[str]) -> None: ...

    @abstractmethod
    def reboot(self) -> float:
        """Seconds until it is up again."""

    @property
    def excused(self) -> str:
        """A check of doctor that cannot be fulfilled here."""
        return ""

    def called(self, account: str) -> str:
        return self.names[account]

    def run(self, script: str, *, patience: float = PATIENCE) -> Answer:
        begin = time.monotonic()
        answer = self.execute(self.header() + script, patience=patience)
        return Answer(answer.code, answer.out, answer.err, time.monotonic() - begin)

    def measure(self, script: str, *, patience: float = PATIENCE) -> Readings:
        """A script that ends well, and what it told."""
        answer = self.run(script, patience=patience)
        if answer.code != 0:
            what = f"took longer than {patience:.0f} s" if answer.code == 124 else f"ended with status {answer.code}"
            raise DemonstrationError(f"a script of this step {what}", output=answer.both)
        return Readings.of(answer.out)

    def product(self, *words: str) -> Answer:
        """The product's command line, as root."""
        return self.run(f'"${{PAAS[@]}}" {shlex.join(words)}')

    def reconcile(self) -> Answer:
        return self.product("reconcile", "--wait", "60")

    def write(self, files: dict[str, str]) -> None:
        """Files of root, below the directory of the configuration."""
        self.measure("set -e; umask 022\n" + self.writes(files))

    def writes(self, files: dict[str, str]) -> str:
        """The lines of a script that do so."""
        return "\n".join(f"printf %s {shlex.quote(text)} >{self.etc}/{path}" for path, text in files.items())

    def saves(self, texts: dict[str, str]) -> str:
        """A function of a script, `save`: the accounts' files say this from then on."""
        return f"save() {{\n{self.writes({self.spec(account): text for account, text in texts.items()})}\n}}\n"

    def example(self, account: str) -> str:
        """The file of an example account, under the names of this ground."""
        return examples.renamed(examples.accounts()[account], self.names)

    def spec(self, account: str) -> str:
        """Its path below the configuration."""
        return f"accounts.d/{self.called(account)}.yaml"

    def header(self) -> str:
        settings = {"TREE": self.tree, "ETC": self.etc, "LOCK": self.lock}
        settings |= {name: called for name, called in self.names.items() if name.isidentifier()}
        settings |= {f"{name}_port": str(port) for name, port in self.ports.items()}
        lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
        return "\n".join([*lines, f"PAAS=({shlex.join(self.paas)})", PRELUDE])
