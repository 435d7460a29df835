"""The command `paas-isolate` as somebody at a shell has it: words in; exit status, output and errors out.

Nothing of the machine is read that a test could meet by chance: users are those of PASSWD, and the cgroup2 file system
is a directory of plain files (`CommandLine.tree`), or is not mounted (`CommandLine.unfit`).
"""

import builtins
import errno
import io
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any
from unittest import mock

import click
import pytest
from click.testing import CliRunner, Result

from paas_isolate.cli.main import main, run

FIRST = 61_000
"""The lowest uid of a customer: no process of this machine has any of them."""
NAMES = {"root": 0, **{name: FIRST + n for n, name in enumerate(("alice", "bob", "carol", "dave", "erin"))}}
PASSWD = [pwd.struct_passwd((name, "x", uid, uid, "", f"/home/{name}", "/bin/sh")) for name, uid in NAMES.items()]
CGROUP = {
    "cgroup.controllers": "",
    "cgroup.events": "populated 0\nfrozen 0",
    "cgroup.freeze": "0",
    "cgroup.procs": "",
    "cgroup.subtree_control": "",
}
"""What the kernel puts into a cgroup without controllers, as Linux 6.1 prints it."""
UNLIMITED = (
    "penalty: {cpu: unlimited, memory: unlimited, pids: unlimited}\nceiling: {memory: unlimited, pids: unlimited}\n"
)
NO_LIMIT = "limits: {memory: {kill: process}}"
PLAN = "plan: small\n"
ALICE = f"account: alice\nplan: small\nservices: {{web: {{{NO_LIMIT}}}}}\n"


@cache
def root() -> click.Group:
    """The command with all its subcommands, as click knows it."""
    found: list[click.Group] = []
    with mock.patch.object(click.Command, "main", lambda command, *_, **__: found.append(command)):
        run(["version"])
    return found[0]


def commands(command: click.Command | None = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand: its words, and itself."""
    command = command or root()
    yield " ".join(words), command
    if isinstance(command, click.Group):
        context = click.Context(command, **root().context_settings)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, (*words, name))


ALL = dict(commands())
# click 8.1 mixes standard output and errors unless told; later ones have no such option.
SEPARATE: dict[str, Any] = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
LEAVES = {words: command for words, command in ALL.items() if not isinstance(command, click.Group)}


def metavar(parameter: click.Parameter, command: click.Command) -> str:
    """What the help calls it. click 8.1 takes no context."""
    make: Any = parameter.make_metavar
    return str(make(click.Context(command)) if signature(make).parameters else make())


def options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


def outcome(words: list[str], stdin: str = "") -> Result:
    """As the installed program does it, but that the interpreter goes on."""
    program = click.Command("paas-isolate", callback=main)
    ends = mock.patch("paas_isolate.cli.main._end", sys.exit)
    with mock.patch.object(sys, "argv", ["paas-isolate", *words]), mock.patch.object(sys, "excepthook"), ends:
        result = CliRunner(**SEPARATE).invoke(program, [], input=stdin)
    if SEPARATE:
        result.__class__ = _Both
    return result


class _Both(Result):
    """As of later versions: click 8.1 has standard output alone here."""

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def document(result: Result) -> Any:
    """What --json printed: one JSON document, and nothing else."""
    return json.loads(result.stdout)


def _no_program(words: Any, *_: Any, **__: Any) -> None:
    raise FileNotFoundError(errno.ENOENT, "no program is started by a test of the command", str(words))


class CommandLine:
    """The three directories of a machine, with one plan and the account alice."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.place, self._patch = place, patch
        self.etc, self.state, self.run = (place / name for name in ("etc", "state", "run"))
        for path in (self.etc / "plans.d", self.etc / "accounts.d", self.state, self.run):
            path.mkdir(parents=True)
            path.chmod(0o700)
        self.config()
        self.write("plans.d/small.yaml", PLAN)
        self.write("accounts.d/alice.yaml", ALICE)
        self.person(root=False)
        self._people()
        # A test that pretends to be root is root on many machines: no program changes anything there.
        patch.setattr(subprocess, "Popen", _no_program)
        patch.setattr(os, "execv", _no_program)

    def write(self, name: str, text: str) -> Path:
        path = self.etc / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def config(self, more: str = "") -> None:
        users = f"users: {{first_uid: {FIRST}, last_uid: {FIRST + 9}}}\n"
        self.write("config.yaml", f"tree: {{root: {self.place}/cgroup/ours}}\n{users}{UNLIMITED}{more}")

    def person(self, *, root: bool) -> None:
        """Who types."""
        self._patch.setattr("os.geteuid", lambda: 0 if root else FIRST + 9)

    def _people(self) -> None:
        def found(field: int, value: object) -> pwd.struct_passwd:
            for entry in PASSWD:
                if entry[field] == value:
                    return entry
            raise KeyError(value)

        self._patch.setattr(pwd, "getpwall", lambda: PASSWD)
        self._patch.setattr(pwd, "getpwnam", lambda name: found(0, name))
        self._patch.setattr(pwd, "getpwuid", lambda uid: found(2, uid))

    def unfit(self) -> None:
        """No cgroup2 file system is mounted."""
        self._mounted("")

    def tree(self) -> Path:
        """A cgroup2 file system, as far as plain files can be one."""
        top, ours, made = self.place / "cgroup", self.place / "cgroup" / "ours", os.mkdir

        def mkdir(path: Any, *arguments: Any, **more: Any) -> None:
            made(path, *arguments, **more)
            base = Path(os.readlink(f"/proc/self/fd/{more['dir_fd']}")) if more.get("dir_fd") else Path()
            if top in (new := base / path).parents:
                fill(new)

        def fill(new: Path) -> None:
            for name, text in CGROUP.items():
                (new / name).write_text(text + "\n")
            number = sum(path.is_dir() for path in (ours / "users").rglob("*"))
            if number:
                (ours / "users" / "cgroup.stat").write_text(f"nr_descendants {number}\nnr_dying_descendants 0\n")

        self._patch.setattr(os, "mkdir", mkdir)
        ours.mkdir(parents=True)
        (ours / "cpu.weight").write_text("50\n")  # what `ceiling` sells where it does not say
        self._mounted(f"31 1 0:27 / {top} rw,nosuid - cgroup2 cgroup2 rw\n")
        return ours

    def _mounted(self, more: str) -> None:
        ours, table = builtins.open, f"1 1 8:1 / / rw - ext4 /dev/sda1 rw\n{more}"

        def opened(path: Any, *arguments: Any, **more: Any) -> Any:
            return io.StringIO(table) if path == "/proc/self/mountinfo" else ours(path, *arguments, **more)

        self._patch.setattr(builtins, "open", opened)

    def __call__(self, words: str, *, stdin: str = "") -> Result:
        """`words` with blanks between, after the options that name the directories."""
        own = ["--etc", str(self.etc), "--state", str(self.state), "--run", str(self.run)]
        return outcome([*own, *words.split()], stdin)

    def files(self) -> dict[str, str]:
        """What is on disk, without the lock and what only saves time."""
        found = (path for path in sorted(self.place.rglob("*")) if path.is_file())
        return {str(path): path.read_text() for path in found if path.name not in ("lock", "compiled")}
